"""Counts that wait to be summed up: none is missed or told twice, and no check waits for the summing up."""

import threading

from licet.sdk.tally import CheckTally
from tests.core.worlds import FEATURES
from tests.sdk.test_tally import NOW, ask, counted, everything


def test_what_rests_too_long_is_summed_up_bit_by_bit() -> None:
    """Where counts are laid aside faster than batches are taken, each new one sums up two of the oldest, once."""
    tally, times, most = CheckTally(), 0, 0
    for turn in range(12):
        for feature in FEATURES:
            ask(tally, "c0", feature, user=f"u{turn}")
            times += 1
        tally._turn(NOW)
        most = max(most, len(tally._overdue))
    assert most == 1
    assert sum(tally._tally._counts.values()) == 7 * len(FEATURES)
    assert sum(counted(everything(tally)).values()) == times


def test_no_check_waits_until_counts_are_summed_up() -> None:
    """While somebody sums up, others go on counting, also those who would sum up a few; nothing is missed."""
    tally = CheckTally()
    for turn in range(6):
        ask(tally, "c0", "sso", user=f"u{turn}")
        tally._turn(NOW)
    assert tally._overdue
    with tally._sums:
        asking = threading.Thread(target=ask, args=(tally, "c1", "sso"), daemon=True)
        asking.start()
        asking.join(20)
        assert not asking.is_alive()
        assert tally._overdue
    assert sum(counted(everything(tally)).values()) == 7
