"""The search for the cheapest change, against brute force over small worlds."""

from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.policy import STANDARD_ENVIRONMENT, Change, compile_condition, solve
from licet.core.policy.syntax import quoted, unparse
from tests.core.policy.random_conditions import conditions, facts
from tests.core.policy.worlds import ENVIRONMENT
from tests.dose import dose

_DEPLOYMENTS = ("saas", "desktop", "on_prem", "air_gapped")
_REGIONS = ("eu", "us", "ap")
_ROLES: tuple[tuple[str, ...], ...] = ((), ("a",), ("b",), ("a", "b"))
_LEAVES = st.one_of(
    st.sampled_from([f'context.deployment == "{word}"' for word in _DEPLOYMENTS]),
    st.sampled_from([f'context.region {sign} "{word}"' for word in _REGIONS[:2] for sign in ("==", "!=")]),
    st.sampled_from(['"a" in user.roles', '"b" in user.roles', "user.attributes.mfa", 'customer.id == "acme"']),
    st.sampled_from(['context.region in ["eu", "us"]', 'context.deployment in ["saas", "desktop"]']),
)
_CONDITIONS = st.recursive(
    _LEAVES,
    lambda child: st.one_of(
        st.tuples(child, child).map(lambda pair: f"({pair[0]} && {pair[1]})"),
        st.tuples(child, child).map(lambda pair: f"({pair[0]} || {pair[1]})"),
        child.map(lambda one: f"!({one})"),
    ),
    max_leaves=6,
)


def _world(deployment: str, region: str, roles: tuple[str, ...], mfa: bool) -> dict[str, Any]:
    return {
        "context": {"deployment": deployment, "region": region},
        "customer": {"id": "acme"},
        "user": {"roles": roles, "attributes": {"mfa": mfa}},
    }


_WORLDS = [_world(*facts) for facts in product(_DEPLOYMENTS, _REGIONS, _ROLES, (True, False))]


def _distance(one: dict[str, Any], other: dict[str, Any]) -> int:
    fields: list[bool] = [
        one["context"]["deployment"] != other["context"]["deployment"],
        one["context"]["region"] != other["context"]["region"],
        one["user"]["attributes"]["mfa"] != other["user"]["attributes"]["mfa"],
    ]
    moved: set[str] = set(one["user"]["roles"]) ^ set(other["user"]["roles"])
    return sum(map(int, fields)) + len(moved)


def _after(world: dict[str, Any], changes: tuple[Change, ...]) -> dict[str, Any]:
    changed = _world(
        world["context"]["deployment"],
        world["context"]["region"],
        world["user"]["roles"],
        world["user"]["attributes"]["mfa"],
    )
    for change in changes:
        *way, last = change.path.split(".")
        place = changed
        for part in way:
            place = place[part]
        place[last] = change.value
    return changed


@settings(max_examples=dose(150, full=6000), deadline=None)
@given(source=_CONDITIONS, place=st.integers(0, len(_WORLDS) - 1))
def test_no_cheaper_change_exists_in_small_worlds(source: str, place: int) -> None:
    """The change is the cheapest that brute force finds; where none is found, more than three facts would have to move.

    Brute force knows no more than the search: regions that the condition names, and the present one.
    """
    condition, world = compile_condition(source, STANDARD_ENVIRONMENT), _WORLDS[place]
    answer = solve(condition, world)
    possible = [
        _distance(world, other)
        for other in _WORLDS
        if condition.holds(other)
        and (other["context"]["region"] == world["context"]["region"] or quoted(other["context"]["region"]) in source)
    ]
    if answer is None:
        assert not possible or min(possible) > 3
        return
    changed = _after(world, answer)
    assert condition.holds(changed)
    assert not possible or _distance(world, changed) <= min(possible)


@settings(max_examples=dose(150), deadline=None)
@given(tree=conditions(2), world=facts(whole=False))
def test_every_answer_makes_the_condition_hold(tree: Any, world: dict[str, Any]) -> None:
    """On random conditions and ragged facts each answer is true, and nothing is changed where the condition holds."""
    condition = compile_condition(unparse(tree), ENVIRONMENT)
    answer = solve(condition, world)
    assert (answer == ()) is condition.holds(world)
    for change in answer or ():
        assert change.path.split(".")[0] in ("context", "user")


def test_costs_decide_between_facts() -> None:
    """A caller's own prices choose another change: here deployments are dear."""
    condition = compile_condition('context.deployment == "saas" || context.region == "us"', STANDARD_ENVIRONMENT)
    world = _world("on_prem", "eu", (), True)
    assert solve(condition, world) == (Change("context.deployment", "saas"),)
    dear = solve(condition, world, cost=lambda change: 9 if change.path == "context.deployment" else 1)
    assert dear == (Change("context.region", "us"),)


def test_facts_are_not_touched() -> None:
    """The search works on copies, also of lists and of facts that are not there yet."""
    condition = compile_condition('"owner" in user.roles && user.attributes.mfa', STANDARD_ENVIRONMENT)
    world: dict[str, Any] = {"user": {"roles": ["admin"]}}
    expected = (Change("user.roles", ("admin", "owner")), Change("user.attributes.mfa", True))
    assert solve(condition, world) == expected
    assert world == {"user": {"roles": ["admin"]}}
