"""Identifiers that sort by the time they were made: a prefix and a UUIDv7 (RFC 9562), as ``evt_0190…``."""

import os
from collections.abc import Callable
from typing import Final

Entropy = Callable[[int], bytes]
"""Returns that many random bytes; ``os.urandom`` outside of tests."""

_RANDOM_BYTES: Final = 10


def new_id(prefix: str, wall: int, entropy: Entropy = os.urandom) -> str:
    """Return ``<prefix>_<32 hex digits>`` for a real instant in microseconds; order within 2^-12 ms follows time."""
    millis, micros = divmod(wall, 1000)
    # RFC 9562 section 6.2 method 3: the sub-millisecond part fills the 12 bits after the version.
    fraction = micros * 4096 // 1000
    low = int.from_bytes(entropy(_RANDOM_BYTES), "big") & (2**62 - 1)
    number = (millis & (2**48 - 1)) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | low
    return f"{prefix}_{number:032x}"
