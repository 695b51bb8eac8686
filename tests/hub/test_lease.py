"""A lease as a state machine: whatever its owner says, and however often, all that may have been spent is charged."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.hub.lease import Disagreement, Lease, escheat, slice_of, tell

AMOUNT = 40
WORDS = st.lists(
    st.tuples(st.integers(0, AMOUNT), st.integers(0, 5), st.sampled_from(["tell", "close", "escheat", "again"])),
    max_size=12,
)


def _lease(**more: Any) -> Lease:
    made = {"id": "1" * 32, "owner": "a" * 32, "epoch": 1, "customer": "acme", "feature": "calls", "amount": AMOUNT}
    return Lease(**{**made, "issued": 0, "until": 100, **more})


@given(WORDS)
def test_what_goes_back_and_what_is_charged_are_the_amount(words: list[tuple[int, int, str]]) -> None:
    """Whatever is said, in whatever order: what came back and what is charged make up the lease."""
    lease, back, said = _lease(), 0, list[tuple[int, int, bool]]()
    for used, lost, word in words:
        if word == "escheat":
            lease = escheat(lease) if lease.state == "open" else lease
            continue
        one = said[-1] if word == "again" and said else (used, lost if word == "close" else 0, word == "close")
        try:
            told = tell(lease, one[0], closed=one[2], lost=one[1])
        except Disagreement:
            continue
        said.append(one)
        assert told.back == 0 or told.lease.state in ("settled", "proven")
        lease, back = told.lease, back + told.back
        assert lease.charged + back == AMOUNT
        assert 0 <= lease.used <= lease.charged


@given(st.integers(0, AMOUNT), st.integers(0, AMOUNT))
def test_a_late_word_is_worth_as_much_as_one_in_time(used: int, told_before: int) -> None:
    """Escheated or not, a last word brings back the same."""
    before = min(used, told_before)
    lease = tell(_lease(), before, closed=False).lease
    in_time, late = tell(lease, used, closed=True), tell(escheat(lease), used, closed=True)
    assert (in_time.back, in_time.more, in_time.lease.charged) == (late.back, late.more, late.lease.charged)
    assert (in_time.lease.state, late.lease.state) == ("settled", "proven")


def test_what_is_written_off_is_in_doubt_and_no_more() -> None:
    """Nothing of an open lease, all not told of an escheated one, what a crash left in doubt of a settled one."""
    lease = tell(_lease(), 15, closed=False).lease
    crashed = tell(lease, 15, closed=True, lost=5).lease
    assert [one.written_off for one in (lease, escheat(lease), crashed)] == [0, 25, 5]


@pytest.mark.parametrize(("used", "lost"), [(41, 0), (30, 11), (9, 0)])
def test_what_cannot_be_is_refused(used: int, lost: int) -> None:
    """More than was owned, or a last word below what was told before, is an owner's defect."""
    lease = tell(_lease(), 10, closed=False).lease
    with pytest.raises(Disagreement, match=lease.id):
        tell(lease, used, closed=True, lost=lost)


@given(st.integers(1, 8), st.integers(0, 10_000), st.integers(1, 500))
def test_slices_of_all_owners_strand_a_sixteenth_at_most(owners: int, left: int, wanted: int) -> None:
    """Where nobody needs more for one decision, slices stay within a sixteenth of what is left, all together."""
    pool, issued = left, 0
    for _ in range(owners):
        amount = slice_of(wanted, 1, pool, owners, 16)
        pool, issued = pool - amount, issued + amount
    assert issued <= max(left / 16, owners)
    assert pool >= 0


@given(st.integers(-5, 100), st.integers(1, 100), st.integers(1, 100))
def test_what_is_needed_is_issued_while_it_is_there(left: int, wanted: int, least: int) -> None:
    """The last units are issued exactly: nothing only where less than is needed is left."""
    amount = slice_of(wanted, least, left, 8, 16)
    assert amount == 0 if left < least else least <= amount <= left
