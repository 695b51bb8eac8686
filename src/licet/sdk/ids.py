"""What an id may be: the rules of the server, applied before anything is asked or counted under it."""

import re
import unicodedata
from typing import Any, Final

MOST: Final = 128
"""Characters of an id."""
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_LIKE: Final = {"user": ", like str(request.user.pk)", "customer": ", like str(account.pk)"}
_SHOWN: Final = 60


def read_id(what: str, value: Any) -> str:
    """Return an id as a plain text in Unicode's normal form C; ``what`` is customer, feature or user.

    Raises ValueError with what is wrong: no text, empty, beyond ``MOST`` characters, a character that no server takes.
    """
    if type(value) is str and 0 < len(value) <= MOST and value.isascii() and value.isprintable():
        return value
    # By its type: what stands for a text that is worked out later names another class than its own.
    if not issubclass(type(value), str):
        raise ValueError(f"the {what} must be text{_LIKE.get(what, '')}; it is {ascii(value)[:_SHOWN]}")
    if not value:
        raise ValueError(f"the {what} is empty; an id has 1 to {MOST} characters")
    if len(value) > MOST:
        raise ValueError(f"the {what} {value[:20]!a}… has {len(value)} characters; an id has 1 to {MOST}")
    found = _FORBIDDEN.search(value)
    if found is not None:
        raise ValueError(f"the {what} {value!a} holds the character U+{ord(found[0]):04X}, which no id has")
    return normal(str.__str__(value))


def plain(value: Any) -> str:
    """Return a text of a framework's own kind as a plain one, for an encoder; raises TypeError for what is no text."""
    return str.__str__(value)


def normal(text: str) -> str:
    """Return an id in Unicode's normal form C, in which everything is kept."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)
