"""Allowances that are released in parts: how much there will be in a period, and when the next part comes."""

from licet.core.instant import FOREVER, Instant, to_datetime
from licet.core.usage.course import Course
from licet.core.usage.grant import UNLIMITED, Grant
from licet.core.views import wire_amount
from licet.services.usage.balance_views import PartsView


def whole_at(grant: Grant, at: Instant) -> Instant:
    """Return when a grant is whole again or over; FOREVER where neither comes."""
    return min([grant.end, *(mark.at for mark in grant.marks if mark.at > at and mark.kind != "step")])


def released_until(course: Course, at: Instant) -> Instant | None:
    """Return up to when a course must be known for :func:`parts_of`; None where nothing is released in parts."""
    ends = [whole_at(one, at) for one in course.grants if one.effective <= at < one.end and _in_parts(course, one)]
    return max((one for one in ends if one < FOREVER), default=None)


def parts_of(course: Course, at: Instant, scale: int) -> dict[str, PartsView]:
    """Return by grant how it is released at an instant, from a course that is known up to the end of its period."""
    return {
        one.id: parts
        for one in course.grants
        if one.effective <= at < one.end and _in_parts(course, one) and (parts := _parts(course, one, at, scale))
    }


def _in_parts(course: Course, grant: Grant) -> bool:
    origin = course.origins.get(grant.id)
    return origin is not None and origin.release


def _parts(course: Course, grant: Grant, at: Instant, scale: int) -> PartsView | None:
    ends, changes = whole_at(grant, at), course.origins[grant.id].changes
    now = next((mark.amount for mark in reversed(grant.marks) if mark.at <= at), grant.amount)
    ahead = [mark for mark in grant.marks if at < mark.at < ends]
    coming = next((mark for mark in ahead if mark.at not in changes), None)
    before = [now, *(mark.amount for mark in ahead)]
    whole = before[-1]
    if ends >= FOREVER or whole >= UNLIMITED:
        return None
    return PartsView(
        released=wire_amount(now, scale),
        whole=wire_amount(whole, scale),
        next_at=None if coming is None else to_datetime(coming.at),
        next_amount=None if coming is None else wire_amount(coming.amount - before[ahead.index(coming)], scale),
    )
