"""The event: one entry of a workspace's log, at once audit trail, history, outgoing webhook and replica feed."""

from datetime import datetime
from typing import Any

from msgspec import Struct

EVENT_SCHEMA = 1


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
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
    documents: dict[str, str] | None = None
    """What the transaction wrote beside the log, in its last event: the hash of each document by its name, such as
    ``terms/acme@3``. An event of before documents were hashed has none, not even an empty object.
    """
    prev: str
    hash: str


def content_of(event: Event) -> dict[str, Any]:
    """Return what an event's leaf hash covers: every field but the two hashes, to be written as canonical JSON.

    ``documents`` is left out where there is none, so that logs from before it fit their hashes.
    """
    content = {name: getattr(event, name) for name in event.__struct_fields__ if name not in ("prev", "hash")}
    if event.documents is None:
        del content["documents"]
    return content
