"""Whether the policies of a catalog make sense: their conditions, what they are about, and their own tests."""

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from licet.core.catalog import Catalog, Configuration, Given, Policy, PolicyTest, Switch
from licet.core.check_include import condition_problem
from licet.core.policies import CompiledPolicy, compile_policy, held_paths, policy_environment, weigh
from licet.core.policy import ConditionError
from licet.core.problem import Problems, Step, quoted

Path = tuple[Step, ...]
_SHOWN: Final = 300


def check_policies(catalog: Catalog, problems: Problems) -> None:
    """Tell policies whose condition does not compile, that name what is not there, or that fail a test of their own."""
    if not catalog.policies:
        return
    checking = _Checking(catalog, problems)
    for key, policy in catalog.policies.items():
        if problems.full:
            return
        checking.check(key, policy)


class _Checking:
    """Checks policies one by one; what they share of the catalog is worked out once."""

    def __init__(self, catalog: Catalog, problems: Problems) -> None:
        self.catalog = catalog
        self.problems = problems
        self.environment = policy_environment(catalog)
        self.held = held_paths(catalog)
        self.counted = {
            key: one for key, one in catalog.features.items() if not isinstance(one, Switch | Configuration)
        }

    def check(self, key: str, policy: Policy) -> None:
        """Tell what is wrong with one policy; its tests are run only where everything they need can be read."""
        path: Path = ("policies", key)
        self._features(policy, path)
        if policy.do == "warn" and not policy.text:
            self.problems.add(path, "a policy that warns needs text: what the customer reads")
        known = [self._known(test.given, (*path, "tests", place, "given")) for place, test in enumerate(policy.tests)]
        try:
            compiled = compile_policy(key, policy, self.environment)
        except ConditionError as error:
            self.problems.take(condition_problem(error, (*path, "when")))
            return
        read = {self.held[name] for name in compiled.condition.reads if name in self.held}
        for place, test in enumerate(policy.tests if all(known) else ()):
            self._run(compiled, test, given_facts(test.given, read), (*path, "tests", place))

    def _features(self, policy: Policy, path: Path) -> None:
        if policy.do == "restrict" and not policy.features:
            self.problems.add((*path, "do"), "restrict needs features: the list of what is taken away")
        if policy.do == "suspend" and policy.features:
            message = "suspend takes everything away; name no features, or write do: restrict"
            self.problems.add((*path, "features"), message, of_key=True)
        self._listed("feature", policy.features, self.catalog.features, (*path, "features"))

    def _listed(self, what: str, names: tuple[str, ...], known: Mapping[str, object], path: Path) -> bool:
        """Whether a list names what there is, each once."""
        sound = True
        for place, name in enumerate(names):
            sound = self.problems.known(what, name, known, (*path, place)) and sound
        for place in repeated(names):
            self.problems.add((*path, place), f"{quoted(names[place])} is listed twice")
        return sound

    def _known(self, given: Given, path: Path) -> bool:
        """Whether a test speaks of what there is."""
        sound = [
            self._listed("plan", given.plans, self.catalog.plans, (*path, "plans")),
            self._listed("add-on", given.addons, self.catalog.addons, (*path, "addons")),
            self._listed("feature", given.features, self.catalog.features, (*path, "features")),
        ]
        for name in given.amounts:
            sound.append(
                self.problems.known("counted feature", name, self.counted, (*path, "amounts", name), of_key=True)
            )
        return all(sound)

    def _run(self, policy: CompiledPolicy, test: PolicyTest, facts: Mapping[str, object], path: Path) -> None:
        """Run one test and tell what it gave where that is not what was expected."""
        found = weigh(policy, facts)
        if (found is not None) == test.then:
            return
        said = msgspec.json.encode(test.given, order="sorted").decode()
        said = said if len(said) <= _SHOWN else said[: _SHOWN - 1] + "…"
        got = "false" if found is None else "true"
        verdict = policy.condition.evaluate(facts)
        if verdict.missing or verdict.errors:
            why = f"without {', '.join(verdict.missing)}" if verdict.missing else f"({', '.join(verdict.errors)})"
            effect = f"{policy.do} applies then" if policy.denies else "nothing is warned of then"
            got += f" (it cannot be decided {why}; {effect})"
        expected = "true" if test.then else "false"
        self.problems.add((*path, "then"), f"given {said}, expected {expected}, got {got}")


def repeated(names: tuple[str, ...]) -> list[int]:
    """Return the places of names that stood in the list before."""
    first: dict[str, int] = {}
    return [place for place, name in enumerate(names) if first.setdefault(name, place) != place]


def given_facts(given: Given, features: Collection[str]) -> dict[str, object]:
    """Return the facts of a test by the names that conditions use, those about what is held for some ``features``.

    What the test does not name is not known or not held.
    """
    held = {*given.features, *given.amounts}
    context = msgspec.structs.asdict(given.context)
    context["region"] = context["region"] or given.customer.region
    facts: dict[str, object] = {
        "customer": msgspec.structs.asdict(given.customer),
        "context": context,
        "standing": given.standing,
        "plans": given.plans,
        "addons": given.addons,
        "features": {key: key in held for key in features},
        "amounts": {key: given.amounts.get(key, 0) for key in features},
    }
    if given.user is not None:
        facts["user"] = msgspec.structs.asdict(given.user)
    return facts
