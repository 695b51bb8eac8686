"""What owned quota says when, what its host may know of it at once, and what it counts."""

from msgspec import structs

from licet.evaluator.slices import AGAIN, EVERY, LONGER, MOST_POOLS, Certainty, Key, Owned, Pool
from licet.evaluator.turns import Turns
from licet.wire.quota import (
    MAX_ASKS,
    MAX_TOLD,
    LeaseAsk,
    LeaseClaim,
    LeaseDenied,
    LeaseGiven,
    LeaseHeard,
    QuotaAnswer,
)
from tests.evaluator.owning import AI, CALLS, Notes, give, hear, named


def _longer(owned: Owned, now: float, seconds: float) -> bool:
    """Let it call, and answer that its first lease lasts so long; whether it asked for that."""
    call = owned.call(now)
    used = next((one.used for one in call.told), 0)
    heard = (LeaseHeard(id=named(1), state="open", used=used, seconds=seconds),)
    owned.hear(QuotaAnswer(number=call.number, epoch=1, heard=heard), now)
    return any(one.longer for one in call.told)


def test_what_the_hub_knows_is_not_said_again() -> None:
    """An open slice is told of when something was spent of it, until that was heard, and not else."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    assert owned.call(1.0).told == ()
    owned.spend(CALLS, 2, 1.0)
    assert [[one.used for one in owned.call(now).told] for now in (2.0, 3.0)] == [[2], [2]]
    hear(owned, 4.0, "open", 2)
    assert owned.call(5.0).told == ()
    owned.spend(CALLS, 1, 5.0)
    assert [one.used for one in owned.call(6.0).told] == [3]


def test_only_what_is_used_shall_last_longer() -> None:
    """A slice is extended when something was spent of it since it last was; its new end counts from the call."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    assert not _longer(owned, 60.0 - LONGER + 1.0, 0.0)
    owned.spend(CALLS, 1, 42.0)
    assert _longer(owned, 43.0, 60.0)
    assert owned.owned(CALLS, 102.9) == 9
    assert owned.owned(CALLS, 103.0) == 0
    assert not _longer(owned, 90.0, 0.0)
    owned.spend(CALLS, 1, 91.0)
    assert _longer(owned, 92.0, 60.0)


def test_a_slice_whose_end_came_is_told_as_closed_though_nobody_spends() -> None:
    """Calling looks at ends by itself."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    assert [(one.used, one.closed) for one in owned.call(60.0).told] == [(0, True)]


def test_it_says_when_a_call_is_due() -> None:
    """At once what waits for an answer or gives something back; else with the next look at what was asked back."""
    owned = Owned("a" * 32)
    assert owned.next_call_at(0.0) is None
    owned.ask(LeaseAsk(id=named(1), customer="acme", feature="calls", wanted=10))
    assert owned.wants_call(0.0)
    give(owned, 1, CALLS, 10, 0.0)
    assert not owned.is_settled
    assert owned.next_call_at(0.0) == EVERY
    assert not owned.wants_call(EVERY - 0.1)
    assert owned.wants_call(EVERY)
    owned.give_back(CALLS)
    assert owned.wants_call(0.1)
    hear(owned, 1.0, "settled", 0)
    assert owned.next_call_at(1.0) is None


def test_ends_and_extensions_are_due_before_the_next_look() -> None:
    """An unused slice at its end; a used one while there is still time to make it last longer."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10, 0.0, seconds=25.0)
    owned.call(4.0)
    assert owned.next_call_at(4.0) == 14.0
    owned.spend(CALLS, 1, 4.0)
    assert owned.next_call_at(4.0) == 4.0 + AGAIN
    idle = Owned("a" * 32)
    give(idle, 1, CALLS, 10, 0.0, seconds=3.0)
    assert idle.next_call_at(0.0) == 3.0


def test_what_cannot_last_longer_is_not_asked_for_all_the_time() -> None:
    """At a period's end slices go on being spent and nobody can extend them: calls come no faster than before."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10, 0.0)
    due = list[float]()
    for now in (50.0, 55.0):
        owned.spend(CALLS, 1, now)
        _longer(owned, now, 60.0 - now)
        owned.spend(CALLS, 1, now)
        due.append(owned.next_call_at(now) or 0.0)
    assert due == [50.0 + AGAIN, 60.0]


def test_what_is_used_up_is_in_no_hurry() -> None:
    """Nobody has anything of hearing at once of a slice of which nothing is left."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10, 0.0)
    owned.spend(CALLS, 10, 1.0)
    assert not owned.spend(CALLS, 1, 1.0)
    assert owned.next_call_at(1.0) == EVERY
    assert [(one.used, one.closed) for one in owned.call(EVERY).told] == [(10, True)]


def test_what_no_disk_takes_is_tried_again_later() -> None:
    """A close that cannot be written is not said, and no loop turns on it."""
    notes = Notes()
    owned = Owned("a" * 32, notes)
    give(owned, 1, CALLS, 80, 0.0)
    owned.spend(CALLS, 1, 1.0)
    notes.full = True
    owned.give_back(CALLS)
    assert owned.next_call_at(1.0) == EVERY


