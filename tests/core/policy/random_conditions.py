"""Hypothesis strategies: well-typed conditions over a few facts, trees of any shape, and facts of every quality."""

from typing import Any, Final

from hypothesis import strategies as st

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
)
from tests.core.policy.reference import VARIABLE

STRINGS: Final = ("", "a", "ab", "b", "eu", "é𝒳", 'q"\\\n', "owner")
INTS: Final = (-3, -2, -1, 1, 2, 3, 7)
EXTREME: Final = (0, -(2**63), 2**63 - 1, 2**62, 2**53 - 1)
DEPLOYMENTS: Final = ("saas", "desktop", "on_prem", "air_gapped")


def path(text: str) -> Expression:
    """The node that a dotted path means."""
    first, *rest = text.split(".")
    node: Expression = Name(name=first)
    for part in rest:
        node = Select(operand=node, field=part)
    return node


_ATTRIBUTE_ROOTS: Final = ("customer.attributes", "user.attributes")


def _attributes(*names: str) -> st.SearchStrategy[Expression]:
    return st.sampled_from([path(f"{root}.{name}") for root in _ATTRIBUTE_ROOTS for name in names])


def _literals(values: tuple[Any, ...]) -> st.SearchStrategy[Expression]:
    return st.sampled_from([Literal(value=value) for value in values])


def _binary(
    operators: tuple[str, ...], left: st.SearchStrategy[Expression], right: st.SearchStrategy[Expression]
) -> st.SearchStrategy[Expression]:
    return st.builds(
        lambda operator, one, other, swap: (
            Binary(operator=operator, left=other, right=one)
            if swap
            else Binary(operator=operator, left=one, right=other)
        ),
        st.sampled_from(operators),
        left,
        right,
        st.booleans(),
    )


def _choice(
    test: st.SearchStrategy[Expression], then: st.SearchStrategy[Expression], otherwise: st.SearchStrategy[Expression]
) -> st.SearchStrategy[Expression]:
    return st.builds(lambda a, b, c: Conditional(test=a, then=b, otherwise=c), test, then, otherwise)


def _call(function: str, receiver: Any, *arguments: Any) -> st.SearchStrategy[Expression]:
    return st.builds(
        lambda asked, given: Call(function=function, receiver=asked, arguments=tuple(given)),
        receiver,
        st.tuples(*arguments),
    )


class Typed:
    """Strategies for one level of nesting; ``fixed`` ones have a type by themselves, the others may be attributes."""

    def __init__(self, depth: int, *, inside: bool = False) -> None:
        self._depth = depth
        self._inside = inside

    def _deeper(self, *, inside: bool | None = None) -> "Typed":
        return Typed(self._depth - 1, inside=self._inside if inside is None else inside)

    def fixed_string(self) -> st.SearchStrategy[Expression]:
        """Strings whose type is known without their use."""
        facts = [path("context.region"), path("customer.region"), path("context.version")]
        if self._inside:
            facts.append(Name(name=VARIABLE))
        leaves = _literals(STRINGS) | st.sampled_from(facts)
        if self._depth <= 0:
            return leaves
        below = self._deeper()
        joined = _binary(("+",), below.fixed_string(), below.string())
        return leaves | joined | _choice(below.truth(), below.fixed_string(), below.string())

    def string(self) -> st.SearchStrategy[Expression]:
        """Strings, attributes among them."""
        return self.fixed_string() | _attributes("s", "x")

    def fixed_int(self) -> st.SearchStrategy[Expression]:
        """Ints whose type is known without their use."""
        leaves = _literals(INTS) | st.just(path("entitlements.projects.limit"))
        if self._depth <= 0:
            return leaves
        below = self._deeper()
        divisors = _literals(INTS) | _attributes("n") | st.just(path("entitlements.projects.limit"))
        divided = st.builds(
            lambda operator, left, right: Binary(operator=operator, left=left, right=right),
            st.sampled_from(("/", "%")),
            below.number(),
            divisors,
        )
        sized = st.builds(
            lambda what: Call(function="size", receiver=None, arguments=(what,)), below.string() | below.listed()
        )
        negated = st.builds(lambda of: Unary(operator="-", operand=of), below.number())
        arithmetic = _binary(("+", "-", "*"), below.fixed_int(), below.number())
        return (
            leaves | arithmetic | divided | sized | negated | _choice(below.truth(), below.fixed_int(), below.number())
        )

    def number(self) -> st.SearchStrategy[Expression]:
        """Ints, attributes among them."""
        return self.fixed_int() | _attributes("n")

    def listed(self) -> st.SearchStrategy[Expression]:
        """Lists of strings."""
        below = self._deeper()
        made = st.builds(
            lambda first, rest: ListLiteral(items=(first, *rest)),
            below.fixed_string(),
            st.lists(below.string(), max_size=2),
        )
        return st.just(path("user.roles")) | _attributes("l") | (made if self._depth > 0 else st.nothing())

    def truth(self) -> st.SearchStrategy[Expression]:
        """Conditions."""
        leaves = (
            _literals((True, False))
            | _attributes("b")
            | st.just(path("entitlements.sso.allowed"))
            | _binary(("==", "!="), st.just(path("context.deployment")), _literals(DEPLOYMENTS))
            | st.builds(
                lambda field: Call(function="has", receiver=None, arguments=(field,)), _attributes("s", "x", "n")
            )
        )
        if self._depth <= 0:
            return leaves
        below = self._deeper()
        parts = st.lists(below.truth(), min_size=2, max_size=3)
        logic = st.builds(
            lambda sign, of: Logical(operator=sign, parts=tuple(of)), st.sampled_from(("&&", "||")), parts
        )
        options = [
            leaves,
            logic,
            logic,
            st.builds(lambda of: Unary(operator="!", operand=of), below.truth()),
            _choice(below.truth(), below.truth(), below.truth()),
            _binary(("==", "!=", "<", "<=", ">", ">="), below.fixed_string(), below.string()),
            _binary(("==", "!=", "<", "<=", ">", ">="), below.fixed_int(), below.number()),
            _binary(("==", "!="), _attributes("s", "n", "l", "b"), _attributes("s", "n", "l", "b")),
            st.builds(lambda a, b: Binary(operator="in", left=a, right=b), below.fixed_string(), below.listed()),
            st.builds(
                lambda a, b: Binary(operator="in", left=a, right=b),
                _attributes("s", "x"),
                st.just(path("user.roles")) | _attributes("l"),
            ),
            *(_call(f, below.string(), below.string()) for f in ("startsWith", "endsWith", "contains")),
        ]
        if not self._inside:
            body = self._deeper(inside=True).truth()
            variable = st.just(Name(name=VARIABLE))
            options += [_call(f, below.listed(), variable, body) for f in ("exists", "all")]
        return st.one_of(options)


