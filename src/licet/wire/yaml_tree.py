"""YAML as a tree of positions: the 1.2 core schema, one document, and nothing that surprises.

Built from the parser's events without recursion. Refused: tags, anchors, aliases, merge keys, duplicate and compound
keys, more than one document, nesting beyond :data:`MAX_DEPTH`. JSON is read by the same way.
"""

import re
from collections.abc import Sequence as Sequenced
from typing import Any, Final

import msgspec
import yaml
from msgspec import Struct
from yaml import events

from licet.core.problem import Problem, quoted

MAX_DEPTH: Final = 32
MAX_NODES: Final = 500_000
_TOO_DEEP: Final = f"nested deeper than {MAX_DEPTH} levels"

_LOADER: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_PAIR: Final = re.compile(r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|.)")
_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT: Final = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII
)
_NULLS: Final = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


class Scalar(Struct, frozen=True):
    """A written value; ``plain`` if without quotes. ``line`` and ``column`` count from 1, ``start`` in characters."""

    text: str
    plain: bool
    line: int
    column: int
    start: int = 0
    end: int = 0
    broken: bool = False
    """Stands for what was refused and already told."""


class Sequence(Struct):
    """A list."""

    items: "list[Node]"
    line: int
    column: int


class Mapping(Struct):
    """Names with what is written for them, in written order, no name twice."""

    pairs: "list[tuple[Scalar, Node]]"
    line: int
    column: int


Node = Scalar | Sequence | Mapping


class Decimal(Struct, frozen=True):
    """A number that YAML would take for a float: never used as one, only shown."""

    text: str


Plain = None | bool | int | str | Decimal


class TreeError(Exception):
    """The text cannot be read any further; ``problems`` ends with why and where, after what was refused before."""

    def __init__(self, problem: Problem, earlier: Sequenced[Problem] = ()) -> None:
        super().__init__(str(problem))
        self.problems = [*earlier, problem]


def resolve(scalar: Scalar) -> Plain:
    """Return what a scalar means in the YAML 1.2 core schema: ``off``, ``yes`` and dates are text."""
    text = scalar.text
    if not scalar.plain:
        return text
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text) and len(text) <= 40:
        digits = text.lstrip("+-")
        if len(digits) > 1 and digits[0] == "0" and digits[1] not in "ox":
            return Decimal(text)
        return int(text, {"o": 8, "x": 16}.get(text[1:2], 10))
    return Decimal(text) if _FLOAT.fullmatch(text) else text


