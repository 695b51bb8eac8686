"""Comparing sealed usage with what the log says of it: each segment's row, its place in the chain, its facts, and what
those sum up to."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from licet.core.instant import format_instant
from licet.seal.audit import LogVerifier
from licet.services.rows import Page
from licet.services.usage.ports import SegmentRow
from licet.store.postgres import PostgresView
from licet.store.usage.sealing import first_previous, root_of
from licet.wire.event import Event

SEALED: Final = "usage.sealed"
SUMS: Final[Sequence[tuple[Literal["hour", "day"], str]]] = (("hour", "in the hour from"), ("day", "on the day from"))
CONTENT: Final = ("number", "first", "count", "root", "previous")


class UsageCheck:
    """Follows the log's pages in order; holds the facts of one segment at a time.

    Facts of months that were dropped are no longer there to be compared: those before the first that is. What is not
    sealed yet, nothing promises.
    """

    def __init__(self, view: PostgresView, check: LogVerifier, workspace: str) -> None:
        self._view = view
        self._check = check
        self._number = 0
        self._next = 1
        self._root = first_previous(workspace)
        self._oldest: int | None = None
        self._fits = True
        """Whether nothing was wrong so far: only then are the facts what sums can be compared with."""

    async def page(self, events: Sequence[Event]) -> None:
        """Compare the segments that this page's events seal."""
        for event in events:
            if event.type == SEALED and isinstance(event.after, dict):
                await self._segment(event, event.after)

    async def end(self) -> None:
        """Name the segments that no event of the log sealed, and the first sum that its facts do not come to."""
        for row in await self._view.segments(Page(after=str(self._number), limit=1)):
            self._fault(1, f"segment {row.number} of usage stands beside the log, but no entry of the log sealed it")

        await self._sums()

    async def _sums(self) -> None:
        """Compare the sums by hours and days with the single facts, as far as those are still there."""
        for unit, words in SUMS:
            found = await self._view.sums_differ(unit) if self._fits else None
            if found is not None:
                customer, meter, begins = found
                what = f"what is summed up of the meter {meter} for {customer} {words} {format_instant(begins)}"
                self._fault(1, f"{what} is not what its facts come to")

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
        await self._facts(event.seq, first, count, said["root"])
        self._number, self._next, self._root = number, first + count, bytes.fromhex(said["root"])

    async def _facts(self, seq: int, first: int, count: int, root: str) -> None:
        rows = await self._view.sealed_rows(first, count)
        if self._oldest is None and rows:
            self._oldest = rows[0]["serial"]
        if len(rows) == count:
            if root_of(rows).hex() != root:
                self._fault(seq, f"facts {first} to {first + count - 1} of usage are not those that entry {seq} sealed")
        elif self._oldest is not None and len(rows) != max(0, first + count - max(first, self._oldest)):
            words = f"of facts {first} to {first + count - 1} of usage, sealed by entry {seq}, some are missing"
            self._fault(seq, words)

    def _fault(self, seq: int, words: str) -> None:
        self._fits = False
        self._check.fault("document", (seq,), words)


def _content(row: SegmentRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "first": row.first,
        "count": row.count,
        "root": row.root.hex(),
        "previous": row.previous.hex(),
    }