def conditions(depth: int = 3) -> st.SearchStrategy[Expression]:
    """Well-typed trees that give a bool."""
    return Typed(depth).truth()


_TEXTS: Final = st.sampled_from(STRINGS)
_NUMBERS: Final = st.sampled_from((*INTS, *EXTREME))
_LISTS: Final = st.lists(_TEXTS, max_size=4)
_ANYTHING: Final = _TEXTS | _NUMBERS | _LISTS | st.booleans()


def _record(required: dict[str, Any], *, whole: bool) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required) if whole else st.fixed_dictionaries({}, optional=required)


def facts(*, whole: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Facts for random conditions: ``whole`` ones lack only ``x``; others lack anything, or hold other attributes."""
    kinds: dict[str, Any] = {"s": _TEXTS, "n": _NUMBERS, "b": st.booleans(), "l": _LISTS}
    if not whole:
        kinds = {name: strategy | _ANYTHING | st.none() for name, strategy in kinds.items()}
    attributes = _record(kinds, whole=whole)
    return _record(
        {
            "context": _record(
                {"deployment": st.sampled_from(DEPLOYMENTS), "region": _TEXTS, "version": _TEXTS}, whole=whole
            ),
            "customer": _record({"region": _TEXTS, "attributes": attributes}, whole=whole),
            "user": _record({"roles": _LISTS, "attributes": attributes}, whole=whole),
            "entitlements": _record(
                {
                    "projects": _record({"limit": _NUMBERS}, whole=whole),
                    "sso": _record({"allowed": st.booleans()}, whole=whole),
                },
                whole=whole,
            ),
        },
        whole=whole,
    )


_WORDS: Final = ("a", "b", "size", "context", "_x1", "has")
_FIELDS: Final = (*_WORDS, "package", "for")


def _branches(child: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    listed = st.lists(child, max_size=3).map(tuple)
    operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/", "%"])
    return st.one_of(
        st.builds(lambda items: ListLiteral(items=items), listed),
        st.builds(lambda of, field: Select(operand=of, field=field), child, st.sampled_from(_FIELDS)),
        st.builds(lambda of, key: Select(operand=of, field=key, bracketed=True), child, _SAFE_TEXT),
        st.builds(lambda sign, of: Unary(operator=sign, operand=of), st.sampled_from(["!", "-"]), child),
        st.builds(lambda sign, a, b: Binary(operator=sign, left=a, right=b), operators, child, child),
        st.builds(
            lambda sign, of: Logical(operator=sign, parts=tuple(of)),
            st.sampled_from(["&&", "||"]),
            st.lists(child, min_size=2, max_size=3),
        ),
        st.builds(lambda a, b, c: Conditional(test=a, then=b, otherwise=c), child, child, child),
        st.builds(
            lambda name, of, items: Call(function=name, receiver=of, arguments=items),
            st.sampled_from(_WORDS),
            st.none() | child,
            listed,
        ),
    )


_SAFE_TEXT: Final = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)


def trees() -> st.SearchStrategy[Expression]:
    """Trees of any shape, typed or not."""
    leaves = st.one_of(
        st.builds(lambda value: Literal(value=value), _SAFE_TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1)),
        st.builds(lambda name: Name(name=name), st.sampled_from(_WORDS)),
    )
    return st.recursive(leaves, _branches, max_leaves=12)
