"""Owned quota in one process: what it spends, writes down, says and hears."""

import msgspec
import pytest

from licet.evaluator.slices import CHUNKS, Owned
from licet.evaluator.stock import MOST_IDLE
from licet.wire.quota import LeaseAsk, LeaseDenied, LeaseGiven, LeaseState, QuotaAnswer
from tests.evaluator.owning import AI, CALLS, Notes, give, hear, named


def test_nothing_is_spent_beyond_what_is_owned() -> None:
    """A slice is spent to its last unit, across slices too, and not one unit more."""
    owned = Owned("a" * 32)
    assert not owned.spend(CALLS, 1, 0.0)
    give(owned, 1, CALLS, 10)
    give(owned, 2, CALLS, 5)
    assert [owned.spend(CALLS, one, 1.0) for one in (8, 4, 4, 3, 1)] == [True, True, False, True, False]
    assert owned.owned(CALLS, 1.0) == 0


def test_several_features_are_spent_together_or_not_at_all() -> None:
    """Where one of them lacks a unit nothing is spent of the other."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    give(owned, 2, AI, 3)
    assert not owned.spend_all(((CALLS, 5), (AI, 4)), 1.0)
    assert not owned.spend_all(((AI, 2), (AI, 2)), 1.0)
    assert (owned.owned(CALLS, 1.0), owned.owned(AI, 1.0)) == (10, 3)
    assert owned.spend_all(((CALLS, 5), (AI, 3)), 1.0)
    assert (owned.owned(CALLS, 1.0), owned.owned(AI, 1.0)) == (5, 0)


def test_a_slice_ends_counted_from_when_its_call_was_sent() -> None:
    """However long the answer took, nothing is spent from its end on, and it is told of as closed."""
    owned = Owned("a" * 32)
    owned.ask(LeaseAsk(id=named(1), customer="acme", feature="calls", wanted=10))
    call = owned.call(100.0)
    given = LeaseGiven(id=named(1), epoch=1, amount=10, seconds=60.0, left=0)
    owned.hear(QuotaAnswer(number=call.number, epoch=1, given=(given,)), 130.0)
    assert owned.spend(CALLS, 1, 159.9)
    assert not owned.spend(CALLS, 1, 160.0)
    assert [(one.used, one.closed) for one in owned.call(161.0).told] == [(1, True)]


def test_an_answer_counts_once() -> None:
    """The same answer again gives nothing again; one to a call that nobody made gives nothing at all."""
    owned = Owned("a" * 32)
    answer = give(owned, 1, CALLS, 10)
    owned.hear(answer, 1.0)
    owned.hear(msgspec.structs.replace(answer, number=77), 1.0)
    assert owned.owned(CALLS, 1.0) == 10


def test_another_epoch_ends_what_is_owned() -> None:
    """What is held from before a restore is closed when the new epoch is heard of, by whatever answer."""
    owned = Owned("a" * 32)
    answer = give(owned, 1, CALLS, 10)
    assert owned.spend(CALLS, 4, 1.0)
    owned.hear(QuotaAnswer(number=answer.number, epoch=2), 2.0)
    assert not owned.spend(CALLS, 1, 2.0)
    assert [(one.used, one.closed) for one in owned.call(3.0).told] == [(4, True)]
    owned.hear(msgspec.structs.replace(answer, number=owned.call(3.0).number), 4.0)
    assert owned.owned(CALLS, 4.0) == 0


def test_what_is_given_from_an_epoch_that_is_over_goes_back_unspent() -> None:
    """A repeated request that is answered with a lease of before is not spent of."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    owned.ask(LeaseAsk(id=named(2), customer="acme", feature="calls", wanted=10))
    given = LeaseGiven(id=named(2), epoch=1, amount=10, seconds=60.0, left=0)
    owned.hear(QuotaAnswer(number=owned.call(0.0).number, epoch=2, given=(given,)), 1.0)
    assert owned.owned(CALLS, 1.0) == 0
    assert {(one.id, one.used, one.closed) for one in owned.call(2.0).told} == {
        (named(1), 0, True),
        (named(2), 0, True),
    }


