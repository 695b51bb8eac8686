"""Holds on owned quota, and claims of what was used beyond it: nothing is forgotten and nothing spent twice."""

import pytest

from licet.evaluator.slices import Hold, Key, Owned
from licet.wire.quota import LeaseHeard, LeaseState, QuotaAnswer, QuotaCall
from tests.evaluator.owning import AI, CALLS, Notes, give, hear, named


def _held(owned: Owned, quantity: int, seconds: float = 900.0) -> Hold:
    hold = owned.hold(CALLS, quantity, 1.0, seconds)
    assert hold is not None
    return hold


def _told(call: QuotaCall) -> list[tuple[str, int, bool]]:
    return [(one.id, one.used, one.closed) for one in call.told]


def test_what_is_held_is_spent_by_nobody_else() -> None:
    """Held units are neither spent nor held again; what was not used of them is there again."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    hold = _held(owned, 7)
    assert owned.owned(CALLS, 1.0) == 3
    assert not owned.spend(CALLS, 4, 1.0)
    assert owned.hold(CALLS, 4, 1.0) is None
    assert owned.settle_hold(hold, {CALLS: 2}, 2.0) == {}
    assert owned.owned(CALLS, 2.0) == 8
    assert [(one.used, one.longer) for one in owned.call(3.0).told] == [(2, False)]


def test_several_features_are_held_together_or_not_at_all() -> None:
    """Where one lacks a unit nothing is held of the other; each settles its own."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    give(owned, 2, AI, 3)
    assert owned.hold_all(((CALLS, 5), (AI, 4)), 1.0) is None
    hold = owned.hold_all(((CALLS, 5), (AI, 3)), 1.0)
    assert hold is not None
    assert (owned.owned(CALLS, 1.0), owned.owned(AI, 1.0)) == (5, 0)
    assert owned.settle_hold(hold, {AI: 1}, 2.0) == {}
    assert (owned.owned(CALLS, 2.0), owned.owned(AI, 2.0)) == (10, 2)


def test_more_than_was_held_is_taken_of_what_is_owned() -> None:
    """Only what nothing is owned of is returned, also of a feature that nothing was held of."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    give(owned, 2, CALLS, 2)
    hold = _held(owned, 4)
    assert owned.settle_hold(hold, {CALLS: 15, AI: 1}, 2.0) == {CALLS: 3, AI: 1}
    assert owned.owned(CALLS, 2.0) == 0
    assert owned.counts.spent == 12


def test_less_than_nothing_was_not_used() -> None:
    """A wrong sign gives back what was held, and no more."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    owned.spend(CALLS, 3, 1.0)
    assert owned.settle_hold(_held(owned, 4), {CALLS: -5}, 2.0) == {}
    assert owned.owned(CALLS, 2.0) == 7


def test_a_hold_settles_once() -> None:
    """The same word again uses nothing and gives nothing back."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    hold = _held(owned, 4)
    for _ in range(2):
        assert owned.settle_hold(hold, {CALLS: 3}, 2.0) == {}
    assert owned.owned(CALLS, 2.0) == 7


@pytest.mark.parametrize("how", ["deadline", "recall", "epoch", "give back", "heard of as escheated"])
def test_a_slice_with_a_hold_has_no_last_word(how: str) -> None:
    """However it is closed: nothing of it is spent, it is told of as open until its hold is settled, then closed."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    owned.spend(CALLS, 1, 1.0)
    hold = _held(owned, 5)
    if how == "give back":
        owned.give_back(CALLS)
    elif how == "recall":
        owned.hear(QuotaAnswer(number=owned.call(2.0).number, epoch=1, recalled=(named(1),)), 2.0)
    elif how == "epoch":
        owned.hear(QuotaAnswer(number=owned.call(2.0).number, epoch=2), 2.0)
    elif how == "heard of as escheated":
        hear(owned, 2.0, "escheated", 0)
    assert not owned.spend(CALLS, 1, 61.0)
    assert _told(owned.call(62.0)) == [(named(1), 1, False)]
    assert not owned.call(62.0).told[0].longer
    hear(owned, 63.0, "escheated", 1, epoch=max(1, owned.epoch))
    assert not owned.is_settled
    assert owned.settle_hold(hold, {CALLS: 3}, 64.0) == {}
    assert not owned.spend(CALLS, 1, 64.0)
    assert _told(owned.call(65.0)) == [(named(1), 4, True)]
    hear(owned, 66.0, "settled", 4, epoch=max(1, owned.epoch))
    assert owned.is_settled


