"""Counts that wait to be summed up: none is missed or told twice, and no check waits for the summing up."""

import threading

from licet.sdk.tally import _AT_ONCE, CheckTally
from tests.sdk.test_tally import NOW, ask, counted, everything


def test_what_rests_too_long_is_summed_up_bit_by_bit() -> None:
    """Where counts are laid aside faster than batches are taken, as many as are new are summed up, each once."""
    tally, turns, most = CheckTally(), 8, 0
    for turn in range(turns):
        for number in range(_AT_ONCE):
            ask(tally, "c0", "sso", user=f"u{turn % 2}-{number}")
        tally._turn(NOW)
        most = max(most, sum(len(cells) for _, cells in tally._overdue))
    assert most == _AT_ONCE
    assert sum(tally._tally._counts.values()) == 3 * _AT_ONCE
    assert sum(counted(everything(tally)).values()) == turns * _AT_ONCE


def test_no_check_waits_until_counts_are_summed_up() -> None:
    """While somebody sums up, others go on counting, also those who would sum up some; nothing is missed."""
    tally = CheckTally()
    for turn in range(6):
        ask(tally, "c0", "sso", user=f"u{turn}")
        tally._turn(NOW)

    def asks() -> None:
        for number in range(_AT_ONCE + 1):
            ask(tally, "c1", "sso", user=f"u{number}")

    with tally._sums:
        asking = threading.Thread(target=asks, daemon=True)
        asking.start()
        asking.join(20)
        assert not asking.is_alive()
        assert sum(len(cells) for _, cells in tally._overdue) == 2
    assert sum(counted(everything(tally)).values()) == 6 + _AT_ONCE + 1
