"""PASERK: how keys are written down (``k4.public.…``, ``k4.secret.…``) and public ones are named (``k4.pid.…``)."""

import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from licet.seal.paseto import TokenError, decode64, encode64

KEY_BYTES: Final = 32
PUBLIC: Final = "k4.public."
SECRET: Final = "k4.secret."  # noqa: S105 how such keys begin
PID: Final = "k4.pid."
_ID_BYTES: Final = 33


class KeyTextError(Exception):
    """The text is no key of this kind. Never holds the key."""


def public_of(seed: bytes) -> bytes:
    """Return the 32 public bytes of a seed; raises KeyTextError for another length."""
    return Ed25519PrivateKey.from_private_bytes(_whole(seed)).public_key().public_bytes_raw()


def write_public(public: bytes) -> str:
    """Return a public key as text; raises KeyTextError unless it has 32 bytes."""
    return PUBLIC + encode64(_whole(public))


def read_public(text: str) -> bytes:
    """Return the 32 bytes of a public key's text; raises KeyTextError."""
    return _whole(_read(text, PUBLIC))


def write_secret(seed: bytes) -> str:
    """Return a signing key as text: seed and public key."""
    return SECRET + encode64(_whole(seed) + public_of(seed))


def read_secret(text: str) -> bytes:
    """Return the seed of a signing key's text; raises KeyTextError, also where its two halves do not fit."""
    both = _read(text, SECRET)
    if len(both) != 2 * KEY_BYTES:
        raise KeyTextError(f"a {SECRET[:-1]} key has {2 * KEY_BYTES} bytes")
    seed = both[:KEY_BYTES]
    if not hmac.compare_digest(public_of(seed), both[KEY_BYTES:]):
        raise KeyTextError(f"the two halves of the {SECRET[:-1]} key do not fit each other")
    return seed


def pid(public: bytes) -> str:
    """Return the id of a public key: it names the key and is not the key."""
    digest = hashlib.blake2b((PID + write_public(public)).encode("ascii"), digest_size=_ID_BYTES).digest()
    return PID + encode64(digest)


def _read(text: str, prefix: str) -> bytes:
    if not text.startswith(prefix):
        raise KeyTextError(f"the text does not begin with {prefix}")
    try:
        return decode64(text[len(prefix) :])
    except TokenError as error:
        raise KeyTextError(f"the {prefix[:-1]} key cannot be read: {error}") from None


def _whole(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise KeyTextError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
    return key
