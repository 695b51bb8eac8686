"""From one subscription to the next: what an order makes of it, phase by phase, with its dates and pauses."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import structs

from licet.core.compiled import CompiledCatalog
from licet.core.instant import Instant, add_duration, parse_duration, to_datetime, to_instant
from licet.core.orderlines import Drafting
from licet.core.orders import OrderDocument, Resolved, ScheduledLines
from licet.core.terms import Item, Pause, Phase, Subscription, TrialEnd


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
    first = Phase(starts_at=order_start(order), items=_items(_now(wanted), (), drafting), event=event)
    pinned = _zone(catalog, order.zone, zone, drafting)
    made = Subscription(
        id=named,
        phases=_planned((), (first,), order, wanted, drafting, event=event),
        source=order.source,
        external_id=order.external_id,
        zone=pinned,
        event=event,
    )
    return _dated(catalog, made, order, first.items, drafting, event=event)


def continue_subscription(
    catalog: CompiledCatalog,
    before: Subscription,
    order: OrderDocument,
    wanted: Sequence[Resolved],
    drafting: Drafting,
    *,
    event: str | None,
) -> Subscription:
    """Return the subscription as a newer order wants it: items that stay keep their version.

    What was planned for its ``effective_at`` or later falls away; only that order's own plan follows. An order that
    has ended and names nothing known here ends what there is.
    """
    effective = order.effective_at or order.occurred_at
    start = order.starts_at or before.phases[0].starts_at
    kept = tuple(phase for phase in before.phases if phase.starts_at < effective)
    had = (kept or before.phases)[-1 if kept else 0].items
    now = _now(wanted)
    items = _items(now, had, drafting) if now or not has_ended(order) else had
    if not kept:
        first = before.phases[0]
        same = first.items == items and first.starts_at == start
        phases: tuple[Phase, ...] = (first if same else Phase(starts_at=start, items=items, event=event),)
    else:
        if start != kept[0].starts_at and (len(kept) == 1 or start < kept[1].starts_at) and start <= effective:
            kept = (structs.replace(kept[0], starts_at=start), *kept[1:])
        same = kept[-1].items == items
        phases = kept if same else (*kept, _phase(before.phases, Phase(starts_at=effective, items=items, event=event)))
    phases = _planned(before.phases, phases, order, wanted, drafting, event=event)
    changed = structs.replace(before, phases=phases, zone=_zone(catalog, order.zone, before.zone, drafting))
    return _dated(catalog, changed, order, items, drafting, event=event)


def order_start(order: OrderDocument) -> datetime:
    """Return when the subscription begins that an order begins."""
    return order.starts_at or order.effective_at or order.occurred_at


def has_ended(order: OrderDocument) -> bool:
    """Whether an order tells of an end that had come when it happened."""
    return order.ends_at is not None and order.ends_at <= order.occurred_at


def planned_items(
    step: ScheduledLines,
    wanted: Sequence[Resolved],
    had: tuple[Item, ...],
    drafting: Drafting,
    planned: tuple[Item, ...] = (),
) -> tuple[Item, ...] | None:
    """Return the items of a planned step; None if it has lines and none of them means anything here.

    An item keeps the version it has just before (``had``), else the one in which it was ``planned`` already.
    """
    meant = [one for one in wanted if one.from_ == step.effective_at]
    if step.lines and not meant:
        return None
    return _items(meant, had, drafting, planned)


def _planned(
    before: tuple[Phase, ...],
    begun: tuple[Phase, ...],
    order: OrderDocument,
    wanted: Sequence[Resolved],
    drafting: Drafting,
    *,
    event: str | None,
) -> tuple[Phase, ...]:
    """The phases that have ``begun`` and those that the order plans; where it plans nothing new, none begins."""
    phases = list(begun)
    planned = tuple(item for phase in before if phase not in begun for item in phase.items)
    for step in sorted(order.scheduled, key=lambda one: one.effective_at):
        last = phases[-1]
        items = planned_items(step, wanted, last.items, drafting, planned)
        if items is None or items == last.items:
            continue
        if step.effective_at <= last.starts_at:
            phases[-1] = _phase(before, structs.replace(last, items=items, event=event))
        else:
            phases.append(_phase(before, Phase(starts_at=step.effective_at, items=items, event=event)))
    return tuple(phases)


def _now(wanted: Sequence[Resolved]) -> list[Resolved]:
    """What an order's own lines mean, without what it plans."""
    return [one for one in wanted if one.from_ is None]