def test_nothing_waits_for_ever_where_not_all_fits() -> None:
    """Of more last words, requests and claims than fit in one call, each is said within the next few."""
    owned = Owned("a" * 32)
    count = 2 * MAX_TOLD + 5
    for number in range(count):
        owned.ask(LeaseAsk(id=named(number), customer="acme", feature="calls", wanted=1))
        owned.claim(named(10**6 + number), CALLS, 1)
    asked, claimed = set[str](), set[str]()
    for now in range(-(-count // MAX_ASKS)):
        call = owned.call(float(now))
        assert len(call.asks) <= MAX_ASKS
        assert len(call.claims) <= MAX_TOLD
        asked |= {one.id for one in call.asks}
        claimed |= {one.id for one in call.claims}
    assert (len(asked), len(claimed)) == (count, count)


def test_what_did_not_fit_is_said_in_the_next_call() -> None:
    """Of more used slices than fit in one call none waits for the next look: calls go on until all were told."""
    owned = Owned("a" * 32)
    for number in range(MAX_TOLD + 1):
        owned.ask(LeaseAsk(id=named(number), customer="acme", feature="calls", wanted=1))
    while owned.waits(CALLS):
        call = owned.call(0.0)
        given = tuple(LeaseGiven(id=one.id, epoch=1, amount=2, seconds=60.0, left=0) for one in call.asks)
        owned.hear(QuotaAnswer(number=call.number, epoch=1, given=given), 0.0)
    for number in range(MAX_TOLD + 1):
        assert owned.spend(CALLS, 2 if number else 1, 0.0)
    told = set[str]()
    calls = 0
    while owned.wants_call(EVERY):
        call = owned.call(EVERY)
        calls += 1
        told |= {one.id for one in call.told}
        heard = tuple(
            LeaseHeard(id=one.id, state="settled" if one.closed else "open", used=one.used) for one in call.told
        )
        owned.hear(QuotaAnswer(number=call.number, epoch=1, heard=heard), EVERY)
    assert (calls, len(told)) == (2, MAX_TOLD + 1)


def test_new_words_come_before_those_said_often() -> None:
    """What was never said goes first, then what was said longest ago."""
    turns = Turns()
    claims = [LeaseClaim(id=named(number), customer="acme", feature="calls", used=1) for number in range(5)]
    said = [[int(one.id, 16) for one in turns.take(claims, 2, number)] for number in range(1, 4)]
    assert said == [[0, 1], [2, 3], [4, 0]]
    new = structs.replace(claims[0], id=named(9))
    assert [int(one.id, 16) for one in turns.take([*claims, new], 2, 4)] == [9, 1]
    assert len(turns.take(claims, 5, 5)) == 5


def test_what_is_certain_is_what_is_owned_and_how_old_the_rest_is() -> None:
    """At least what is owned, at most what the hub had besides; the age counts from when the call was sent."""
    owned = Owned("a" * 32)
    assert owned.certain(CALLS, 0.0) == Certainty(0, None, None)
    assert not owned.certain(CALLS, 0.0).is_known
    give(owned, 1, CALLS, 10, 0.0)
    owned.spend(CALLS, 4, 1.0)
    assert owned.certain(CALLS, 5.0) == Certainty(6, 906, 5.0)
    assert owned.certain(CALLS, 5.0).is_known
    owned.hear_left(CALLS, -3, 4.0)
    assert owned.certain(CALLS, 5.0) == Certainty(6, 6, 1.0)
    owned.hear_left(CALLS, 500, 3.0)
    assert owned.certain(CALLS, 5.0) == Certainty(6, 6, 1.0)


def test_a_denial_for_another_customer_says_nothing_of_what_there_is() -> None:
    """Only the hub's own word on a balance is kept."""
    owned = Owned("a" * 32)
    said = {"lease_of_another": None, "limit_reached": Pool(0, 2.0)}
    for code, pool in said.items():
        owned.ask(LeaseAsk(id=named(1), customer="acme", feature="calls", wanted=1))
        denied = (LeaseDenied(id=named(1), code=code, left=0),)
        owned.hear(QuotaAnswer(number=owned.call(2.0).number, epoch=1, denied=denied), 3.0)
        assert owned.pools.get(CALLS) == pool
    assert owned.counts.denied == 2


def test_words_on_many_balances_are_bounded() -> None:
    """The oldest word is dropped, not the newest."""
    owned = Owned("a" * 32)
    for number in range(MOST_POOLS + 1):
        owned.hear_left(Key(f"c{number}", "calls"), 1, float(number))
    assert len(owned.pools) == MOST_POOLS
    assert Key("c0", "calls") not in owned.pools


def test_it_counts_what_became_of_its_slices() -> None:
    """Taken is spent, given back, held and stranded, at any time."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    give(owned, 2, AI, 20)
    owned.spend(CALLS, 3, 1.0)
    hold = owned.hold(AI, 5, 1.0)
    assert hold is not None
    counts = owned.counts
    assert (counts.slices, counts.taken, counts.spent, counts.held, counts.stranded) == (2, 30, 3, 5, 22)
    recalled = QuotaAnswer(number=owned.call(2.0).number, epoch=1, recalled=(named(1), named(2), named(3)))
    owned.hear(recalled, 2.0)
    assert owned.counts[2:6] == (3, 7, 5, 15)
    owned.settle_hold(hold, {AI: 4}, 3.0)
    assert owned.counts[2:6] == (7, 23, 0, 0)
    assert owned.counts.recalled == 2


def test_an_answer_to_a_call_long_ago_changes_nothing() -> None:
    """Only so many calls are waited for; what it would have given is asked for again in each call."""
    owned = Owned("a" * 32)
    owned.ask(LeaseAsk(id=named(1), customer="acme", feature="calls", wanted=1))
    first = owned.call(0.0)
    for now in range(100):
        owned.call(float(now))
    given = (LeaseGiven(id=named(1), epoch=1, amount=10, seconds=60.0, left=0),)
    owned.hear(QuotaAnswer(number=first.number, epoch=1, given=given), 100.0)
    assert owned.owned(CALLS, 100.0) == 0
    assert owned.waits(CALLS)
