"""Owned quota under exceptions out of signal handlers, raised between any two lines: all has its last word."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import pytest

from licet.evaluator import slice as one_slice
from licet.evaluator import slices, stock
from licet.evaluator.slices import Owned
from licet.wire.quota import LeaseHeard, LeaseTold, QuotaAnswer
from tests.evaluator.owning import CALLS, Notes, give

OURS: Final = {one_slice.__file__, slices.__file__, stock.__file__}
AMOUNT: Final = 8


class Interrupted(BaseException):
    """As KeyboardInterrupt is."""


def interrupted(work: Callable[[], object], line: int) -> bool:
    """Do some work, interrupted before its so-manieth line; whether it had so many."""
    left = [line]

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in OURS:
            return None
        left[0] -= event == "line"
        if not left[0]:
            raise Interrupted
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except Interrupted:
        return True
    finally:
        sys.settrace(before)
    return False


def last_words(owned: Owned) -> dict[str, LeaseTold]:
    """Give everything back, and return what is told of each slice that was closed."""
    words: dict[str, LeaseTold] = {}
    for now in (1_000.0, 1_001.0, 1_002.0):
        owned.release_overdue(now)
        owned.give_everything_back()
        call = owned.call(now)
        words |= {one.id: one for one in call.told if one.closed}
        heard = tuple(
            LeaseHeard(id=one.id, state="settled" if one.closed else "open", used=one.used) for one in call.told
        )
        owned.hear(QuotaAnswer(number=call.number, epoch=1, heard=heard), now)
    return words


@pytest.mark.parametrize("disk", [False, True])
@pytest.mark.parametrize(
    ("work", "most"),
    [
        (lambda owned: owned.spend(CALLS, 12, 1.0), 12),
        (lambda owned: owned.spend(CALLS, 1, 70.0), 0),
        (lambda owned: owned.hold(CALLS, 12, 1.0, seconds=60.0), 12),
        (lambda owned: owned.settle_hold(owned.hold(CALLS, 6, 1.0), {CALLS: 9}, 1.0), 15),
        (lambda owned: (owned.idle(1.0, 0.0), owned.idle(9.0, 0.0)), 0),
        (lambda owned: (owned.hold(CALLS, 3, 1.0, seconds=5.0), owned.give_back(CALLS), owned.release_overdue(9.0)), 3),
    ],
)
def test_an_interruption_anywhere(work: Callable[[Owned], object], most: int, *, disk: bool) -> None:
    """Wherever it is interrupted, each slice is closed and told of once, and at most what was wanted as used."""
    line = 0
    going = True
    while going:
        line += 1
        owned = Owned("f" * 32, Notes() if disk else None)
        for number in (1, 2):
            give(owned, number, CALLS, AMOUNT)
        going = interrupted(lambda: work(owned), line)  # noqa: B023 done at once
        words = last_words(owned)
        assert owned.is_settled, line
        assert len(words) == 2, line
        assert sum(one.used for one in words.values()) <= most, line
        assert all(one.used <= AMOUNT and not one.lost for one in words.values()), line
    assert line > 20
