"""Answers that go on for some time: their keys are looked at again, through the one gate, for as long as they do.

A request is let in once. An answer that goes on for longer (a feed, a long poll, many lines) asks its :class:`Stay`
before each thing that it says, and is woken where the key was revoked or has expired meanwhile. One task looks for all
of them, key by key; while nothing was committed in its workspace, a look costs a place in memory.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from licet.door.gate import Caller, Gate, mark_of
from licet.door.problems import Refusal
from licet.telemetry import log

LOOK_SECONDS: Final = 0.25
"""From one look at all keys to the next, at least; a look takes at most half of the time."""


class Stay:
    """The stay of one caller, for as long as it is answered."""

    def __init__(self, caller: Caller, scopes: Sequence[str], lost: Callable[[], None]) -> None:
        self._caller = caller
        self._scopes = scopes
        self._lost = lost
        self._refusal: Refusal | None = None

    def hold(self) -> None:
        """Raise Refusal where the caller would be let in no more."""
        if self._refusal is not None:
            raise self._refusal

    def look(self, found: Caller) -> None:
        """Compare with whom the same key stands for now."""
        before = self._caller
        if (found.workspace, found.customer) != (before.workspace, before.customer):
            words = f"the key {found.key} is for something else now than when this was asked"
            self.end(Refusal("unauthenticated", words, advice="Ask again."))
            return
        try:
            found.need(self._scopes)
        except Refusal as refusal:
            self.end(refusal)

    def end(self, refusal: Refusal) -> None:
        """End it: what is under way says why, and nothing more."""
        self._refusal = refusal
        self._lost()


class Stays:
    """The stays of one process; safe for one event loop. ``now`` is monotonic seconds, ``wall`` real time."""

    def __init__(self, gate: Gate, now: Callable[[], float], wall: Callable[[], datetime]) -> None:
        self._gate = gate
        self._now = now
        self._wall = wall
        self._by_header: dict[str, set[Stay]] = {}
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def stay(
        self,
        authorization: str | None,
        caller: Caller,
        scopes: Sequence[str],
        lost: Callable[[], None] = lambda: None,
    ) -> Iterator[Stay]:
        """Look after one who was let in with this header, for as long as the block lasts.

        ``lost`` is called once :meth:`Stay.hold` raises.
        """
        made, header = Stay(caller, scopes, lost), authorization or ""
        self._by_header.setdefault(header, set()).add(made)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="licet-stays")
        try:
            yield made
        finally:
            together = self._by_header[header]
            together.remove(made)
            if not together:
                del self._by_header[header]
            if not self._by_header and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _run(self) -> None:
        took = 0.0
        while True:
            await asyncio.sleep(max(LOOK_SECONDS, took))
            began = self._now()
            try:
                for header in [*self._by_header]:
                    await self._look(header)
            except Exception as error:  # noqa: BLE001 the database may be away: then nothing new is told either
                log("licet.api").warning("keys cannot be looked at again just now", error=str(error))
            took = self._now() - began

    async def _look(self, header: str) -> None:
        mark = mark_of(header.encode("latin-1", "replace"))
        found = self._gate.admit_now(mark, self._now(), self._wall)
        refused: Refusal | None = None
        if found is None:
            try:
                found = await self._gate.admit_again(header, self._now(), self._wall())
            except Refusal as refusal:
                refused = refusal
        for stay in [*self._by_header.get(header, ())]:
            if found is not None:
                stay.look(found)
            elif refused is not None:
                stay.end(refused)
