"""Which other context or user would open a gate, or keep a denial from being meant."""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

from licet.core.case import Facts
from licet.core.change import Change, Target, make_change
from licet.core.compiled import CompiledCatalog, Gate
from licet.core.policy import STANDARD_ENVIRONMENT, Condition, ConditionError, compile_condition, solve
from licet.core.policy import Change as FactChange

DEPLOYMENTS: Final = ("air_gapped", "desktop", "on_prem", "saas")


def openings(gates: tuple[Gate, Gate], facts: Facts, standing: str | None, known: Iterable[str]) -> Iterator[Change]:
    """Yield changes of context and of user under which both gates would open; both kinds may be needed together.

    ``known`` are regions to try where a condition reads the region without naming those that it wants.
    """
    deployments: Iterable[str | None] = (None,)
    regions: Iterable[str | None] = (None,)
    if any(_reads_region(gate) for gate in gates):
        regions = (None, *known)
    wanted = _in_both(gates[0].deployments, gates[1].deployments)
    if wanted is not None and facts.context.deployment not in wanted:
        deployments = wanted
    wanted = _in_both(gates[0].regions, gates[1].regions)
    if wanted is not None and facts.region not in wanted:
        regions = wanted
    whens = tuple(gate.condition.source for gate in gates if gate.condition is not None)
    for deployment in deployments:
        for region in regions:
            named = {"context.deployment": deployment, "context.region": region}
            given: dict[str, Target] = {path: value for path, value in named.items() if value is not None}
            yield from _solved(whens, given, facts, standing)


def evasions(gate: Gate, facts: Facts, regions: Iterable[str]) -> Iterator[Change]:
    """Yield changes of context and of user for which a denial with this gate is not meant."""
    if gate.deployments is not None:
        for deployment in DEPLOYMENTS:
            if deployment not in gate.deployments:
                yield make_change("use_context", **{"context.deployment": deployment})
    if gate.regions is not None:
        for region in regions:
            if region not in gate.regions:
                yield make_change("use_context", **{"context.region": region})
    if gate.condition is not None:
        yield from _solved((f"!({gate.condition.source})",), {}, facts, None)
    if _reads_region(gate):
        for region in regions:
            yield make_change("use_context", **{"context.region": region})


def _reads_region(gate: Gate) -> bool:
    """Whether a gate's condition looks at the region."""
    return gate.condition is not None and "context.region" in gate.condition.reads


def known_regions(catalog: CompiledCatalog, *more: str | None) -> list[str]:
    """Return every region that the catalog names, and some more."""
    gates = [feature.gate for feature in catalog.features.values()]
    gates += [include.gate for version in catalog.versions.values() for include in version.includes.values()]
    named = {region for gate in gates for region in gate.regions or ()}
    return sorted(named | {region for region in more if region})


def _solved(whens: tuple[str, ...], given: dict[str, Target], facts: Facts, standing: str | None) -> Iterator[Change]:
    """The given facts and whatever the conditions need on top, as a change of context and one of user."""
    named = facts.named(standing)
    for path, value in given.items():
        named = _set(named, path, value)
    changes: tuple[FactChange, ...] | None = ()
    if whens:
        condition = _joined(whens)
        changes = None if condition is None else solve(condition, named, _price)
    if changes is None:
        return
    context = dict(given)
    context.update({one.path: one.value for one in changes if one.path.startswith("context.")})
    user = {one.path: one.value for one in changes if one.path.startswith("user.")}
    if context:
        yield make_change("use_context", **context)
    if user:
        yield make_change("change_user", **user)


def _price(change: FactChange) -> int:
    """A fact of the context is cheaper to change than one of the user."""
    return 1 if change.path.startswith("context.") else 100


@lru_cache(maxsize=1024)
def _joined(whens: tuple[str, ...]) -> Condition | None:
    """All conditions as one; None where that would be too long to compile."""
    try:
        return compile_condition(" && ".join(f"({when})" for when in whens), STANDARD_ENVIRONMENT)
    except ConditionError:
        return None


def _in_both(one: frozenset[str] | None, other: frozenset[str] | None) -> list[str] | None:
    """What both allow, sorted; None where neither asks."""
    if one is None and other is None:
        return None
    return sorted(one or other or ()) if one is None or other is None else sorted(one & other)


def _set(facts: Mapping[str, object], path: str, value: Target) -> dict[str, object]:
    """The facts with one of two levels set."""
    first, _, second = path.partition(".")
    inner = facts.get(first)
    return {**facts, first: {**(inner if isinstance(inner, dict) else {}), second: value}}
