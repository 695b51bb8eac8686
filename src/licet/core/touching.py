"""What a release can touch of customers whose terms stay: found from the two catalogs alone, to look at nothing else.

Everything here errs on the side of more: a feature that is named may still not differ for anybody.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from licet.core.compiled import CompiledCatalog, CompiledFeature, CompiledInclude, Gate, VersionKey
from licet.core.policies import CompiledPolicy
from licet.core.policy import Condition
from licet.core.terms import Terms

EVERYTHING: Final = frozenset(("id", "region", "country", "attributes"))
"""All that conditions can read of a customer itself."""


class Reach(Struct, frozen=True):
    """How far a release reaches. ``features`` are those whose rights may differ.

    It holds for terms that name none of ``uncommon``: versions that only one of the two catalogs has.
    """

    features: frozenset[str]
    uncommon: frozenset[VersionKey]

    def holds_for(self, terms: Terms) -> bool:
        """Return whether nothing in these terms names a version that only one of the catalogs has."""
        return not self.uncommon or self.uncommon.isdisjoint(_named(terms))


def reach_of(before: CompiledCatalog, after: CompiledCatalog) -> Reach | None:
    """Return how far replacing one catalog by another reaches; None where that cannot be told.

    Where it can, the same terms have the same shape under both at every instant.
    """
    uncommon = frozenset(before.versions.keys() ^ after.versions.keys())
    if not _same_course(before, after, uncommon):
        return None
    touched = set(before.features.keys() ^ after.features.keys())
    for key in before.features.keys() & after.features.keys():
        documents = before.document.features[key], after.document.features[key]
        if documents[0] != documents[1] or _of_feature(before.features[key]) != _of_feature(after.features[key]):
            touched.add(key)
    for name in before.versions.keys() & after.versions.keys():
        was, now = before.versions[name].includes, after.versions[name].includes
        touched |= {
            key
            for key in was.keys() | now.keys()
            if key not in was or key not in now or _of_include(was[key]) != _of_include(now[key])
        }
    for catalog in (before, after):
        for version in catalog.versions.values():
            touched |= {key for key, include in version.includes.items() if include.per_seat in touched}
    found = _by_policies(before, after, touched)
    return None if found is None else Reach(frozenset(found), uncommon)


def _same_course(before: CompiledCatalog, after: CompiledCatalog, uncommon: frozenset[VersionKey]) -> bool:
    """Whether trials, ladders and windows run the same for terms that name no uncommon version."""
    if before.default_zone != after.default_zone:
        return False
    if before.ladders != after.ladders or before.cohorts != after.cohorts:
        return False
    for key in before.versions.keys() & after.versions.keys():
        was, now = before.versions[key], after.versions[key]
        if (was.trial, was.then, was.ladder, was.ladder_id) != (now.trial, now.then, now.ladder, now.ladder_id):
            return False
        if was.then in uncommon:
            return False
    return _windows(before, uncommon) == _windows(after, uncommon)


def _windows(catalog: CompiledCatalog, uncommon: frozenset[VersionKey]) -> dict[object, object]:
    found: dict[object, object] = {
        key: feature.gate.window for key, feature in catalog.features.items() if feature.gate.window is not None
    }
    for name, version in catalog.versions.items():
        for key, include in version.includes.items():
            # A window of the feature closes an include too, so where such an include comes or goes counts as well.
            if name not in uncommon and (include.gate.window or catalog.features[key].gate.window) is not None:
                found[name, key] = include.gate.window
    return found


def _by_policies(before: CompiledCatalog, after: CompiledCatalog, touched: set[str]) -> set[str] | None:
    """The touched features and those on which policies act that differ or read what is held; None for all of them."""
    was, now = before.document.policies, after.document.policies
    differing = {key for key in was.keys() | now.keys() if was.get(key) != now.get(key)}
    for policy in (*_policies(before), *_policies(after)):
        if policy.id in differing or (touched and policy.bends):
            if policy.features is None:
                return None
            touched = touched | policy.features
    return touched


def _policies(catalog: CompiledCatalog) -> Iterator[CompiledPolicy]:
    yield from catalog.policies.settled
    yield from catalog.policies.asking


def _of_feature(one: CompiledFeature) -> tuple[object, ...]:
    named = one.type, one.merge, one.scale, one.per, one.at_limit, one.unit, one.title, one.values, _of_gate(one.gate)
    return *named, one.each, one.length, one.warn_at, one.carry_overage, one.anew, one.overage_limit


def _of_include(one: CompiledInclude) -> tuple[object, ...]:
    named = one.amount, one.value, one.per, one.per_seat, one.at_limit, one.priority, _of_gate(one.gate)
    return *named, one.rollover, one.release, one.overage_limit


def _of_gate(one: Gate) -> tuple[object, ...]:
    return one.deployments, one.regions, None if one.condition is None else one.condition.source, one.window


def _named(terms: Terms) -> Iterator[VersionKey]:
    """Every version that terms name, now or ever."""
    for subscription in terms.subscriptions:
        phases = subscription.phases
        if subscription.schedule is not None:
            phases += subscription.schedule.phases
        for phase in phases:
            for item in phase.items:
                yield item.kind, item.id, item.version
    for move in terms.moves:
        yield move.kind, move.item, move.from_version
        yield move.kind, move.item, move.to_version


def customer_reads(catalogs: Iterable[CompiledCatalog]) -> frozenset[str]:
    """Return what of a customer itself is read by conditions that are weighed with each right."""
    found = set[str]()
    for catalog in catalogs:
        for gate in _gates(catalog):
            if gate.regions is not None:
                found.add("region")
        for condition in _conditions(catalog):
            for path in condition.reads:
                root, _, rest = path.partition(".")
                # A region that is not asked about is the customer's own.
                if path in ("context", "context.region"):
                    found.add("region")
                elif root == "customer" and rest in ("id", "region", "country"):
                    found.add(rest)
                elif root.startswith("customer"):
                    found |= {"attributes"} if rest.startswith("attributes") else EVERYTHING
    return frozenset(found)


def _gates(catalog: CompiledCatalog) -> Iterator[Gate]:
    for feature in catalog.features.values():
        yield feature.gate
    for version in catalog.versions.values():
        for include in version.includes.values():
            yield include.gate


def _conditions(catalog: CompiledCatalog) -> Iterator[Condition]:
    yield from (gate.condition for gate in _gates(catalog) if gate.condition is not None)
    yield from (policy.condition for policy in catalog.policies.asking)