def test_it_says_the_last_word_until_it_was_heard() -> None:
    """Closed slices are told of in every call until the hub has settled them."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    owned.spend(CALLS, 3, 1.0)
    owned.give_back(CALLS)
    assert [owned.call(float(now)).told[0].closed for now in range(2, 5)] == [True] * 3
    settled = []
    states: tuple[LeaseState, ...] = ("escheated", "settled")
    for state in states:
        hear(owned, 5.0, state, 3)
        settled.append(owned.is_settled)
    assert settled == [False, True]
    assert owned.call(7.0).told == ()


def test_what_the_hub_does_not_know_is_claimed() -> None:
    """After a restore: what was spent is told with what it was of, until that was heard."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    owned.spend(CALLS, 3, 1.0)
    hear(owned, 2.0, "unknown", 0, epoch=2)
    claims = owned.call(3.0).claims
    assert [(one.id, one.customer, one.feature, one.used) for one in claims] == [(named(1), "acme", "calls", 3)]
    hear(owned, 4.0, "settled", 3, epoch=2)
    assert owned.is_settled


def test_recalled_slices_are_closed() -> None:
    """What the hub wants back goes back with the next call."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    owned.hear(QuotaAnswer(number=owned.call(1.0).number, epoch=1, recalled=(named(1),)), 1.0)
    assert not owned.spend(CALLS, 1, 1.0)
    assert owned.call(2.0).told[0].closed


def test_with_a_disk_nothing_is_spent_before_it_is_written() -> None:
    """At any moment the journal bounds what was spent from both sides, an eighth of the slice apart."""
    notes = Notes()
    owned = Owned("a" * 32, notes)
    give(owned, 1, CALLS, 80)
    spent = 0
    for _ in range(40):
        assert owned.spend(CALLS, 2, 1.0)
        spent += 2
        kept = notes.kept[named(1)]
        assert kept.spent <= spent <= kept.burned <= kept.spent + 80 // CHUNKS
    assert len(notes.writes) == CHUNKS


def test_a_full_disk_spends_nothing_and_says_nothing() -> None:
    """What cannot be written is not spent; a slice whose end is not written is not told of before it is."""
    notes = Notes()
    owned = Owned("a" * 32, notes)
    give(owned, 1, CALLS, 80)
    assert owned.spend(CALLS, 10, 1.0)
    notes.full = True
    with pytest.raises(OSError, match="takes no more"):
        owned.spend(CALLS, 1, 1.0)
    owned.give_back(CALLS)
    assert owned.call(2.0).told == ()
    notes.full = False
    assert [(one.used, one.closed) for one in owned.call(3.0).told] == [(10, True)]


def test_who_comes_after_a_crash_tells_what_is_certain_and_what_is_in_doubt() -> None:
    """The next process with that disk owns nothing of it, and says its last word."""
    notes = Notes()
    owned = Owned("a" * 32, notes)
    give(owned, 1, CALLS, 80)
    for _ in range(13):
        owned.spend(CALLS, 1, 1.0)
    again = Owned("b" * 32, Notes(*notes.left()))
    assert again.owned(CALLS, 1.0) == 0
    assert [(one.used, one.lost, one.closed) for one in again.call(2.0).told] == [(10, 10, True)]
    hear(again, 3.0, "settled", 10)
    assert again.is_settled


def test_a_denied_request_is_not_asked_again() -> None:
    """What was left is remembered; whoever needs more asks under another id."""
    owned = Owned("a" * 32)
    owned.ask(LeaseAsk(id=named(1), customer="acme", feature="calls", wanted=10))
    assert owned.waits(CALLS)
    denied = LeaseDenied(id=named(1), code="limit_reached", left=-4)
    owned.hear(QuotaAnswer(number=owned.call(0.0).number, epoch=1, denied=(denied,)), 1.0)
    assert not owned.waits(CALLS)
    assert owned.pools[CALLS].left == -4


def test_idle_slices_go_back() -> None:
    """A slice that nothing is spent of for a while is closed; one that is spent of stays."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    owned.spend(CALLS, 1, 1.0)
    owned.idle(5.0, 4.0)
    owned.idle(8.0, 4.0)
    assert owned.owned(CALLS, 8.0) == 9
    owned.idle(9.0, 4.0)
    assert owned.owned(CALLS, 9.0) == 0


def test_of_many_idle_slices_some_go_back_at_a_time() -> None:
    """Whoever holds the lock meanwhile holds it for so many forced writes, however many slices are idle."""
    owned = Owned("a" * 32)
    for number in range(1, MOST_IDLE + 10):
        give(owned, number, CALLS, 10)
    assert owned.idle(100.0, 1.0)
    assert owned.owned(CALLS, 0.5) == 90
    assert not owned.idle(100.0, 1.0)
    assert owned.owned(CALLS, 0.5) == 0
