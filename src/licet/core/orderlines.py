"""From order lines to items and phases: what was sold, in which version, from when."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import structs

from licet.core.compiled import CompiledCatalog, ItemKind
from licet.core.instant import Instant, add_duration, parse_duration, to_datetime, to_instant
from licet.core.offer import addon_version_at, plan_version_at
from licet.core.orders import Evidence, FindingDraft, OrderDocument, OrderLine, Resolved, name_parts
from licet.core.terms import Item, Pause, Phase, Subscription, TrialEnd


class Drafting:
    """The findings of one placement, all about one foreign subscription."""

    def __init__(self, source: str, external_id: str, *, silent: bool = False) -> None:
        self.silent = silent
        """Nobody will read them."""
        self.subject = ":".join(name_parts(source, external_id))
        self.findings: list[FindingDraft] = []

    def add(self, kind: str, words: str, *, about: str = "", **evidence: Evidence) -> None:
        """Note a finding of medium severity."""
        subject = f"{self.subject}/{about}" if about else self.subject
        self.findings.append(
            FindingDraft(kind=kind, severity="medium", subject=subject, words=words, evidence=dict(evidence))
        )


Sellers = Mapping[tuple[str, str, str | None], CompiledCatalog]
"""By the name of an item, the catalog whose offers say which version of it was on sale."""


def read_lines(
    catalog: CompiledCatalog, order: OrderDocument, drafting: Drafting, sellers: Sellers | None = None
) -> tuple[Resolved, ...]:
    """Return the items that the lines mean, bundles expanded; a line that means nothing here becomes a finding.

    An item that ``sellers`` name is dated by that catalog instead of ``catalog``.
    """
    found: list[Resolved] = []
    for line in order.lines:
        said = [name for name in (line.price, line.plan, line.addon, line.bundle) if name is not None]
        if len(said) != 1:
            words = f"a line names {len(said)} of price, plan, addon, bundle; exactly one is allowed"
            drafting.add("unclear_line", words, about=line.line or "", named=said)
            continue
        for item in _line_items(catalog, order.source, line, drafting):
            stated = _stated(catalog, item, drafting)
            dated = _sold((sellers or {}).get(item.name, catalog), item, line.bought_at or order.occurred_at)
            found.append(structs.replace(dated, stated=stated))
    return tuple(found)


def _line_items(catalog: CompiledCatalog, source: str, line: OrderLine, drafting: Drafting) -> list[Resolved]:
    """The items of one line, not yet dated."""
    plan, addon, bundle, version, counted = line.plan, line.addon, line.bundle, line.version, line.quantity_of
    if line.price is not None:
        sold = catalog.document.orders.get(source, {}).get(line.price)
        if sold is None:
            words = f"price {line.price} means nothing here; add it to orders.{source} in the catalog"
            drafting.add("unknown_price", words, about=line.price, price=line.price, line=line.line)
            return []
        plan, addon, bundle = sold.plan, sold.addon, sold.bundle
        version, counted = version or sold.version, counted or sold.quantity
    document = catalog.document
    kinds: list[tuple[ItemKind, str]] = []
    of_bundle = None
    if plan is not None and plan in document.plans:
        kinds = [("plan", plan)]
    elif addon is not None and addon in document.addons:
        kinds = [("addon", addon)]
    elif bundle is not None and bundle in document.bundles:
        parts = document.bundles[bundle]
        kinds = [("plan", parts.plan), *(("addon", one) for one in parts.addons)]
        version, of_bundle = None, bundle
    else:
        name = plan or addon or bundle or ""
        words = f"{name} is no plan, add-on or bundle of the catalog; correct the line or add it"
        drafting.add("unknown_item", words, about=name, item=name, line=line.line)
    return [
        Resolved(
            kind=kind,
            id=one,
            stated=version,
            sold="",
            revision=catalog.revision,
            quantity=line.quantity,
            quantity_of=counted,
            bundle=of_bundle,
            line=line.line,
        )
        for kind, one in kinds
    ]


def _stated(catalog: CompiledCatalog, item: Resolved, drafting: Drafting) -> str | None:
    """The version that is stated, if the catalog has it."""
    if item.stated is None or (item.kind, item.id, item.stated) in catalog.versions:
        return item.stated
    words = f"{item.id}@{item.stated} is not in the catalog; the version on sale at the time was taken"
    drafting.add("unknown_version", words, about=f"{item.id}@{item.stated}", item=item.id, version=item.stated)
    return None


def _sold(catalog: CompiledCatalog, item: Resolved, bought_at: datetime) -> Resolved:
    """The item with the version on sale when it was bought; the first one for a purchase before all sale."""
    at = to_instant(bought_at)
    document = catalog.document
    if item.kind == "plan":
        sold = plan_version_at(document.plans[item.id], at)
    else:
        sold = addon_version_at(document.addons[item.id], at)
    first = catalog.version_at(item.kind, item.id, at) or ""
    return structs.replace(item, sold=sold or first, revision=catalog.revision, before_sale=sold is None)


def begin_subscription(
    catalog: CompiledCatalog,
    order: OrderDocument,
    wanted: Sequence[Resolved],
    drafting: Drafting,
    *,
    named: str,
    zone: str | None,
    event: str | None,
) -> Subscription:
    """Return the subscription that an order begins, without its payment facts; ``zone`` where the order names none."""
    start = order.starts_at or order.effective_at or order.occurred_at
    first = Phase(starts_at=start, items=_items(wanted, (), drafting), event=event)
    pinned = _zone(catalog, order.zone, zone, drafting)
    made = Subscription(
        id=named, phases=(first,), source=order.source, external_id=order.external_id, zone=pinned, event=event
    )
    return _dated(catalog, made, order, drafting, event)


def continue_subscription(
    catalog: CompiledCatalog,
    before: Subscription,
    order: OrderDocument,
    wanted: Sequence[Resolved],
    drafting: Drafting,
    *,
    event: str | None,
) -> Subscription:
    """Return the subscription as a newer order wants it: items that stay keep their version, later phases fall away.

    An order that has ended and names nothing known here ends what there is.
    """
    effective = order.effective_at or order.occurred_at
    start = order.starts_at or before.phases[0].starts_at
    kept = tuple(phase for phase in before.phases if phase.starts_at < effective)
    had = (kept or before.phases)[-1 if kept else 0].items
    items = _items(wanted, had, drafting) if wanted or not has_ended(order) else had
    if not kept:
        first = before.phases[0]
        same = first.items == items and first.starts_at == start
        phases: tuple[Phase, ...] = (first if same else Phase(starts_at=start, items=items, event=event),)
    else:
        if start != kept[0].starts_at and (len(kept) == 1 or start < kept[1].starts_at) and start <= effective:
            kept = (structs.replace(kept[0], starts_at=start), *kept[1:])
        same = kept[-1].items == items
        phases = kept if same else (*kept, _phase(before, Phase(starts_at=effective, items=items, event=event)))
    changed = structs.replace(before, phases=phases, zone=_zone(catalog, order.zone, before.zone, drafting))
    return _dated(catalog, changed, order, drafting, event)


def has_ended(order: OrderDocument) -> bool:
    """Whether an order tells of an end that had come when it happened."""
    return order.ends_at is not None and order.ends_at <= order.occurred_at


def _phase(before: Subscription, wanted: Phase) -> Phase:
    """The phase that is already there where it says the same, so that its origin stays the first event."""
    for phase in before.phases:
        if (phase.starts_at, phase.items) == (wanted.starts_at, wanted.items):
            return phase
    return wanted


def _items(wanted: Sequence[Resolved], before: tuple[Item, ...], drafting: Drafting) -> tuple[Item, ...]:
    """The items with their versions: a stated one, else that of the item that stays, else the one then on sale."""
    items = []
    for want in wanted:
        staying = [one for one in before if (one.kind, one.id, one.bundle) == want.name]
        staying.sort(key=lambda one: one.line != want.line)
        version = want.stated or (staying[0].version if staying else want.sold)
        if want.before_sale and want.stated is None and not staying:
            words = f"{want.id} was bought before any version of it was on sale; version {version} was taken"
            drafting.add("bought_before_sale", words, about=want.id, item=want.id, version=version)
        items.append(
            Item(
                kind=want.kind,
                id=want.id,
                version=version,
                quantity=want.quantity,
                quantity_of=want.quantity_of,
                bundle=want.bundle,
                line=want.line,
            )
        )
    return tuple(items)


def _zone(catalog: CompiledCatalog, wanted: str | None, otherwise: str | None, drafting: Drafting) -> str | None:
    """The zone that an order names, else the one that is pinned already; a name that is none becomes a finding."""
    for zone in (wanted, otherwise):
        if zone is None:
            continue
        try:
            catalog.zone(zone)
        except (KeyError, ValueError, OSError):
            words = f"{zone!r} is no time zone; write an IANA name such as Europe/Berlin"
            drafting.add("unknown_zone", words, about=zone, zone=zone)
        else:
            return zone
    return None


def _dated(
    catalog: CompiledCatalog,
    subscription: Subscription,
    order: OrderDocument,
    drafting: Drafting,
    event: str | None,
) -> Subscription:
    """The subscription with everything of the order that is not items or payments."""
    period = order.period
    try:
        parse_duration(period)
    except ValueError as error:
        drafting.add("unknown_period", str(error), period=period)
        period = "P1M"
    dated = structs.replace(
        subscription,
        ends_at=order.ends_at,
        end_event=subscription.end_event if order.ends_at == subscription.ends_at else event,
        trial_start=order.trial_start,
        trial_end=order.trial_end,
        trial_end_behavior=order.trial_end_behavior or _after_trial(catalog, subscription, order),
        anchor=order.anchor,
        period=period,
        occurred_at=order.occurred_at,
        sequence=order.sequence,
    )
    starts_at = subscription.phases[0].starts_at
    if order.ends_at is not None and order.ends_at < starts_at:
        ends, starts = order.ends_at.isoformat(), starts_at.isoformat()
        words = f"the order ends at {ends}, before its start at {starts}; it gives nothing"
        drafting.add("ends_before_start", words, ends_at=ends, starts_at=starts)
    if order.trial_start is not None and order.trial_end is None:
        dated = structs.replace(dated, trial_end=_trial_end(catalog, dated, to_instant(order.trial_start)))
        if dated.trial_end is None:
            words = "the order begins a trial without an end, but no plan in it has a trial; it is sold without one"
            drafting.add("no_trial", words, trial_start=order.trial_start.isoformat())
    return _paused(dated, order, event)


def _after_trial(catalog: CompiledCatalog, subscription: Subscription, order: OrderDocument) -> TrialEnd:
    """What follows a trial where the order does not say: what the plan version says, if it speaks about trials."""
    found = [catalog.versions.get((one.kind, one.id, one.version)) for one in subscription.phases[-1].items]
    plans = [one for one in found if one is not None]
    own = order.trial_end is None and order.trial_start is not None and any(one.trial is not None for one in plans)
    falls = order.trial_end is not None and any(one.then is not None for one in plans)
    return "fall" if own or falls else "convert"


def _trial_end(catalog: CompiledCatalog, subscription: Subscription, start: Instant) -> datetime | None:
    """The end of a trial that lasts as long as the bought plan version says."""
    for item in subscription.phases[-1].items:
        found = catalog.versions.get((item.kind, item.id, item.version))
        if found is not None and found.trial is not None:
            return to_datetime(add_duration(start, found.trial, catalog.zone(subscription.zone)))
    return None


def _paused(subscription: Subscription, order: OrderDocument, event: str | None) -> Subscription:
    """The pauses after an order: its own list, or one opened or closed at ``occurred_at``.

    Not being paused after a trial that ends with ``pause`` is a resumption: the trial's pause gets an end.
    """
    if order.pauses is not None:
        return structs.replace(subscription, pauses=order.pauses)
    if order.paused is None:
        return subscription
    at = order.occurred_at
    pauses = list(subscription.pauses)
    trial_end = subscription.trial_end
    if trial_end is not None and order.trial_end_behavior == "pause" and trial_end <= at:
        resumed = any(pause.starts_at == trial_end for pause in pauses)
        if resumed or not order.paused:
            subscription = structs.replace(subscription, trial_end_behavior="convert")
        if trial_end < at and not resumed and not order.paused:
            pauses.append(Pause(starts_at=trial_end, ends_at=at, event=event))
    running = [one for one in pauses if one.starts_at <= at and (one.ends_at is None or one.ends_at > at)]
    if order.paused and not running:
        pauses.append(Pause(starts_at=at, event=event))
    if not order.paused:
        pauses = [structs.replace(one, ends_at=at) if one in running else one for one in pauses]
        pauses = [one for one in pauses if one.ends_at is None or one.starts_at < one.ends_at]
    return structs.replace(subscription, pauses=tuple(pauses))
