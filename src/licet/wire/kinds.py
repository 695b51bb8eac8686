"""What a Struct's field accepts, by the form in which it is written, and how to say so in words."""

import re

from msgspec import Struct, inspect


class Kinds(Struct, frozen=True):
    """What a type accepts: at most one kind for each form a value can be written in."""

    words: str
    """For messages: ``a whole number or text``."""
    structs: tuple[inspect.StructType, ...] = ()
    mapping: inspect.DictType | None = None
    sequence: inspect.VarTupleType | None = None
    integer: inspect.IntType | None = None
    text: inspect.StrType | None = None
    boolean: bool = False
    moment: bool = False
    words_allowed: tuple[str, ...] = ()


def kinds_of(wanted: inspect.Type) -> Kinds:
    """Return what a type accepts; unions are taken apart, ``None`` is left out (see :func:`optional`)."""
    members = _members(wanted)
    literals = [value for member in members if isinstance(member, inspect.LiteralType) for value in member.values]
    integer = next((member for member in members if isinstance(member, inspect.IntType)), None)
    numbers = [value for value in literals if isinstance(value, int)]
    if numbers:
        integer = inspect.IntType(ge=min(numbers), le=max(numbers))
    return Kinds(
        words=" or ".join(dict.fromkeys(_word(member) for member in members if _word(member))),
        structs=tuple(member for member in members if isinstance(member, inspect.StructType)),
        mapping=next((member for member in members if isinstance(member, inspect.DictType)), None),
        sequence=next((member for member in members if isinstance(member, inspect.VarTupleType)), None),
        integer=integer,
        text=next((member for member in members if isinstance(member, inspect.StrType)), None),
        boolean=any(isinstance(member, inspect.BoolType) for member in members),
        moment=any(isinstance(member, inspect.DateTimeType) for member in members),
        words_allowed=tuple(value for value in literals if isinstance(value, str)),
    )


def optional(wanted: inspect.Type) -> bool:
    """Return whether ``null`` may be written, which means the same as nothing."""
    return isinstance(wanted, inspect.UnionType) and any(isinstance(each, inspect.NoneType) for each in wanted.types)


def fits(value: str, wanted: inspect.StrType) -> bool:
    """Return whether a text has the length and pattern its type asks for."""
    if len(value) < (wanted.min_length or 0) or (wanted.max_length is not None and len(value) > wanted.max_length):
        return False
    return wanted.pattern is None or re.search(wanted.pattern, value) is not None


def noun(struct: inspect.StructType) -> str:
    """Return how a message calls a Struct: ``a plan version``, ``a switch feature``."""
    if struct.tag is not None:
        words = f"{struct.tag} feature"
    else:
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", struct.cls.__name__).casefold()
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}"


def _members(wanted: inspect.Type) -> list[inspect.Type]:
    if isinstance(wanted, inspect.Metadata):
        return _members(wanted.type)
    if isinstance(wanted, inspect.UnionType):
        return [member for each in wanted.types for member in _members(each)]
    return [wanted]


def _word(member: inspect.Type) -> str:
    """Return the word for one kind of value; nothing for ``null``."""
    if isinstance(member, inspect.LiteralType):
        return ", ".join(str(value) for value in member.values)
    words: dict[type, str] = {
        inspect.BoolType: "true or false",
        inspect.IntType: "a whole number",
        inspect.StrType: "text",
        inspect.DateTimeType: "a time",
        inspect.DictType: "a mapping",
        inspect.StructType: "a mapping",
        inspect.VarTupleType: "a list",
    }
    return words.get(type(member), "")
