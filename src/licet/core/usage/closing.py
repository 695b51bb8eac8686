"""How reservations end, and how what was used is corrected: amounts return to the very grants they were drawn from."""

import hashlib
from collections.abc import Iterable, Mapping

from msgspec import structs

from licet.core.instant import FOREVER, Instant, format_instant
from licet.core.reason import Reason
from licet.core.usage.admission import Correction, Error, Outcome, Take
from licet.core.usage.balance import Draw, Refund, Use
from licet.core.usage.desk import Bench, Desk, Lates, Refold, take_of
from licet.core.usage.effects import closing_effect, rated
from licet.core.usage.facts import Closing, Fact, Reservation


def close(bench: Bench, closing: Closing, reservation: Reservation | None) -> Outcome:
    """End a reservation; of several attempts the first counts. More than was reserved is taken whatever there is."""
    if reservation is None or reservation.fact.kind == "lease":
        return _refused("unknown_reservation", f"there is no reservation res_{closing.reservation}")
    begun = reservation.fact
    over = reservation.closed_by == expiry_id(begun.id) if reservation.closed else _until(reservation) <= bench.now
    if over:
        end = format_instant(_until(reservation))
        return _refused("reservation_expired", f"res_{begun.id} ended by itself at {end}; report what was used")
    if reservation.closed is not None:
        return _refused("reservation_closed", f"res_{begun.id} was {reservation.closed} before; it ends once")
    problem = _unnamed(begun, closing)
    if problem is not None:
        return _refused("invalid", problem)
    desks = desks_of(bench, begun)
    at = bench.instant(desks.values())
    used = dict.fromkeys(begun.asked, 0) if closing.used is None else {**begun.asked, **closing.used}
    fact = _closing_fact(bench, desks, begun, used, structs.replace(begun, id=closing.id, effective=at, of=begun.id))
    ended, takes = _end(reservation, fact, desks)
    return Outcome(accepted=True, reason=Reason.NOT_ENFORCED, fact=fact, takes=takes, reservation=ended)


def release_due(bench: Bench, due: Iterable[Reservation]) -> list[tuple[Fact, Reservation]]:
    """Release reservations that ended by themselves, in the order of their ends; return the facts that say so."""
    released, lates = [], Lates()
    for one in sorted(due, key=lambda one: (_until(one), one.fact.id)):
        if one.closed is None and _until(one) <= bench.now:
            begun = one.fact
            nothing = dict.fromkeys(begun.asked, 0)
            told = structs.replace(begun, id=expiry_id(begun.id), effective=_until(one), of=begun.id)
            fact = _released(begun, nothing, told)
            try:
                ended, _ = _end(one, fact, desks_of(bench, begun))
            except Refold as again:
                lates.note(again)
            else:
                released.append((fact, ended))
    lates.end()
    return released


def expiry_id(reservation: str) -> str:
    """Return the id of the fact that releases a reservation which ended by itself: the same whoever notes it."""
    return hashlib.sha256(b"expiry" + bytes.fromhex(reservation)).hexdigest()[:32]


def correct(bench: Bench, correction: Correction) -> Outcome:
    """Give a part of a consume or report back."""
    of = correction.of
    if of.kind not in ("consume", "report"):
        return _refused("invalid", f"{of.id} is a {of.kind}; only a consume or a report can be corrected")
    levels = tuple(one for one in of.metered if _is_level(bench, one))
    backs, draws = bench.given_back.get(of.id, ((), {}))
    draws = {**correction.draws, **draws}
    left = _left(of, (*correction.back, *backs))
    part = _part(bench, left, correction.quantity)
    if levels:
        part = _undone(of, levels, correction, given=bool(backs))
    if isinstance(part, str):
        return _refused("invalid", part)
    desks = desks_of(bench, of)
    now = bench.instant(desks.values())
    # A level has no parts to return: it is as if it had never been told, from then on.
    at = of.effective if levels else now
    told = structs.replace(of, id=correction.id, effective=at, undoes=levels)
    fact = _refund_fact(bench, desks, left, part, told)
    takes = []
    for feature, desk in desks.items():
        back = Refund(
            id=fact.id,
            effective=at,
            use=of.id,
            amount=fact.burns[feature],
            rated=tuple(rated(fact, feature).items()),
            undoes=bench.metering.meter_of.get(feature) in levels,
        )
        draws[feature] = desk.give_back(back, draws.get(feature, ()), of.effective)
        takes.append(take_of(desk, -fact.burns[feature], now))
    bench.given_back[of.id] = (*backs, fact), draws
    return Outcome(accepted=True, reason=Reason.NOT_ENFORCED, fact=fact, takes=tuple(takes))