def test_what_a_restored_copy_does_not_know_is_claimed_when_its_hold_is_settled() -> None:
    """The claim tells what was used in the end, not what was used when the hub said that it knows nothing."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    hold = _held(owned, 5)
    owned.spend(CALLS, 1, 1.0)
    hear(owned, 2.0, "unknown", 1, epoch=2)
    hear(owned, 2.0, "unknown", 1, epoch=2)
    assert owned.call(3.0).claims == ()
    owned.settle_hold(hold, {CALLS: 4}, 4.0)
    assert _told(owned.call(5.0)) == [(named(1), 5, True)]
    hear(owned, 6.0, "unknown", 5, epoch=2)
    assert [(one.id, one.used, one.lost) for one in owned.call(7.0).claims] == [(named(1), 5, 0)]


def test_closed_slices_are_used_up_first() -> None:
    """What is not used of a hold is given back where it can be spent again."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 4, seconds=100.0)
    give(owned, 2, CALLS, 4, seconds=30.0)
    hold = _held(owned, 8)
    owned.retire(CALLS, 40.0)
    assert owned.settle_hold(hold, {CALLS: 3}, 40.0) == {}
    assert owned.owned(CALLS, 40.0) == 4
    assert _told(owned.call(41.0)) == [(named(2), 3, True)]


def test_a_hold_that_is_overdue_is_let_go_and_may_be_settled_late() -> None:
    """What was given back is spent by others, and what its use needs then is taken of what is there."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    hold, lasting = _held(owned, 6, 5.0), _held(owned, 1)
    assert owned.release_overdue(5.9) == []
    assert owned.release_overdue(6.0) == [hold]
    assert (hold.state, lasting.state) == ("released", "held")
    assert owned.owned(CALLS, 6.0) == 9
    assert owned.spend(CALLS, 7, 6.0)
    assert owned.settle_hold(hold, {CALLS: 6}, 7.0) == {CALLS: 4}
    assert owned.settle_hold(hold, {CALLS: 6}, 7.0) == {}
    assert (owned.counts.spent, owned.counts.held) == (9, 1)


def test_a_crash_leaves_at_most_a_chunk_and_what_is_held_in_doubt() -> None:
    """Held units are written down before; who comes next tells them as lost, not as used."""
    notes = Notes()
    owned = Owned("a" * 32, notes)
    give(owned, 1, CALLS, 80)
    owned.spend(CALLS, 3, 1.0)
    _held(owned, 20)
    again = Owned("b" * 32, Notes(*notes.left()))
    told = again.call(2.0).told[0]
    assert (told.used, told.lost, told.closed) == (3, 20, True)
    assert again.counts.lost == 20


def test_a_crash_before_anything_is_spent_leaves_a_chunk_in_doubt() -> None:
    """A slice is known to the disk from when it was heard of: the most of it goes back, though nothing was spent."""
    notes = Notes()
    give(Owned("a" * 32, notes), 1, CALLS, 80)
    told = Owned("b" * 32, Notes(*notes.left())).call(2.0).told[0]
    assert (told.used, told.lost, told.closed) == (0, 10, True)


def test_of_a_closed_slice_only_what_is_held_is_in_doubt() -> None:
    """When it is closed the rest of the chunk is written down as not spent."""
    notes = Notes()
    owned = Owned("a" * 32, notes)
    give(owned, 1, CALLS, 80)
    owned.spend(CALLS, 1, 1.0)
    _held(owned, 2)
    assert [(one.spent, one.burned) for one in notes.left()] == [(0, 10)]
    owned.give_back(CALLS)
    assert [(one.spent, one.burned) for one in notes.left()] == [(1, 3)]


def test_a_full_disk_holds_nothing_and_stops_no_settling() -> None:
    """A hold that cannot be written down is none; what a settling needs besides is then not covered."""
    notes = Notes()
    owned = Owned("a" * 32, notes)
    give(owned, 1, CALLS, 80)
    hold = _held(owned, 10)
    notes.full = True
    with pytest.raises(OSError, match="takes no more"):
        owned.hold(CALLS, 5, 1.0)
    assert owned.counts.held == 10
    assert owned.settle_hold(hold, {CALLS: 12}, 2.0) == {CALLS: 2}
    assert owned.counts.held == 0
    owned.give_back(CALLS)
    assert owned.call(3.0).told == ()
    notes.full = False
    assert _told(owned.call(4.0)) == [(named(1), 10, True)]


def test_idle_slices_with_holds_stay() -> None:
    """What is held of is in use: it is not given back, and lasts longer."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    hold = _held(owned, 5)
    owned.idle(10.0, 1.0)
    owned.idle(20.0, 1.0)
    assert owned.owned(CALLS, 20.0) == 5
    assert [one.longer for one in owned.call(45.0).told] == [True]
    owned.settle_hold(hold, {}, 46.0)
    owned.idle(46.0, 1.0)
    owned.idle(48.0, 1.0)
    assert owned.owned(CALLS, 48.0) == 0


