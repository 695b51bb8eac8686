"""From one subscription to the next: what an order makes of it, phase by phase, with its dates and pauses."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec import structs

from licet.core.compiled import CompiledCatalog
from licet.core.instant import parse_duration
from licet.core.orderlines import Drafting
from licet.core.orders import OrderDocument, Resolved, ScheduledLines
from licet.core.rhythm import restarted
from licet.core.terms import MAX_PAUSES, Item, Pause, Phase, Subscription
from licet.core.timeline import item_key
from licet.core.trail import Moves
from licet.core.trial import Trial, read_trial, still_fallen, tells_trial, versions_tried


def begin_subscription(
    catalog: CompiledCatalog,
    order: OrderDocument,
    wanted: Sequence[Resolved],
    drafting: Drafting,
    *,
    named: str,
    zone: str | None,
    event: str | None,
    moves: Moves = (),
) -> Subscription:
    """Return the subscription that an order begins, without its payment facts; ``zone`` where the order names none."""
    first = Phase(starts_at=order_start(order), items=_items(_now(wanted), (), drafting), event=event)
    pinned = _zone(catalog, order.zone, zone, drafting)
    trial = read_trial(catalog, order, first.items, zone=pinned, moves=moves)
    made = Subscription(
        id=named,
        phases=_Planning(catalog, order, wanted, drafting, trial, event).after((), (first,)),
        source=order.source,
        external_id=order.external_id,
        zone=pinned,
        event=event,
    )
    return _dated(made, order, trial, drafting, event=event)


def continue_subscription(
    catalog: CompiledCatalog,
    before: Subscription,
    order: OrderDocument,
    wanted: Sequence[Resolved],
    drafting: Drafting,
    *,
    event: str | None,
    moves: Moves = (),
) -> Subscription:
    """Return the subscription as a newer order wants it: items that stay keep the version in which they were bought.

    What was planned for its ``effective_at`` or later falls away; only that order's own plan follows. An order that
    has ended and names nothing known here ends what there is. ``moves`` are those of the subscription, which go on
    lying over what is bought.
    """
    effective = order.effective_at or order.occurred_at
    start = order.starts_at or before.phases[0].starts_at
    kept = tuple(phase for phase in before.phases if phase.starts_at < effective)
    planned = before.phases[len(kept) :]
    had = (kept or before.phases)[-1 if kept else 0].items
    now = _now(wanted)
    items = _items(now, had, drafting, versions_tried(catalog, before, moves)) if now or not has_ended(order) else had
    zone = _zone(catalog, order.zone, before.zone, drafting)
    trial = read_trial(catalog, order, items, zone=zone, before=before, moves=moves)
    if not kept:
        first = before.phases[0]
        same = first.items == items and first.starts_at == start
        phases: tuple[Phase, ...] = (first if same else Phase(starts_at=start, items=items, event=event),)
    else:
        if start != kept[0].starts_at and (len(kept) == 1 or start < kept[1].starts_at) and start <= effective:
            kept = (structs.replace(kept[0], starts_at=start), *kept[1:])
        left = None if items is had else trial.left_of(catalog, kept[-1], effective)
        if left is not None and tells_trial(order):
            items = still_fallen(items, left)
        same = kept[-1].items == items if left is None else tuple(sorted(items, key=item_key)) == left.items
        phases = kept if same else (*kept, _phase(planned, Phase(starts_at=effective, items=items, event=event)))
    phases = _Planning(catalog, order, wanted, drafting, trial, event).after(planned, phases)
    after = _dated(structs.replace(before, phases=phases, zone=zone), order, trial, drafting, event=event)
    return restarted(catalog, before, after, max(effective, order.occurred_at))


def order_start(order: OrderDocument) -> datetime:
    """Return when the subscription begins that an order begins."""
    return order.starts_at or order.effective_at or order.occurred_at


def has_ended(order: OrderDocument) -> bool:
    """Whether an order tells of an end that had come when it happened."""
    return order.ends_at is not None and order.ends_at <= order.occurred_at


def lasts_never(order: OrderDocument, start: datetime) -> bool:
    """Whether an order ends what begins at ``start`` before it began, or plans that it ends in that very instant.

    What was begun and taken back at once has ended, and nothing is wrong about that.
    """
    if order.ends_at is None:
        return False
    return order.ends_at < start or (order.ends_at == start and not has_ended(order))


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


class _Planning(NamedTuple):
    """What is the same for all steps that an order plans."""

    catalog: CompiledCatalog
    order: OrderDocument
    wanted: Sequence[Resolved]
    drafting: Drafting
    trial: Trial
    event: str | None

    def after(self, before: tuple[Phase, ...], begun: tuple[Phase, ...]) -> tuple[Phase, ...]:
        """The phases that have ``begun`` and those that the order plans; where it plans nothing new, none begins.

        ``before`` are those that were planned for then.
        """
        if not self.order.scheduled:
            return begun
        phases = list(begun)
        planned = tuple(item for phase in before if phase != begun[-1] for item in phase.items)
        for step in sorted(self.order.scheduled, key=lambda one: one.effective_at):
            last = phases[-1]
            items = planned_items(step, self.wanted, last.items, self.drafting, planned)
            left = self.trial.left_of(self.catalog, last, step.effective_at)
            if items is None or (items == last.items if left is None else sorted(items, key=item_key) == [*left.items]):
                continue
            if not items and (self.order.ends_at is None or step.effective_at < self.order.ends_at):
                begins = step.effective_at.isoformat()
                words = f"the step planned for {begins} has no lines: from then on the subscription gives nothing"
                self.drafting.add("nothing_sold", words, about=begins, effective_at=begins)
            if step.effective_at <= last.starts_at:
                phases[-1] = _phase(before, structs.replace(last, items=items, event=self.event))
            else:
                phases.append(_phase(before, Phase(starts_at=step.effective_at, items=items, event=self.event)))
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
        if want.after_sale and not any(one.version == version for one in staying):
            words = f"{want.id}@{version} was bought after it was withdrawn from sale; it was given all the same"
            drafting.add("bought_after_sale", words, about=f"{want.id}@{version}", item=want.id, version=version)
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
    subscription: Subscription,
    order: OrderDocument,
    trial: Trial,
    drafting: Drafting,
    *,
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
        trial_start=trial.start,
        trial_end=trial.end,
        trial_end_behavior=trial.behavior,
        anchor=order.anchor,
        period=period,
        occurred_at=order.occurred_at,
        sequence=order.sequence,
        final=order.final,
        schedule=None if order.final else subscription.schedule,
    )
    starts_at = subscription.phases[0].starts_at
    if order.ends_at is not None and lasts_never(order, starts_at):
        ends, starts = order.ends_at.isoformat(), starts_at.isoformat()
        words = f"the order ends at {ends}, before its start at {starts}; it gives nothing"
        drafting.add("ends_before_start", words, ends_at=ends, starts_at=starts)
    if order.trial_start is not None and trial.end is None:
        words = "the order begins a trial without an end, but no plan in it has a trial; it is sold without one"
        drafting.add("no_trial", words, trial_start=order.trial_start.isoformat())
    return _paused(dated, order, event)


def _paused(subscription: Subscription, order: OrderDocument, event: str | None) -> Subscription:
    """The pauses after an order: its own list, or one opened or closed at ``occurred_at``.

    Not being paused after a trial that ends with ``pause`` is a resumption: the trial's pause gets an end. Whatever
    later orders say of that trial, what was told not to be paused stays so.
    """
    at, trial_end = order.occurred_at, subscription.trial_end
    resumes = order.paused is False and order.pauses is None
    pauses = list(subscription.pauses if order.pauses is None else order.pauses)
    if trial_end is not None and subscription.trial_end_behavior == "pause":
        told = subscription.unpaused_at is not None and trial_end <= subscription.unpaused_at
        if told or (resumes and trial_end <= at):
            subscription = structs.replace(subscription, trial_end_behavior="convert")
        if not told and resumes and trial_end < at and all(one.starts_at != trial_end for one in pauses):
            pauses.append(Pause(starts_at=trial_end, ends_at=at, event=event))
    running = [one for one in pauses if one.starts_at <= at and (one.ends_at is None or one.ends_at > at)]
    if order.paused and order.pauses is None and not running:
        pauses.append(Pause(starts_at=at, event=event))
    if resumes:
        pauses = [structs.replace(one, ends_at=at) if one in running else one for one in pauses]
        pauses = [one for one in pauses if one.ends_at is None or one.starts_at < one.ends_at]
    unpaused_at = at if resumes else subscription.unpaused_at
    return structs.replace(subscription, pauses=newest_pauses(pauses), unpaused_at=unpaused_at)


def newest_pauses(pauses: Sequence[Pause]) -> tuple[Pause, ...]:
    """Return as many pauses as are kept: beyond ``MAX_PAUSES`` those that ended first are forgotten."""
    over = sorted((one.ends_at, place) for place, one in enumerate(pauses) if one.ends_at is not None)
    forgotten = {place for _, place in over[: max(0, len(pauses) - MAX_PAUSES)]}
    return tuple(one for place, one in enumerate(pauses) if place not in forgotten)
