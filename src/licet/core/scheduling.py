"""What a foreign system plans for a subscription apart from its orders: the newest statement counts, none other."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from msgspec import structs

from licet.core.compiled import CompiledCatalog
from licet.core.contradiction import note_breaches
from licet.core.instant import instant_words, to_instant
from licet.core.orderlines import Drafting, read_schedule
from licet.core.orders import OrderDocument, Outcome, Placement, Resolved, ScheduleNotice
from licet.core.placement import Placing, find_subscription, never_was, put_subscription, settle
from licet.core.succession import has_ended, order_start, planned_items
from licet.core.terms import Item, Phase, Schedule, Subscription, Terms
from licet.core.trail import Moves, moves_of
from licet.core.trial import Trial


class Statement(NamedTuple):
    """An order's word on what there is: its lines begin at ``start`` and were still right at ``until``."""

    start: datetime
    until: datetime
    event: str | None


class Said(NamedTuple):
    """What all orders of a subscription say that bears on a plan of it, however old the plan is."""

    statements: tuple[Statement, ...] = ()
    """In order of time; an order's own later steps are statements, too."""
    running_at: datetime | None = None
    """The newest instant at which an order knew of no end that had come."""
    unplanned_at: datetime | None = None
    """The newest instant at which an order said that nothing is planned."""


NOTHING_SAID: Final = Said()


class Spoken(NamedTuple):
    """An order that counts, whether any of its lines means anything here, and the event that holds it."""

    order: OrderDocument
    meant: bool
    event: str | None


def read_statements(orders: Sequence[Spoken]) -> Said:
    """Return what the orders of one subscription say, given those that count in the sequence in which they are folded.

    As with their phases, what an order says of its effect and later replaces what older ones planned for then.
    """
    statements: list[Statement] = []
    running_at: datetime | None = None
    unplanned_at: datetime | None = None
    begun = False
    for order, meant, event in orders:
        if not begun and (not meant or never_was(order)):
            continue
        start = (order.effective_at or order.occurred_at) if begun else order_start(order)
        begun = True
        if meant or not has_ended(order):
            statements = [one for one in statements if one.start < start]
            statements.append(Statement(start, max(start, order.occurred_at), event))
            later = sorted(step.effective_at for step in order.scheduled)
            statements += [Statement(at, at, event) for at in later]
        if not has_ended(order):
            running_at = max(running_at or order.occurred_at, order.occurred_at)
        if order.unplanned:
            unplanned_at = max(unplanned_at or order.occurred_at, order.occurred_at)
    return Said(tuple(statements), running_at, unplanned_at)


def record_schedule(
    catalog: CompiledCatalog,
    terms: Terms,
    notice: ScheduleNotice,
    *,
    event: str | None = None,
    items: tuple[Resolved, ...] | None = None,
    silent: bool = False,
    said: Said = NOTHING_SAID,
) -> Placement:
    """Return the terms with what ``notice`` plans for a known subscription, in place of what was planned before.

    ``said`` is what its orders say: they were there when it should have come true. ``items`` is what its lines meant
    when it first arrived (by default what they mean now); ``silent`` leaves findings out. An older statement is
    ``stale``, so is any of a subscription that its seller never brings back; one as old with other content is a
    ``conflict`` with a finding; ``refused``: the subscription is not known, or no line means anything here.
    """
    drafting = Drafting(notice.source, notice.external_id, silent=silent, customer=terms.customer)
    wanted = read_schedule(catalog, notice, drafting) if items is None else items
    found = find_subscription(terms, notice.source, notice.external_id)
    if found is None:
        return Placement(terms=terms, outcome="refused", subscription=None, items=wanted)
    outcome: Outcome = "applied"
    changed = found
    if found.final or (found.schedule is not None and _rank(notice) < _rank(found.schedule)):
        outcome = "stale"
    elif not wanted and any(step.lines for step in notice.phases):
        outcome = "refused"
    else:
        moves = moves_of(terms, found.id)
        planned = lay_schedule(catalog, found, notice, wanted, drafting, said=said, event=event, moves=moves)
        if found.schedule is None or _rank(notice) > _rank(found.schedule):
            changed = structs.replace(found, schedule=planned)
        elif _plain(planned) == _plain(found.schedule):
            outcome = "duplicate"
        else:
            outcome = "conflict"
            words = (
                f"two plans of {instant_words(notice.occurred_at)} want different things; the first one stays in force"
            )
            drafting.add("schedule_conflict", words, sequence=notice.sequence)
    placing = Placing(catalog, terms, None, drafting)
    placed = settle(placing, changed, outcome)
    if outcome == "applied" and not silent:
        steps = [step.effective_at for step in notice.phases]
        note_breaches(catalog, terms, placed.terms, steps, drafting)
    return structs.replace(placed, items=wanted, findings=tuple(drafting.findings))


