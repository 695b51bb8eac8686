"""PASETO v4.public: what is signed travels as ``v4.public.<payload and signature>[.<footer>]``.

Strict where libraries are lenient: base64url without padding has exactly one spelling (what is decoded is encoded again
and compared), a footer that is there is not empty, and nothing is read of a payload before its signature is verified.
"""

import base64
import binascii
import hmac
import re
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

HEADER: Final = "v4.public."
MAX_TOKEN: Final = 64 * 1024 * 1024
"""Characters of a token; a message that is larger travels in parts."""
MAX_FOOTER: Final = 4096
"""Bytes of a footer."""
SIGNATURE_BYTES: Final = 64
_SPELLING: Final = re.compile(r"[A-Za-z0-9_-]*")


class TokenError(Exception):
    """The text is no token of this kind, or is not signed with the expected key. Says which, never what was in it."""


def sign_token(payload: bytes, seed: bytes, *, footer: bytes = b"", implicit: bytes = b"") -> str:
    """Return a signed token. ``seed`` is the 32-byte seed of an Ed25519 key.

    ``footer`` travels with it in the open and is signed; ``implicit`` is signed and does not travel: who verifies must
    know it. Raises TokenError for what would be too long.
    """
    if len(footer) > MAX_FOOTER:
        raise TokenError(f"a footer has at most {MAX_FOOTER} bytes, not {len(footer)}")
    key = Ed25519PrivateKey.from_private_bytes(seed)
    signature = key.sign(_signed(payload, footer, implicit))
    token = HEADER + encode64(payload + signature) + (f".{encode64(footer)}" if footer else "")
    if len(token) > MAX_TOKEN:
        raise TokenError(f"a token has at most {MAX_TOKEN} characters, this one would have {len(token)}")
    return token


def open_token(token: str, public: bytes, *, implicit: bytes = b"", footer: bytes | None = None) -> bytes:
    """Return the payload of a token signed with the key whose 32 public bytes are given.

    Where ``footer`` is given, the token's must be the same. Raises TokenError.
    """
    body, found = _parts(token)
    if footer is not None and not hmac.compare_digest(found, footer):
        raise TokenError("the token's footer is not the expected one")
    if len(body) < SIGNATURE_BYTES:
        raise TokenError("the token is too short to hold a signature")
    payload, signature = body[:-SIGNATURE_BYTES], body[-SIGNATURE_BYTES:]
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _signed(payload, found, implicit))
    except InvalidSignature:
        raise TokenError("the token's signature does not fit: it was changed, or signed with another key") from None
    except ValueError as error:
        raise TokenError(f"the public key cannot be used: {error}") from None
    return payload


def footer_of(token: str) -> bytes:
    """Return a token's footer, NOT verified: good for choosing the key to verify with, for nothing else.

    Raises TokenError.
    """
    return _parts(token)[1]


def encode64(content: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def decode64(text: str) -> bytes:
    """Return what base64url without padding means; raises TokenError for every spelling but the one there is."""
    if _SPELLING.fullmatch(text) is None:
        raise TokenError("the text is not base64url without padding")
    try:
        content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise TokenError("the text is not base64url without padding: its length cannot be right") from None
    # Bits beyond the last byte must be zero: else one content would have several spellings.
    if encode64(content) != text:
        raise TokenError("the text is another spelling of its content than the one there is")
    return content


def authenticated(*pieces: bytes) -> bytes:
    """Return PASETO's pre-authentication encoding: no two lists of pieces have the same."""
    return _size(len(pieces)) + b"".join(_size(len(piece)) + piece for piece in pieces)


def _signed(payload: bytes, footer: bytes, implicit: bytes) -> bytes:
    return authenticated(HEADER.encode("ascii"), payload, footer, implicit)


def _size(number: int) -> bytes:
    return (number & (2**63 - 1)).to_bytes(8, "little")


def _parts(token: str) -> tuple[bytes, bytes]:
    """Return payload with signature, and the footer."""
    if len(token) > MAX_TOKEN:
        raise TokenError(f"a token has at most {MAX_TOKEN} characters, this text has {len(token)}")
    if not token.startswith(HEADER):
        raise TokenError(f"the text is no token of the kind {HEADER[:-1]}")
    body, dot, footer = token[len(HEADER) :].partition(".")
    if dot and not footer:
        raise TokenError("the token ends with a point that nothing follows")
    if len(footer) > MAX_FOOTER * 4 // 3 + 4:
        raise TokenError(f"a footer has at most {MAX_FOOTER} bytes")
    return decode64(body), decode64(footer)
