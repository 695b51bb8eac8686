"""The client of a world: a :class:`licet.Client` that answers from memory, and every question remembered."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from licet.core.question import Context
from licet.sdk.asking import read_context
from licet.sdk.client import Client
from licet.sdk.decision import Decision, Freshness
from licet.sdk.errors import Closed
from licet.testing.asked import Asked

if TYPE_CHECKING:
    from licet.testing.world import World


class WorldClient(Client):
    """Asks one world. Nothing runs in the background, and nothing leaves the process."""

    def __init__(self, world: "World") -> None:
        """Ask ``world``; nothing has to be closed, though it may be."""
        self._world = world
        self._closed = False

    def check(
        self,
        customer: str,
        feature: str,
        *,
        user: str | None = None,
        context: Context | Mapping[str, Any] | None = None,
        quantity: int | str = 1,
        used: int | str | None = None,
    ) -> Decision:
        """Return the decision, as in production. Raises NotInWorld for what a strict world does not know."""
        if self._closed:
            raise Closed
        if context is not None and not isinstance(context, Context):
            context = read_context(context)
        decision = self._world.decide(customer, feature, user=user, context=context, quantity=quantity, used=used)
        asked = Asked(
            customer=customer,
            feature=feature,
            allowed=decision.allowed,
            reason=decision.reason,
            user=user,
            context=context,
            quantity=quantity,
            used=used,
        )
        self._world.note(asked)
        return decision

    def wait_ready(self, timeout: float = 30.0) -> None:  # noqa: ARG002 - the client's own signature
        """Return at once: a world is always there."""
        if self._closed:
            raise Closed

    @property
    def freshness(self) -> Freshness:
        """How the truth stands: fresh, until the world is cut off (``world.offline``)."""
        return self._world.freshness

    def close(self) -> None:
        """Answer no more."""
        self._closed = True
