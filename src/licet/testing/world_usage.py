"""Use in a world: consumed, reserved and reported in memory by the rules of the product, over the shapes of HTTP.

What is put on balances and taken from them are facts; each question folds them anew, so that nothing is kept that could
differ from them. Ids are counted, so that two runs give the same.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

from msgspec import structs

from licet.core.compiled import UNBOUNDED
from licet.core.decision import Decision
from licet.core.instant import DAY, FOREVER, Instant, add_duration, format_instant, parse_duration, to_instant
from licet.core.quantity import parse_quantity
from licet.core.question import Context, UserFacts
from licet.core.snapshot import Snapshot
from licet.core.terms import Terms
from licet.core.usage.admit import Batch, Outcome, Report, Step, Take, admit
from licet.core.usage.course import course_of
from licet.core.usage.effects import effects
from licet.core.usage.facts import AccountKey, Closing, Fact, Funding, GrantGiven, Request, Reservation, Want
from licet.core.usage.grant import UNLIMITED
from licet.core.usage.metering import compile_metering, measure
from licet.core.usage.outlook import Asker, Stake, is_short, look_ahead, with_outlook
from licet.core.usage.reach import Reaches, holder_of
from licet.core.usage.recalled import Recalled
from licet.core.views import Number, wire_amount
from licet.sdk.errors import Invalid, ReservationEnded
from licet.testing.world_truth import WorldTruth
from licet.wire.usage import (
    ClosingAnswer,
    CloudEvent,
    ConsumeAnswer,
    ConsumeAsked,
    EventsAnswer,
    ReserveAsked,
    SettleAsked,
    TakeView,
)

T = TypeVar("T")
AHEAD: Final = 2 * DAY
"""How far periods are laid out beyond now."""
_ENDED: Final = ("reservation_closed", "reservation_expired")


class WorldUsage:
    """All use of one world. ``terms`` returns those of a customer, None of nobody."""

    def __init__(self, truth: WorldTruth, terms: Callable[[str], Terms | None]) -> None:
        self._truth = truth
        self._terms = terms
        self._facts: dict[str, list[Fact]] = {}
        self._funding: dict[str, list[Funding]] = {}
        self._reservations: dict[str, Reservation] = {}
        self._kept: dict[str, tuple[object, Any]] = {}
        self._numbers = 0
        self._snapshots: dict[str, Snapshot] = {}

    def decide(self, asked: ConsumeAsked) -> ConsumeAnswer:
        """Decide and record a consume, or a reserve; raises Invalid as the server answers."""
        return self._once(asked.key, asked, lambda: self._decided(asked))

    def close(self, reservation: str, asked: SettleAsked | None, key: str) -> ClosingAnswer:
        """Settle a reservation, or release it (None); raises ReservationEnded and Invalid."""
        return self._once(key, (reservation, asked), lambda: self._closed(reservation.removeprefix("res_"), asked))

    def report(self, events: Sequence[CloudEvent]) -> EventsAnswer:
        """Record events; raises Invalid where one cannot be read, and then records none."""
        metering, now = compile_metering(self._truth.compiled), self._truth.instant
        facts: dict[str, Fact] = {}
        ignored = 0
        for one in events:
            try:
                found = measure(metering, one.type, one.data)
            except ValueError as wrong:
                raise Invalid(f"the event {one.id!r} cannot be counted: {wrong}") from None
            at = now if one.time is None else min(now, to_instant(one.time))
            name = f"{one.source}\0{one.id}"
            if found is None:
                ignored += 1
            elif name not in self._kept:
                facts[name] = Fact(
                    id=self._next(),
                    kind="report",
                    effective=at,
                    customer=one.subject,
                    user=found.user,
                    team=found.team,
                    metered=found.metered,
                    values=found.values,
                    dimensions=found.dimensions,
                )
        for name, fact in facts.items():
            self._kept[name] = (None, None)
            self._step(fact.customer, Report(fact=fact))
        return EventsAnswer(recorded=len(facts), duplicates=len(events) - len(facts) - ignored, ignored=ignored)

    def grant(self, customer: str, feature: str, amount: int | str, expires: datetime | None, holder: str) -> None:
        """Put an amount on a balance, now; raises ValueError for what is none."""
        doc = GrantGiven(
            amount=parse_quantity(amount, self._truth.compiled.features[feature].scale),
            effective=self._truth.instant,
            expires=None if expires is None else to_instant(expires.astimezone(UTC)),
        )
        made = Funding(id=f"grt_{self._next()}", feature=feature, holder=holder, doc=doc)
        self._funding.setdefault(customer, []).append(made)

    def standing(self, customer: str, feature: str, holder: str = "") -> tuple[Number, Number, Number]:
        """Return what was used in this period, what was granted, and what remains."""
        now = self._truth.instant
        account = self._account(AccountKey(customer, feature, holder), noted=False)
        said = account.standing(max(now, account.newest))
        bare = said.granted >= UNLIMITED
        amounts = said.used, UNBOUNDED if bare else said.granted, UNBOUNDED if bare else said.remaining
        used, granted, remaining = (self._units(feature, one) for one in amounts)
        return used, granted, remaining

    def _decided(self, asked: ConsumeAsked) -> ConsumeAnswer:
        wants = [(asked.feature, asked.quantity), *((one.feature, one.quantity) for one in asked.also)]
        reserves = isinstance(asked, ReserveAsked)
        request = Request(
            id=self._next(),
            kind="reserve" if reserves else "consume",
            customer=asked.customer,
            wants=tuple(Want(name, self._minor(name, amount)) for name, amount in wants),
            user=asked.user,
            team=asked.team,
            context=asked.context,
            partial=asked.partial,
            until=self._until(asked.lasts) if isinstance(asked, ReserveAsked) else None,
            dimensions=asked.dimensions,
        )
        outcome = self._step(asked.customer, request)
        _refuse(outcome)
        fact = outcome.fact
        would = None if outcome.would_deny is None else tuple(map(str, outcome.would_deny))
        if fact is None and outcome.accepted:
            return ConsumeAnswer(allowed=True, reason=str(outcome.reason), would_deny=would)
        if fact is None:
            told = [self._ahead(one, asked.team) for one in outcome.refusals]
            views = tuple(one.view(self._truth.instant, self._truth.page.basis) for one in told)
            return ConsumeAnswer(allowed=False, reason=str(outcome.reason), refusals=views)
        return ConsumeAnswer(
            allowed=True,
            reason=str(outcome.reason),
            id=f"{'res' if reserves else 'use'}_{fact.id}",
            quantity=self._units(asked.feature, fact.asked.get(asked.feature, 0)),
            expires_at=None if fact.until is None else format_instant(fact.until),
            takes=self._takes(outcome),
            would_deny=would,
        )

    def _ahead(self, decision: Decision, team: str | None) -> Decision:
        """A refusal with when more comes to its balance."""
        case, now = decision.case, self._truth.instant
        each = compile_metering(self._truth.compiled).each_of.get(case.feature)
        holder = None if each is None else holder_of(each, decision.user, team)
        if holder is None or not is_short(decision):
            return decision
        key, funding = AccountKey(case.customer, case.feature, holder), self._funding.get(case.customer, ())
        terms = self._terms(case.customer) or Terms(customer=case.customer)
        ahead = partial(course_of, self._truth.compiled, terms, funding, key)
        stake = Stake(key.feature, self._account(key, noted=False).account, decision.quantity, ahead, funding)
        asker = Asker(Snapshot(self._truth.compiled, terms), decision.user, decision.context or Context())
        return with_outlook(decision, look_ahead([stake], asker, now))

    def _closed(self, reservation: str, asked: SettleAsked | None) -> ClosingAnswer:
        begun = self._reservations.get(reservation)
        if begun is None:
            raise Invalid(f"there is no reservation 'res_{reservation}'", "not_found")
        first = next(iter(begun.fact.asked))
        used: dict[str, int] | None = None
        if asked is not None:
            told = {first: asked.used} | {one.feature: one.quantity for one in asked.also}
            used = begun.fact.asked | {name: self._minor(name, amount) for name, amount in told.items()}
            used = used if any(used.values()) else None
        outcome = self._step(begun.fact.customer, Closing(id=self._next(), reservation=reservation, used=used))
        _refuse(outcome)
        came = 0 if used is None else used[first]
        return ClosingAnswer(
            id=f"res_{reservation}",
            closed="released" if used is None else "settled",
            used=self._units(first, came),
            exceeded=outcome.fact is not None and outcome.fact.exceeds,
            takes=self._takes(outcome),
        )

    def _step(self, customer: str, step: Step, *, again: bool = False) -> Outcome:
        """Decide one step, and keep what came of it; what was refused before a top-up is decided ``again``, once."""
        now, compiled = self._truth.instant, self._truth.compiled
        reaches = Reaches(compiled, compile_metering(compiled), self._snapshot)
        due = [
            one
            for one in self._reservations.values()
            if one.closed is None and one.fact.customer == customer and (one.fact.until or FOREVER) <= now
        ]
        accounts: dict[AccountKey, Recalled] = {}

        def account(key: AccountKey) -> Recalled:
            if key not in accounts:
                accounts[key] = self._account(key)
                self._redraw(key, accounts[key])
            return accounts[key]

        # What a reservation drew may have moved since: the accounts that it drew from say what it holds by now.
        for one in [*due, *([self._reservations[step.reservation]] if isinstance(step, Closing) else [])]:
            for key in self._keys(one.fact):
                account(key)
        batch = Batch(
            steps=[step],
            users=self._users(step),
            reservations=self._reservations,
            due=[self._reservations[one.fact.id] for one in due],
        )
        told = admit(reaches, account, batch, now, lambda who: self._funding.get(who, ()))
        for fact, ended in told.released:
            self._facts.setdefault(fact.customer, []).append(fact)
            self._reservations[ended.fact.id] = ended
        (outcome,) = told.outcomes
        if outcome.fact is not None:
            self._facts.setdefault(customer, []).append(outcome.fact)
        if outcome.reservation is not None:
            self._reservations[outcome.reservation.fact.id] = outcome.reservation
        for topped in told.top_ups:
            key = topped.key
            made = Funding(id=f"grt_{self._next()}", feature=key.feature, holder=key.holder, doc=topped.grant)
            self._funding.setdefault(key.customer, []).append(made)
        if told.top_ups and outcome.refusals and not again:
            return self._step(customer, step, again=True)
        return outcome

    def _account(self, key: AccountKey, *, noted: bool = True) -> Recalled:
        """Fold a balance from its facts."""
        compiled, now = self._truth.compiled, self._truth.instant
        terms = self._terms(key.customer) or Terms(customer=key.customer)
        course = course_of(compiled, terms, self._funding.get(key.customer, ()), key, now + AHEAD)
        facts = [
            one
            for one in self._facts.get(key.customer, ())
            if key.feature in one.burns and self._holder(key.feature, one) == key.holder
        ]
        meter = compile_metering(compiled).meter_of.get(key.feature)
        # Of several steps at one instant each takes effect after the one before.
        at = course.until if noted else max([now, *(one.effective for one in facts)])
        return Recalled(course, effects(facts, key, at, meter, noted=noted))

    def _redraw(self, key: AccountKey, account: Recalled) -> None:
        for name, draws in account.draws.items():
            held = self._reservations.get(name)
            if held is not None and held.closed is None and key.feature in held.draws:
                self._reservations[name] = structs.replace(held, draws={**held.draws, key.feature: draws})

    def _keys(self, fact: Fact) -> list[AccountKey]:
        found = [(feature, self._holder(feature, fact)) for feature in fact.burns]
        return [AccountKey(fact.customer, feature, holder) for feature, holder in found if holder is not None]

    def _holder(self, feature: str, fact: Fact) -> str | None:
        each = compile_metering(self._truth.compiled).each_of.get(feature, "customer")
        return holder_of(each, fact.user, fact.team)

    def _users(self, step: Step) -> dict[tuple[str, str], UserFacts]:
        if not isinstance(step, Request) or step.user is None:
            return {}
        facts = self._truth.facts(step.customer, step.user)
        return {(step.customer, step.user): facts} if isinstance(facts, UserFacts) else {}

    def _snapshot(self, customer: str) -> Snapshot | None:
        terms, compiled = self._terms(customer), self._truth.compiled
        if terms is None:
            return None
        known = self._snapshots.get(customer)
        if known is None or known.terms is not terms or known.catalog is not compiled:
            known = self._snapshots[customer] = Snapshot(compiled, terms)
        return known

    def _takes(self, outcome: Outcome) -> tuple[TakeView, ...]:
        return tuple(map(self._take, outcome.takes))

    def _take(self, one: Take) -> TakeView:
        bare = one.granted >= UNLIMITED
        feature = one.key.feature
        return TakeView(
            feature=feature,
            holder=one.key.holder,
            taken=self._units(feature, one.taken),
            used=self._units(feature, one.used),
            granted=self._units(feature, UNBOUNDED if bare else one.granted),
            remaining=self._units(feature, UNBOUNDED if bare else one.remaining),
            resets_at=None if one.resets_at is None or one.resets_at >= FOREVER else format_instant(one.resets_at),
        )

    def _units(self, feature: str, minor: int) -> Number:
        made = self._truth.compiled.features.get(feature)
        return wire_amount(minor, 0 if made is None else made.scale)

    def _minor(self, feature: str, amount: int | str) -> int:
        made = self._truth.compiled.features.get(feature)
        try:
            return parse_quantity(amount, 9 if made is None else made.scale)
        except ValueError as wrong:
            raise Invalid(f"the quantity of {feature!r} does not fit: {wrong}") from None

    def _until(self, lasts: str) -> Instant:
        now = self._truth.instant
        try:
            until = add_duration(now, parse_duration(lasts), UTC)
        except ValueError as wrong:
            raise Invalid(f"lasts={lasts!r} is no duration: {wrong}") from None
        if not now < until <= now + DAY:
            raise Invalid(f"lasts={lasts!r} is not between an instant and a day; write a duration such as PT15M")
        return until

    def _once(self, key: str | None, asked: object, do: Callable[[], T]) -> T:
        """Do what has a key once; what was refused is decided anew when it comes again."""
        if key is not None and key in self._kept:
            before, answer = self._kept[key]
            if before != asked:
                raise Invalid("the idempotency key came before with another request", "idempotency_key_reused")
            kept: T = answer
            return kept
        answer = do()
        if key is not None and getattr(answer, "allowed", True):
            self._kept[key] = (asked, answer)
        return answer

    def _next(self) -> str:
        self._numbers += 1
        return f"{self._numbers:032x}"


def _refuse(outcome: Outcome) -> None:
    """Raise what the server answers with a problem."""
    if outcome.error is not None:
        words = outcome.detail or str(outcome.error)
        raise ReservationEnded(words, outcome.error) if outcome.error in _ENDED else Invalid(words, outcome.error)
