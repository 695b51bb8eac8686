"""Stated limits of conditions, the environment's own rules, and what a compiled condition promises its callers."""

import copy
import pickle
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import pytest

from licet.core.policy import (
    ATTRIBUTES,
    INT,
    MAX_DEPTH,
    MAX_LIST,
    MAX_NODES,
    MAX_SOURCE,
    STANDARD_ENVIRONMENT,
    STRING,
    STRINGS,
    Condition,
    ConditionError,
    Environment,
    ListType,
    RecordType,
    StringType,
    Verdict,
    compile_condition,
)
from licet.core.policy.types import SIZED


def _standard(source: str) -> Condition:
    return compile_condition(source, STANDARD_ENVIRONMENT)


def _refused(source: str) -> ConditionError:
    with pytest.raises(ConditionError) as raised:
        _standard(source)
    return raised.value


def test_source_of_the_greatest_length_is_accepted() -> None:
    """4,096 characters compile; one more is refused where it begins."""
    padding = " " * (MAX_SOURCE - 4)
    assert _standard("true" + padding).holds({})
    error = _refused("true" + padding + " ")
    assert f"at most {MAX_SOURCE} characters" in error.message
    assert (error.line, error.column) == (1, MAX_SOURCE + 1)


def test_parentheses_nest_to_the_stated_depth() -> None:
    """32 levels of brackets in all are read; the next one is refused with its column."""
    levels = MAX_DEPTH - 1
    assert _standard("(" * levels + "true" + ")" * levels).holds({})
    error = _refused("(" * MAX_DEPTH + "true" + ")" * MAX_DEPTH)
    assert "nests at most 32 levels" in error.message
    assert error.column == MAX_DEPTH + 1


def test_trees_grow_to_the_stated_depth() -> None:
    """A chain of operators counts as depth too, so no tree can exhaust the stack of what walks it."""
    assert _standard("!" * (MAX_DEPTH - 1) + "true").holds({}) is False
    assert "nests at most 32 levels" in _refused("!" * MAX_DEPTH + "true").message
    assert _standard("1" + " + 1" * (MAX_DEPTH - 2) + " > 0").holds({})
    assert "nests at most 32 levels" in _refused("1" + " + 1" * (MAX_DEPTH - 1) + " > 0").message


def test_trees_have_the_stated_number_of_parts() -> None:
    """A flat chain of 511 literals and their ``||`` makes 512 parts; one literal more is refused."""
    assert _standard("||".join(["true"] * (MAX_NODES - 1))).holds({})
    assert f"at most {MAX_NODES} parts" in _refused("||".join(["true"] * MAX_NODES)).message


def test_literal_lists_have_the_stated_length() -> None:
    """1,000 literals in a list do not count as parts; 1,001 are refused at the bracket."""
    assert _standard(f"5 in [{','.join(['5'] * MAX_LIST)}]").holds({})
    error = _refused(f"5 in [{','.join(['5'] * (MAX_LIST + 1))}]")
    assert f"at most {MAX_LIST} elements" in error.message
    assert error.column == 6


def test_lists_of_facts_are_bounded() -> None:
    """A list of more than 1,000 elements is no list a condition can read, and is named."""
    condition = _standard('!("x" in user.roles)')
    assert condition.holds({"user": {"roles": ["a"] * MAX_LIST}})
    assert condition.evaluate({"user": {"roles": ["a"] * (MAX_LIST + 1)}}).missing == ("user.roles",)


def test_ints_of_facts_are_bounded() -> None:
    """An int beyond int64 is no int that a condition can read."""
    condition = _standard("user.attributes.n > 0")
    assert condition.holds({"user": {"attributes": {"n": 2**63 - 1}}})
    assert condition.evaluate({"user": {"attributes": {"n": 2**63}}}).missing == ("user.attributes.n",)


