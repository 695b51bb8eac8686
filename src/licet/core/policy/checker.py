"""Types for every part of a condition, decided when it is authored: what passes here cannot fail for its types later,
except where an attribute turns out absent or of another type than its use asks for."""

from collections.abc import Collection, Mapping
from typing import Final

from msgspec import Struct

from licet.core.policy.errors import ConditionError, error_at
from licet.core.policy.parser import MAX_LIST
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
    quoted,
)
from licet.core.policy.types import (
    ATTRIBUTE,
    BOOL,
    INT,
    SIZED,
    STRING,
    STRINGS,
    AttributeType,
    Environment,
    ListType,
    MapType,
    RecordType,
    SizedType,
    StringType,
    Type,
    describe,
    plain,
)
from licet.core.spelling import nearest

STRING_METHODS: Final = frozenset({"startsWith", "endsWith", "contains"})
MACROS: Final = frozenset({"exists", "all"})
FUNCTIONS: Final = ("size", "has", *sorted(STRING_METHODS), *sorted(MACROS))
_ORDER: Final = frozenset({"<", "<=", ">", ">="})
_SHOWN: Final = 20
_COMPARED: Final = 500


class Checked(Struct, frozen=True):
    """A typed tree. ``types`` maps ``id(node)`` to the type the node is read as; ``reads`` are dotted paths."""

    tree: Expression
    types: Mapping[int, Type]
    reads: frozenset[str]


def check(source: str, tree: Expression, environment: Environment) -> Checked:
    """Type every node of ``tree``, which ``source`` was parsed to. Raises ConditionError; the result is a bool."""
    checker = _Checker(source, environment)
    checker.wanted(tree, BOOL)
    return Checked(tree, checker.types, frozenset(checker.reads))


