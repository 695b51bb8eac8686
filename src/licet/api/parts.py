"""What the API is put together from, and the tide: how far each workspace's log has come, as this process knows."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from licet.api.background import background
from licet.api.counting import Counting
from licet.api.publishing import Feeds
from licet.api.staying import Stays
from licet.door.gate import Gate
from licet.door.limits import AT_LEAST_SECONDS, STALL_SECONDS
from licet.door.problems import Refusal
from licet.door.rate import Inflow, Rate
from licet.services.inbound import Connector
from licet.services.ports import Storage
from licet.services.published_keysets import PublishedKeysets
from licet.services.reads import ReadLog
from licet.services.signing import Signers
from licet.services.truth import Snapshots
from licet.services.usage.lane import UsageLanes
from licet.telemetry import Metrics, Traces, log

_FORGET_SECONDS: Final = 0.2
_RETRY_SECONDS: Final = 1.0


class Clock:
    """The present, asked for at the edge only. Tests hand in another one."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def wall(self) -> datetime:
        """Return real time in UTC."""
        return datetime.now(UTC)


class Ready(Struct, frozen=True, kw_only=True):
    """Whether the server can do its work, and each thing that was looked at."""

    ready: bool
    checks: dict[str, str]


class Parts(Struct, frozen=True, kw_only=True):
    """Everything an operation can reach. Made by wiring, once per server."""

    storage: Storage
    gate: Gate
    rate: Rate
    inflow: Inflow
    tide: "Tide"
    counting: Counting
    metrics: Metrics
    traces: Traces
    snapshots: Snapshots
    reads: ReadLog
    signers: Signers
    feeds: Feeds
    stays: Stays
    keysets: PublishedKeysets
    lanes: UsageLanes
    connectors: Mapping[str, Connector]
    ready: Callable[[], Awaitable[Ready]]
    version: str
    clock: Clock
    stall_seconds: float = STALL_SECONDS
    """How long the reader of an answer that comes line by line may take nothing of it."""


class Tide:
    """Follows storage's notices: wakes those who wait for a sequence, lets the gate forget keys of a workspace."""

    def __init__(self, storage: Storage, gate: Gate) -> None:
        self._storage = storage
        self._gate = gate
        self._known: dict[str, int] = {}
        # Apart from what is known: whoever asks may know of a commit before its notice, which must still be acted upon.
        self._noticed: dict[str, int] = {}
        self._moved = asyncio.Condition()
        self._forgotten: dict[str, float] = {}
        self._listeners: list[Callable[[str, int], None]] = []

    def tell(self, listener: Callable[[str, int], None]) -> None:
        """Tell ``listener`` (workspace, sequence) after commits anywhere, and every second."""
        self._listeners.append(listener)

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[None]:
        """Follow in the background as long as the block lasts."""
        async with background(self._follow(), "licet-tide"):
            yield

    async def reach(self, workspace: str, seq: int) -> None:
        """Return once the log of ``workspace`` holds ``seq``; raises Refusal (503) after a second."""
        if self._known.get(workspace, 0) >= seq:
            return
        async with self._storage.read(workspace) as view:
            self._known[workspace] = max(self._known.get(workspace, 0), await view.seq())
        with suppress(TimeoutError):
            async with asyncio.timeout(AT_LEAST_SECONDS), self._moved:
                await self._moved.wait_for(lambda: self._known.get(workspace, 0) >= seq)
        newest = self._known.get(workspace, 0)
        if newest < seq:
            raise Refusal(
                "behind",
                f"at_least is {seq}; the newest sequence seen here is {newest}",
                advice="Try again, with the seq that the write answered.",
                headers={"Retry-After": "1"},
            )

    async def _follow(self) -> None:
        while True:
            try:
                async for workspace, seq in self._storage.watch():
                    await self._notice(workspace, seq)
            except Exception as error:  # noqa: BLE001 the database may be away: go on as soon as it is back
                log("licet.api").warning("storage cannot be watched", error=str(error), retry_seconds=_RETRY_SECONDS)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _notice(self, workspace: str, seq: int) -> None:
        for listener in self._listeners:
            listener(workspace, seq)
        if self._noticed.get(workspace) == seq:
            return
        self._noticed[workspace] = seq
        self._known[workspace] = max(seq, self._known.get(workspace, 0))
        self._forget(workspace)
        async with self._moved:
            self._moved.notify_all()

    def _forget(self, workspace: str) -> None:
        """Forget keys at once, but under a stream of writes at most five times a second, the last write included."""
        now = time.monotonic()
        due = self._forgotten.get(workspace, 0.0) + _FORGET_SECONDS
        if now >= due:
            self._forgotten[workspace] = now
            self._gate.forget(workspace)
        elif self._forgotten[workspace] <= now:  # else the next time is set already
            self._forgotten[workspace] = due
            asyncio.get_running_loop().call_later(due - now, self._gate.forget, workspace)
