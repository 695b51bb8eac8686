"""How one message of a foreign system ended."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from licet.core.orders import Outcome
from licet.services.rows import DeliveryOutcome

OUTCOMES: Final[Mapping[Outcome, DeliveryOutcome]] = {
    "applied": "applied",
    "stale": "stale",
    "duplicate": "duplicate",
    "conflict": "finding",
    "refused": "finding",
}
"""How a message ends whose order or payment ended so."""


class Ending(NamedTuple):
    """How one message ended, in words. ``awaits`` is what a waiting one waits for.

    ``released`` names what others may have waited for; a message that waits itself may know such names, too.
    """

    outcome: DeliveryOutcome
    words: str
    awaits: str | None = None
    released: tuple[str, ...] = ()
