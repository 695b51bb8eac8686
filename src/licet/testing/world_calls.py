"""How the clients of a world count use: the real client's requests, answered by the world instead of a server."""

from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from licet.sdk.book import Book
from licet.sdk.counting import Counting
from licet.sdk.effects import Answer, Ask, Request
from licet.sdk.errors import BufferFull, Invalid, Unanswered
from licet.sdk.options import Options
from licet.sdk.place import Place
from licet.sdk.shelf import Entry
from licet.sdk.spending import CONSUME, EVENTS, RESERVATIONS, Call, Keep
from licet.sdk.telling import Telling
from licet.sdk.usage import Reports
from licet.testing.world_truth import CUT
from licet.wire.usage import CloudEvent, ConsumeAsked, ReserveAsked, SettleAsked

if TYPE_CHECKING:
    from licet.testing.world import World

T = TypeVar("T")
_OPTIONS: Final = Options(
    place=Place(secure=False, host="world", port=80, prefix="", key=""),
    root=None,
    cache=False,
    customers=None,
    on_demand=False,
    most_customers=1,
    unreachable=None,
    default_unreachable="deny",
    follow="never",
    telemetry=False,
    start_timeout=0.0,
    timeout=10.0,
)


class WorldCounting(Counting):
    """Counts by the world's clock."""

    def __init__(self, world: "World") -> None:
        """``world`` is what is told."""
        super().__init__(_OPTIONS, lambda: Book(lambda: 0))
        self._world = world
        self.telling = WorldTelling(world)

    def _now(self) -> datetime:
        return self._world.now


class WorldTelling(Telling):
    """Tells the world at once; while it is cut off, what is reported waits."""

    def __init__(self, world: "World") -> None:
        """``world`` is what is told."""
        super().__init__(_OPTIONS)
        self._world = world
        self._waiting: dict[str, Entry] = {}
        self._refused = 0

    def put(self, entry: Entry, *, must: bool = False) -> bool:
        """Tell it, or keep it until the world is back."""
        if len(self._waiting) >= _OPTIONS.report_most and not must:
            raise BufferFull(f"{len(self._waiting)} reports wait; world.online() lets them through")
        self._waiting[entry.id] = entry
        self.flush(0.0)
        return True

    def flush(self, seconds: float) -> bool:  # noqa: ARG002 nothing takes time here
        """Tell what waits; returns whether the world could be reached."""
        while self._waiting and self._world.connected:
            entry = self._waiting.pop(next(iter(self._waiting)))
            told = Request(method="POST", path=entry.path or EVENTS, body=entry.body, seconds=0.0)
            self._refused += answered(self._world, told).status != 200
        return not self._waiting

    def state(self) -> Reports:
        """Return how it stands."""
        self.flush(0.0)
        size = sum(one.size for one in self._waiting.values())
        return Reports(waiting=len(self._waiting), bytes=size, durable=False, dropped=0, refused=self._refused)


class WorldCalls:
    """Runs calls against a world. A world that is cut off is not waited for."""

    def __init__(self, world: "World") -> None:
        """``world`` answers."""
        self._world = world

    def run(self, call: Call[T]) -> T:
        """Return what a call comes to; raises what it raises, and Unanswered in a world that is cut off."""
        try:
            effect = next(call)
            while True:
                if isinstance(effect, Keep):
                    effect.perform()
                    effect = call.send(None)
                elif isinstance(effect, Ask) and not self._world.connected:
                    effect = call.throw(_cut(effect.request))
                else:
                    effect = call.send(answered(self._world, effect.request) if isinstance(effect, Ask) else None)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            call.close()

    def close(self) -> None:
        """Nothing is open."""

    def after_fork_in_child(self) -> None:
        """Nothing is shared."""


class AsyncWorldCalls:
    """As :class:`WorldCalls`, awaited."""

    def __init__(self, world: "World") -> None:
        """``world`` answers."""
        self._calls = WorldCalls(world)

    async def run(self, call: Call[T]) -> T:
        """Return what a call comes to."""
        return self._calls.run(call)

    def close(self) -> None:
        """Nothing is open."""

    def after_fork_in_child(self) -> None:
        """Nothing is shared."""


def answered(world: "World", request: Request) -> Answer:
    """Return what a world answers to a request, as a server does over HTTP."""
    body = request.body or b"{}"
    try:
        if request.path == CONSUME:
            told = world.consumed(msgspec.json.decode(body, type=ConsumeAsked))
        elif request.path == RESERVATIONS:
            told = world.consumed(msgspec.json.decode(body, type=ReserveAsked))
        elif request.path == EVENTS:
            return _answer(200, world.usage.report([msgspec.json.decode(body, type=CloudEvent)]))
        else:
            reservation, verb = request.path.split("/")[-2:]
            settle = msgspec.json.decode(body, type=SettleAsked) if verb == "settle" else None
            key = request.key if settle is None else settle.key or ""
            return _answer(200, world.usage.close(reservation, settle, key))
    except Invalid as wrong:
        status = {"not_found": 404, "reservation_closed": 409, "reservation_expired": 409}.get(wrong.code, 400)
        return _answer(status, {"code": wrong.code, "detail": str(wrong)})
    return _answer(200, told)


def _cut(request: Request) -> Unanswered:
    body = msgspec.json.decode(request.body or b"{}")
    return Unanswered(CUT, str(body.get("key") or request.key))


def _answer(status: int, told: object) -> Answer:
    return Answer(status=status, kind="application/json", body=msgspec.json.encode(told))
