"""The event: one entry of a workspace's log, at once audit trail, history, outgoing webhook and replica feed."""

from datetime import datetime
from typing import Any

from msgspec import Struct

EVENT_SCHEMA = 1


class Event(Struct, frozen=True, kw_only=True):
    """One thing that happened. ``seq`` is gap-free and in commit order; ``hash`` covers everything else and ``prev``.

    ``recorded_at`` is the workspace's business clock, ``wall_at`` real time, ``effective_at`` when it counts from.
    Personal fields stand in ``before`` and ``after`` as commitments.
    """

    seq: int
    id: str
    type: str
    recorded_at: datetime
    wall_at: datetime
    effective_at: datetime
    actor: str
    note: str
    cause: str | None
    subject: str
    revision: int | None
    before: Any
    after: Any
    schema: int
    prev: str
    hash: str


def content_of(event: Event) -> dict[str, Any]:
    """Return what an event's leaf hash covers: every field but the two hashes, to be written as canonical JSON."""
    return {name: getattr(event, name) for name in event.__struct_fields__ if name not in ("prev", "hash")}
