"""What would have to be different: a small search for the cheapest change of facts that makes a condition true.

Candidates come from what the condition itself compares a fact with; every answer was verified by evaluating the
condition, so None means "none among the candidates", never "impossible".
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations, islice, product
from typing import Final, cast

from msgspec import Struct

from licet.core.policy.checker import MACROS, STRING_METHODS, Checked
from licet.core.policy.compiler import compile_tree
from licet.core.policy.condition import Condition, Facts
from licet.core.policy.lexer import INT_MAX, INT_MIN
from licet.core.policy.reading import Undecided
from licet.core.policy.syntax import (
    Binary,
    Call,
    Expression,
    Name,
    Select,
    children,
    dotted,
    path_of,
)
from licet.core.policy.types import BoolType, MapType, StringType

Value = str | int | bool | tuple[str, ...] | None
Path = tuple[str, ...]

CHANGEABLE: Final = ("context", "user")
"""Where a change is looked for: what the asker brings along. Nobody changes a customer to pass a check."""
MAX_CHANGES: Final = 3
"""Facts that one answer changes at most."""
MAX_TRIALS: Final = 4096
"""Worlds that one search looks at, at most: a bound of milliseconds."""
OTHER_THAN: Final = "other than "
"""How a text begins that stands for any text except those that the condition names."""
_ANY_TEXTS: Final = ("", "~", "0", "Z9")
_MAX_VALUES: Final = 32
_MAX_ITEMS: Final = 4


class Change(Struct, frozen=True):
    """Give the fact at ``path`` (dotted) this value; a ``value`` of None takes it away."""

    path: str
    value: Value


def solve(
    condition: Condition, facts: Facts, cost: Callable[[Change], int] = lambda _change: 1
) -> tuple[Change, ...] | None:
    """The cheapest change of ``context.*`` and ``user.*`` facts under which ``condition`` holds; () if it does now.

    ``cost`` prices one changed fact (1 unless told otherwise); a list adds 1 for every element beyond the first that
    comes or goes. Among equals the one whose facts the condition names first wins. None if no candidate will do.
    """
    if condition.holds(facts):
        return ()
    candidates = _Candidates(condition, facts).found()
    trials: list[tuple[int, tuple[tuple[Path, Value], ...]]] = []
    for chosen in islice(_choices(candidates), MAX_TRIALS):
        price = sum(cost(Change(dotted(path), value)) + _further(facts, path, value) for path, value in chosen)
        trials.append((price, chosen))
    trials.sort(key=lambda trial: trial[0])
    for _, chosen in trials:
        world = facts
        for path, value in chosen:
            world = _changed(world, path, value)
        if condition.holds(world) and all(condition.holds(other) for other in _others(world, chosen)):
            return tuple(Change(dotted(path), value) for path, value in chosen)
    return None


def _others(world: Mapping[str, object], chosen: tuple[tuple[Path, Value], ...]) -> Iterator[Mapping[str, object]]:
    """Worlds with quite different texts in the place of those that stand for any: these too must do."""
    for path, value in chosen:
        if isinstance(value, str) and value.startswith(OTHER_THAN):
            yield from (_changed(world, path, text) for text in _ANY_TEXTS)


def _choices(candidates: Mapping[Path, list[Value]]) -> Iterator[tuple[tuple[Path, Value], ...]]:
    """Every way to change one fact, then two, then three."""
    for count in range(1, MAX_CHANGES + 1):
        for paths in combinations(candidates, count):
            for values in product(*(candidates[path] for path in paths)):
                yield tuple(zip(paths, values, strict=True))


class _Candidates:
    """Values worth trying, per path, in the order in which the condition names them."""

    def __init__(self, condition: Condition, facts: Facts) -> None:
        self._condition = condition
        self._facts = facts
        self._values: dict[Path, dict[tuple[type, Value], None]] = {}
        self._items: dict[Path, dict[str, None]] = {}
        self._named: dict[Path, set[str]] = {}
        self._variables: dict[str, Path] = {}

    def found(self) -> dict[Path, list[Value]]:
        self._visit(self._condition.checked.tree)
        for path, items in self._items.items():
            for edited in _edits(_now(self._facts, path), list(items)):
                self._add(path, edited)
        found = {path: [value for _, value in values][:_MAX_VALUES] for path, values in self._values.items() if values}
        for path, texts in self._named.items():
            # Last, so that a value that the condition itself names is preferred.
            found.setdefault(path, []).append(OTHER_THAN + " or ".join(sorted(texts)))
        return found

    def _add(self, path: Path | None, value: Value) -> None:
        if path is None or not _changeable(path):
            return
        now = _now(self._facts, path)
        # True equals 1 in Python; as attributes they are different values.
        if (type(now), now) != (type(value), value):
            self._values.setdefault(path, {})[type(value), value] = None

    def _visit(self, node: Expression) -> None:
        match node:
            case Binary(left=left, right=right):
                if node.operator == "in":
                    self._member(left, right)
                else:
                    self._compared(node.operator, left, right)
                    self._compared(node.operator, right, left)
            case Call():
                self._asked(node)
            case Name() | Select():
                self._declared(node)
            case _:
                pass
        for child in children(node):
            self._visit(child)

    def _declared(self, node: Expression) -> None:
        """What the type alone offers: both truths, or every allowed string."""
        match self._condition.checked.types.get(id(node)):
            case BoolType():
                self._add(path_of(node), True)
                self._add(path_of(node), False)
            case StringType(allowed=allowed):
                for word in allowed:
                    self._add(path_of(node), word)
            case _:
                pass

    def _compared(self, operator: str, side: Expression, other: Expression) -> None:
        path, value = path_of(side), self._valued(other)
        if path is None or value is None:
            return
        if path[0] in self._variables:
            self._item(self._variables[path[0]], value)
            return
        self._add(path, value)
        if operator in ("==", "!="):
            self._beside(side, path, value)
        if isinstance(value, bool):
            self._add(path, not value)
        elif isinstance(value, int):
            for near in (value + 1, value - 1):
                if INT_MIN <= near <= INT_MAX:
                    self._add(path, near)

    def _beside(self, node: Expression, path: Path, value: Value) -> None:
        """Some other text than one that the condition names; not where texts are enumerated or have a form."""
        declared = self._condition.checked.types.get(id(node))
        listed = isinstance(declared, StringType) and bool(declared.allowed)
        if isinstance(value, str) and _changeable(path) and not listed and path[-1] not in ("region", "country"):
            self._named.setdefault(path, set()).add(value)

    def _member(self, left: Expression, right: Expression) -> None:
        inner = path_of(right)
        if inner and isinstance(self._condition.checked.types.get(id(right)), MapType):
            key = self._valued(left)
            self._add((*inner, key) if isinstance(key, str) else None, None)
            return
        path, listed = path_of(left), self._valued(right)
        if path and isinstance(listed, tuple):
            for value in listed[:_MAX_VALUES]:
                if path[0] in self._variables:
                    self._item(self._variables[path[0]], value)
                else:
                    self._add(path, value)
                    self._beside(left, path, value)
        if inner:
            self._item(inner, self._valued(left))

    def _item(self, path: Path, value: Value) -> None:
        items = self._items.setdefault(path, {})
        if _changeable(path):
            self._values.setdefault(path, {})  # keeps its place among the facts that the condition names
        if isinstance(value, str) and len(items) < _MAX_ITEMS:
            items[value] = None

    def _asked(self, node: Call) -> None:
        receiver = path_of(node.receiver) if node.receiver else None
        if node.function in STRING_METHODS and receiver:
            self._add(receiver, self._valued(node.arguments[0]))
        elif node.function in MACROS and receiver and isinstance(variable := node.arguments[0], Name):
            self._variables[variable.name] = receiver
        elif node.function == "has":
            self._add(path_of(node.arguments[0]), None)

    def _valued(self, node: Expression) -> Value:
        """What ``node`` is under the present facts; None if it is undecided or a part of a macro."""
        path = path_of(node)
        if path and path[0] in self._variables:
            return None
        checked = Checked(node, self._condition.checked.types, frozenset())
        try:
            value = compile_tree(self._condition.source, checked).run(self._facts)
        except Undecided:
            return None
        return cast("Value", tuple(value) if isinstance(value, list) else value)


def _changeable(path: Path) -> bool:
    return path[0] in CHANGEABLE and len(path) > 1


def _edits(now: object, items: list[str]) -> Iterator[tuple[str, ...]]:
    """The list with some of ``items`` added, without some of them, or with nothing else."""
    held = tuple(now) if isinstance(now, list | tuple) else ()
    for count in range(1, len(items) + 1):
        for some in combinations(items, count):
            yield (*held, *(item for item in some if item not in held))
            yield tuple(item for item in held if item not in some)
    yield tuple(item for item in held if item in items)


def _now(facts: Facts, path: Path) -> object:
    value: object = facts
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return tuple(value) if isinstance(value, list) else value


def _further(facts: Facts, path: Path, value: Value) -> int:
    """How many elements beyond the first come or go."""
    if not isinstance(value, tuple):
        return 0
    now = _now(facts, path)
    return max(0, len(set(now if isinstance(now, tuple) else ()) ^ set(value)) - 1)


def _changed(facts: Facts, path: Path, value: Value) -> dict[str, object]:
    """A copy of ``facts`` with one other value; mappings on the way are made where there are none."""
    first, *rest = path
    if not rest:
        return {**facts, first: value}
    inner = facts.get(first)
    return {**facts, first: _changed(inner if isinstance(inner, Mapping) else {}, tuple(rest), value)}
