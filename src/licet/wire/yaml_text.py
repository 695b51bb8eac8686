"""Plain values as YAML that people like to read and every reader of YAML, 1.1 or 1.2, understands alike."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from licet.core.instant import format_instant, to_instant

MAX_WIDTH: Final = 110

_PLAIN: Final = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_ ./%@+()$€-]*[A-Za-z0-9_/%.+)])?", re.ASCII)
_VERSION: Final = re.compile(r"[0-9]{4}-[0-9]{2}|[0-9]+%|P[0-9TYMWDHS]+", re.ASCII)
_READ_OTHERWISE: Final = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"))


def yaml_text(value: Mapping[str, Any]) -> str:
    """Return a mapping of plain values (text, int, bool, datetime, mappings, lists) as YAML in the given order.

    Short leaves stand on one line; the document's own parts and named entries get lines of their own.
    """
    lines: list[str] = []
    for name, part in value.items():
        if lines and isinstance(part, Mapping | list) and part:
            lines.append("")
        _entry(_text(name), part, 0, lines)
    return "\n".join(lines) + "\n"


def _entry(key: str, value: Any, depth: int, lines: list[str]) -> None:
    """Write one name and what belongs to it."""
    indent = "  " * depth
    flow = None if isinstance(value, str) else _flow(value)
    if flow is not None and len(indent) + len(key) + len(flow) + 2 <= MAX_WIDTH and (depth or not _grown(value)):
        lines.append(f"{indent}{key}: {flow}")
    elif isinstance(value, Mapping) and value:
        lines.append(f"{indent}{key}:")
        for name, each in value.items():
            _entry(_text(name), each, depth + 1, lines)
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        lines.append(f"{indent}{key}:")
        lines.extend(f"{indent}  - {_one_line(each)}" for each in value)
    else:
        lines.append(f"{indent}{key}: {_line(value) if isinstance(value, str) else _one_line(value)}")


def _grown(value: Any) -> bool:
    """Return whether a value is a part of the document with entries, which get lines of their own."""
    return isinstance(value, Mapping | list) and bool(value)


def _flow(value: Any) -> str | None:
    """Return a leaf on one line: a scalar, a list of scalars, a mapping of at most two levels; None for more."""
    if _height(value) > 2:
        return None
    return _one_line(value)


def _height(value: Any) -> int:
    if isinstance(value, Mapping):
        return 1 + max((_height(each) for each in value.values()), default=0)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return 1 + max((_height(each) for each in value), default=0)
    return 0


def _one_line(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(name)}: {_one_line(each)}" for name, each in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_one_line(each) for each in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return quoted_text(format_instant(to_instant(value)))
    return _text(str(value))


def _text(text: str) -> str:
    if text.casefold() not in _READ_OTHERWISE and (_PLAIN.fullmatch(text) or _VERSION.fullmatch(text)):
        return text
    return quoted_text(text)


def _line(text: str) -> str:
    """Return text that has a line to itself, where commas and semicolons need no quotes."""
    bare = re.sub(r"(?<=[A-Za-z0-9])[,;](?= )", "", text)
    return text if _text(bare) == bare else _text(text)


def quoted_text(text: str) -> str:
    """Return text in quotes, single ones where that spares escapes; what does not print is escaped."""
    if '"' in text and "'" not in text and "\\" not in text and text.isprintable():
        return f"'{text}'"
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    code = ord(character)
    if character in '"\\':
        return "\\" + character
    if character == "\n":
        return "\\n"
    if character == " " or (character.isprintable() and code != 0xFEFF):
        return character
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