def _refused(error: Error, detail: str) -> Outcome:
    return Outcome(accepted=False, reason=None, error=error, detail=detail)


def _until(reservation: Reservation) -> Instant:
    return FOREVER if reservation.fact.until is None else reservation.fact.until


def _unnamed(begun: Fact, closing: Closing) -> str | None:
    """What is wrong with what a settle says, in words."""
    for name, quantity in (closing.used or {}).items():
        if name not in begun.asked:
            held = ", ".join(sorted(begun.asked))
            return f"res_{begun.id} holds nothing of {name!r}; it holds {held}"
        if quantity < 0:
            return f"{name!r} cannot come to {quantity}; settle with 0 or more"
    return None


def desks_of(bench: Bench, fact: Fact) -> dict[str, Desk]:
    """Return the accounts that a fact burned, by feature; those that the catalog no longer has are nobody's."""
    found = {}
    for feature in fact.burns:
        key = bench.own(feature, fact.customer, fact.user, fact.team)
        if key is not None and feature in bench.metering.each_of:
            found[feature] = bench.desk(key)
    return found


def _closing_fact(bench: Bench, desks: Mapping[str, Desk], begun: Fact, used: dict[str, int], told: Fact) -> Fact:
    """What is recorded of a settle: what the reservation came to in the end."""
    if not any(used.values()):
        return _released(begun, used, told)
    metered = dict.fromkeys(begun.metered, 0)
    for feature, quantity in used.items():
        meter = bench.metering.meter_of.get(feature)
        if meter in metered:
            metered[meter] += quantity
    burns, exceeds = {}, False
    for feature, before in begun.burns.items():
        desk = desks.get(feature)
        if desk is None:
            burns[feature] = before
            continue
        burns[feature] = max(0, _came_to(bench, desk, begun, used, metered))
        exceeds = exceeds or burns[feature] - before > desk.account.room(told.effective).remaining
    return structs.replace(told, kind="settle", until=None, asked=used, metered=metered, burns=burns, exceeds=exceeds)


def _released(begun: Fact, nothing: dict[str, int], told: Fact) -> Fact:
    """What is recorded of a release: all of it goes back."""
    return structs.replace(
        told,
        kind="release",
        until=None,
        asked=nothing,
        metered=dict.fromkeys(begun.metered, 0),
        burns=dict.fromkeys(begun.burns, 0),
    )


def _came_to(bench: Bench, desk: Desk, begun: Fact, used: Mapping[str, int], metered: Mapping[str, int]) -> int:
    """What a reservation comes to on a balance where these quantities were used of it."""
    feature = desk.key.feature
    meter = bench.metering.meter_of.get(feature)
    if meter in begun.metered:
        return metered[meter]
    return used.get(feature, 0) + at_rates(bench, desk, begun, metered)


def at_rates(bench: Bench, desk: Desk, of: Fact, changes: Mapping[str, int]) -> int:
    """Return what meters that change by so much burn more or less, at the rates at which they were burned."""
    more, any_rate = 0, False
    for meter, change in changes.items():
        text = of.rates.get(f"{desk.key.feature}@{meter}")
        rate = None if text is None else bench.metering.rate_of(desk.key.feature, f"{meter}@{text}")
        if rate is not None:
            any_rate = True
            more += rate.burn(desk.account.totals.get(f"{meter}@{text}", 0), change)
    return more - desk.excess(bench.metering) if any_rate else more


