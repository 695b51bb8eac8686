"""Properties of the condition language over random conditions, random facts and arbitrary text."""

from typing import Any

import msgspec
import pytest
from cel_expr_python import cel
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from licet.core.policy import Condition, ConditionError, compile_condition
from licet.core.policy.parser import parse
from licet.core.policy.syntax import Expression, unparse
from tests.core.policy.random_conditions import conditions, facts, trees
from tests.core.policy.reference import Interpreter, Unknown
from tests.core.policy.worlds import ENVIRONMENT, cases
from tests.dose import dose

_OPEN = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
_CEL = cel.NewEnv(
    variables={
        "context": _OPEN,
        "customer": _OPEN,
        "user": _OPEN,
        "entitlements": _OPEN,
        "standing": cel.Type.STRING,
    }
)
_FRAGMENTS = (
    *"()[].,?:!-+*/%<>=&|\"'\\ \n0",
    *("context", "user", "roles", "attributes", "&&", "||", "==", "in ", "has(", "true", '"a"', "size(", ".exists("),
    *("9223372036854775808", "r, ", "//", "\\u00", "é", "\0", "\ud800", "not ", "null"),
)


@settings(max_examples=dose(150, full=8000), deadline=None)
@given(tree=conditions(), world=facts(whole=False))
def test_compiled_conditions_equal_a_direct_interpreter(tree: Expression, world: dict[str, Any]) -> None:
    """Closures, absorption, naming and folding give what walking the tree gives, for facts that lack anything."""
    condition = _compiled(unparse(tree))
    expected = Interpreter(world).value(tree, "bool")
    verdict = condition.evaluate(world)
    assert condition.holds(world) is verdict.holds is (expected is True)
    if isinstance(expected, Unknown):
        assert set(verdict.missing) == expected.names
        assert bool(verdict.errors) == expected.broken
    else:
        assert (verdict.missing, verdict.errors) == ((), ())
    assert bool(verdict.failing) is not verdict.holds


@settings(max_examples=dose(150, full=8000), deadline=None)
@given(tree=conditions(), world=facts(whole=True))
def test_compiled_conditions_equal_the_reference_implementation(tree: Expression, world: dict[str, Any]) -> None:
    """On well-typed facts the C++ implementation of CEL gives the same truth, and an error where we are undecided."""
    source = unparse(tree)
    verdict = _compiled(source).evaluate(world)
    answer = _CEL.compile(source).eval(data=world)
    if answer.type() == cel.Type.BOOL:
        # CEL compares attributes of two types as unequal; here that is undecided, and named.
        assume(not verdict.missing)
        assert not verdict.errors
        assert verdict.holds is answer.value()
    else:
        assert not verdict.holds
        assert verdict.missing or verdict.errors


@pytest.mark.parametrize("source", [case["source"] for case in cases("cases")])
def test_conditions_are_cel(source: str) -> None:
    """Every condition of the vectors is accepted by the reference implementation."""
    assert _CEL.compile(source).return_type() is not None


@settings(max_examples=dose(150, full=6000), deadline=None)
@given(tree=conditions(), world=facts(whole=False))
def test_a_condition_and_its_negation_never_both_hold(tree: Expression, world: dict[str, Any]) -> None:
    """What is undecided stays undecided under ``!``: a missing fact cannot open a door from either side."""
    source = unparse(tree)
    holds, denied = _compiled(source).holds(world), _compiled(f"!({source})").holds(world)
    assert not (holds and denied)
    verdict = _compiled(source).evaluate(world)
    assert (holds or denied) is not bool(verdict.missing or verdict.errors)


@settings(max_examples=dose(100, full=4000), deadline=None)
@given(tree=conditions(), world=facts(whole=True))
def test_reads_are_complete(tree: Expression, world: dict[str, Any]) -> None:
    """Removing every fact that a condition does not list in ``reads`` changes no verdict."""
    condition = _compiled(unparse(tree))

    def kept(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            return value if path in condition.reads else None
        return {name: kept(inner, f"{path}.{name}" if path else name) for name, inner in value.items()}

    assert condition.evaluate(kept(world, "")) == condition.evaluate(world)


@settings(max_examples=dose(200, full=10000), deadline=None)
@given(tree=trees())
def test_unparse_then_parse_gives_the_same_tree(tree: Expression) -> None:
    """The text of a tree means that tree: precedence, parentheses, escapes and brackets survive."""
    assert _bare(parse(unparse(tree))) == _bare(tree)


@settings(max_examples=dose(200, full=10000), deadline=None)
@given(st.text(st.characters()) | st.lists(st.sampled_from(_FRAGMENTS), max_size=24).map("".join))
@example("(" * 4000)
@example("!" * 4000)
@example("1" + "+1" * 2000)
@example("true?" * 800)
@example("a." * 2000)
@example("[" * 4000 + "]")
def test_arbitrary_text_is_accepted_or_refused_in_words(source: str) -> None:
    """Any text compiles or raises ConditionError with a place inside it; nothing else ever comes out."""
    condition, error = _attempt(source)
    if condition is not None:
        assert condition.evaluate({}).holds is condition.holds({})
    if error is not None:
        lines = source.split("\n")
        assert 1 <= error.line <= len(lines)
        assert 1 <= error.column <= len(lines[error.line - 1]) + 1


def _attempt(source: str) -> tuple[Condition | None, ConditionError | None]:
    try:
        return compile_condition(source, ENVIRONMENT), None
    except ConditionError as error:
        return None, error


def _compiled(source: str) -> Condition:
    """The condition, or another example if its constants alone overflow (refused when authored)."""
    condition, error = _attempt(source)
    assume(error is None or "can never be computed" not in error.message)
    assert condition is not None, error
    return condition


def _bare(tree: Expression) -> Any:
    """A tree without its offsets."""

    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: stripped(inner) for name, inner in value.items() if name not in ("start", "end", "at")}
        return [stripped(inner) for inner in value] if isinstance(value, list | tuple) else value

    return stripped(msgspec.to_builtins(tree))
