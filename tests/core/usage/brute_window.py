"""Windows and gauges counted plainly: every fact looked at again for every answer."""

from collections.abc import Sequence

from licet.core.instant import FOREVER, Instant
from licet.core.usage.balance import Fact, Refund, Use, in_order
from licet.core.usage.course import Course


def brute_used(course: Course, facts: Sequence[Fact], now: Instant) -> int:
    """Return what counts as used at an instant, no earlier than any fact."""
    if course.gauge is not None:
        return _gauge(course, facts, now)
    assert course.window is not None
    nets = _nets(facts)
    if course.window.kind == "rolling":
        reset = max((at for at in course.emptied if at <= now), default=-FOREVER)
        left = now - course.window.length
        return sum(amount for use, amount in nets if left < use.effective <= now and use.effective >= reset)
    opened = ends = -FOREVER
    for use, _ in nets:
        if use.amount and use.effective >= ends:
            opened = use.effective
            ends = min([opened + course.window.length, *(at for at in course.resets if at > opened)])
    return sum(amount for use, amount in nets if opened <= use.effective < ends) if now < ends else 0


def _nets(facts: Sequence[Fact]) -> list[tuple[Use, int]]:
    """Uses in their order, each with what was not given back."""
    back: dict[str, int] = {}
    for fact in facts:
        if isinstance(fact, Refund):
            back[fact.use] = back.get(fact.use, 0) + fact.amount
    return [(fact, max(0, fact.amount - back.get(fact.id, 0))) for _, fact in in_order(facts) if isinstance(fact, Use)]


def _gauge(course: Course, facts: Sequence[Fact], now: Instant) -> int:
    values = [fact for _, fact in in_order(facts) if isinstance(fact, Use)]
    if course.gauge == "latest":
        return values[-1].amount if values else 0
    start = max([at for at in course.resets if at <= now], default=-FOREVER)
    within = [use for use in values if start <= use.effective]
    if course.gauge == "max":
        return max((use.amount for use in within), default=0)
    return len({use.value for use in within})
