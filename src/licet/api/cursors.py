"""Cursors of lists: the key of a page's last row, in a form that is recognized when it comes back."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Final

from licet.door.problems import Place, Refusal

MAX_CURSOR: Final = 1_600
"""Characters of a cursor: room for two ids of 128 characters, and an instant."""
_MARK: Final = 4


def cursor_of(key: str) -> str:
    """Return the cursor that goes on after a row's key; letters, digits, ``-`` and ``_`` only."""
    raw = key.encode()
    return urlsafe_b64encode(sha256(raw).digest()[:_MARK] + raw).decode().rstrip("=")


def key_of(cursor: str) -> str:
    """Return the key within a cursor; raises Refusal (``invalid``) for what is not ``next`` of a page."""
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        key = raw[_MARK:].decode()
    except ValueError:
        key = ""
    if not key or cursor_of(key) != cursor:
        message = f"{cursor[:80]!r} is not a cursor of this list"
        raise Refusal(
            "invalid",
            f"the query parameter cursor: {message}",
            advice="Send `next` of the page before, as it was; leave it out for the first page.",
            places=[Place(path="?cursor", message=message)],
        )
    return key
