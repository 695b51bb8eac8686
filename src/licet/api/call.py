"""One request on its way through: what the operation may use, and what is noted for log, metrics and trace."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, cast

from msgspec import Struct

from licet.api.parts import Parts
from licet.api.staying import Stay
from licet.core.views import DecisionView
from licet.door.gate import Caller
from licet.services.ports import Storage, Tx, View
from licet.services.rows import Actor, Scope
from licet.services.usage.jobs import Reply
from licet.services.usage.lane import UsageLane

TRAIL = "licet.trail"


class Trail(Struct, kw_only=True):
    """What is known of a request so far; the access log, the metrics and every problem read it."""

    request_id: str
    route: str = "unknown"
    caller: Caller | None = None
    problem: str | None = None
    replayed: bool = False


def trail_of(scope: Mapping[str, Any]) -> Trail:
    """Return the trail of an ASGI scope."""
    return cast("Trail", scope[TRAIL])


def actor_of(caller: Caller) -> Actor:
    """Return the actor that a caller is, for the log and for the rules of access."""
    scopes = cast("frozenset[Scope]", caller.scopes)
    return Actor(id=f"key:{caller.key}", scopes=scopes, customer=caller.customer)


class Call:
    """What an operation gets. ``tx`` exists while a writing operation runs; ``read()`` opens a view."""

    def __init__(self, parts: Parts, caller: Caller | None, headers: Mapping[str, str], trail: Trail) -> None:
        self.parts = parts
        self.headers = headers
        self.trail = trail
        self.note = ""
        self.key: str | None = None
        """The idempotency key of an operation that keeps it itself."""
        self._caller = caller
        self._tx: Tx | None = None

    @property
    def caller(self) -> Caller:
        """Who asks."""
        if self._caller is None:
            raise LookupError("this operation asks for no key")
        return self._caller

    @property
    def actor(self) -> Actor:
        """Who acts, as the log names it."""
        return actor_of(self.caller)

    @property
    def workspace(self) -> str:
        """The key's workspace."""
        return self.caller.workspace

    @property
    def storage(self) -> Storage:
        """The database."""
        return self.parts.storage

    @property
    def tx(self) -> Tx:
        """The transaction of a writing operation."""
        if self._tx is None:
            raise LookupError("this operation does not write")
        return self._tx

    @property
    def lane(self) -> UsageLane:
        """The lane on which the workspace's usage is decided."""
        return self.parts.lanes.of(self.workspace)

    def within(self, tx: Tx, note: str) -> None:
        """Hand in the transaction and the note it was begun with."""
        self._tx = tx
        self.note = note

    def read(self) -> AbstractAsyncContextManager[View]:
        """Open one consistent, read-only state of the workspace."""
        return self.storage.read(self.workspace)

    def decided(self, view: DecisionView, began: float) -> None:
        """Count a decision; ``began`` is :meth:`moment` before it was asked for."""
        self.parts.metrics.decided(view.reason, view.allowed, self.moment() - began)

    def used(self, kind: str, reply: Reply) -> None:
        """Count a consume or reserve that was decided; one that was only answered again was counted then."""
        if not reply.repeated:
            self.parts.metrics.used(kind, reply.reason, reply.allowed)

    def staying(self, scopes: Sequence[str], lost: Callable[[], None] = lambda: None) -> AbstractContextManager[Stay]:
        """Look after the caller's key as long as the answer goes on; ``lost`` is called once it is good no more."""
        return self.parts.stays.stay(self.headers.get("authorization"), self.caller, scopes, lost)

    def moment(self) -> float:
        """Return a fine monotonic time in seconds, for measuring."""
        return time.perf_counter()
