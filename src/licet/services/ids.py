"""Identifiers that Licet gives: a prefix and a UUIDv7 (RFC 9562), so that they sort by the time they were made."""

import secrets
import time


def new_id(prefix: str) -> str:
    """Return a fresh id such as ``sub_0198f3…``: real time in milliseconds, then 74 random bits."""
    millis = time.time_ns() // 1_000_000
    random = secrets.randbits(74)
    value = (millis & (2**48 - 1)) << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & (2**62 - 1)
    return f"{prefix}_{value:032x}"