def _end(reservation: Reservation, fact: Fact, desks: Mapping[str, Desk]) -> tuple[Reservation, tuple[Take, ...]]:
    """Give back or take what a closing comes to, and say how the reservation ended."""
    begun = reservation.fact
    draws: dict[str, tuple[Draw, ...]] = dict(reservation.draws)
    takes: list[Take] = []
    for feature, desk in desks.items():
        effect = closing_effect(fact, begun, feature)
        if isinstance(effect, Use):
            draws[feature] = (*draws.get(feature, ()), *desk.take(effect))
        elif effect.amount or effect.rated:
            draws[feature] = desk.give_back(effect, draws.get(feature, ()), begun.effective)
        if fact.effective >= desk.account.newest:
            takes.append(take_of(desk, fact.burns[feature], fact.effective))
    ended = structs.replace(
        reservation,
        draws=draws,
        closed="released" if fact.kind == "release" else "settled",
        closed_by=fact.id,
    )
    return ended, tuple(takes)


def _is_level(bench: Bench, meter: str) -> bool:
    known = bench.metering.meters.get(meter)
    return known is not None and known.aggregate not in ("sum", "count")


def _undone(
    of: Fact, levels: tuple[str, ...], correction: Correction, *, given: bool
) -> tuple[dict[str, int], dict[str, int]] | str:
    """All of what told a level, by feature as asked and by meter; or in words why it cannot be taken back."""
    if given or correction.back:
        return "all of it was given back before"
    if correction.quantity is not None:
        return (
            f"the meter {levels[0]!r} counts no amounts: leave the quantity out to take back what was told as a whole"
        )
    return of.asked, of.metered


def _left(of: Fact, back: Iterable[Fact]) -> Fact:
    """What of a fact was not given back yet."""
    asked, metered, burns = dict(of.asked), dict(of.metered), dict(of.burns)
    for one in back:
        for whole, part in ((asked, one.asked), (metered, one.metered), (burns, one.burns)):
            for name, quantity in part.items():
                whole[name] = max(0, whole.get(name, 0) - quantity)
    return structs.replace(of, asked=asked, metered=metered, burns=burns)


def _part(bench: Bench, left: Fact, quantity: int | None) -> tuple[dict[str, int], dict[str, int]] | str:
    """What to give back, by feature as asked and by meter; or in words why not."""
    asked, metered = left.asked, left.metered
    if quantity is not None:
        named = asked or metered
        if len(named) != 1:
            return f"it is of several ({', '.join(sorted(named))}); leave the quantity out to give all of it back"
        name, most = next(iter(named.items()))
        if not 0 < quantity <= most:
            return f"{quantity} of {name!r} cannot be given back; {most} are left of it"
        meter = bench.metering.meter_of.get(name, name)
        return ({name: quantity} if asked else {}), ({meter: quantity} if meter in metered else {})
    if not any(asked.values()) and not any(metered.values()):
        return "all of it was given back before"
    return asked, metered


def _refund_fact(
    bench: Bench, desks: Mapping[str, Desk], left: Fact, part: tuple[dict[str, int], dict[str, int]], told: Fact
) -> Fact:
    """What is recorded of a correction."""
    asked, metered = part
    burns: dict[str, int] = {}
    for feature, desk in desks.items():
        meter = bench.metering.meter_of.get(feature)
        if meter in left.metered:
            back = metered.get(meter, 0)
        else:
            changes = {name: -quantity for name, quantity in metered.items()}
            back = asked.get(feature, 0) - at_rates(bench, desk, left, changes)
        burns[feature] = min(left.burns[feature], max(0, back))
    return structs.replace(told, kind="refund", asked=asked, metered=metered, burns=burns, of=left.id, until=None)
