"""API keys: ``lct_<live|test>_<id>_<160 random bits>`` in lower-case base32; shown once, kept as SHA-256."""

import base64
import hashlib
import hmac
import os
import re
from typing import Final, Literal

from msgspec import Struct

from licet.seal.ids import Entropy

_ID_BYTES: Final = 10
_SECRET_BYTES: Final = 20
_TOKEN: Final = re.compile(r"lct_(live|test)_([a-z2-7]{16})_[a-z2-7]{32}", re.ASCII)

Kind = Literal["live", "test"]


class NewApiKey(Struct, frozen=True, kw_only=True):
    """A key at the only moment its secret is known: the whole token never shows in ``repr``."""

    id: str
    token: str
    hash: bytes

    def __repr__(self) -> str:
        return f"NewApiKey(id={self.id!r})"


def make_api_key(kind: Kind, entropy: Entropy = os.urandom) -> NewApiKey:
    """Return a fresh key for a live or test workspace."""
    key_id, secret = _base32(entropy(_ID_BYTES)), _base32(entropy(_SECRET_BYTES))
    token = f"lct_{kind}_{key_id}_{secret}"
    return NewApiKey(id=key_id, token=token, hash=token_hash(token))


def key_id_of(token: str) -> tuple[Kind, str] | None:
    """Return the kind and id that a token names, None for what cannot be one. Proves nothing about its secret."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        return None
    return "live" if found[1] == "live" else "test", found[2]


def token_hash(token: str) -> bytes:
    """Return what is kept of a token: SHA-256 of all of it. Its 160 random bits need no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def fits(token: str, kept: bytes) -> bool:
    """Whether a token is the one whose hash was kept; takes the same time either way."""
    return hmac.compare_digest(token_hash(token), kept)


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode().lower()