class _Checker:
    def __init__(self, source: str, environment: Environment) -> None:
        self._source = source
        self._environment = environment
        self._variables: dict[str, Type] = {}
        self.types: dict[int, Type] = {}
        self.reads: set[str] = set()

    def wanted(self, node: Expression, want: Type) -> None:
        """Check ``node`` where only a ``want`` will do."""
        self._coerce(node, self._value(node), want)

    def _error(self, node: Expression, message: str, suggestion: str | None = None) -> ConditionError:
        return error_at(self._source, node.at if isinstance(node, Call) else node.start, message, suggestion)

    def _value(self, node: Expression) -> Type:
        """The type of a node that stands for a value."""
        return self._readable(node, self._typed(node))

    def _readable(self, node: Expression, found: Type) -> Type:
        """``found`` unless it is a record or a map, which are only ways to a value; the path is noted as read."""
        if isinstance(found, RecordType | MapType):
            known = _listed(found.fields) if isinstance(found, RecordType) else "any name"
            raise self._error(node, f"{self._text(node)} is a {describe(found)}; select one of its fields: {known}")
        path = path_of(node)
        if path and path[0] not in self._variables:
            self.reads.add(dotted(path))
        return found

    def _text(self, node: Expression) -> str:
        text = self._source[node.start : node.end]
        return text if len(text) <= 60 else text[:60] + "…"

    def _typed(self, node: Expression) -> Type:
        match node:
            case Literal(value=value):
                found: Type = BOOL if isinstance(value, bool) else INT if isinstance(value, int) else STRING
            case ListLiteral():
                found = self._list(node)
            case Name():
                found = self._name(node)
            case Select():
                found = self._select(node)
            case Unary(operator=operator, operand=operand):
                found = BOOL if operator == "!" else INT
                self.wanted(operand, found)
            case Binary():
                found = self._binary(node)
            case Logical(parts=parts):
                for part in parts:
                    self.wanted(part, BOOL)
                found = BOOL
            case Conditional(test=test, then=then, otherwise=otherwise):
                self.wanted(test, BOOL)
                found = self._joined(then, otherwise)
            case Call():
                found = self._call(node)
        self.types[id(node)] = found
        return found

    def _name(self, node: Name) -> Type:
        if node.name in self._variables:
            return self._variables[node.name]
        if node.name in self._environment.names:
            return self._environment.names[node.name]
        known = (*self._environment.names, *self._variables)
        hint = nearest(node.name, known)
        message = f"nothing is named {node.name}; known are {', '.join(known)}"
        if hint is None and nearest(node.name, ("", *self._enumerated())):
            message += " (text goes in quotes)"
        raise self._error(node, message, hint)

    def _enumerated(self) -> list[str]:
        found: list[str] = []
        for declared in self._environment.names.values():
            inner = declared.fields.values() if isinstance(declared, RecordType) else (declared,)
            for one in inner:
                found += one.allowed if isinstance(one, StringType) else ()
        return found

    def _select(self, node: Select) -> Type:
        operand = self._typed(node.operand)
        match operand:
            case RecordType(fields=fields) if node.field in fields:
                return fields[node.field]
            case RecordType(fields=fields):
                at = node.end - len(node.field) if not node.bracketed else node.start
                message = f"{self._text(node.operand)} has no field {node.field}; it has {_listed(fields)}"
                raise error_at(self._source, at, message, _near(node.field, fields))
            case MapType(value=value):
                return value
            case _:
                raise self._error(node, f"{self._text(node.operand)} is a {describe(operand)} and has no fields")

    def _list(self, node: ListLiteral) -> Type:
        if len(node.items) > MAX_LIST:
            raise self._error(node, f"a list has at most {MAX_LIST} elements; this has {len(node.items)}")
        found = [self._value(item) for item in node.items]
        fixed = next((one for one in found if not isinstance(one, AttributeType)), ATTRIBUTE)
        for item, one in zip(node.items, found, strict=True):
            if isinstance(one, ListType):
                raise self._error(item, "a list cannot hold lists")
            if one != ATTRIBUTE or fixed != ATTRIBUTE:
                self._coerce(item, one, plain(fixed))
        same = all(one == fixed for one in found)
        return ListType(fixed if same else plain(fixed))

    def _joined(self, then: Expression, otherwise: Expression) -> Type:
        """The one type of two branches; an attribute takes the type of the other side."""
        first, second = self._value(then), self._value(otherwise)
        if first == second:
            return first
        if _open(first) and not _open(second):
            return self._coerce(then, first, plain(second))
        return self._coerce(otherwise, second, plain(first))

    def _binary(self, node: Binary) -> Type:
        if node.operator == "in":
            return self._membership(node)
        if node.operator in ("==", "!="):
            return self._equality(node)
        if node.operator not in _ORDER and node.operator != "+":
            self.wanted(node.left, INT)
            self.wanted(node.right, INT)
            return INT
        left, right = self._value(node.left), self._value(node.right)
        if left == right == ATTRIBUTE:
            raise self._unknown(node)
        side, known = (node.right, plain(right)) if left == ATTRIBUTE else (node.left, plain(left))
        if known not in (INT, STRING):
            verb = "adds" if node.operator == "+" else "orders"
            raise self._error(side, f"{node.operator} {verb} ints or strings, not a {describe(known)}")
        self._coerce(node.left, left, known)
        self._coerce(node.right, right, known)
        return BOOL if node.operator in _ORDER else known

    def _unknown(self, node: Binary) -> ConditionError:
        message = f"the type of neither side of {node.operator} is known; compare with a literal or a declared fact"
        return self._error(node, message)

    def _equality(self, node: Binary) -> Type:
        left, right = self._value(node.left), self._value(node.right)
        if left == right == ATTRIBUTE:
            return BOOL
        if _open(left) and _open(right):
            raise self._unknown(node)
        if _open(left):
            self._coerce(node.left, left, plain(right))
        elif _open(right):
            self._coerce(node.right, right, plain(left))
        else:
            self._coerce(node.right, right, left)
            self._coerce(node.left, left, right)
        return BOOL

    def _membership(self, node: Binary) -> Type:
        left, right = self._value(node.left), self._typed(node.right)
        if isinstance(right, MapType):
            return self._key(node)
        right = self._readable(node.right, right)
        if isinstance(right, AttributeType):
            right = self._coerce(node.right, right, STRINGS)
        if not isinstance(right, ListType):
            raise self._error(node.right, f"in looks into a list or a map, not into a {describe(right)}")
        if _open(left) and _open(right):
            raise self._unknown(node)
        self._coerce(node.left, left, right.element)
        if left != ATTRIBUTE:
            self._coerce(node.right, right, ListType(left))
        return BOOL

    def _key(self, node: Binary) -> Type:
        """``"name" in map``: like has(map.name), for names that cannot follow a dot."""
        path = path_of(node.right)
        if path is None or not isinstance(node.left, Literal) or not isinstance(node.left.value, str):
            raise self._error(node.left, "only a name in quotes can be looked for in a map")
        self.reads.add(dotted((*path, node.left.value)))
        return BOOL

    def _call(self, node: Call) -> Type:
        if node.function == "has":
            return self._has(node)
        if node.function == "size":
            return self._size(node)
        if node.function not in STRING_METHODS | MACROS:
            message = f"nothing is named {node.function}(); known are {', '.join(FUNCTIONS)}"
            raise self._error(node, message, nearest(node.function, FUNCTIONS))
        if node.receiver is None:
            raise self._error(node, f"{node.function} is asked of a value: x.{node.function}(…)")
        if node.function in MACROS:
            return self._macro(node, node.receiver)
        if len(node.arguments) != 1:
            raise self._error(node, f"{node.function} takes one string; this has {len(node.arguments)} arguments")
        receiver = self._value(node.receiver)
        if node.function == "contains" and isinstance(receiver, ListType):
            raise self._error(node, "contains searches a string; of a list ask: value in list")
        self._coerce(node.receiver, receiver, STRING)
        self.wanted(node.arguments[0], STRING)
        return BOOL

    def _size(self, node: Call) -> Type:
        given = node.arguments if node.receiver is None else (node.receiver, *node.arguments)
        if len(given) != 1:
            raise self._error(node, "size takes one value: size(x) or x.size()")
        self.wanted(given[0], SIZED)
        return INT

    def _has(self, node: Call) -> Type:
        asked = node.arguments[0] if len(node.arguments) == 1 and node.receiver is None else None
        if not isinstance(asked, Select) or path_of(asked) is None:
            raise self._error(node, "has takes one field: has(x.y)")
        if asked.bracketed:
            raise self._error(
                asked, f"has takes no brackets; write {quoted(asked.field)} in {self._text(asked.operand)}"
            )
        self._typed(asked)
        self.reads.add(dotted(path_of(asked) or ()))
        return BOOL

    def _macro(self, node: Call, receiver: Expression) -> Type:
        """``list.exists(v, …)`` and ``all``. They do not nest, so that the work stays linear in the list."""
        if self._variables:
            message = f"{node.function} cannot stand inside another exists or all; try in"
            raise self._error(node, message)
        variable = node.arguments[0] if len(node.arguments) == 2 else None
        if not isinstance(variable, Name):
            raise self._error(node, f"expected {node.function}(name, condition)")
        if variable.name in self._environment.names:
            raise self._error(variable, f"{variable.name} already names a fact; choose another name")
        found = self._value(receiver)
        listed = self._coerce(receiver, found, STRINGS if _open(found) else plain(found))
        if not isinstance(listed, ListType):
            raise self._error(receiver, f"{node.function} goes through a list, not a {describe(listed)}")
        self._variables = {variable.name: listed.element}
        self.wanted(node.arguments[1], BOOL)
        self._variables = {}
        return BOOL

    def _coerce(self, node: Expression, found: Type, want: Type) -> Type:
        """Read ``node``, typed ``found``, as ``want``, and say what it is then. An open want asks nothing."""
        match node:
            case _ if isinstance(want, AttributeType):
                return found
            case Conditional(then=then, otherwise=otherwise):
                found = self._coerce(then, self.types[id(then)], want)
                other = self._coerce(otherwise, self.types[id(otherwise)], want)
                found = found if found == other else plain(found)
            case ListLiteral(items=items) if isinstance(want, ListType | SizedType):
                element = want.element if isinstance(want, ListType) else STRING if _open(found) else ATTRIBUTE
                for item in items:
                    self._coerce(item, self.types[id(item)], element)
                found = want if _open(found) else found
            case Literal(value=str() as text) if isinstance(want, StringType) and want.allowed:
                if text not in want.allowed:
                    hint = _near(text, want.allowed)
                    message = f"{quoted(text)} is never its value; allowed are {_listed(want.allowed)}"
                    raise self._error(node, message, None if hint is None else quoted(hint))
            case Name() | Select() if isinstance(found, AttributeType):
                found = self._fixed(node, plain(want))
            case _:
                pass
        self.types[id(node)] = found
        if plain(found) != plain(want) and not (want == SIZED and _sized(found)):
            raise self._error(node, f"expected {describe(want)}, found {describe(found)}: {self._text(node)}")
        return found

    def _fixed(self, node: Expression, want: Type) -> Type:
        if isinstance(want, ListType) and want != STRINGS:
            raise self._error(node, f"expected {describe(want)}, but an attribute's list holds strings")
        return want


def _listed(names: Collection[str]) -> str:
    """Names for a message, shortened where a catalog's whole vocabulary would follow."""
    shown = ", ".join(list(names)[:_SHOWN]) or "none"
    return shown if len(names) <= _SHOWN else f"{shown} … ({len(names)} in all)"


def _near(word: str, names: Collection[str]) -> str | None:
    """The name that was probably meant; not looked for among so many that it would take long."""
    return nearest(word, names) if len(names) <= _COMPARED else None


def _open(given: Type) -> bool:
    """Whether only its use will say what this is."""
    return isinstance(given, AttributeType) or (isinstance(given, ListType) and given.element == ATTRIBUTE)


def _sized(given: Type) -> bool:
    return isinstance(given, StringType | ListType | SizedType)
