"""What a foreign system plans for a subscription apart from its orders: the newest statement counts, none other."""

from datetime import datetime

from msgspec import structs

from licet.core.compiled import CompiledCatalog
from licet.core.contradiction import note_breaches
from licet.core.instant import to_instant
from licet.core.orderlines import Drafting, read_schedule
from licet.core.orders import Outcome, Placement, Resolved, ScheduledLines, ScheduleNotice
from licet.core.placement import Placing, find_subscription, put_subscription, settle
from licet.core.succession import planned_items
from licet.core.terms import Item, Phase, Schedule, Subscription, Terms


def record_schedule(
    catalog: CompiledCatalog,
    terms: Terms,
    notice: ScheduleNotice,
    *,
    event: str | None = None,
    items: tuple[Resolved, ...] | None = None,
    silent: bool = False,
) -> Placement:
    """Return the terms with what ``notice`` plans for a known subscription, in place of what was planned before.

    ``items`` is what its lines meant when it first arrived (by default what they mean now); ``silent`` leaves findings
    out. An older statement is ``stale``, so is any of a subscription that its seller never brings back; one as old
    with other content is a ``conflict`` with a finding; ``refused``: the subscription is not known, or no line means
    anything here.
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
        planned = lay_schedule(found, notice, wanted, drafting, event=event)
        if found.schedule is None or _rank(notice) > _rank(found.schedule):
            changed = structs.replace(found, schedule=planned)
        elif _plain(planned) == _plain(found.schedule):
            outcome = "duplicate"
        else:
            outcome = "conflict"
            words = f"two plans of {notice.occurred_at.isoformat()} want different things; the first one stays in force"
            drafting.add("schedule_conflict", words, sequence=notice.sequence)
    placing = Placing(catalog, terms, None, drafting)
    placed = settle(placing, changed, outcome)
    if outcome == "applied" and not silent:
        steps = [step.effective_at for step in notice.phases]
        note_breaches(catalog, terms, placed.terms, steps, drafting)
    return structs.replace(placed, items=wanted, findings=tuple(drafting.findings))


def renew_schedule(terms: Terms, notice: ScheduleNotice, items: tuple[Resolved, ...], event: str | None) -> Terms:
    """Return the terms with a schedule laid anew over a subscription whose orders have changed.

    What the schedule keeps, it keeps in the version that the orders say now; so it does not matter which came first.
    """
    found = find_subscription(terms, notice.source, notice.external_id)
    if found is None or found.final:
        return terms
    drafting = Drafting(notice.source, notice.external_id, silent=True)
    schedule = lay_schedule(found, notice, items, drafting, event=event)
    return put_subscription(terms, structs.replace(found, schedule=schedule))


def lay_schedule(
    subscription: Subscription,
    notice: ScheduleNotice,
    wanted: tuple[Resolved, ...],
    drafting: Drafting,
    *,
    event: str | None,
) -> Schedule:
    """Return the planned phases; an item that is in force just before a phase keeps its version in it."""
    phases: list[Phase] = []
    for step in sorted(notice.phases, key=lambda one: one.effective_at):
        items = planned_items(step, wanted, _before(subscription, phases, step), drafting)
        if items is not None:
            phases.append(Phase(starts_at=step.effective_at, items=items, event=event))
    return Schedule(
        phases=tuple(phases),
        ends_at=notice.ends_at,
        occurred_at=notice.occurred_at,
        sequence=notice.sequence,
        event=event,
    )


def _before(subscription: Subscription, planned: list[Phase], step: ScheduledLines) -> tuple[Item, ...]:
    """The items in force just before a step: of all phases that began earlier, those of the last."""
    begun = [
        one for one in (*subscription.phases, *planned) if to_instant(one.starts_at) < to_instant(step.effective_at)
    ]
    return sorted(begun, key=lambda one: one.starts_at)[-1].items if begun else subscription.phases[0].items


def _rank(one: ScheduleNotice | Schedule) -> tuple[datetime, int]:
    """How new a statement is; without a sequence is older than with one."""
    return one.occurred_at, -1 if one.sequence is None else one.sequence


def _plain(schedule: Schedule) -> Schedule:
    """The content without its origin."""
    phases = tuple(structs.replace(phase, event=None) for phase in schedule.phases)
    return structs.replace(schedule, phases=phases, event=None)
