"""All rights of a customer on one page: the shape for the wire, with the customer's own ids and instants."""

from typing import Literal

import msgspec
from msgspec import Struct

from licet.core.compiled import CompiledCatalog, CompiledFeature
from licet.core.derive import Entitlements
from licet.core.entitlement import Entitlement, Source, merged_amount, merged_at_limit, merged_value
from licet.core.instant import BEGINNING, FOREVER, Instant, format_instant
from licet.core.views import Number, wire_amount
from licet.core.words import gate_words


class StandingView(Struct, frozen=True, kw_only=True):
    """How one subscription stands."""

    subscription: str
    standing: str
    since: str | None
    until: str | None
    restricted: tuple[str, ...]


class ContributionView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one source gives. ``conditions`` are those that a question's user or context must meet."""

    kind: str
    id: str
    item: str | None = None
    gives: bool = False
    reasons: tuple[str, ...] = ()
    amount: Number | None = None
    value: str | None = None
    per: str | None = None
    conditions: tuple[str, ...] = ()


class EntitlementView(Struct, frozen=True, kw_only=True):
    """One feature. ``amount`` and ``value`` are as if every condition on user and context were met."""

    feature: str
    title: str
    type: str
    mode: str
    on: bool
    """Whether some source gives it, and nothing denies it for certain."""
    amount: Number | None
    value: str | None
    at_limit: Literal["block", "warn", "overage"]
    per: str | None
    denied: tuple[str, ...]
    """The overrides in force that deny it, some perhaps only under conditions."""
    sources: tuple[ContributionView, ...]
    """Allowances in the order in which they burn; anything else in canonical order."""


class EntitlementsView(Struct, frozen=True, kw_only=True):
    """Everything a customer may do, unchanged from ``good_from`` until ``good_until``."""

    customer: str
    good_from: str | None
    good_until: str | None
    suspended: bool
    standings: tuple[StandingView, ...]
    features: tuple[EntitlementView, ...]
    breaches: tuple[str, ...]


def view_entitlements(catalog: CompiledCatalog, entitlements: Entitlements) -> EntitlementsView:
    """Return all rights for the wire; features without any source are left out."""
    return EntitlementsView(
        customer=entitlements.customer,
        good_from=_when(entitlements.good_from),
        good_until=_when(entitlements.good_until),
        suspended=entitlements.suspended,
        standings=tuple(
            StandingView(
                subscription=held.subscription.id,
                standing=held.standing.kind,
                since=_when(held.standing.since),
                until=_when(held.standing.until),
                restricted=held.standing.restricted,
            )
            for held in entitlements.held
        ),
        features=tuple(
            _feature(catalog.features[name], entitlements, given) for name, given in entitlements.rights.items()
        ),
        breaches=tuple(breach.words for breach in entitlements.breaches),
    )


def encode_entitlements(catalog: CompiledCatalog, entitlements: Entitlements) -> bytes:
    """Return all rights as JSON; the same bytes in every process."""
    return msgspec.json.encode(view_entitlements(catalog, entitlements), order="deterministic")


def _feature(feature: CompiledFeature, entitlements: Entitlements, given: Entitlement) -> EntitlementView:
    """One feature's sources and what they give together."""
    live = [source for source in given.sources if not source.blocked]
    certain = any(not denial.gate.asks for denial in given.denials)
    ordered = sorted(given.sources, key=lambda one: one.burn) if feature.merge == "sum" else given.sources
    return EntitlementView(
        feature=feature.id,
        title=feature.title,
        type=feature.type,
        mode=feature.mode,
        on=bool(live) and not certain and not entitlements.suspended,
        amount=wire_amount(merged_amount(feature, live), feature.scale) if feature.counted and live else None,
        value=merged_value(feature, live),
        at_limit=merged_at_limit(live) if live else feature.at_limit,
        per=feature.per,
        denied=tuple(entitlements.overrides[denial.place].id for denial in given.denials),
        sources=tuple(_contribution(feature, entitlements, source) for source in ordered),
    )


def _contribution(feature: CompiledFeature, entitlements: Entitlements, source: Source) -> ContributionView:
    """One source."""
    overriding = source.kind == "override"
    held = entitlements.overrides[source.place] if overriding else entitlements.held[source.place].subscription
    return ContributionView(
        kind=source.kind,
        id=held.id,
        item=None if overriding else f"{source.id}@{source.version}",
        gives=not source.blocked,
        reasons=tuple(str(reason) for reason in source.blocked),
        amount=None if source.amount is None else wire_amount(source.amount, feature.scale),
        value=source.value,
        per=source.per,
        conditions=tuple(gate_words(gate) for gate in (feature.gate, source.gate) if gate.asks),
    )


def _when(at: Instant) -> str | None:
    """An instant for the wire; None for ever and never."""
    return None if at <= BEGINNING or at >= FOREVER else format_instant(at)
