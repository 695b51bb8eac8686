"""Comparing sealed usage with what the log says of it: each segment's row, its place in the chain, its facts, and what
those sum up to."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from licet.core.instant import DAY, HOUR, Instant, format_instant, to_datetime, to_instant
from licet.seal.audit import LogVerifier
from licet.services.rows import Page
from licet.services.usage.ports import SegmentRow
from licet.store.postgres import PostgresView
from licet.store.usage.compare import SumKind, UsageState
from licet.store.usage.months import KEPT_DAYS, month_after, month_of
from licet.store.usage.sealing import first_previous, root_of
from licet.wire.event import Event

SEALED: Final = "usage.sealed"
SUMS: Final[Sequence[tuple[SumKind, str]]] = (
    ("hour", "in the hour from"),
    ("day", "on the day from"),
    ("value", "by different values in the hour from"),
    ("hours", "on the day from"),
)
_TURN: Final = 600_000_000
"""For so long (microseconds) after the turn of a month what was begun before it is committed."""
FULL: Final = 10_000
"""Facts of the largest segment: one of fewer held all there was when it was sealed."""
CONTENT: Final = ("number", "first", "count", "root", "previous")


class UsageCheck:
    """Follows the log's pages in order; holds the facts of one segment at a time.

    Facts of months that were dropped are no longer there to be compared: those before the first that is. Of what is not
    sealed yet the numbers alone are promised: they have no gaps, and a checkpoint says how many there were.
    """

    def __init__(self, view: PostgresView, check: LogVerifier, workspace: str) -> None:
        self._view = view
        self._check = check
        self._number = 0
        self._next = 1
        self._root = first_previous(workspace)
        self._oldest: int | None = None
        self._begun: Instant | None = None
        """No fact of the next segments was recorded before (real time)."""
        self._fits = True
        """Whether nothing was wrong so far: only then are the facts what sums can be compared with."""

    async def page(self, events: Sequence[Event]) -> None:
        """Compare the segments that this page's events seal."""
        for event in events:
            if event.type == SEALED and isinstance(event.after, dict):
                await self._segment(event, event.after)

    async def end(self, tip: int | None = None) -> None:
        """Name the segments that no event of the log sealed, what is missing of facts, and the first sum that its
        facts do not come to; ``tip`` is how many facts a checkpoint knew of."""
        for row in await self._view.segments(Page(after=str(self._number), limit=1)):
            self._fault(1, f"segment {row.number} of usage stands beside the log, but no entry of the log sealed it")
        state = await self._view.usage_state()
        self._seal(state)
        await self._tip(state, tip)
        await self._sums(state)

    def _seal(self, state: UsageState) -> None:
        """Compare how far usage says that it is sealed and dropped with what the log and the facts say."""
        root = state.root if state.number else self._root
        if (state.number, state.sealed, root) != (self._number, self._next - 1, self._root):
            words = f"usage says that it is sealed up to fact {state.sealed}; the log sealed it up to {self._next - 1}"
            self._fault(1, words)
        gone = (state.tip if state.first is None else state.first - 1) if state.tip else 0
        turned = gone < state.dropped == _dropped(state)
        if gone and gone != state.dropped and not turned:
            words = f"facts {state.dropped + 1} to {gone} of usage are missing, and no month was dropped with them"
            self._fault(
                1, words if gone > state.dropped else f"usage says that facts were dropped that are there: {gone + 1}"
            )
        elif gone > min(state.forgotten, self._next - 1):
            self._fault(1, f"facts up to {gone} of usage are missing that were not sealed, or too new to be dropped")

    async def _tip(self, state: UsageState, tip: int | None) -> None:
        """Compare the newest number with facts that are not sealed, with what knows of them, and with a checkpoint."""
        missing = await self._view.first_missing(max(state.dropped, self._next - 1), state.tip)
        if missing is not None:
            self._fault(1, f"fact {missing} of usage is missing: facts are numbered without gaps up to {state.tip}")
        if state.known > state.tip:
            self._fault(1, f"fact {state.known} of usage is known of, but the last one is said to be {state.tip}")
        if tip is not None and tip > state.tip:
            self._fault(1, f"the checkpoint knew {tip} facts of usage; the last one is said to be {state.tip}")

    async def _sums(self, state: UsageState) -> None:
        """Compare the sums by hours and days, and different values, with the single facts that are still there."""
        border = state.dropped_until if state.dropped else None
        if border is not None and state.first_recorded is not None:
            # What the facts themselves say bounds what the row beside them says.
            border = min(border, state.first_recorded + HOUR)
        until = None if border is None else to_datetime(border)
        for kind, words in SUMS:
            found = await self._view.sums_differ(kind, self._next - 1, until) if self._fits else None
            if found is not None:
                customer, meter, begins = found
                what = f"what is summed up of the meter {meter} for {customer} {words} {format_instant(begins)}"
                self._fault(1, f"{what} is not what its {'hours come' if kind == 'hours' else 'facts come'} to")

    async def _segment(self, event: Event, said: Mapping[str, Any]) -> None:
        self._check.documents(1, 0)
        number, first, count = self._number + 1, self._next, said.get("count")
        if (said.get("number"), said.get("first"), said.get("previous")) != (number, first, self._root.hex()):
            self._fault(event.seq, f"entry {event.seq} does not continue the chain of sealed usage at segment {number}")
            return
        row = next(iter(await self._view.segments(Page(after=str(number - 1), limit=1))), None)
        if row is None or _content(row) != {name: said.get(name) for name in CONTENT}:
            self._fault(event.seq, f"segment {number} of usage is not as entry {event.seq} sealed it, or is missing")
        if not isinstance(count, int) or not isinstance(said.get("root"), str):
            return
        await self._facts(event, first, count, said["root"])
        if count < FULL:
            # Whoever posted meanwhile began a little earlier.
            self._begun = to_instant(event.wall_at) - HOUR
        self._number, self._next, self._root = number, first + count, bytes.fromhex(said["root"])

    async def _facts(self, event: Event, first: int, count: int, root: str) -> None:
        seq, end = event.seq, first + count
        rows = await self._view.sealed_rows(first, count)
        if self._oldest is None and rows:
            self._oldest = rows[0]["serial"]
        if len(rows) == count:
            if root_of(rows).hex() != root:
                self._fault(seq, f"facts {first} to {end - 1} of usage are not those that entry {seq} sealed")
            return
        there = {row["serial"] for row in rows}
        oldest = max(first, self._oldest or end, _dropped(await self._view.usage_state()) + 1)
        missing = next((one for one in range(oldest, end) if one not in there), None)
        of = f"of facts {first} to {end - 1} of usage, sealed by entry {seq}, some are missing"
        if missing is not None:
            self._fault(seq, f"{of}: the first one is {missing}")
        elif self._begun is not None and self._kept(self._begun, rows):
            self._fault(seq, f"{of}, which are too new to have been dropped with their month: the first one is {first}")

    def _kept(self, begun: Instant, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Whether facts recorded since an instant must be there: no month is dropped so early, nor half of one."""
        ends = month_after(month_of(begun))
        kept = to_instant(datetime(ends.year, ends.month, 1, tzinfo=UTC)) + KEPT_DAYS * DAY
        half = bool(rows) and month_of(to_instant(rows[0]["wall_at"])) <= month_of(begun)
        return kept > self._view.time.wall or half

    def _fault(self, seq: int, words: str) -> None:
        self._fits = False
        self._check.fault("document", (seq,), words)


def _dropped(state: UsageState) -> int:
    """The last serial that was dropped with its month, as far as the facts that are there bear it out.

    Postings of the last moments of a month may have been committed after the first ones of the next.
    """
    if state.first is None or state.first_wall is None:
        return state.dropped
    begins = month_of(state.first_wall)
    began = to_instant(datetime(begins.year, begins.month, 1, tzinfo=UTC))
    return state.dropped if state.first_wall - began < _TURN else min(state.dropped, state.first - 1)


def _content(row: SegmentRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "first": row.first,
        "count": row.count,
        "root": row.root.hex(),
        "previous": row.previous.hex(),
    }
