"""The language-neutral cases of the condition language, through this implementation."""

from typing import Any

import pytest

from licet.core.policy import STANDARD_ENVIRONMENT, Change, ConditionError, Verdict, compile_condition, solve
from tests.core.policy.worlds import ENVIRONMENT, cases, facts_named, named


@pytest.mark.parametrize("case", cases("cases"), ids=named)
def test_case_is_answered_as_written(case: dict[str, Any]) -> None:
    """Every case gives the verdict in the vectors, and the fast answer is the same one."""
    facts = facts_named(case["facts"])
    condition = compile_condition(case["source"], ENVIRONMENT)
    assert condition.evaluate(facts) == Verdict(
        case["holds"], tuple(case["missing"]), tuple(case["failing"]), tuple(case.get("errors", ()))
    )
    assert condition.holds(facts) is case["holds"]


@pytest.mark.parametrize("case", cases("errors"), ids=named)
def test_error_is_placed_and_explained(case: dict[str, Any]) -> None:
    """Every refused text names its line and column, says what is wrong, and suggests what the vectors expect."""
    with pytest.raises(ConditionError) as raised:
        compile_condition(case["source"], ENVIRONMENT)
    error = raised.value
    assert (error.line, error.column, error.suggestion) == (case["line"], case["column"], case["suggestion"])
    assert case["says"] in error.message


@pytest.mark.parametrize("case", cases("changes"), ids=named)
def test_cheapest_change_is_found(case: dict[str, Any]) -> None:
    """The search gives exactly the change in the vectors, or none where none is written."""
    condition = compile_condition(case["source"], ENVIRONMENT)
    expected = case["changes"]
    if expected is not None:
        expected = tuple(
            Change(each["path"], tuple(each["value"]) if isinstance(each["value"], list) else each["value"])
            for each in expected
        )
    assert solve(condition, facts_named(case["facts"])) == expected


def test_vectors_declare_the_standard_environment() -> None:
    """The environment written in the vectors is the one that ships, with entitlements on top."""
    declared = dict(ENVIRONMENT.names)
    assert declared.pop("entitlements") is not None
    assert declared == STANDARD_ENVIRONMENT.names
