"""Uses that a client of a world says it decided by itself: the world decides, and the answers have the same shape.

A world owns every unit that there is, so that what is certain is exact; nothing is owned while it is cut off.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from licet.sdk.counting import Counting
from licet.sdk.spending import Call
from licet.sdk.usage import Certain, Quantity, Remembered, Settled, Usage, Wanted, amount_of
from licet.wire.usage import ConsumeAnswer

if TYPE_CHECKING:
    from licet.testing.world import World


class WorldHeld(Remembered, frozen=True, kw_only=True):
    """What was reserved in a world: it is settled there, and nobody else sees its id."""

    hold: str


class WorldDeciding:
    """Decides in a world as a client does that owns quota."""

    def __init__(self, world: "World", counting: Counting) -> None:
        """``counting`` asks the world."""
        self._world = world
        self._counting = counting

    def consume(self, wanted: Wanted) -> Call[Usage]:
        """Take it; a refusal is the server's."""
        usage = yield from self._counting.consume(wanted)
        return self._own(usage)

    def reserve(self, wanted: Wanted, lasts: str) -> Call[Usage]:
        """Hold it; a refusal is the server's."""
        usage = yield from self._counting.reserve(wanted, lasts)
        return self._own(usage)

    def settled(self, held: WorldHeld, used: Quantity, also: Mapping[str, Quantity] | None) -> Call[Settled]:
        """End what was held with what it came to."""
        ended = yield from self._counting.settle(held.hold, None, used, also)
        return Settled(reservation="", answer=ended.answer, later=ended.later)

    def released(self, held: WorldHeld) -> Call[Settled]:
        """End what was held with nothing used."""
        ended = yield from self._counting.release(held.hold, None)
        return Settled(reservation="", answer=ended.answer, later=ended.later)

    def _own(self, usage: Usage) -> Usage:
        """Return a use as one that this process decided; what was refused, observed or assumed is as it was."""
        answer = usage.answer
        if not answer.allowed or usage.assumed or answer.id is None or answer.would_deny is not None:
            return usage
        left = amount_of(self._world.usage.standing(usage.customer, usage.feature)[2])
        sure = Certain(at_least=left, at_most=left, age_seconds=0.0)
        said = ConsumeAnswer(allowed=True, reason=answer.reason, quantity=answer.quantity, expires_at=answer.expires_at)
        told = WorldHeld(said, sure, hold=answer.id) if answer.id.startswith("res_") else Remembered(said, sure)
        return Usage(usage.customer, usage.feature, told)
