"""Policies: rules of the catalog over all customers at once, compiled once, and which of them apply to some facts."""

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal, get_args

from msgspec import Struct

from licet.core.catalog import Catalog, Configuration, CustomerStanding, Policy, Switch
from licet.core.policy import BOOL, INT, STANDARD_ENVIRONMENT, Condition, Environment, compile_condition
from licet.core.policy.syntax import dotted
from licet.core.policy.types import ListType, RecordType, StringType

SEVERITY: Final = {"suspend": 0, "restrict": 1, "warn": 2}
"""The severest first: of several policies that refuse, its words are the ones the customer reads."""
_NAME: Final = re.compile(r"[.\[]")
_ASKED: Final = ("context", "user")
_HELD: Final = ("features", "amounts")
_HOLDINGS: Final = (*_HELD, "plans", "addons", "standing")


class CompiledPolicy(Struct, frozen=True):
    """One policy, ready. ``features`` is what it is about, None for all."""

    id: str
    do: Literal["warn", "restrict", "suspend"]
    features: frozenset[str] | None
    condition: Condition
    title: str
    text: str
    note: str
    server_only: bool

    @property
    def denies(self) -> bool:
        """Whether it refuses what it is about, rather than warn."""
        return self.do != "warn"

    @property
    def asks(self) -> bool:
        """Whether it depends on what is asked: on context or user."""
        return self.reads(_ASKED)

    @property
    def bends(self) -> bool:
        """Whether what the customer holds could make it go away."""
        return self.reads(_HOLDINGS)

    def reads(self, roots: Iterable[str]) -> bool:
        """Return whether its condition can read a fact under one of these names."""
        return any(_NAME.split(path, 1)[0] in roots for path in self.condition.reads)

    def about(self, feature: str) -> bool:
        """Return whether it concerns a feature."""
        return self.features is None or feature in self.features


class Restraint(Struct, frozen=True):
    """A policy that applies. ``missing`` names the facts for want of which it could not be decided."""

    policy: CompiledPolicy
    missing: tuple[str, ...] = ()
    decided: bool = True


class Policies(Struct, frozen=True):
    """All policies of a catalog, the severest first, then by rank and id.

    ``settled`` are those that the customer's own facts decide, ``asking`` those that need the question. ``watched``
    are the features whose rights some condition reads, so that their boundaries count for every answer.
    """

    settled: tuple[CompiledPolicy, ...] = ()
    asking: tuple[CompiledPolicy, ...] = ()
    watched: frozenset[str] = frozenset()
    order: dict[str, int] = {}
    """The place of each policy among all."""

    def __bool__(self) -> bool:
        return bool(self.settled or self.asking)


NO_POLICIES: Final = Policies()


def policy_environment(catalog: Catalog) -> Environment:
    """Return what the policies of a catalog may read: the standard facts, and what a customer holds, by its ids."""
    counted = [key for key, one in catalog.features.items() if not isinstance(one, Switch | Configuration)]
    return STANDARD_ENVIRONMENT.extended(
        {
            "standing": StringType(get_args(CustomerStanding)),
            "plans": ListType(StringType(tuple(catalog.plans))),
            "addons": ListType(StringType(tuple(catalog.addons))),
            "features": RecordType(dict.fromkeys(catalog.features, BOOL)),
            "amounts": RecordType(dict.fromkeys(counted, INT)),
        }
    )


def compile_policies(catalog: Catalog) -> Policies:
    """Return the policies of a sound catalog, ready; raises ConditionError for a condition that cannot be read."""
    if not catalog.policies:
        return NO_POLICIES
    environment = policy_environment(catalog)
    ordered = sorted(catalog.policies.items(), key=lambda one: (SEVERITY[one[1].do], one[1].rank, one[0]))
    made = [compile_policy(key, policy, environment) for key, policy in ordered]
    held = held_paths(catalog)
    return Policies(
        tuple(one for one in made if not one.asks),
        tuple(one for one in made if one.asks),
        frozenset(held[path] for one in made for path in one.condition.reads if path in held),
        {one.id: place for place, one in enumerate(made)},
    )


def held_paths(catalog: Catalog) -> dict[str, str]:
    """Return the feature that is read by each path that a condition can write for what is held."""
    return {dotted((root, feature)): feature for feature in catalog.features for root in _HELD}


def compile_policy(key: str, policy: Policy, environment: Environment) -> CompiledPolicy:
    """Return one policy, ready; raises ConditionError."""
    return CompiledPolicy(
        key,
        policy.do,
        frozenset(policy.features) or None,
        compile_condition(policy.when, environment),
        policy.title or key,
        policy.text,
        policy.note,
        policy.server_only,
    )


def weigh(policy: CompiledPolicy, facts: Mapping[str, object]) -> Restraint | None:
    """Return a policy as a restraint where it applies to these facts, None where it does not.

    One that refuses applies unless its condition is false for certain: leaving out a fact is no way around it. One that
    warns applies only where its condition holds.
    """
    if policy.condition.fails(facts):
        return None
    if policy.condition.holds(facts):
        return Restraint(policy)
    if not policy.denies:
        return None
    return Restraint(policy, policy.condition.evaluate(facts).missing, decided=False)
