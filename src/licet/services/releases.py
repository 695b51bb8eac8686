"""Which release brought what: the event that put a catalog, or one version of a plan or add-on, into force."""

from collections.abc import Iterator

from licet.core.catalog import decode_catalog
from licet.core.compiled import CompiledCatalog, VersionKey
from licet.core.offer import addon_versions
from licet.core.terms import Terms
from licet.services.ports import View
from licet.services.truth import Snapshots


async def released_in(view: View, catalog: CompiledCatalog, terms: Terms, snapshots: Snapshots) -> dict[str, str]:
    """Return the id of the event that released the catalog, by ``catalog``, and each item of the terms, by its name.

    An item's name is ``plan team@2026-01``. What no release has is left out.
    """
    wanted = {"catalog": catalog.revision}
    for kind, item, version in dict.fromkeys(_versions(catalog, terms)):
        revision = await _first_with(view, catalog, (kind, item, version), snapshots)
        if revision is not None:
            wanted[f"{kind} {item}@{version}"] = revision
    events = {revision: await _event_of(view, revision, snapshots) for revision in set(wanted.values())}
    return {name: event for name, revision in wanted.items() if (event := events[revision]) is not None}


def _versions(catalog: CompiledCatalog, terms: Terms) -> Iterator[VersionKey]:
    """What was bought or is planned, what it was moved to, and what a trial of either falls to."""
    for one in terms.subscriptions:
        for phase in (*one.phases, *(() if one.schedule is None else one.schedule.phases)):
            for item in phase.items:
                key = (item.kind, item.id, item.version)
                yield key
                if one.trial_end is not None:
                    yield from _fallen(catalog, key)
    for move in terms.moves:
        key = (move.kind, move.item, move.to_version)
        yield key
        yield from _fallen(catalog, key)


def _fallen(catalog: CompiledCatalog, key: VersionKey) -> Iterator[VersionKey]:
    """What a trial of a plan falls to; a move may lie over that in turn."""
    version = catalog.versions.get(key)
    if version is not None and version.then is not None:
        yield version.then


async def _first_with(view: View, catalog: CompiledCatalog, item: VersionKey, snapshots: Snapshots) -> int | None:
    """Return the first revision that has a version: released versions stay, so it is found by halving."""
    if item not in catalog.versions:
        return None
    key = (view.workspace.id, "/".join(item))
    known = snapshots.releases.get(key)
    if known is not None:
        return int(known)
    without, having = 0, catalog.revision
    while having - without > 1:
        middle = (without + having) // 2
        row = await view.catalog(middle)
        if row is not None and _has(row.doc, item):
            having = middle
        else:
            without = middle
    return int(snapshots.releases.put(key, str(having)))


def _has(doc: bytes, item: VersionKey) -> bool:
    kind, name, version = item
    catalog = decode_catalog(doc)
    if kind == "plan":
        return name in catalog.plans and version in catalog.plans[name].versions
    return name in catalog.addons and version in addon_versions(catalog.addons[name])


async def _event_of(view: View, revision: int, snapshots: Snapshots) -> str | None:
    """Return the event that released a revision."""
    key = (view.workspace.id, f"@{revision}")
    known = snapshots.releases.get(key)
    if known is not None:
        return known
    row = await view.catalog(revision)
    if row is None:
        return None
    # A row carries the sequence of its transaction's last event, which need not be the release itself.
    found = await view.events_about(["catalog"], before=row.seq + 1, limit=1)
    return snapshots.releases.put(key, found[0].id) if found and found[0].revision == revision else None
