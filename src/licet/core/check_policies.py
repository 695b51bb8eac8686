"""Whether the policies of a catalog make sense: their conditions, what they are about, and their own tests."""

from collections.abc import Mapping
from typing import Any

import msgspec

from licet.core.catalog import Catalog, Configuration, Given, Policy, PolicyTest, Switch
from licet.core.check_include import condition_problem
from licet.core.policies import CompiledPolicy, compile_policy, policy_environment, weigh
from licet.core.policy import ConditionError
from licet.core.problem import Problems, Step, quoted

Path = tuple[Step, ...]
_SHOWN = 300


def check_policies(catalog: Catalog, problems: Problems) -> None:
    """Tell policies whose condition does not compile, that name what is not there, or that fail a test of their own."""
    if not catalog.policies:
        return
    environment = policy_environment(catalog)
    for key, policy in catalog.policies.items():
        if problems.full:
            return
        path: Path = ("policies", key)
        _features(catalog, policy, path, problems)
        if policy.do == "warn" and not policy.text:
            problems.add(path, "a policy that warns needs text: what the customer reads")
        sound = all(_known(catalog, test.given, (*path, "tests", n), problems) for n, test in enumerate(policy.tests))
        try:
            compiled = compile_policy(key, policy, environment)
        except ConditionError as error:
            problems.take(condition_problem(error, (*path, "when")))
            continue
        for place, test in enumerate(policy.tests if sound else ()):
            _test(catalog, compiled, test, (*path, "tests", place), problems)


def _features(catalog: Catalog, policy: Policy, path: Path, problems: Problems) -> None:
    if policy.do == "restrict" and not policy.features:
        problems.add((*path, "do"), "restrict needs features: the list of what is taken away")
    if policy.do == "suspend" and policy.features:
        problems.add((*path, "features"), "suspend takes everything away; name no features, or write do: restrict")
    _listed("feature", policy.features, catalog.features, (*path, "features"), problems)


def _listed(what: str, names: tuple[str, ...], known: Mapping[str, object], path: Path, problems: Problems) -> bool:
    found = True
    for place, name in enumerate(names):
        found = problems.known(what, name, known, (*path, place)) and found
        if name in names[:place]:
            problems.add((*path, place), f"{quoted(name)} is listed twice")
    return found


def _known(catalog: Catalog, given: Given, path: Path, problems: Problems) -> bool:
    """Whether a test speaks of what there is."""
    where: Path = (*path, "given")
    found = [
        _listed("plan", given.plans, catalog.plans, (*where, "plans"), problems),
        _listed("add-on", given.addons, catalog.addons, (*where, "addons"), problems),
        _listed("feature", given.features, catalog.features, (*where, "features"), problems),
    ]
    counted = [key for key, one in catalog.features.items() if not isinstance(one, Switch | Configuration)]
    for name in given.amounts:
        found.append(problems.known("counted feature", name, counted, (*where, "amounts", name), of_key=True))
    return all(found)


def _test(catalog: Catalog, policy: CompiledPolicy, test: PolicyTest, path: Path, problems: Problems) -> None:
    """Run one test of a policy and tell what it gave where that is not what was expected."""
    facts = given_facts(catalog, test.given)
    found = weigh(policy, facts)
    if (found is not None) == test.then:
        return
    said = msgspec.json.encode(test.given, order="sorted").decode()
    got = "true" if found is not None else "false"
    missing = policy.condition.evaluate(facts).missing
    if missing:
        effect = f"{policy.do} applies then" if policy.denies else "nothing is warned of then"
        got += f" (it cannot be decided without {', '.join(missing)}; {effect})"
    said = said if len(said) <= _SHOWN else said[: _SHOWN - 1] + "…"
    expected = "true" if test.then else "false"
    problems.add((*path, "then"), f"given {said}, expected {expected}, got {got}")


def given_facts(catalog: Catalog, given: Given) -> dict[str, object]:
    """Return the facts of a test by the names that conditions use; what it does not name is not known or not held."""
    held = {*given.features, *given.amounts}
    facts: dict[str, Any] = {
        "customer": msgspec.structs.asdict(given.customer),
        "context": msgspec.structs.asdict(given.context),
        "standing": given.standing,
        "plans": given.plans,
        "addons": given.addons,
        "features": {key: key in held for key in catalog.features},
        "amounts": {
            key: given.amounts.get(key, 0)
            for key, one in catalog.features.items()
            if not isinstance(one, Switch | Configuration)
        },
    }
    if facts["context"]["region"] is None:
        facts["context"]["region"] = given.customer.region
    if given.user is not None:
        facts["user"] = msgspec.structs.asdict(given.user)
    return facts
