"""Reading documents of a later version: fields that this one does not know are passed over, as signed messages promise.

What must not be passed over is named by the message around the document (``crit``), and refused before this is reached.
"""

import re
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>.*?)`(?: - at `\$(?P<path>.*)`)?")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_MOST: Final = 200
"""Fields that are passed over in one document, at most."""


def read_later(document: bytes, kind: type[T]) -> T:
    """Return a JSON document as ``kind``, without fields that it does not have.

    Raises msgspec.ValidationError for whatever else does not fit, and for more than 200 such fields.
    """
    plain: Any = msgspec.json.decode(document)
    for _ in range(_MOST):
        wrong = _wrong(plain, kind)
        if wrong is None:
            break
        found = _UNKNOWN.fullmatch(wrong)
        if found is None or not _without(plain, kind, wrong, plain, _STEP.findall(found["path"] or ""), found["name"]):
            break
    return msgspec.convert(plain, kind)


def _wrong(plain: Any, kind: type[T]) -> str | None:
    try:
        msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        return str(error)
    return None


def _without(  # noqa: PLR0917 - the document is there twice: whole, and the part that the path has come to
    plain: Any, kind: type[T], wrong: str, part: Any, path: list[tuple[str, str]], name: str
) -> bool:
    """Remove a field at the end of a path; where the path leaves open under which key, where it is really wrong."""
    for place, (field, index) in enumerate(path):
        if index != "...":
            part = part[field] if field else part[int(index)]
            continue
        for key, value in list(part.items()):
            whole = dict(part)
            part.clear()
            part[key] = value
            here = _wrong(plain, kind) == wrong and _without(plain, kind, wrong, value, path[place + 1 :], name)
            part.clear()
            part.update(whole)
            if here:
                return True
        return False
    if not isinstance(part, dict) or name not in part:
        return False
    del part[name]
    return True