def renew_schedule(
    catalog: CompiledCatalog,
    terms: Terms,
    notice: ScheduleNotice,
    items: tuple[Resolved, ...],
    said: Said,
    *,
    event: str | None,
) -> Terms:
    """Return the terms with a schedule laid anew over a subscription whose orders say now what is ``said``.

    What the schedule keeps, it keeps in the version that the orders say now; so it does not matter which came first.
    """
    found = find_subscription(terms, notice.source, notice.external_id)
    if found is None or found.final:
        return terms
    drafting = Drafting(notice.source, notice.external_id, silent=True)
    moves = moves_of(terms, found.id)
    schedule = lay_schedule(catalog, found, notice, items, drafting, said=said, event=event, moves=moves)
    return put_subscription(terms, structs.replace(found, schedule=schedule))


def lay_schedule(
    catalog: CompiledCatalog,
    subscription: Subscription,
    notice: ScheduleNotice,
    wanted: tuple[Resolved, ...],
    drafting: Drafting,
    *,
    said: Said,
    event: str | None,
    moves: Moves = (),
) -> Schedule:
    """Return the planned phases; an item that is in force just before a phase keeps its version in it.

    An order that was there when a phase would have begun, or the end would have come, knew better. One that says
    later what there is ends a planned phase, even if it only says again what the order before it said: from then on a
    further phase holds what is ordered.
    """
    steps = [step for step in notice.phases if not _denied(step.effective_at, notice, said)]
    steps.sort(key=lambda one: one.effective_at)
    phases: list[Phase] = []
    for place, step in enumerate(steps):
        items = planned_items(step, wanted, _before(subscription, phases, step.effective_at), drafting)
        if items is None:
            continue
        phases.append(Phase(starts_at=step.effective_at, items=items, event=event))
        until = steps[place + 1].effective_at if place + 1 < len(steps) else None
        phases += _returns(catalog, subscription, said, (step.effective_at, until), moves)
    ends_at = notice.ends_at
    if ends_at is not None and said.running_at is not None and ends_at <= said.running_at:
        ends_at = None
    return Schedule(
        phases=tuple(phases),
        ends_at=None if ends_at is None or _dropped(ends_at, notice, said) else ends_at,
        occurred_at=notice.occurred_at,
        sequence=notice.sequence,
        event=event,
    )


def _denied(at: datetime, notice: ScheduleNotice, said: Said) -> bool:
    """Whether an order says that a phase planned for ``at`` did not begin, or will not."""
    return any(one.start <= at <= one.until for one in said.statements) or _dropped(at, notice, said)


def _dropped(at: datetime, notice: ScheduleNotice, said: Said) -> bool:
    """Whether an order newer than the plan says that nothing is planned any more, before ``at`` comes."""
    unplanned_at = said.unplanned_at
    return unplanned_at is not None and notice.occurred_at < unplanned_at < at


def _returns(
    catalog: CompiledCatalog,
    subscription: Subscription,
    said: Said,
    within: tuple[datetime, datetime | None],
    moves: Moves,
) -> list[Phase]:
    """The phase in which, after a planned one, an order has its lines again; none if they differ.

    Where they differ from the ones before, the order has brought a phase of its own. Of a trial that fell, what it
    left is what is there again.
    """
    start, until = within
    again = next((one for one in said.statements if start < one.start and (until is None or one.start < until)), None)
    if again is None or any(phase.starts_at == again.start for phase in subscription.phases):
        return []
    begun = [phase for phase in subscription.phases if phase.starts_at < again.start]
    phase = begun[-1] if begun else subscription.phases[0]
    trial = Trial(subscription.trial_start, subscription.trial_end, subscription.trial_end_behavior, moves)
    left = trial.left_of(catalog, phase, again.start)
    return [Phase(starts_at=again.start, items=phase.items if left is None else left.items, event=again.event)]


def _before(subscription: Subscription, planned: list[Phase], at: datetime) -> tuple[Item, ...]:
    """The items in force just before an instant: of all phases that began earlier, those of the last."""
    begun = [one for one in (*planned, *subscription.phases) if to_instant(one.starts_at) < to_instant(at)]
    return sorted(begun, key=lambda one: one.starts_at)[-1].items if begun else subscription.phases[0].items


def _rank(one: ScheduleNotice | Schedule) -> tuple[datetime, int]:
    """How new a statement is; without a sequence is older than with one."""
    return one.occurred_at, -1 if one.sequence is None else one.sequence


def _plain(schedule: Schedule) -> Schedule:
    """The content without its origin."""
    phases = tuple(structs.replace(phase, event=None) for phase in schedule.phases)
    return structs.replace(schedule, phases=phases, event=None)
