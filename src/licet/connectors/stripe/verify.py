"""The ``Stripe-Signature`` scheme: ``t=<unix seconds>,v1=<hex>[,v1=<hex>…]``, HMAC-SHA256 over ``<t>.<body>``.

Stricter than the vendor's library: timestamps from the future are refused too, a header has one timestamp, and the body
is taken as bytes. Format: https://docs.stripe.com/webhooks#verify-manually
"""

import hmac
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from licet.core.instant import SECOND, Instant
from licet.services.errors import BadSignature

TOLERANCE: Final = 300 * SECOND
"""How long ago a message may have been signed."""
TOLERANCE_AHEAD: Final = 60 * SECOND
"""How far in the future: clocks differ, but a signature made for later is no signature of now."""
MAX_HEADER: Final = 4096
MAX_SIGNATURES: Final = 16

_TIMESTAMP: Final = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)


def sign_body(body: bytes, secret: bytes, timestamp: int) -> str:
    """Return the header for a body signed at ``timestamp`` (unix seconds)."""
    return f"t={timestamp},v1={_signature(body, secret, timestamp)}"


def verify_signature(header: str | None, body: bytes, secrets: Sequence[bytes], now: Instant) -> int:
    """Return the unix seconds at which ``body`` was signed with one of ``secrets``; ``now`` is real time.

    Raises BadSignature. Every secret and signature is compared, in constant time.
    """
    if not header:
        raise _bad("the header Stripe-Signature is missing")
    timestamp, signatures = _parse(header)
    if not any(secret.strip() for secret in secrets):
        raise _bad("the source has no signing secret")
    found = False
    for secret in secrets:
        if secret.strip():
            expected = _signature(body, secret, timestamp).encode()
            for signature in signatures:
                found |= hmac.compare_digest(expected, signature)
    if not found:
        raise _bad("no signature matches: the secret is another one, or the body was changed on the way")
    _check_age(timestamp, now)
    return timestamp


def _parse(header: str) -> tuple[int, list[bytes]]:
    """Return timestamp and v1 signatures; other schemes are passed over, never accepted."""
    if len(header) > MAX_HEADER:
        raise _bad(f"the header Stripe-Signature is longer than {MAX_HEADER} characters")
    pairs = [part.strip().partition("=") for part in header.split(",")]
    stamps = [value for name, _, value in pairs if name == "t"]
    signatures = [value.encode("utf-8", "surrogatepass") for name, _, value in pairs if name == "v1"]
    if len(stamps) != 1 or _TIMESTAMP.fullmatch(stamps[0]) is None:
        raise _bad("the header Stripe-Signature needs exactly one timestamp t=<unix seconds>")
    if not signatures or len(signatures) > MAX_SIGNATURES:
        raise _bad(f"the header Stripe-Signature needs 1 to {MAX_SIGNATURES} signatures v1=<hex>")
    return int(stamps[0]), signatures


def _check_age(timestamp: int, now: Instant) -> None:
    """Raise BadSignature for a message signed too long ago, or in the future."""
    age = now - timestamp * SECOND
    for by, where, most in ((age, "ago", TOLERANCE), (-age, "in the future", TOLERANCE_AHEAD)):
        if by > most:
            told = f"{-(-by // SECOND)} s {where}; at most {most // SECOND} s are accepted"
            raise _bad(f"the message was signed {told}")


def _signature(body: bytes, secret: bytes, timestamp: int) -> str:
    return hmac.new(secret, str(timestamp).encode() + b"." + body, sha256).hexdigest()


def _bad(words: str) -> BadSignature:
    return BadSignature(words, advice="check the source's signing secret and both clocks; nothing was kept")
