"""What reports take: it is recorded whatever there is, and nobody is asked."""

from typing import Final

from msgspec import structs

from licet.core.instant import Instant
from licet.core.reason import Reason
from licet.core.usage.admission import Outcome
from licet.core.usage.balance import Use
from licet.core.usage.desk import NO_ROOM, Bench, Desk, Lates, Planned, Refold, Spot
from licet.core.usage.facts import AccountKey, Fact

_REASON: Final = Reason.NOT_ENFORCED


class Reporting:
    """Reports that follow each other: what those of one balance take is taken together, in order of time."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._uses: dict[Desk, list[Use]] = {}
        self._lates = Lates()

    def take(self, fact: Fact) -> Outcome:
        """Record what was used; taken by :meth:`end` at the latest."""
        if len(fact.metered) == 1:
            at, spots = fact.effective, self._bench.spots
            for meter, quantity in fact.metered.items():
                spot = spots.get((fact.customer, meter))
                if spot is None or not spot.since <= at < spot.until:
                    spot = spots[fact.customer, meter] = _spot(self._bench, fact.customer, meter, at)
                desk = spot.desk
                if desk is not None:
                    use = Use(fact.id, at, quantity, (), fact.values.get(meter, "") if fact.values else "")
                    uses = self._uses.get(desk)
                    if uses is None:
                        self._uses[desk] = [use]
                    else:
                        uses.append(use)
                    recorded = structs.replace(fact, burns={desk.key.feature: quantity})
                    return Outcome(accepted=True, reason=_REASON, fact=recorded)
        self._take()
        return _report(self._bench, fact, self._lates)

    def end(self) -> None:
        """Take what waits; raises Refold where accounts have to be folded anew for what was reported."""
        self._take()
        self._lates.end()

    def _take(self) -> None:
        uses, self._uses = self._uses, {}
        for desk, several in uses.items():
            try:
                desk.take_all(several)
            except Refold as again:
                self._lates.note(again)


def _spot(bench: Bench, customer: str, meter: str, at: Instant) -> Spot:
    """Find the one balance that a meter touches, one for one and whoever used it; none where it is not that simple."""
    met = bench.reaches.metered(customer, meter, at)
    if len(met.burning) == 1 and met.burning[0].each == "customer" and met.burning[0].rate is None:
        return Spot(met.since, met.until, bench.desk(AccountKey(customer, met.burning[0].feature)))
    return Spot(met.since, met.until, None)


def _report(bench: Bench, fact: Fact, lates: Lates) -> Outcome:
    metering, at = bench.metering, fact.effective
    plan: dict[str, Planned] = {}
    rates: dict[str, str] = {}
    burns: dict[str, int] = {}
    for meter, quantity in fact.metered.items():
        for burning in bench.reaches.metered(fact.customer, meter, at).burning:
            key = bench.own(burning.feature, fact.customer, fact.user, fact.team)
            if key is None:
                continue
            planned = plan.get(burning.feature)
            if planned is None:
                planned = plan[burning.feature] = Planned(bench.desk(key), NO_ROOM)
            planned.value, planned.unit = fact.values.get(meter, ""), quantity
            planned.add(burning, quantity, planned.cost(burning, quantity, metering))
            if burning.rate is not None:
                rates[burning.named] = burning.rate.text
    for feature, planned in plan.items():
        burns[feature] = planned.burn
        try:
            planned.take(fact.id, at, planned.burn)
        except Refold as again:
            lates.note(again)
    return Outcome(accepted=True, reason=_REASON, fact=structs.replace(fact, burns=burns, rates=rates))
