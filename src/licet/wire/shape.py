"""Reading a tree into the plain values of a Struct: every field checked against its type, every mistake told at once.

The types are the Structs' own (``msgspec.inspect``), so that a document's shape is written down once.
"""

from typing import Any, Final

from msgspec import Struct, inspect

from licet.core.catalog import Include
from licet.core.instant import parse_instant, to_datetime
from licet.core.problem import Problem, Problems, Step, one_of, path_text, quoted
from licet.wire.kinds import Kinds, fits, kinds_of, noun, optional
from licet.wire.yaml_tree import Decimal, Mapping, Node, Plain, Scalar, Sequence, resolve

Path = tuple[Step, ...]
Place = tuple[int, int]
WRONG: Final = object()
"""What comes back for a value that was refused."""


class Places(Struct):
    """Where in the text each path stands: its name, and what is written for it."""

    keys: dict[str, Place]
    values: dict[str, Scalar | Place]


class ShapeReader:
    """Turns nodes into plain values for ``msgspec.convert``.

    What was refused is left out and listed in ``dropped``, so that the rest can be judged; ``whole`` turns false where
    so much is left out (a section, the document) that it cannot.
    """

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.places = Places({}, {})
        self.whole = True
        self.dropped: list[Path] = []
        self._known: dict[int, tuple[inspect.Type, Kinds]] = {}

    def read(self, node: Node, wanted: inspect.Type, path: Path) -> Any:
        """Return the plain value of a node for a type, or :data:`WRONG` once the mistake is told."""
        text = path_text(path)
        self.places.values[text] = node if isinstance(node, Scalar) else (node.line, node.column)
        if isinstance(node, Scalar) and node.broken:
            return self._drop(path)
        match node:
            case Mapping():
                value = self._mapping(node, self._kinds(wanted), path)
            case Sequence():
                value = self._sequence(node, self._kinds(wanted), path)
            case _:
                value = self._scalar(node, self._kinds(wanted), path)
        return self._drop(path) if value is WRONG else value

    def _kinds(self, wanted: inspect.Type) -> Kinds:
        """Return what a type accepts, worked out once per type object (they cannot be hashed)."""
        known = self._known.get(id(wanted))
        if known is None:
            known = self._known[id(wanted)] = (wanted, kinds_of(wanted))
        return known[1]

    def tell(self, node: Node, path: Path, message: str, suggestion: str | None = None) -> Any:
        """Note a mistake at a node and return :data:`WRONG`."""
        self.problems.take(
            Problem(path=path_text(path), message=message, suggestion=suggestion, line=node.line, column=node.column)
        )
        return WRONG

    def _drop(self, path: Path) -> Any:
        self.dropped.append(path)
        self.whole = self.whole and len(path) > 1
        return WRONG

    def _mapping(self, node: Mapping, kinds: Kinds, path: Path) -> Any:
        if kinds.structs:
            chosen = self._struct(node, kinds, path)
            return WRONG if chosen is None else self._fields(node, chosen, path)
        if kinds.mapping is None:
            return self.tell(node, path, f"{_label(path)} is {kinds.words}, not a mapping")
        if kinds.mapping.max_length is not None and len(node.pairs) > kinds.mapping.max_length:
            return self.tell(
                node, path, f"at most {kinds.mapping.max_length} entries are allowed, not {len(node.pairs)}"
            )
        if len(node.pairs) < (kinds.mapping.min_length or 0):
            return self.tell(node, path, f"{_label(path)} needs at least one entry")
        read = {
            key.text: self.read(value, kinds.mapping.value_type, (*path, key.text))
            for key, value in node.pairs
            if self._key(key, kinds.mapping.key_type, (*path, key.text))
        }
        return {name: value for name, value in read.items() if value is not WRONG}

    def _key(self, key: Scalar, wanted: inspect.Type, path: Path) -> bool:
        """Note where a name stands; tell one that is too long, empty or not text."""
        self.places.keys[path_text(path)] = (key.line, key.column)
        value = key.text if resolve(key) is not None else ""
        if isinstance(wanted, inspect.StrType) and not fits(value, wanted):
            self.tell(key, path, f"a name has {wanted.min_length or 0} to {wanted.max_length} characters")
            self._drop(path)
            return False
        return True

    def _struct(self, node: Mapping, kinds: Kinds, path: Path) -> inspect.StructType | None:
        """Return the Struct a mapping is, by its tag where there are several."""
        first = kinds.structs[0]
        if first.tag_field is None:
            return first
        tags = {str(struct.tag): struct for struct in kinds.structs}
        tag = next((value for key, value in node.pairs if key.text == first.tag_field), None)
        if tag is None:
            self.tell(node, path, f'{_label(path)} needs "{first.tag_field}": one of {one_of(tags)}')
            return None
        text = tag.text if isinstance(tag, Scalar) else ""
        if text not in tags:
            near = self.problems.nearest(text, tags)
            message = f"{quoted(text)} is not a {first.tag_field}; allowed are {one_of(tags)}"
            self.tell(tag, (*path, first.tag_field), message, near)
            return None
        return tags[text]

    def _fields(self, node: Mapping, struct: inspect.StructType, path: Path) -> Any:
        """Return the fields of a Struct; unknown and wrong ones are told and left out.

        A Struct without a field that it needs is wrong as a whole, and so are a feature and an include of which a part
        is: what else they say can only be judged with it.
        """
        fields = {field.encode_name: field for field in struct.fields}
        read: dict[str, Any] = {} if struct.tag_field is None else {struct.tag_field: struct.tag}
        for key, value in node.pairs:
            here = (*path, key.text)
            self.places.keys[path_text(here)] = (key.line, key.column)
            if key.text == struct.tag_field:
                continue
            field = fields.get(key.text)
            if field is None:
                self._unknown(key, struct, list(fields), here)
            elif not (optional(field.type) and isinstance(value, Scalar) and resolve(value) is None):
                read[key.text] = self.read(value, field.type, here)
        lost = any(value is WRONG for value in read.values()) and (struct.tag is not None or struct.cls is Include)
        for field in struct.fields:
            if field.required and read.get(field.encode_name, WRONG) is WRONG:
                lost = True
                if field.encode_name not in read:
                    self.tell(node, path, f'{noun(struct)} needs "{field.encode_name}"')
        return WRONG if lost else {name: value for name, value in read.items() if value is not WRONG}

    def _unknown(self, key: Scalar, struct: inspect.StructType, fields: list[str], path: Path) -> None:
        """Tell a field that does not exist; unless it is a whole section, the document can be judged without it."""
        near = self.problems.nearest(key.text, fields)
        listed = f"; it has {one_of(fields, 20)}" if near is None else ""
        self.tell(key, path, f"{noun(struct)} has no field {quoted(key.text)}{listed}", near)
        self.whole = self.whole and len(path) > 1

    def _sequence(self, node: Sequence, kinds: Kinds, path: Path) -> Any:
        if kinds.sequence is None:
            return self.tell(node, path, f"{_label(path)} is {kinds.words}, not a list")
        most = kinds.sequence.max_length
        if most is not None and len(node.items) > most:
            return self.tell(node, path, f"{_label(path)} has at most {most} entries, not {len(node.items)}")
        read = [self.read(item, kinds.sequence.item_type, (*path, i)) for i, item in enumerate(node.items)]
        return WRONG if any(value is WRONG for value in read) else read

    def _scalar(self, node: Scalar, kinds: Kinds, path: Path) -> Any:
        value = resolve(node)
        if value is None:
            return self.tell(node, path, f"nothing is written for {_label(path)}; write {kinds.words} or leave it out")
        if isinstance(value, Decimal):
            return self.tell(node, path, _decimal(value.text, kinds, path), _rewritten(value.text, kinds))
        if isinstance(value, bool) and kinds.boolean:
            return value
        if isinstance(value, int) and not isinstance(value, bool) and kinds.integer is not None:
            return self._integer(node, value, kinds.integer, path)
        if isinstance(value, str) and (kinds.words_allowed or kinds.text is not None or kinds.moment):
            return self._text(node, value, kinds, path)
        return self._misfit(node, value, kinds, path)

    def _integer(self, node: Scalar, value: int, wanted: inspect.IntType, path: Path) -> Any:
        low, high = wanted.ge, wanted.le
        if (low is not None and value < low) or (high is not None and value > high):
            allowed = f"{low}" if low == high else f"a whole number from {low} to {high}"
            return self.tell(node, path, f"{_label(path)} is {allowed}, not {value}")
        return value

    def _text(self, node: Scalar, value: str, kinds: Kinds, path: Path) -> Any:
        if kinds.words_allowed:
            if value in kinds.words_allowed:
                return value
            near = self.problems.nearest(value, kinds.words_allowed)
            message = f"{quoted(value)} is not allowed for {_label(path)}; write {one_of(kinds.words_allowed)}"
            return self.tell(node, path, message, near)
        if kinds.moment:
            try:
                return to_datetime(parse_instant(value))
            except (ValueError, OverflowError) as error:
                return self.tell(node, path, str(error))
        if kinds.text is not None and not fits(value, kinds.text):
            return self.tell(node, path, _misfitting(value, kinds.text, path))
        return value

    def _misfit(self, node: Scalar, value: Plain, kinds: Kinds, path: Path) -> Any:
        """Tell a value of another type; text without quotes that reads as something else is named as such."""
        message = f"{_label(path)} is {kinds.words}, not {quoted(value)}"
        if kinds.text is not None and not isinstance(value, str):
            if "%" in (kinds.text.pattern or ""):
                return self.tell(node, path, f"{_label(path)} is a share such as 80%, not {value}", f"{value}%")
            return self.tell(node, path, f"{_label(path)} is text; write {node.text} in quotes", f"'{node.text}'")
        if kinds.sequence is not None:
            return self.tell(node, path, message, f"[{node.text}]")
        near = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
        known = near.get(str(value).casefold()) if kinds.boolean else None
        if (
            known is None
            and kinds.integer is not None
            and isinstance(value, str)
            and value.isascii()
            and value.isdigit()
        ):
            known = value
        return self.tell(node, path, message, known)


