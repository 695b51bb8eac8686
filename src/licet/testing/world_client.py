"""The clients of a world: each is a :class:`licet.Client` that answers from memory and remembers every question."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from licet.core.question import Context
from licet.sdk.asking import Asking, read_context
from licet.sdk.async_client import AsyncClient
from licet.sdk.client import Client
from licet.sdk.decision import Decision, Freshness
from licet.sdk.errors import Closed
from licet.sdk.ids import read_id
from licet.testing.asked import Asked

if TYPE_CHECKING:
    from licet.testing.world import World


class WorldAsking(Asking):
    """What both answer. Nothing runs in the background, and nothing leaves the process."""

    def __init__(self, world: "World") -> None:
        """Ask ``world``."""
        self._world = world
        self._closed = False

    def check(
        self,
        customer: str,
        feature: str,
        *,
        user: str | None = None,
        team: str | None = None,
        context: Context | Mapping[str, Any] | None = None,
        quantity: int | str = 1,
        used: int | str | None = None,
    ) -> Decision:
        """Return the decision, as in production. Raises NotInWorld for what a strict world does not know."""
        self._refuse_closed()
        customer, feature = read_id("customer", customer), read_id("feature", feature)
        user = None if user is None else read_id("user", user)
        team = None if team is None else read_id("team", team)
        if context is not None and not isinstance(context, Context):
            context = read_context(context)
        decision = self._world.decide(customer, feature, user=user, context=context, quantity=quantity, used=used)
        asked = Asked(
            customer=customer,
            feature=feature,
            allowed=decision.allowed,
            reason=decision.reason,
            user=user,
            team=team,
            context=context,
            quantity=quantity,
            used=used,
        )
        self._world.note(asked)
        return decision

    def entitlements(self, customer: str) -> dict[str, Decision]:
        """Return everything a customer has, as in production; it does not count as checked."""
        self._refuse_closed()
        return self._world.entitlements(read_id("customer", customer))

    @property
    def freshness(self) -> Freshness:
        """How the truth stands: fresh, until the world is cut off (``world.offline``)."""
        return self._world.freshness

    def _decides(self, counting: Any, wanted: Any, *, keyed: bool) -> Any:
        """Who decides: what a process would decide by itself is answered in that shape."""
        from licet.sdk.local import is_local

        return counting if keyed or not is_local(self._world.compiled, wanted) else self._decider(counting)

    def _decider(self, counting: Any) -> Any:
        """What decides in the world's shape of a process that owns quota."""
        from licet.testing.world_local import WorldDeciding

        return WorldDeciding(self._world, counting)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise Closed


class WorldClient(WorldAsking, Client):
    """Asks one world as :class:`licet.Client` asks a server; it need not be closed, though it may be."""

    def _ways(self) -> Any:
        """What counts in the world."""
        self._refuse_closed()
        if self._counting is None:
            from licet.testing.world_calls import WorldCalls, WorldCounting

            made: Any = WorldCounting(self._world), WorldCalls(self._world)
            self._counting = made
        return self._counting

    def wait_ready(self, timeout: float = 30.0) -> None:  # noqa: ARG002 - the client's own signature
        """Return at once; raises NoTruth at once in a world that was emptied."""
        self._refuse_closed()
        self._world.refuse_empty()

    def load(self, customer: str) -> None:  # noqa: ARG002 - the client's own signature
        """Return at once: a world holds everybody."""
        self._refuse_closed()

    def close(self) -> None:
        """Answer no more."""
        self._closed = True


class WorldAsyncClient(WorldAsking, AsyncClient):
    """Asks one world as :class:`licet.AsyncClient` asks a server."""

    def _ways(self) -> Any:
        """What counts in the world."""
        self._refuse_closed()
        if self._counting is None:
            from licet.testing.world_calls import AsyncWorldCalls, WorldCounting

            made: Any = WorldCounting(self._world), AsyncWorldCalls(self._world)
            self._counting = made
        return self._counting

    async def start(self) -> None:
        """Return at once: a world is always there."""
        self._refuse_closed()

    async def wait_ready(self, timeout: float = 30.0) -> None:  # noqa: ARG002, ASYNC109 - the client's own signature
        """Return at once; raises NoTruth at once in a world that was emptied."""
        self._refuse_closed()
        self._world.refuse_empty()

    async def load(self, customer: str) -> None:  # noqa: ARG002 - the client's own signature
        """Return at once: a world holds everybody."""
        self._refuse_closed()

    async def close(self) -> None:
        """Answer no more."""
        self._closed = True