def _phase(before: tuple[Phase, ...], wanted: Phase) -> Phase:
    """The phase that is already there where it says the same, so that its origin stays the first event."""
    for phase in before:
        if (phase.starts_at, phase.items) == (wanted.starts_at, wanted.items):
            return phase
    return wanted


def _items(
    wanted: Sequence[Resolved], before: tuple[Item, ...], drafting: Drafting, planned: tuple[Item, ...] = ()
) -> tuple[Item, ...]:
    """The items with their versions: a stated one, else that of the item that stays, else the one then on sale."""
    items = []
    for want in wanted:
        staying = _same(before, want) or _same(planned, want)
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


def _same(items: tuple[Item, ...], want: Resolved) -> list[Item]:
    """The items of the wanted one's name, that of its own line first."""
    found = [one for one in items if (one.kind, one.id, one.bundle) == want.name]
    return sorted(found, key=lambda one: one.line != want.line)


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
    items: tuple[Item, ...],
    drafting: Drafting,
    *,
    event: str | None,
) -> Subscription:
    """The subscription with everything of the order that is not items (its lines are ``items``) or payments."""
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
        trial_end_behavior=order.trial_end_behavior or _after_trial(catalog, items, order),
        anchor=order.anchor,
        period=period,
        occurred_at=order.occurred_at,
        sequence=order.sequence,
        final=order.final,
        schedule=None if order.final else subscription.schedule,
    )
    starts_at = subscription.phases[0].starts_at
    if order.ends_at is not None and order.ends_at < starts_at:
        ends, starts = order.ends_at.isoformat(), starts_at.isoformat()
        words = f"the order ends at {ends}, before its start at {starts}; it gives nothing"
        drafting.add("ends_before_start", words, ends_at=ends, starts_at=starts)
    if order.trial_start is not None and order.trial_end is None:
        dated = structs.replace(dated, trial_end=_trial_end(catalog, dated.zone, items, to_instant(order.trial_start)))
        if dated.trial_end is None:
            words = "the order begins a trial without an end, but no plan in it has a trial; it is sold without one"
            drafting.add("no_trial", words, trial_start=order.trial_start.isoformat())
    return _paused(dated, order, event)


def _after_trial(catalog: CompiledCatalog, items: tuple[Item, ...], order: OrderDocument) -> TrialEnd:
    """What follows a trial where the order does not say: what the plan version says, if it speaks about trials."""
    found = [catalog.versions.get((one.kind, one.id, one.version)) for one in items]
    plans = [one for one in found if one is not None]
    own = order.trial_end is None and order.trial_start is not None and any(one.trial is not None for one in plans)
    falls = order.trial_end is not None and any(one.then is not None for one in plans)
    return "fall" if own or falls else "convert"


def _trial_end(catalog: CompiledCatalog, zone: str | None, items: tuple[Item, ...], start: Instant) -> datetime | None:
    """The end of a trial that lasts as long as the bought plan version says."""
    for item in items:
        found = catalog.versions.get((item.kind, item.id, item.version))
        if found is not None and found.trial is not None:
            return to_datetime(add_duration(start, found.trial, catalog.zone(zone)))
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
        known = [pause for pause in pauses if pause.starts_at == trial_end]
        # A pause that lasts is no resumption: the same said twice must make no difference.
        if not order.paused or any(pause.ends_at is not None for pause in known):
            subscription = structs.replace(subscription, trial_end_behavior="convert")
        if trial_end < at and not known and not order.paused:
            pauses.append(Pause(starts_at=trial_end, ends_at=at, event=event))
    running = [one for one in pauses if one.starts_at <= at and (one.ends_at is None or one.ends_at > at)]
    if order.paused and not running:
        pauses.append(Pause(starts_at=at, event=event))
    if not order.paused:
        pauses = [structs.replace(one, ends_at=at) if one in running else one for one in pauses]
        pauses = [one for one in pauses if one.ends_at is None or one.starts_at < one.ends_at]
    return structs.replace(subscription, pauses=tuple(pauses))
