"""Salted commitments: what the log holds instead of a personal value. Deleting value and salt erases it for good."""

import hashlib
import hmac
import os
from typing import Final

from licet.seal.ids import Entropy

SALT_BYTES: Final = 32
_DOMAIN: Final = b"licet.commitment.v1\0"


def new_salt(entropy: Entropy = os.urandom) -> bytes:
    """Return 32 random bytes; without them a short value could be guessed from its commitment."""
    return entropy(SALT_BYTES)


def commit(salt: bytes, event_id: str, field: str, value: str) -> str:
    """Return the commitment (64 hex digits): SHA-256 over domain, salt, event, field and value, each length-framed."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    digest = hashlib.sha256(_DOMAIN + salt)
    for part in (event_id, field, value):
        raw = part.encode()
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


def opens(commitment: str, salt: bytes, event_id: str, field: str, value: str) -> bool:
    """Whether value and salt are those that were committed to."""
    return len(salt) == SALT_BYTES and hmac.compare_digest(commitment, commit(salt, event_id, field, value))
