"""How closures read facts: by path, with the type their use asks for, naming what is absent or of another type."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from licet.core.policy.lexer import INT_MAX, INT_MIN
from licet.core.policy.parser import MAX_LIST
from licet.core.policy.syntax import dotted
from licet.core.policy.types import (
    BOOL,
    INT,
    STRING,
    STRINGS,
    AttributeType,
    BoolType,
    IntType,
    ListType,
    SizedType,
    StringType,
    Type,
)

Run = Callable[[Mapping[str, Any]], Any]
"""A compiled part: facts in, value out, or Undecided."""


class Undecided(Exception):
    """The facts do not suffice. ``missing`` names paths, ``errors`` says in words what could not be computed."""

    def __init__(self, missing: tuple[str, ...], errors: tuple[str, ...] = ()) -> None:
        super().__init__(missing, errors)
        self.missing = missing
        self.errors = errors

    def joined(self, other: "Undecided") -> "Undecided":
        """Both, each name once, in order of appearance."""
        missing = dict.fromkeys((*self.missing, *other.missing))
        return Undecided(tuple(missing), tuple(dict.fromkeys((*self.errors, *other.errors))))


def fetcher(path: tuple[str, ...]) -> Run:
    """The bare look-up of a path; raises KeyError or TypeError where there is nothing."""
    match path:
        case (first,):
            return lambda facts: facts[first]
        case (first, second):
            return lambda facts: facts[first][second]
        case (first, second, third):
            return lambda facts: facts[first][second][third]
        case (first, *rest):

            def fetch(facts: Mapping[str, Any]) -> Any:
                value = facts[first]
                for part in rest:
                    value = value[part]
                return value

            return fetch
    raise ValueError("a path has at least one name")


def reader(path: tuple[str, ...], asked: Type) -> Run:
    """The look-up of a path as the type its use asks for; raises Undecided with the path's name."""
    fetch, name = fetcher(path), dotted(path)
    if isinstance(asked, StringType):
        return _string_reader(path, fetch, name)
    accepts = _acceptor(asked)

    def read(facts: Mapping[str, Any]) -> Any:
        try:
            value = fetch(facts)
        except (KeyError, TypeError):
            raise Undecided((name,)) from None
        if not accepts(value):
            raise Undecided((name,))
        return value

    return read


def _string_reader(path: tuple[str, ...], fetch: Run, name: str) -> Run:
    """Strings are read most, and at two levels mostly: there the look-up stands in line."""
    if len(path) == 2:
        first, second = path

        def read_two(facts: Mapping[str, Any]) -> Any:
            try:
                value = facts[first][second]
            except (KeyError, TypeError):
                raise Undecided((name,)) from None
            if value.__class__ is str or isinstance(value, str):
                return value
            raise Undecided((name,))

        return read_two

    def read(facts: Mapping[str, Any]) -> Any:
        try:
            value = fetch(facts)
        except (KeyError, TypeError):
            raise Undecided((name,)) from None
        if value.__class__ is str or isinstance(value, str):
            return value
        raise Undecided((name,))

    return read


def presence(path: tuple[str, ...]) -> Run:
    """Whether there is anything but None at a path; never undecided."""
    fetch = fetcher(path)

    def present(facts: Mapping[str, Any]) -> bool:
        try:
            return fetch(facts) is not None
        except (KeyError, TypeError):
            return False

    return present


def kind_of(value: object) -> Type | None:
    """The attribute type of a value from the facts, or None if it can be no attribute."""
    return next((kind for kind in _KINDS if _acceptor(kind)(value)), None)


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and INT_MIN <= value <= INT_MAX


def _is_bool(value: object) -> bool:
    return value is True or value is False


def _list_of(element: Callable[[object], bool]) -> Callable[[object], bool]:
    def accepts(value: object) -> bool:
        return isinstance(value, list | tuple) and len(value) <= MAX_LIST and all(map(element, value))

    return accepts


_is_strings: Final = _list_of(_is_string)


def _acceptor(asked: Type) -> Callable[[object], bool]:
    match asked:
        case StringType():
            return _is_string
        case IntType():
            return _is_int
        case BoolType():
            return _is_bool
        case ListType(element=element):
            return _list_of(_acceptor(element))
        case SizedType():
            return lambda value: isinstance(value, str) or _is_strings(value)
        case AttributeType():
            return lambda value: kind_of(value) is not None
        case _:
            raise TypeError(f"{asked} is no value")


_KINDS: Final = (STRING, INT, BOOL, STRINGS)
