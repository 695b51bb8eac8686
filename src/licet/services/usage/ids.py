"""Ids of facts: made of where a fact comes from, so that a repetition has the same."""

import hashlib
from typing import Literal


def fact_id(kind: Literal["event", "key"], *parts: str) -> str:
    """Return the id that a fact gets from where it comes from: 32 hex digits, the same for the same parts."""
    return hashlib.sha256(b"".join(map(sized, (kind, *parts)))).hexdigest()[:32]


def sized(part: str) -> bytes:
    """Return a part with its length before it, so that no two lists of parts look alike."""
    text = part.encode()
    return len(text).to_bytes(4, "big") + text


def lease_fact_id(lease: str) -> str:
    """Return the id of the fact, and so of the reservation, by which a quota lease was drawn."""
    return fact_id("key", "lease", lease)
