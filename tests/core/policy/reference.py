"""A second, direct interpreter of conditions: no compiling, no folding, types looked up while walking the tree.

It shares only the tree with the product, so that agreement on random conditions means something.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from licet.core.policy.syntax import (
    Binary,
    Call,
    Conditional,
    Expression,
    ListLiteral,
    Literal,
    Logical,
    Name,
    Select,
    Unary,
    dotted,
    path_of,
)

DECLARED: Final[Mapping[str, str]] = {
    "context.deployment": "string",
    "context.region": "string",
    "customer.region": "string",
    "context.version": "string",
    "user.roles": "list",
    "entitlements.projects.limit": "int",
    "entitlements.sso.allowed": "bool",
}
"""The facts that random conditions read and whose type the environment declares; everything else is an attribute."""
VARIABLE: Final = "v"
"""The one macro variable of random conditions: a string."""
_INT64: Final = range(-(2**63), 2**63)
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "in": lambda a, b: a in b,
    "startsWith": lambda a, b: a[: len(b)] == b,
    "endsWith": lambda a, b: b == "" or a[-len(b) :] == b,
    "contains": lambda a, b: b in a,
}


class Unknown(Struct, frozen=True):
    """Not decidable: the missing names, and whether arithmetic failed."""

    names: frozenset[str]
    broken: bool = False


def kind_of_value(value: object) -> str:
    """The name of a value's type."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    return "string" if isinstance(value, str) else "list"


def kind_of_node(node: Expression) -> str | None:
    """The type that a node has by itself, or None if only its use can tell."""
    match node:
        case Literal(value=value):
            return kind_of_value(value)
        case ListLiteral():
            return "list"
        case Name() | Select():
            return "string" if node == Name(name=VARIABLE) else DECLARED.get(dotted(path_of(node) or ()))
        case Conditional(then=then, otherwise=otherwise):
            return kind_of_node(then) or kind_of_node(otherwise)
        case Binary(operator="+", left=left, right=right):
            return kind_of_node(left) or kind_of_node(right)
        case Binary(operator="-" | "*" | "/" | "%") | Call(function="size"):
            return "int"
        case Unary(operator=operator):
            return "bool" if operator == "!" else "int"
        case _:
            return "bool"


class Interpreter:
    """Walks a tree under fixed facts."""

    def __init__(self, facts: Mapping[str, Any], variable: str | None = None) -> None:
        self._facts = facts
        self._variable = variable

    def value(self, node: Expression, want: str | None = None, element: str | None = None) -> Any:
        """The value of ``node`` read as ``want``, or Unknown."""
        match node:
            case Literal(value=value):
                return value
            case Name() | Select():
                return self._read(node, want)
            case ListLiteral(items=items):
                inner = element or next((k for item in items if (k := kind_of_node(item))), "string")
                return self._all([self.value(item, inner) for item in items], list)
            case Unary(operator="!", operand=operand):
                return self._all([self.value(operand, "bool")], lambda values: not values[0])
            case Unary(operand=operand):
                return self._all([self.value(operand, "int")], lambda values: _bounded(-values[0]))
            case Logical(operator=operator, parts=parts):
                return _logic([self.value(part, "bool") for part in parts], decisive=operator == "||")
            case Conditional(test=test, then=then, otherwise=otherwise):
                chosen = self.value(test, "bool")
                want = want or kind_of_node(node)
                return chosen if isinstance(chosen, Unknown) else self.value(then if chosen else otherwise, want)
            case Binary():
                return self._binary(node)
            case Call():
                return self._call(node)

    def _read(self, node: Expression, want: str | None) -> Any:
        if node == Name(name=VARIABLE):
            return self._variable
        path = path_of(node) or ()
        value = self._look_up(path)
        kinds = ("string", "list") if want == "sized" else (want or kind_of_value(value),)
        if value is None or kind_of_value(value) not in kinds:
            return Unknown(frozenset({dotted(path)}))
        return value

    def _look_up(self, path: tuple[str, ...]) -> Any:
        value: Any = self._facts
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def _all(self, values: list[Any], compute: Callable[[list[Any]], Any]) -> Any:
        lacking = [value for value in values if isinstance(value, Unknown)]
        return _joined(lacking) if lacking else compute(values)

    def _binary(self, node: Binary) -> Any:
        operator, left, right = node.operator, node.left, node.right
        if operator == "in":
            kind = kind_of_node(left)
            if kind is None and isinstance(right, ListLiteral):
                kind = next((k for item in right.items if (k := kind_of_node(item))), None)
            values = [self.value(left, kind or "string"), self.value(right, "list", kind)]
            return self._all(values, lambda pair: _COMPARE["in"](*pair))
        if operator in _COMPARE:
            kind = kind_of_node(left) or kind_of_node(right)
            values = [self.value(left, kind), self.value(right, kind)]
            known = not any(isinstance(value, Unknown) for value in values)
            if kind is None and known and kind_of_value(values[0]) != kind_of_value(values[1]):
                return Unknown(frozenset(dotted(path_of(side) or ()) for side in (left, right)))
            return self._all(values, lambda pair: _COMPARE[operator](*pair))
        kind = (kind_of_node(node) if operator == "+" else None) or "int"
        return self._all([self.value(left, kind), self.value(right, kind)], lambda pair: _compute(operator, *pair))

    def _call(self, node: Call) -> Any:
        receiver, arguments = node.receiver, node.arguments
        if node.function == "has":
            return self._look_up(path_of(arguments[0]) or ()) is not None
        if node.function == "size":
            return self._all([self.value(receiver or arguments[0], "sized")], lambda values: len(values[0]))
        assert receiver is not None
        if node.function in ("exists", "all"):
            items = self.value(receiver, "list")
            if isinstance(items, Unknown):
                return items
            each = [Interpreter(self._facts, item).value(arguments[1], "bool") for item in items]
            return _logic(each, decisive=node.function == "exists")
        values = [self.value(receiver, "string"), self.value(arguments[0], "string")]
        return self._all(values, lambda pair: _COMPARE[node.function](*pair))


def _logic(values: list[Any], *, decisive: bool) -> Any:
    if any(value is decisive for value in values):
        return decisive
    lacking = [value for value in values if isinstance(value, Unknown)]
    return _joined(lacking) if lacking else not decisive


def _joined(lacking: list[Unknown]) -> Unknown:
    return Unknown(frozenset().union(*(one.names for one in lacking)), any(one.broken for one in lacking))


def _bounded(value: int) -> int | Unknown:
    return value if value in _INT64 else Unknown(frozenset(), broken=True)


def _compute(operator: str, left: Any, right: Any) -> Any:
    if operator == "+" and isinstance(left, str):
        return left + right
    if operator in "+-*":
        return _bounded({"+": left + right, "-": left - right, "*": left * right}[operator])
    if right == 0:
        return Unknown(frozenset(), broken=True)
    down, rest = divmod(left, right)
    toward_zero = down + 1 if rest and (left < 0) != (right < 0) else down
    if toward_zero not in _INT64:
        return Unknown(frozenset(), broken=True)
    return toward_zero if operator == "/" else left - right * toward_zero
