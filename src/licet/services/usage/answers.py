"""What came of a step, as it is answered: quantities in major units, refusals with their decisions."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from licet.core.compiled import UNBOUNDED, CompiledCatalog
from licet.core.decision import Decision
from licet.core.instant import FOREVER, Instant, format_instant
from licet.core.question import Context
from licet.core.usage.admit import Outcome, Take
from licet.core.usage.facts import Closing, Fact, Request
from licet.core.usage.grant import UNLIMITED
from licet.core.usage.metering import Metering
from licet.core.views import DecisionView, Number, wire_amount
from licet.services.errors import Invalid, NotFound, ReservationClosed, ReservationExpired, ServiceError
from licet.services.truth import Recent
from licet.services.usage.ahead import Outlooks
from licet.wire.usage import ClosingAnswer, ConsumeAnswer, TakeView

encode: Final = msgspec.json.Encoder().encode
_told: Final = lru_cache(maxsize=1024)(format_instant)
"""Many balances are whole again at the same instants."""
_PLAIN: Final = (None, Context())


class Refusals:
    """Decisions that refuse, as they are shown. A remedy takes a while to find, so equal ones are found once."""

    def __init__(self) -> None:
        self.outlooks = Outlooks()
        self._kept: Recent[tuple[object, ...], tuple[Decision, DecisionView]] = Recent(2_000)

    def view(self, decision: Decision, now: Instant, basis: str) -> DecisionView:
        """Return a refusal as it is shown."""
        if decision.context not in _PLAIN or not (decision.user is None or isinstance(decision.user, str)):
            return decision.view(now, basis)
        limits = decision.granted, decision.overage_limit, decision.spend_limit
        ahead = decision.resets_at, decision.fits_at
        key = (id(decision.case), decision.quantity, decision.used, decision.user, decision.wants, *limits, *ahead)
        known = self._kept.get(key)
        # The case is kept with it, so that its identity stays its own.
        if known is None or known[0].case is not decision.case:
            known = self._kept.put(key, (decision, decision.view(now)))
        return msgspec.structs.replace(known[1], basis=basis)


def accepted_answer(request: Request, outcome: Outcome, catalog: CompiledCatalog) -> ConsumeAnswer:
    """Return the answer to a consume or reserve that was accepted."""
    fact = outcome.fact
    first = request.wants[0].feature
    prefix = "res" if request.kind == "reserve" else "use"
    until = None if fact is None else fact.until
    return ConsumeAnswer(
        allowed=True,
        reason=str(outcome.reason),
        id=None if fact is None else f"{prefix}_{fact.id}",
        quantity=0 if fact is None else units(catalog, first, fact.asked.get(first, 0)),
        expires_at=None if until is None or until >= FOREVER else format_instant(until),
        takes=take_views(outcome.takes, catalog),
        would_deny=None if outcome.would_deny is None else tuple(map(str, outcome.would_deny)),
    )


def refused_answer(outcome: Outcome, refusals: Sequence[DecisionView]) -> ConsumeAnswer:
    """Return the answer to a consume or reserve that was refused."""
    return ConsumeAnswer(allowed=False, reason=str(outcome.reason), refusals=tuple(refusals))


def closing_answer(closing: Closing, outcome: Outcome, catalog: CompiledCatalog) -> ClosingAnswer:
    """Return the answer to a settle or release that was accepted."""
    reservation, fact = outcome.reservation, outcome.fact
    first = "" if reservation is None else next(iter(reservation.fact.asked), "")
    used = 0 if closing.used is None or fact is None else fact.asked.get(first, closing.used.get(first, 0))
    return ClosingAnswer(
        id=f"res_{closing.reservation}",
        closed="released" if closing.used is None else "settled",
        used=units(catalog, first, used),
        exceeded=fact is not None and fact.exceeds,
        takes=take_views(outcome.takes, catalog),
    )


def corrected_answer(outcome: Outcome, catalog: CompiledCatalog, metering: Metering, of: Fact) -> ConsumeAnswer:
    """Return the answer to a correction: ``quantity`` is what was given back."""
    fact = outcome.fact
    quantity: Number = 0
    if fact is not None and of.asked:
        first = next(iter(of.asked))
        quantity = units(catalog, first, fact.asked.get(first, 0))
    elif fact is not None and fact.metered:
        meter = next(iter(sorted(of.metered)))
        quantity = wire_amount(fact.metered.get(meter, 0), metering.meters[meter].scale)
    return ConsumeAnswer(
        allowed=True,
        reason=str(outcome.reason),
        id=None if fact is None else f"use_{fact.id}",
        quantity=quantity,
        takes=take_views(outcome.takes, catalog),
    )


def take_views(takes: Sequence[Take], catalog: CompiledCatalog) -> tuple[TakeView, ...]:
    """Return what was taken from balances and how they stand."""
    return tuple(
        TakeView(
            feature=one.key.feature,
            holder=one.key.holder,
            taken=units(catalog, one.key.feature, one.taken),
            used=units(catalog, one.key.feature, one.used),
            granted=units(catalog, one.key.feature, boundless(one.granted, one.granted)),
            remaining=units(catalog, one.key.feature, boundless(one.remaining, one.granted)),
            resets_at=None if one.resets_at is None or one.resets_at >= FOREVER else _told(one.resets_at),
        )
        for one in takes
    )


def boundless(minor: int, granted: int) -> int:
    """Return an amount of a balance; UNBOUNDED where so much was granted that there is no limit."""
    return UNBOUNDED if granted >= UNLIMITED else minor


def units(catalog: CompiledCatalog, feature: str, minor: int) -> Number:
    """Return minor units of a feature in major units."""
    made = catalog.features.get(feature)
    return wire_amount(minor, 0 if made is None else made.scale)


def error_of(outcome: Outcome, named: str) -> ServiceError:
    """Return the error for a step that could not be answered; ``named`` is what it was about."""
    words = outcome.detail
    if outcome.error == "unknown_reservation":
        return NotFound(words or f"there is no reservation {named!r}", advice="check the id that reserve answered with")
    if outcome.error == "reservation_closed":
        return ReservationClosed(
            words or f"{named} was closed before", advice="its first end counts; consume what was used beyond that"
        )
    if outcome.error == "reservation_expired":
        advice = "consume what was used; next time reserve for longer (lasts)"
        return ReservationExpired(words or f"{named} ended by itself", advice=advice)
    return Invalid(words or f"{named} cannot be carried out", advice="correct what is named and send it again")
