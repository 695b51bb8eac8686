"""Schedule events as what is planned for a subscription: the phases still to come, and perhaps its end."""

from datetime import datetime
from typing import Final

from licet.connectors.stripe.shapes import PhaseItem, SchedulePhase, StripeSchedule, reference_id
from licet.connectors.stripe.told import Told, moment, named, when
from licet.core.orders import OrderLine, ScheduledLines, ScheduleNotice
from licet.services.inbound import Ignored, Reading, Unreadable

_PLANS: Final = ("not_started", "active")
_OVER: Final = ("released", "canceled", "completed")
_CREATED, _CHANGED, _OVER_AND_DONE = 1, 2, 3
"""Times are whole seconds; within one second a schedule is created, changed and done with in this order."""


def read_schedule(told: Told) -> Reading:
    """Return what a schedule plans; one that is over plans nothing. Raises Unreadable."""
    schedule = told.shaped(StripeSchedule)
    if schedule.status not in (*_PLANS, *_OVER):
        known = ", ".join((*_PLANS, *_OVER))
        raise Unreadable(f"schedule {schedule.id} has the status {schedule.status!r}; known are {known}")
    subscription = named(schedule.subscription, schedule.released_subscription)
    if not subscription:
        return Ignored(words=f"schedule {schedule.id} has no subscription yet: it plans nothing for anybody")
    plans = schedule.status in _PLANS
    created = told.event.type == "subscription_schedule.created"
    return told.checked(
        ScheduleNotice(
            source=told.source,
            external_id=subscription[0],
            customer=told.customer(schedule.customer, schedule.metadata),
            occurred_at=told.at,
            sequence=(_CREATED if created else _CHANGED) if plans else _OVER_AND_DONE,
            phases=_phases(told, schedule) if plans else (),
            ends_at=_end(schedule) if plans else None,
        )
    )


def _phases(told: Told, schedule: StripeSchedule) -> tuple[ScheduledLines, ...]:
    """Return the phases that begin after the event; what is in force by then the subscription itself tells."""
    later = [phase for phase in schedule.phases if phase.start_date > told.event.created]
    later.sort(key=lambda phase: phase.start_date)
    return tuple(
        ScheduledLines(effective_at=moment(phase.start_date), lines=_lines(schedule, phase)) for phase in later
    )


def _lines(schedule: StripeSchedule, phase: SchedulePhase) -> tuple[OrderLine, ...]:
    return tuple(_line(schedule, item) for item in phase.items if item.quantity != 0)


def _line(schedule: StripeSchedule, item: PhaseItem) -> OrderLine:
    """Return a line of a phase: items have no ids of their own before the phase begins."""
    price = reference_id(item.price) or reference_id(item.plan)
    if price is None:
        raise Unreadable(f"a phase of schedule {schedule.id} has an item without a price")
    return OrderLine(price=price, quantity=1 if item.quantity is None else item.quantity)


def _end(schedule: StripeSchedule) -> datetime | None:
    """Return when the subscription ends with its last phase, where that is what follows it."""
    if schedule.end_behavior != "cancel":
        return None
    return when(max((phase.end_date for phase in schedule.phases if phase.end_date is not None), default=None))