def read_tree(text: str) -> tuple[Node, list[Problem]]:
    """Return the document's tree and what in it was refused; raises :class:`TreeError` where reading had to stop."""
    builder = _Builder()
    try:
        for event in yaml.parse(_without_json_pitfalls(text), Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = f"this is not YAML: {error.problem or error.context}"
        line, column = _point(mark)
        if "\t" in "".join(text.splitlines()[line - 1 : line])[: column + 1]:
            message = "a tab cannot indent YAML; indent with spaces"
        raise TreeError(_told(message, mark), builder.problems) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise TreeError(_told(f"this is not YAML: {str(error).splitlines()[0]}", None), builder.problems) from None
    except TreeError as error:
        raise TreeError(error.problems[-1], builder.problems) from None
    if builder.root is None:
        raise TreeError(Problem(path="", message="the document is empty; it begins with version: 1", line=1, column=1))
    return builder.root, builder.problems


def _without_json_pitfalls(text: str) -> str:
    """Return JSON so that the YAML parser takes it: tabs as spaces, surrogate pairs as their character."""
    if not text.lstrip(" \t\r\n").startswith("{") or ("\t" not in text and "\\u" not in text):
        return text
    try:
        msgspec.json.decode(text.encode(), type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return text
    return _PAIR.sub(_joined, text.replace("\t", " "))


def _joined(found: re.Match[str]) -> str:
    if found[1] is None:
        return found[0]
    return chr(0x10000 + ((int(found[1], 16) - 0xD800) << 10) + int(found[2], 16) - 0xDC00)


def _point(mark: Any) -> tuple[int, int]:
    """Return line and column, from 1, of a mark of the parser, which counts from 0."""
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)


def _told(message: str, mark: Any) -> Problem:
    """Return a problem at a mark of the parser."""
    line, column = _point(mark)
    return Problem(path="", message=message, line=line, column=column)


class _Builder:
    """Takes events in order and grows the tree."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._open: list[Sequence | Mapping] = []
        self._keys: list[Scalar | None] = []
        self._names: list[set[str]] = []
        self._documents = 0
        self._nodes = 0

    def take(self, event: events.Event) -> None:
        """Grow by one event; raises TreeError where going on makes no sense."""
        if isinstance(event, events.ScalarEvent | events.CollectionStartEvent | events.AliasEvent):
            self._nodes += 1
            if self._nodes > MAX_NODES:
                raise TreeError(_told(f"the document has more than {MAX_NODES} values", event.start_mark))
            node = self._node(event)
            self._place(node)
            if not isinstance(node, Scalar):
                self._enter(node)
        elif isinstance(event, events.CollectionEndEvent):
            self._open.pop()
            self._keys.pop()
            self._names.pop()
        elif isinstance(event, events.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise TreeError(_told("a second document begins here; a catalog is one document", event.start_mark))
            if event.tags:
                self.problems.append(_told("%TAG is not supported; remove it", event.start_mark))

    def _node(self, event: events.NodeEvent) -> Node:
        """Return the node an event begins; what is refused is told and stands as broken."""
        line, column = _point(event.start_mark)
        if isinstance(event, events.AliasEvent):
            told = f"*{event.anchor} is an alias; write the value out"
            self.problems.append(_told(told, event.start_mark))
            return Scalar("", True, line, column, broken=True)
        if event.anchor is not None:
            self.problems.append(_told(f"&{event.anchor} is an anchor; remove it", event.start_mark))
        tag = getattr(event, "tag", None)
        if tag is not None:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            self.problems.append(_told(f"{shown} is a tag; remove it, types are known here", event.start_mark))
        if isinstance(event, events.ScalarEvent):
            plain = not event.style and tag is None
            start, end = (getattr(mark, "index", 0) for mark in (event.start_mark, event.end_mark))
            return Scalar(event.value, plain, line, column, start, end)
        return Mapping([], line, column) if isinstance(event, events.MappingStartEvent) else Sequence([], line, column)

    def _place(self, node: Node) -> None:
        """Put a node where it belongs: the root, a list's next item, a name or what is written for it."""
        if not self._open:
            self.root = node
            return
        parent, key = self._open[-1], self._keys[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif key is None:
            self._keys[-1] = self._name(node)
        else:
            self._keys[-1] = None
            if not key.broken:
                parent.pairs.append((key, node))

    def _name(self, node: Node) -> Scalar:
        """Return a key; a compound, merging or repeated one is told and its value dropped."""
        if not isinstance(node, Scalar):
            self._tell("a name must be text, not a list or a mapping", node)
            return Scalar("", True, node.line, node.column, broken=True)
        message = None
        if node.plain and node.text == "<<":
            message = "<< merges are not supported; write the fields out"
        elif node.text in self._names[-1]:
            message = f"{quoted(node.text)} is written twice in this mapping; keep one"
        self._names[-1].add(node.text)
        if message is None:
            return node
        self._tell(message, node)
        return Scalar(node.text, node.plain, node.line, node.column, broken=True)

    def _tell(self, message: str, node: Node) -> None:
        self.problems.append(Problem(path="", message=message, line=node.line, column=node.column))

    def _enter(self, node: Sequence | Mapping) -> None:
        """Go into a collection."""
        if len(self._open) >= MAX_DEPTH:
            raise TreeError(Problem(path="", message=_TOO_DEEP, line=node.line, column=node.column))
        self._open.append(node)
        self._keys.append(None)
        self._names.append(set())
