"""Giving up a message of a foreign system: one that can never be applied, or must not be, is left at that."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from licet.core.orders import name_parts, subject_of
from licet.services.deliveries import FAILED, get_delivery
from licet.services.errors import Conflict
from licet.services.findings import settle_finding
from licet.services.normal import invalid, normal
from licet.services.ports import Tx
from licet.services.rows import Draft
from licet.services.sources import get_source

MAX_NOTE: Final = 2000
"""How many characters say why a message is given up."""
_MAX_WORDS: Final = 4000


class DiscardDelivery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a message is given up; kept with it, with its finding and in the log."""

    note: Annotated[str, Meta(min_length=1, max_length=MAX_NOTE)]


class Discarded(Struct, frozen=True, kw_only=True):
    """A message that was given up, in words for whoever looks at it later."""

    delivery: str
    outcome: Literal["discarded"]
    words: str


async def discard_delivery(tx: Tx, source: str, delivery: str, command: DiscardDelivery) -> Discarded:
    """Give up a message that failed or waits; leaves ``delivery.discarded`` and settles its finding.

    It stays as it came and can be tried again by name. Raises NotFound, Invalid (an empty note), or Conflict: it ended
    in another way.
    """
    command = normal(command)
    if not command.note.strip():
        raise invalid("note", "a message is given up with a note", "say why nothing is lost with it")
    await get_source(tx, source)
    kept = await get_delivery(tx, source, delivery)
    kept = await tx.put_delivery(kept) or kept
    if kept.outcome not in ("failed", "waiting"):
        raise Conflict(
            f"delivery {delivery} ended as {kept.outcome}", advice="only those that failed or wait can be given up"
        )
    words = f"given up: {command.note}; before: {kept.words}"[:_MAX_WORDS]
    await tx.end_delivery(source, delivery, "discarded", words)
    await tx.record(
        Draft(
            type="delivery.discarded",
            subject=subject_of("delivery", source, delivery),
            before={"outcome": kept.outcome, "words": kept.words},
            after={"outcome": "discarded", "note": command.note},
        )
    )
    await settle_finding(tx, FAILED, ":".join(name_parts(source, delivery)), f"given up: {command.note}")
    return Discarded(delivery=delivery, outcome="discarded", words=words)