def test_reads_are_dotted_paths() -> None:
    """``reads`` holds each path once, has() and map keys included, macro variables not."""
    condition = _standard(
        'context.deployment == "saas" && has(user.attributes.a) && "b-c" in customer.attributes '
        '&& user.roles.exists(r, r == context.attributes.role) && context.deployment != "desktop"'
    )
    assert condition.reads == {
        "context.deployment",
        "user.attributes.a",
        'customer.attributes["b-c"]',
        "user.roles",
        "context.attributes.role",
    }
    assert condition.source.startswith("context.deployment")


def test_facts_may_be_any_mapping_and_are_left_alone() -> None:
    """Tuples serve as lists, string enumerations as strings, read-only mappings as facts; nothing is written."""

    class Standing(StrEnum):
        ACTIVE = "active"

    facts = MappingProxyType(
        {"standing": Standing.ACTIVE, "user": MappingProxyType({"roles": ("admin", "editor"), "attributes": {}})}
    )
    before = copy.deepcopy({name: str(value) for name, value in facts.items()})
    condition = _standard(
        'standing == "active" && standing in ["active"] && user.roles == ["admin", "editor"]'
        ' && user.roles.all(r, r != "x")'
    )
    assert condition.evaluate(facts) == Verdict(True)
    assert {name: str(value) for name, value in facts.items()} == before


def test_an_error_survives_pickling() -> None:
    """Errors cross process borders whole: the place and the suggestion come along."""
    error = _refused("contxt.region == 'x'")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (again.message, again.line, again.column, again.suggestion) == (error.message, 1, 1, "context")
    assert str(again) == str(error)
    assert str(error).startswith("line 1, column 1: nothing is named contxt")


@pytest.mark.parametrize("name", ["in", "true", "a-b", "", "é", "package", "and"])
def test_environment_refuses_names_no_condition_could_write(name: str) -> None:
    """A declared name must be a name of the language."""
    with pytest.raises(ValueError, match="cannot name a fact"):
        Environment({name: STRING})


def test_environment_refuses_types_that_cannot_be() -> None:
    """Lists hold scalars, and what is inferred is never declared; the message has the path."""
    with pytest.raises(ValueError, match=r"a\.b: a list holds strings"):
        Environment({"a": RecordType({"b": ListType(STRINGS)})})
    with pytest.raises(ValueError, match="never declared"):
        Environment({"a": SIZED})


def test_environment_is_open_for_more_names() -> None:
    """Usage, say, can be added by whoever knows it, and the standard names stay."""
    wider = STANDARD_ENVIRONMENT.extended({"usage": RecordType({"used": INT}), "notes": ATTRIBUTES})
    condition = compile_condition('usage.used < 5 && notes.kind == "k" && standing == "active"', wider)
    assert condition.holds({"usage": {"used": 4}, "notes": {"kind": "k"}, "standing": "active"})
    assert "usage" not in STANDARD_ENVIRONMENT.names


def test_an_enumeration_does_not_bind_facts() -> None:
    """Enumerations guard what is written; a newer program may send a newer word, which equals none of them."""
    environment = Environment({"tier": StringType(("a", "b"))})
    assert compile_condition('tier != "a"', environment).evaluate({"tier": "c"}) == Verdict(True)


def test_the_heaviest_macro_keeps_its_verdict() -> None:
    """95 searches of 1,000 in 1,000, computed once and not per element, give the plain verdict, missing facts too."""
    condition = _standard(f"user.roles.exists(v, {' || '.join(['v in user.attributes.a'] * 95)})")
    facts: dict[str, Any] = {
        "user": {"roles": [f"r{n}" for n in range(1000)], "attributes": {"a": [f"a{n}" for n in range(1000)]}}
    }
    assert condition.evaluate(facts).failing == (condition.source,)
    facts["user"]["attributes"]["a"] = [*facts["user"]["roles"][:999], 5]
    assert condition.evaluate(facts).missing == ("user.attributes.a",)
