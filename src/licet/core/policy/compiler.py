"""Typed trees to closures: constants folded, paths resolved, errors absorbed as CEL absorbs them.

A closure takes the facts and returns its value, or raises Undecided with everything that it lacked. ``&&`` and ``||``
decide in spite of an undecided side where the other side suffices; everything else is as undecided as its parts.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import Struct

from licet.core.policy.checker import MACROS, Checked
from licet.core.policy.errors import error_at
from licet.core.policy.lexer import INT_MAX, INT_MIN
from licet.core.policy.reading import Run, Undecided, kind_of, presence, reader
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
    children,
    dotted,
    path_of,
)
from licet.core.policy.types import AttributeType, ListType, MapType, StringType

_PLAIN: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": operator.contains,
}
"""Operations on two values that always have an answer."""


class Code(Struct, frozen=True):
    """A compiled part; a constant one ignores the facts."""

    run: Run
    constant: bool = False


def compile_tree(source: str, checked: Checked) -> Code:
    """The closure of a checked tree. Raises ConditionError where a constant part can never be computed."""
    return _Compiler(source, checked).code(checked.tree)


def constant(value: object) -> Code:
    """Code that gives ``value`` whatever the facts."""
    return Code(lambda _facts: value, constant=True)


class _Compiler:
    def __init__(self, source: str, checked: Checked) -> None:
        self._source = source
        self._types = checked.types
        self._variable: str | None = None
        self._kept = 0

    def code(self, node: Expression) -> Code:
        if self._variable is None or isinstance(node, Literal) or _mentions(node, self._variable):
            return self._direct(node)
        return self._kept_through(node)

    def _kept_through(self, node: Expression, shape: Callable[[Any], Any] = lambda value: value) -> Code:
        """A part of a macro's body that is the same for every element: computed once, when first needed."""
        variable, self._variable = self._variable, None
        inner = self._direct(node)
        self._variable = variable
        self._kept += 1
        return inner if inner.constant else Code(_remembered(inner.run, f"\0{self._kept}", shape))

    def _direct(self, node: Expression) -> Code:
        match node:
            case Literal(value=value):
                return constant(value)
            case Name() | Select():
                return Code(reader(path_of(node) or (), self._types[id(node)]))
            case ListLiteral(items=items):
                parts = [self.code(item) for item in items]
                return self._folded(node, _gathered([part.run for part in parts]), parts)
            case Unary(operator=sign, operand=operand):
                inner = self.code(operand)
                run = _negation(inner.run) if sign == "!" else self._computed(node, "-", constant(0).run, inner.run)
                return self._folded(node, run, [inner])
            case Logical(operator=sign, parts=nodes):
                return _logical([self.code(part) for part in nodes], absorbing=sign == "||")
            case Conditional():
                return self._conditional(node)
            case Binary():
                return self._binary(node)
            case Call():
                return self._call(node)

    def _folded(self, node: Expression, run: Run, parts: Iterable[Code]) -> Code:
        """``run``, computed here and now if all its parts are constant."""
        if not all(part.constant for part in parts):
            return Code(run)
        try:
            return constant(run({}))
        except Undecided as reason:
            raise error_at(
                self._source, node.start, f"{'; '.join(reason.errors)}: this can never be computed"
            ) from None

    def _conditional(self, node: Conditional) -> Code:
        test, then, otherwise = self.code(node.test), self.code(node.then), self.code(node.otherwise)
        if test.constant:
            return then if test.run({}) else otherwise
        decide, first, second = test.run, then.run, otherwise.run
        return Code(lambda facts: first(facts) if decide(facts) else second(facts))

    def _binary(self, node: Binary) -> Code:
        if isinstance(self._types.get(id(node.right)), MapType) and isinstance(node.left, Literal):
            return Code(presence((*(path_of(node.right) or ()), str(node.left.value))))
        left, right = self.code(node.left), self.code(node.right)
        if node.operator == "in" and self._variable is not None and not _mentions(node.right, self._variable):
            right = self._kept_through(node.right, frozenset)
        if node.operator == "in":
            run = _membership(left, right)
        elif node.operator in ("==", "!="):
            run = self._equality(node, left, right)
        elif node.operator in _PLAIN:
            run = _strict(_PLAIN[node.operator], left, right)
        else:
            run = self._computed(node, node.operator, left.run, right.run)
        return self._folded(node, run, (left, right))

    def _equality(self, node: Binary, left: Code, right: Code) -> Run:
        compared = _PLAIN[node.operator]
        types = self._types[id(node.left)], self._types[id(node.right)]
        if all(isinstance(one, AttributeType) for one in types):
            names = tuple(dict.fromkeys((*_attributes(node.left), *_attributes(node.right))))
            return _strict(_alike(compared, names), left, right)
        if isinstance(types[0], ListType):
            return _strict(lambda first, second: compared(tuple(first), tuple(second)), left, right)
        return _strict(compared, left, right)

    def _computed(self, node: Binary | Unary, sign: str, left: Run, right: Run) -> Run:
        """Arithmetic within int64; ``+`` joins strings too."""
        if isinstance(self._types[id(node)], StringType):
            return _strict(operator.add, Code(left), Code(right))
        where = f"in {self._source[node.start : node.end]}"
        compute = _ARITHMETIC[sign]

        def within(first: int, second: int) -> int:
            if second == 0 and sign in "/%":
                raise Undecided((), (f"division by zero {where}",))
            value = compute(first, second)
            if not INT_MIN <= value <= INT_MAX or (sign == "%" and second == -1 and first == INT_MIN):
                raise Undecided((), (f"a result beyond int64 {where}",))
            return value

        return _strict(within, Code(left), Code(right))

    def _call(self, node: Call) -> Code:
        if node.function == "has":
            return Code(presence(path_of(node.arguments[0]) or ()))
        if node.function in MACROS and node.receiver and isinstance(variable := node.arguments[0], Name):
            listed = self.code(node.receiver)
            self._variable = variable.name
            body = self.code(node.arguments[1])
            self._variable = None
            return Code(_quantified(listed.run, variable.name, body.run, sought=node.function == "exists"))
        parts = [self.code(part) for part in (node.receiver, *node.arguments) if part is not None]
        if node.function == "size":
            measured = parts[0].run
            return self._folded(node, lambda facts: len(measured(facts)), parts)
        return self._folded(node, _strict(_PLAIN[node.function], *parts), parts)


