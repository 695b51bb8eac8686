"""Replay: dead letters and messages that wait are tried again, oldest first, each on its own."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from licet.services.deliveries import DeliveryResult, Inbox, connector_of, get_delivery, retry_delivery
from licet.services.errors import Conflict
from licet.services.rows import DeliveryOutcome
from licet.services.sources import get_source

MAX_REPLAY: Final = 500
"""How many messages one replay tries at most."""

Undone = Literal["failed", "waiting"]


class Replay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which messages are tried again."""

    outcomes: Annotated[tuple[Undone, ...], Meta(min_length=1, max_length=2)] = ("failed",)
    """``failed``: dead letters; ``waiting``: what waits for another message."""
    limit: Annotated[int, Meta(ge=1, le=MAX_REPLAY)] = 100
    """How many at most; the oldest are tried first."""
    after: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    """Go on after this message: ``next`` of the replay before."""


class StillFailing(Struct, frozen=True, kw_only=True):
    """A message that could not be applied this time either, and why."""

    delivery: str
    type: str
    words: str


class Replayed(Struct, frozen=True, kw_only=True):
    """What became of the messages that were tried again."""

    tried: int
    outcomes: dict[DeliveryOutcome, int]
    """How many ended how; what somebody else applied meanwhile counts as it ended."""
    failing: list[StillFailing]
    next: str | None
    """The message after which to go on, None where no more are left."""


async def replay_deliveries(inbox: Inbox, workspace: str, source: str, command: Replay) -> Replayed:
    """Try the failed or waiting messages of a source again, oldest first, each in a transaction of its own.

    A bad one stops no other; what one sets free is applied with it. Raises NotFound, Conflict (disabled source),
    Invalid (takes no deliveries), or Unavailable: what was applied until then stays applied.
    """
    async with inbox.storage.read(workspace) as view:
        connector_of(inbox.connectors, await get_source(view, source))
        if command.after is not None:
            await get_delivery(view, source, command.after)
        found = await view.undone(source, command.outcomes, command.limit + 1, after=command.after)
    tried = found[: command.limit]
    outcomes: dict[DeliveryOutcome, int] = {}
    failing: list[StillFailing] = []
    for delivery in tried:
        result, kind = await _again(inbox, workspace, source, delivery)
        outcomes[result.outcome] = outcomes.get(result.outcome, 0) + 1
        if result.outcome == "failed":
            failing.append(StillFailing(delivery=delivery, type=kind, words=result.words))
    return Replayed(
        tried=len(tried), outcomes=outcomes, failing=failing, next=tried[-1] if len(found) > len(tried) else None
    )


async def _again(inbox: Inbox, workspace: str, source: str, delivery: str) -> tuple[DeliveryResult, str]:
    """Try one message again; return how it ended, by this or meanwhile, and its type."""
    async with inbox.storage.read(workspace) as view:
        kept = await get_delivery(view, source, delivery)
    if kept.outcome in ("failed", "waiting"):
        try:
            return await retry_delivery(inbox, workspace, source, delivery), kept.type
        except Conflict:
            async with inbox.storage.read(workspace) as view:
                connector_of(inbox.connectors, await get_source(view, source))
                kept = await get_delivery(view, source, delivery)
    return DeliveryResult(delivery=delivery, outcome=kept.outcome, words=kept.words), kept.type
