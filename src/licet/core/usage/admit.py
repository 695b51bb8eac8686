"""Admission: what of a batch of requests, closings, reports and corrections is accepted, in the order of arrival.

A request is decided and recorded together; a report is recorded whatever there is. All of a request or nothing, unless
it says ``partial``: a refused one leaves no trace in any account. What is accepted takes effect at the batch's instant,
and after everything that the accounts it touches hold already: so the fold sees it in the order of decisions.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from licet.core.case import Ask
from licet.core.instant import Instant
from licet.core.reason import PRECEDENCE, Reason
from licet.core.usage.admission import (
    Admitted,
    Aside,
    Batch,
    Correction,
    Crossing,
    Error,
    Outcome,
    Report,
    Step,
    Take,
    ToppedUp,
)
from licet.core.usage.closing import close, correct, release_due
from licet.core.usage.desk import Bench, Desk, Planned, Purse, Refold, asked, judged, refusal
from licet.core.usage.facts import AccountKey, Closing, Fact, Funding, Request, Reservation, Want
from licet.core.usage.metering import GAUGES
from licet.core.usage.reach import Reach, Reaches, Touch, User, holder_of
from licet.core.usage.reporting import Reporting
from licet.core.usage.rolling import MAX_VALUES
from licet.core.usage.topping import top_up_of

__all__ = [
    "Admitted",
    "Aside",
    "Batch",
    "Correction",
    "Crossing",
    "Error",
    "Outcome",
    "Purse",
    "Refold",
    "Report",
    "Step",
    "Take",
    "ToppedUp",
    "admit",
    "begin",
    "conclude",
]


class Decided(NamedTuple):
    """A batch and what is decided of it: every step in the end; what that makes of the accounts is not asked yet."""

    bench: Bench
    batch: Batch
    reservations: dict[str, Reservation]
    released: list[tuple[Fact, Reservation]]
    outcomes: list[Outcome]
    reporting: Reporting

    def go_on(self, steps: int) -> None:
        """Decide so many steps more, as far as there are others; raises Refold as :func:`admit` does."""
        done, found, reporting = len(self.outcomes), self.outcomes, self.reporting
        for step in self.batch.steps[done : done + steps]:
            if type(step) is Report:
                found.append(reporting.take(step.fact))
            else:
                reporting.end()
                found.append(_step(self.bench, self.batch, self.reservations, step))
        if len(found) == len(self.batch.steps):
            reporting.end()


def admit(
    reaches: Reaches,
    accounts: Callable[[AccountKey], Purse],
    batch: Batch,
    now: Instant,
    funding: Callable[[str], Sequence[Funding]],
) -> Admitted:
    """Decide a batch at ``now``. Accounts change by what is accepted; whoever keeps them writes down what came of it.

    ``accounts`` returns each account as of now; ``funding`` what was put on a customer's balances, for the ceiling of
    automatic top-ups. Raises Refold where an account has to be folded anew first: then nothing of it may be kept.
    """
    decided = begin(reaches, accounts, batch, now)
    decided.go_on(len(batch.steps))
    return conclude(decided, now, funding)


def begin(reaches: Reaches, accounts: Callable[[AccountKey], Purse], batch: Batch, now: Instant) -> Decided:
    """Begin to decide a batch: what is due is released, no step decided yet; raises Refold as :func:`admit` does.

    Between some steps and the next, others may have their turn: nothing here asks for the time. Accounts that late
    facts wait in may be brought up to date, bit by bit, before it is concluded.
    """
    bench = Bench(reaches, accounts, now)
    released = release_due(bench, batch.due)
    reservations = dict(batch.reservations)
    reservations.update({ended.fact.id: ended for _, ended in released})
    return Decided(bench, batch, reservations, released, [], Reporting(bench))


def conclude(decided: Decided, now: Instant, funding: Callable[[str], Sequence[Funding]]) -> Admitted:
    """Say what came of a batch that is decided: which thresholds were crossed, and what is topped up."""
    bench, released, outcomes = decided.bench, decided.released, decided.outcomes
    changed = [key for key, desk in bench.desks.items() if desk.touched]
    crossings = []
    for key in changed:
        desk = bench.desks[key]
        percents = desk.account.crossings()
        if percents:
            at = max(now, desk.account.newest)
            room = desk.account.room(at)
            crossings.append(Crossing(key, at, percents, room.used, room.granted))
    wanting = [desk for desk in bench.desks.values() if desk.touched or desk.short]
    top_ups = [one for one in (top_up_of(desk, now, funding) for desk in wanting) if one is not None]
    return Admitted(outcomes=outcomes, released=released, crossings=crossings, top_ups=top_ups, changed=changed)


def _step(
    bench: Bench, batch: Batch, reservations: dict[str, Reservation], step: Request | Closing | Correction | Aside
) -> Outcome:
    if isinstance(step, Request):
        user = batch.users.get((step.customer, step.user), step.user) if step.user is not None else None
        outcome = _request(bench, step, user)
    elif isinstance(step, Closing):
        outcome = close(bench, step, reservations.get(step.reservation))
    elif isinstance(step, Correction):
        return correct(bench, step)
    else:
        return step.decide(bench)
    if outcome.reservation is not None:
        reservations[outcome.reservation.fact.id] = outcome.reservation
    return outcome


def _request(bench: Bench, request: Request, user: User) -> Outcome:
    """Decide one request."""
    reached: list[tuple[Want, Reach, list[tuple[Touch, Desk]]]] = []
    for want in request.wants:
        reach = bench.reaches.of(request.customer, want.feature, bench.now, user, request.context)
        if reach.snapshot is None:
            return _of_nobody(bench, request, user)
        if want.feature not in bench.metering.each_of:
            return _unasked(reach, request, want, user)
        problem = _problem(request, want, reach)
        if problem is None:
            desks, problem = _desks(bench, reach, request, user)
        if problem is not None:
            return Outcome(accepted=False, reason=None, error="invalid", detail=problem)
        reached.append((want, reach, desks))
    weighing = _Weighing(bench, request, user, bench.instant([desk for *_, desks in reached for _, desk in desks]))
    for want, reach, desks in reached:
        weighing.weigh(want, reach, desks)
    if weighing.full is not None:
        return Outcome(accepted=False, reason=None, error="invalid", detail=weighing.full)
    return weighing.outcome()


def _of_nobody(bench: Bench, request: Request, user: User) -> Outcome:
    """What is answered about a customer that is not there: as a check, by the modes. Nothing is recorded."""
    asks = [(want, bench.reaches.of(request.customer, want.feature, bench.now).touches[0]) for want in request.wants]
    against = [(want, touch) for want, touch in asks if not touch.verdict.allowed]
    if against:
        refusals = tuple(refusal(touch, Ask(user, request.context, want.quantity)) for want, touch in against)
        return Outcome(accepted=False, reason=Reason.UNKNOWN_CUSTOMER, refusals=refusals)
    would = {one for _, touch in asks for one in touch.verdict.would_deny}
    return Outcome(
        accepted=True,
        reason=Reason.OBSERVED if would else asks[0][1].verdict.reason,
        would_deny=tuple(sorted(would, key=PRECEDENCE.__getitem__)) if would else None,
    )


def _unasked(reach: Reach, request: Request, want: Want, user: User) -> Outcome:
    """What is answered where nothing of the feature is counted."""
    feature = reach.touches[0].verdict.case.catalog.features.get(want.feature)
    if feature is None:
        decision = refusal(reach.touches[0], Ask(user, request.context, want.quantity))
        return Outcome(accepted=False, reason=Reason.UNKNOWN_FEATURE, refusals=(decision,))
    detail = (
        f"the feature {want.feature!r} is of the type {feature.type}: nothing is taken of it; "
        "ask whether it is permitted with a check"
    )
    return Outcome(accepted=False, reason=None, error="invalid", detail=detail)


def _problem(request: Request, want: Want, reach: Reach) -> str | None:
    """What is wrong with a want, in words."""
    meter = reach.meter
    if want.quantity <= 0:
        return f"{request.kind} takes a quantity above 0 of {want.feature!r}, not {want.quantity}"
    if meter is None or meter.aggregate in ("sum", "count"):
        return None
    if meter.aggregate in GAUGES:
        return (
            f"the meter {meter.id!r} of {want.feature!r} holds a level ({meter.aggregate}), which nobody consumes; "
            "report the level as an event, and ask with a check whether more fits"
        )
    if request.kind == "reserve":
        return f"the meter {meter.id!r} of {want.feature!r} counts different values, which cannot be reserved; consume"
    if want.quantity != 10**meter.scale:
        return f"the meter {meter.id!r} of {want.feature!r} counts different values: consume 1 of it for each"
    if _value(reach, request) is None:
        named = "the user" if meter.field == "user" else f"the dimension {meter.field!r}"
        return f"the meter {meter.id!r} of {want.feature!r} counts different values: name {named}"
    return None


def _value(reach: Reach, request: Request) -> str | None:
    """The value that a ``unique`` meter counts."""
    meter = reach.meter
    if meter is None or meter.aggregate != "unique":
        return None
    named = {"user": request.user, "team": request.team, **request.dimensions}
    return named.get(meter.field) or None


def _desks(bench: Bench, reach: Reach, request: Request, user: User) -> tuple[list[tuple[Touch, Desk]], str | None]:
    """The accounts that a want touches; or in words whom it has to name."""
    found = []
    for touch in reach.touches:
        key = touch.key
        if key is None:
            burning = touch.burning
            holder = holder_of(burning.each, user, request.team)
            if holder is None:
                return [], f"{burning.feature!r} is counted for each {burning.each}: name the {burning.each}"
            key = AccountKey(request.customer, burning.feature, holder)
        found.append((touch, bench.desk(key)))
    return found, None


class _Planned(NamedTuple):
    """So much of one want, and the balances that it touches."""

    want: Want
    reach: Reach
    quantity: int
    touched: list[tuple[Touch, Planned]]


class _Weighing:
    """One request, want after want: what it would take, and what is against that. Nothing is taken before the end."""

    def __init__(self, bench: Bench, request: Request, user: User, at: Instant) -> None:
        self.bench = bench
        self.request = request
        self.user = user
        self.at = at
        self.plan: dict[AccountKey, Planned] = {}
        self.planned: list[_Planned] = []
        self.against: dict[AccountKey, tuple[Touch, Ask]] = {}
        self.would: set[Reason] = set()
        self.full: str | None = None
        """Of what no more different values can be counted, in words."""

    def weigh(self, want: Want, reach: Reach, desks: list[tuple[Touch, Desk]]) -> None:
        """Plan to take one want from everything it touches, as much as may be; note what is against it."""
        touched: list[tuple[Touch, Planned]] = []
        for touch, desk in desks:
            planned = self.plan.get(desk.key)
            if planned is None:
                apart = self.request.kind == "reserve"
                planned = self.plan[desk.key] = Planned(desk, desk.account.room(self.at), apart=apart)
            touched.append((touch, planned))
        value = _value(reach, self.request)
        quantity = self._most(want, touched) if self.request.partial and value is None else want.quantity
        for touch, planned in touched:
            if value is None:
                cost = planned.cost(touch.burning, quantity or want.quantity, self.bench.metering)
            else:
                planned.value, planned.unit = value, quantity
                cost = quantity if planned.desk.account.counts(value, self.at) else 0
                if cost and touch.verdict.mode == "enforce" and planned.room.used >= MAX_VALUES * cost:
                    self.full = (
                        f"{touch.burning.feature!r} has counted {MAX_VALUES} different values in this period, "
                        "and cannot count another; split the customer, or count a coarser value"
                    )
            if touch.verdict.mode != "off" and not _fits(touch, planned, planned.burn + cost):
                self._object(touch, planned, cost)
            if quantity:
                planned.add(touch.burning, quantity, cost)
        self.planned.append(_Planned(want, reach, quantity, touched))

    def outcome(self) -> Outcome:
        """Take what was planned, or refuse."""
        if self.against and not (self.request.partial and any(one.quantity for one in self.planned)):
            if all(touch.verdict.allowed for touch, _ in self.against.values()):
                for key in self.against:
                    self.plan[key].desk.short = True
            refusals = tuple(refusal(touch, ask, self._reaching(key)) for key, (touch, ask) in self.against.items())
            return Outcome(accepted=False, reason=refusals[0].reason, refusals=refusals)
        fact = self._fact()
        reason = Reason.OBSERVED if self.would else _reason(*self.planned[0].touched[0])
        reserving = self.request.kind == "reserve"
        takes, draws = [], {}
        for key, planned in self.plan.items():
            amount = fact.burns.get(key.feature)
            if amount is None:
                continue
            drawn = planned.take(fact.id, self.at, amount)
            if reserving:
                draws[key.feature] = drawn
            room = planned.room
            used = room.used + planned.burn
            resets_at = planned.desk.resets_at(self.at)
            takes.append(Take(key, planned.burn, used, room.granted, room.granted - used, resets_at))
        return Outcome(
            accepted=True,
            reason=reason,
            fact=fact,
            takes=tuple(takes),
            would_deny=tuple(sorted(self.would, key=PRECEDENCE.__getitem__)) if self.would else None,
            reservation=Reservation(fact=fact, draws=draws, rates=fact.rates) if reserving else None,
        )

    def _reaching(self, key: AccountKey) -> tuple[Want, ...]:
        """The wants that reach a balance by way of a meter alone."""
        return tuple(
            one.want
            for one in self.planned
            if one.want.feature != key.feature and any(planned.desk.key == key for _, planned in one.touched)
        )

    def _most(self, want: Want, touched: list[tuple[Touch, Planned]]) -> int:
        """How much of a want all that enforces anything permits."""
        quantity = want.quantity
        for touch, planned in touched:
            if touch.verdict.mode == "enforce":
                quantity = min(quantity, planned.most(touch, self.bench.metering)) if touch.verdict.allowed else 0
        return quantity

    def _object(self, touch: Touch, planned: Planned, cost: int) -> None:
        """Note that a balance does not permit so much; where it is observed only with what it would refuse."""
        ask = asked(planned, planned.burn + cost, self.user, self.request.context)
        if touch.verdict.mode == "observe":
            self.would.update(judged(touch, ask).would_deny or ())
        else:
            self.against[planned.desk.key] = (touch, ask)

    def _fact(self) -> Fact:
        """What is recorded of an accepted request."""
        told: dict[str, int] = {}
        metered: dict[str, int] = {}
        burns: dict[str, int] = {}
        rates: dict[str, str] = {}
        values: dict[str, str] = {}
        for want, reach, quantity, touched in self.planned:
            if not quantity:
                continue
            told[want.feature] = told.get(want.feature, 0) + quantity
            if reach.meter is not None:
                metered[reach.meter.id] = metered.get(reach.meter.id, 0) + quantity
            for touch, planned in touched:
                burning = touch.burning
                burns[burning.feature] = planned.burn
                if planned.value and reach.meter is not None:
                    # A counted value is recorded in full: whether it is new depends on what is told later.
                    burns[burning.feature] = quantity
                    values[reach.meter.id] = planned.value
                if burning.rate is not None:
                    rates[burning.named] = burning.rate.text
        request = self.request
        return Fact(
            id=request.id,
            kind=request.kind,
            effective=self.at,
            customer=request.customer,
            user=request.user,
            team=request.team,
            asked=told,
            metered=metered,
            burns=burns,
            until=request.until,
            rates=rates,
            values=values,
            dimensions=request.dimensions,
        )


def _fits(touch: Touch, planned: Planned, burn: int) -> bool:
    """Whether a balance permits that so much is taken of it."""
    verdict = touch.verdict
    if not verdict.allowed or verdict.would_deny:
        return False
    if not burn or burn <= planned.room.remaining:
        return True
    bound = planned.bound(verdict)
    return bound is None or burn <= bound


def _reason(touch: Touch, planned: Planned) -> Reason:
    """Why the first want is permitted: as its check would say."""
    verdict = touch.verdict
    if verdict.mode == "off" or not planned.burn or planned.over(planned.burn) <= 0:
        return verdict.reason
    return Reason.OVERAGE if verdict.at_limit == "overage" else Reason.SOFT_LIMIT_EXCEEDED