def _mentions(node: Expression, name: str) -> bool:
    path = path_of(node)
    if path is not None:
        return path[0] == name
    return any(_mentions(child, name) for child in children(node))


def _remembered(run: Run, key: str, shape: Callable[[Any], Any]) -> Run:
    """``run``, its outcome kept in the scope of one macro: a list is not looked through once per element."""

    def recall(scope: Any) -> Any:
        kept = scope.get(key)
        if kept is None:
            try:
                kept = scope[key] = (shape(run(scope)), None)
            except Undecided as reason:
                kept = scope[key] = (None, reason)
        value, lacking = kept
        if lacking is not None:
            raise lacking.joined(lacking)
        return value

    return recall


def _quotient(first: int, second: int) -> int:
    """Division toward zero, as int64 machines do it; Python's own rounds down."""
    whole = abs(first) // abs(second)
    return whole if (first < 0) == (second < 0) else -whole


_ARITHMETIC: Final[Mapping[str, Callable[[int, int], int]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _quotient,
    "%": lambda first, second: first - second * _quotient(first, second),
}


def _attributes(node: Expression) -> tuple[str, ...]:
    """The attributes whose value ``node`` may take."""
    if isinstance(node, Conditional):
        return (*_attributes(node.then), *_attributes(node.otherwise))
    path = path_of(node)
    return (dotted(path),) if path else ()


def _alike(compared: Callable[[Any, Any], Any], names: tuple[str, ...]) -> Callable[[Any, Any], Any]:
    """A comparison of two attributes, undecided unless they are of one type."""

    def compare(first: object, second: object) -> Any:
        if kind_of(first) != kind_of(second):
            raise Undecided(names)
        if isinstance(first, list | tuple) and isinstance(second, list | tuple):
            return compared(tuple(first), tuple(second))
        return compared(first, second)

    return compare


def _strict(compute: Callable[[Any, Any], Any], left: Code, right: Code) -> Run:
    """An operation that needs both sides; undecided, it names what either lacks."""
    first, second = left.run, right.run
    if right.constant:
        value = second({})
        return lambda facts: compute(first(facts), value)
    if left.constant:
        value = first({})
        return lambda facts: compute(value, second(facts))

    def run(facts: Mapping[str, Any]) -> Any:
        try:
            value = first(facts)
        except Undecided as reason:
            raise _with(reason, second, facts) from None
        return compute(value, second(facts))

    return run


def _with(reason: Undecided, run: Run, facts: Mapping[str, Any]) -> Undecided:
    """``reason`` together with what ``run`` lacks, if anything."""
    try:
        run(facts)
    except Undecided as further:
        return reason.joined(further)
    return reason


def _gathered(runs: list[Run]) -> Run:
    def run(facts: Mapping[str, Any]) -> Any:
        values: list[Any] = []
        lacking: Undecided | None = None
        for part in runs:
            try:
                values.append(part(facts))
            except Undecided as reason:
                lacking = reason if lacking is None else lacking.joined(reason)
        if lacking is not None:
            raise lacking
        return tuple(values)

    return run


def _membership(left: Code, right: Code) -> Run:
    item = left.run
    if right.constant:
        allowed = frozenset(right.run({}))
        return lambda facts: item(facts) in allowed
    return _strict(lambda value, listed: value in listed, left, right)


def _negation(run: Run) -> Run:
    return lambda facts: not run(facts)


def _logical(parts: list[Code], *, absorbing: bool) -> Code:
    """``||`` where ``absorbing`` is True, ``&&`` where it is False: the value that decides alone."""
    if any(part.constant and part.run({}) is absorbing for part in parts):
        return constant(absorbing)
    runs = tuple(part.run for part in parts if not part.constant)
    if not runs:
        return constant(not absorbing)
    if len(runs) == 1:
        return Code(runs[0])

    def run(facts: Mapping[str, Any]) -> Any:
        lacking: Undecided | None = None
        for part in runs:
            try:
                if part(facts) is absorbing:
                    return absorbing
            except Undecided as reason:
                lacking = reason if lacking is None else lacking.joined(reason)
        if lacking is not None:
            raise lacking
        return not absorbing

    return Code(run)


def _quantified(listed: Run, name: str, body: Run, *, sought: bool) -> Run:
    """``exists`` seeks a True and ``all`` a False; elements left undecided matter only if none is found."""

    def run(facts: Mapping[str, Any]) -> Any:
        items = listed(facts)
        scope = dict(facts)
        lacking: Undecided | None = None
        for item in items:
            scope[name] = item
            try:
                if body(scope) is sought:
                    return sought
            except Undecided as reason:
                lacking = reason if lacking is None else lacking.joined(reason)
        if lacking is not None:
            raise lacking
        return not sought

    return run