def test_holding_and_letting_go_is_use_too() -> None:
    """A slice that is held of between two looks is not idle, though all came back."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    hold = owned.hold(CALLS, 5, 1.0)
    assert hold is not None
    owned.settle_hold(hold, {}, 5.0)
    owned.idle(8.0, 4.0)
    assert owned.owned(CALLS, 8.0) == 10
    owned.idle(9.0, 4.0)
    assert owned.owned(CALLS, 9.0) == 0


def test_a_hold_makes_its_slice_last_as_long_as_it_does() -> None:
    """It is extended again and again, though nothing more is spent of it."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    _held(owned, 5)
    for now in (50.0, 100.0, 150.0):
        call = owned.call(now)
        assert [one.longer for one in call.told] == [True]
        heard = (LeaseHeard(id=named(1), state="open", used=0, seconds=60.0),)
        owned.hear(QuotaAnswer(number=call.number, epoch=1, heard=heard), now)


def test_a_disk_forgets_no_slice_with_a_hold() -> None:
    """Where a restored copy does not know it: it is claimed by who comes after a crash."""
    notes = Notes()
    owned = Owned("a" * 32, notes)
    give(owned, 1, CALLS, 80)
    owned.spend(CALLS, 1, 1.0)
    _held(owned, 5)
    hear(owned, 2.0, "unknown", 1, epoch=2)
    assert [(one.spent, one.burned) for one in notes.left()] == [(1, 6)]


def test_a_claim_that_was_heard_is_not_written_any_more() -> None:
    """No disk took it, and the hub has it: there is nothing left to do."""
    notes = Notes()
    owned = Owned("a" * 32, notes)
    notes.full = True
    owned.claim(named(7), CALLS, 3)
    hear(owned, 1.0, "settled", 3, number=7)
    notes.full = False
    assert owned.call(2.0).claims == ()
    assert notes.left() == ()


def test_a_claim_is_told_until_it_was_heard() -> None:
    """Under its own id, once, in each call, and forgotten when the hub has it."""
    notes = Notes()
    owned = Owned("a" * 32, notes)
    for _ in range(2):
        owned.claim(named(7), CALLS, 3)
    for now in (1.0, 2.0):
        assert [(one.id, one.used) for one in owned.call(now).claims] == [(named(7), 3)]
    assert (owned.counts.claims, owned.counts.claimed) == (1, 3)
    hear(owned, 3.0, "settled", 3, number=7)
    assert owned.is_settled
    assert notes.left() == ()


def test_a_claim_outlives_its_process() -> None:
    """Who finds it on the disk tells of it as of a lease, hears that nobody knows it, and claims it."""
    notes = Notes()
    Owned("a" * 32, notes).claim(named(7), CALLS, 3)
    again = Owned("b" * 32, notes)
    hear(again, 1.0, "unknown", 3, number=7)
    assert [(one.id, one.used, one.lost) for one in again.call(2.0).claims] == [(named(7), 3, 0)]
    hear(again, 3.0, "settled", 3, number=7)
    assert notes.left() == ()


def test_a_claim_that_no_disk_takes_is_told_all_the_same() -> None:
    """It has happened; it is written down as soon as that is possible."""
    notes = Notes()
    owned = Owned("a" * 32, notes)
    notes.full = True
    owned.claim(named(7), CALLS, 3)
    assert [one.used for one in owned.call(1.0).claims] == [3]
    assert notes.left() == ()
    notes.full = False
    owned.call(2.0)
    assert [(one.spent, one.burned) for one in notes.left()] == [(3, 3)]


def test_a_second_answer_that_knows_nothing_of_it_drops_no_claim() -> None:
    """Two calls told of the same lease: the answer to the second comes when it is claimed already."""
    owned = Owned("a" * 32)
    give(owned, 1, CALLS, 10)
    owned.spend(CALLS, 4, 1.0)
    owned.give_back(CALLS)
    states: tuple[LeaseState, ...] = ("unknown", "unknown")
    for state in states:
        hear(owned, 2.0, state, 4)
    assert [one.used for one in owned.call(3.0).claims] == [4]


def test_a_hold_of_nothing_known_is_none() -> None:
    """Of what nothing is owned nothing is held, and a hold that is not there needs no settling."""
    owned = Owned("a" * 32)
    assert owned.hold(Key("globex", "calls"), 1, 0.0) is None
    assert owned.is_settled