def _label(path: Path) -> str:
    """Return how a message calls the value at a path: its last name."""
    if not path:
        return "the document"
    return f"item {path[-1] + 1} of {_label(path[:-1])}" if isinstance(path[-1], int) else path[-1]


def _misfitting(value: str, wanted: inspect.StrType, path: Path) -> str:
    low, high = wanted.min_length or 0, wanted.max_length
    if len(value) < low or (high is not None and len(value) > high):
        allowed = f"{low} to {high}" if low else f"at most {high}"
        return f"{_label(path)} has {allowed} characters, not {len(value)}"
    shown = " such as 09:30" if path and path[-1] in ("from_hour", "until_hour") else ""
    shown = " such as 80%" if len(path) > 1 and path[-2] == "warn_at" else shown
    return f"{quoted(value)} is not allowed for {_label(path)}; write it{shown or f' as {wanted.pattern}'}"


def _decimal(text: str, kinds: Kinds, path: Path) -> str:
    """Return what to say of a number with a point, an exponent or a leading zero."""
    if kinds.text is not None and kinds.integer is None:
        return f"{_label(path)} is text; write {text} in quotes"
    digits = text.lstrip("+-")
    if digits.isdigit():
        older = "begins with 0, which older readers of YAML take for octal"
        return f"{text} {older}" if digits[0] == "0" else f"{text} has too many digits"
    if "n" in text.casefold():
        return f"{text} is not a number that counts anything"
    if "e" in text.casefold():
        return f"{text} has an exponent; write the number out"
    if kinds.text is not None:
        return f"{text} would be rounded; an amount with decimals is written in quotes"
    return f"{_label(path)} is {kinds.words}, not {text}"


def _rewritten(text: str, kinds: Kinds) -> str | None:
    """Return how the number is probably meant."""
    if kinds.text is not None and kinds.integer is None:
        return f"'{text}'"
    if text.isdigit():
        return text.lstrip("0") or "0" if text[0] == "0" else None
    return f"'{text}'" if kinds.text is not None and text.replace(".", "", 1).isdigit() else None
