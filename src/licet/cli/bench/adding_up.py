"""What came of a cap that many processes used: what they counted beside what was charged, and what does not add up."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from licet.cli.bench.counters import Row
from licet.cli.bench.result import Result

LEAST_ADMITTED: Final = 90.0
"""Percent of the cap."""


class Counted(Struct, kw_only=True):
    """What came of one number of processes. Units of the one feature."""

    processes: int
    limit: int
    admitted: int = 0
    """What the processes counted as let in."""
    in_doubt: int = 0
    """Killed between asking and counting: each may have let one more in."""
    unanswered: int = 0
    """Uses that nobody was let in for, and that the server may have recorded."""
    decided_locally: int = 0
    remaining: int = 0
    used: int = 0
    """What the hub knows to have been used."""
    leased: int = 0
    """What leases of processes that are gone still hold; 0 once they are over."""
    written_off: int = 0
    written_off_used: int = 0
    """What was let in of both by processes that could not tell any more."""
    lost: int = 0
    """The rest of both: nobody used it, and nobody can."""
    accounted: int = 0
    """Admitted, remaining and lost: the limit."""
    overshoot: int = 0
    naive_overshoot: int | None = None
    """Of check-then-track with a smaller cap, without any trouble."""
    naive_limit: int = 0
    leases: int = 0
    leases_used: int = 0
    """What their owners told of."""
    proven: int = 0
    """Leases that were charged in full and of which their owners told later."""
    kills: int = 0
    stops: int = 0
    slept_past_lease: int = 0
    server_kills: int = 0
    clock_steps: int = 0
    cuts: int = 0
    late: int = 0
    closed_cleanly: int = 0
    last_words: str = ""
    """Of a process that ended by itself."""
    seconds: float = 0.0
    per_s: float = 0.0
    wrong: list[str] = []
    """What does not add up."""


def sum_up(counted: Counted, rows: Iterable[Row], told: Mapping[str, int], leases: Sequence[Mapping[str, Any]]) -> None:
    """Compare what was let in with what was charged; what does not add up is in ``wrong``.

    ``told`` is the balance: what of it remains, is used (with what is leased and written off), leased, written off.
    """
    _count(counted, list(rows))
    counted.remaining, counted.leased, counted.written_off = (
        told[name] for name in ("remaining", "leased", "written_off")
    )
    counted.used = told["used"] - counted.leased - counted.written_off
    counted.leases, counted.leases_used = len(leases), sum(int(one["used"]) for one in leases)
    counted.proven = sum(one["state"] == "proven" for one in leases)
    untold = counted.admitted - counted.used
    counted.written_off_used = max(0, untold)
    counted.lost = counted.leased + counted.written_off - untold
    counted.accounted = counted.admitted + counted.remaining + counted.lost
    counted.overshoot = max(0, counted.admitted - counted.limit)
    counted.wrong = [*_wrong(counted, untold), *_wrong_leases(counted, leases)]
    if told["deficit"]:
        counted.wrong.append(f"the balance has a deficit of {told['deficit']}")


def _count(counted: Counted, rows: list[Row]) -> None:
    counted.admitted = sum(row.admitted for row in rows)
    counted.in_doubt = sum(row.doubt for row in rows)
    counted.unanswered = sum(row.unanswered for row in rows)
    counted.decided_locally = sum(row.local for row in rows)


def _wrong(counted: Counted, untold: int) -> list[str]:
    """Whether more was let in than there is, or than was charged; or less than is recorded as used."""
    found = []
    if counted.overshoot:
        found.append(f"{counted.overshoot} units too many were let in")
    if counted.accounted != counted.limit:
        found.append(f"{counted.accounted} of {counted.limit} are accounted for")
    if untold > counted.written_off + counted.leased:
        found.append(f"{untold} were let in and not told of, where {counted.written_off} were written off")
    if -untold > counted.in_doubt + counted.unanswered:
        found.append(f"{counted.used} are recorded as used, where {counted.admitted} were let in")
    if counted.kills < counted.processes:
        found.append(f"{counted.kills} of {counted.processes} processes were killed while they owned something")
    if counted.closed_cleanly < counted.processes:
        left = counted.processes - counted.closed_cleanly
        found.append(f"{left} of {counted.processes} processes did not close with all told: {counted.last_words}")
    return found


def _wrong_leases(counted: Counted, leases: Sequence[Mapping[str, Any]]) -> list[str]:
    """Whether leases say what the balance says, and their owners told of what they let in by themselves."""
    found = []
    for name, held in (("outstanding", counted.leased), ("written_off", counted.written_off)):
        if (those := sum(int(one[name]) for one in leases)) != held:
            found.append(f"{those} are {name.replace('_', ' ')} of leases, where the balance says {held}")
    untold = counted.decided_locally - counted.leases_used
    if untold > counted.written_off + counted.leased:
        found.append(f"{untold} that processes decided themselves were told by nobody and not written off")
    if -untold > counted.in_doubt:
        found.append(f"{counted.leases_used} of leases were told as used, where {counted.decided_locally} were")
    return found


def results_of(found: list[Counted]) -> list[Result]:
    """Return the figures over all numbers of processes: each the worst of them."""
    each = [one.overshoot for one in found]
    naive = [one.naive_overshoot or 0 for one in found]
    missing = [abs(one.limit - one.accounted) for one in found]
    share = [round(100 * one.admitted / one.limit, 2) for one in found]
    lost = [one.lost for one in found]
    return [
        Result(
            name="overshoot",
            value=max(each),
            unit="units",
            baseline=max(naive),
            spread=(min(each), max(each)),
            goal=0,
        ),
        Result(name="unaccounted", value=max(missing), unit="units", spread=(min(missing), max(missing)), goal=0),
        Result(
            name="admitted_least",
            value=min(share),
            unit="%",
            spread=(min(share), max(share)),
            goal=LEAST_ADMITTED,
            at_least=True,
        ),
        Result(name="lost_most", value=max(lost), unit="units", spread=(min(lost), max(lost))),
    ]


def notes_of(found: list[Counted]) -> list[str]:
    """Return a sentence for each number of processes, and one for each thing that does not add up."""
    return [
        *(_said(one) for one in found),
        *(f"WRONG with {one.processes} processes: {words}" for one in found for words in one.wrong),
    ]


def _said(one: Counted) -> str:
    return (
        f"{one.processes} processes: {one.admitted:,} admitted + {one.remaining:,} remaining + {one.lost:,} lost = "
        f"{one.accounted:,} of {one.limit:,}, of {one.written_off:,} written off and {one.leased:,} leased; "
        f"{one.decided_locally:,} decided in the process, {one.leases} leases; {one.kills} kills, {one.stops} stops, "
        f"{one.cuts} cuts, {one.clock_steps} clock steps; {one.seconds:g} s; check-then-track: "
        f"{one.naive_overshoot or 0:,} too many of {one.naive_limit:,}"
    )
