"""Requests as the rules take them: names checked, quantities in minor units, times as instants."""

from collections.abc import Sequence
from datetime import UTC

from licet.core.catalog import Credits, Metered
from licet.core.compiled import CompiledCatalog
from licet.core.instant import DAY, Instant, add_duration, parse_duration
from licet.core.quantity import parse_quantity
from licet.core.usage.admit import Correction
from licet.core.usage.facts import Closing, Fact, Request, Reservation, Want
from licet.core.usage.metering import GAUGES, Metering
from licet.services.normal import invalid
from licet.services.usage.jobs import AdmitJob, CloseJob, CorrectJob
from licet.wire.usage import MAX_LASTS, ReserveAsked, WantAsked


def request_of(job: AdmitJob, catalog: CompiledCatalog, metering: Metering, now: Instant) -> Request:
    """Return a consume or reserve with quantities in minor units.

    Raises Invalid for a feature that has no balance, a level that cannot be consumed, a quantity that does not fit or
    is 0, a feature named twice, a reservation that lasts too long. A feature that the catalog does not have is no
    error: it is refused as a check refuses it.
    """
    asked = job.asked
    wants = [WantAsked(feature=asked.feature, quantity=asked.quantity), *asked.also]
    read: list[Want] = []
    for place, want in enumerate(wants):
        path = "" if place == 0 else f"also[{place - 1}]."
        if any(one.feature == want.feature for one in read):
            raise invalid(f"{path}feature", f"{want.feature} is named twice", "say how much of it once")
        _check_counted(catalog, metering, want.feature, f"{path}feature")
        read.append(Want(want.feature, _quantity(catalog, want, path)))
    until = None
    if isinstance(asked, ReserveAsked):
        until = _until(asked.lasts, now)
    return Request(
        id=job.id,
        kind=job.kind,
        customer=asked.customer,
        wants=tuple(read),
        user=asked.user,
        team=asked.team,
        context=asked.context,
        partial=asked.partial,
        until=until,
        dimensions=dict(asked.dimensions),
    )


def closing_of(job: CloseJob, reservation: Reservation, catalog: CompiledCatalog) -> Closing:
    """Return a settle or release; raises Invalid for what was not reserved or a quantity that does not fit."""
    fact = reservation.fact
    if job.asked is None:
        return Closing(id=job.id, reservation=fact.id, used=None)
    first = next(iter(fact.asked))
    used: dict[str, int] = dict(fact.asked)
    wants: Sequence[WantAsked] = (WantAsked(feature=first, quantity=job.asked.used), *job.asked.also)
    for place, want in enumerate(wants):
        path = "used" if place == 0 else f"also[{place - 1}].quantity"
        if want.feature not in fact.asked:
            words = f"{want.feature} was not reserved; reserved was {', '.join(fact.asked)}"
            raise invalid(f"also[{place - 1}].feature", words, "consume it besides")
        used[want.feature] = _amount(catalog, want.feature, want.quantity, path)
    return Closing(id=job.id, reservation=fact.id, used=used if any(used.values()) else None)


def correction_of(job: CorrectJob, of: Fact, back: Sequence[Fact], catalog: CompiledCatalog) -> Correction:
    """Return a correction; raises Invalid for a quantity that does not fit or is 0."""
    asked = job.asked
    quantity = None
    if asked.quantity is not None:
        scale = _scale_of(catalog, of)
        try:
            quantity = parse_quantity(asked.quantity, scale)
        except ValueError as wrong:
            raise invalid("quantity", str(wrong)) from None
        if not quantity:
            raise invalid("quantity", "giving back nothing changes nothing", "leave it out to give back all")
    return Correction(id=job.id, of=of, back=tuple(back), quantity=quantity)


def _scale_of(catalog: CompiledCatalog, of: Fact) -> int:
    """The scale of the first feature asked, or of the first meter of a report."""
    if of.asked:
        feature = catalog.features.get(next(iter(of.asked)))
        return 0 if feature is None else feature.scale
    meter = catalog.document.meters.get(next(iter(sorted(of.metered)), ""))
    return 0 if meter is None else meter.scale


def _check_counted(catalog: CompiledCatalog, metering: Metering, feature: str, path: str) -> None:
    found = catalog.document.features.get(feature)
    if found is None:
        return
    if not isinstance(found, Metered | Credits):
        kind = catalog.features[feature].type
        raise invalid(path, f"{feature} is a feature of type {kind}, which is not used up", "ask with check instead")
    if isinstance(found, Metered) and metering.meters[found.meter].aggregate in GAUGES:
        words = f"{feature} is a level (its meter keeps the {metering.meters[found.meter].aggregate}); it is told"
        raise invalid(path, words, f"send it as an event of type {metering.meters[found.meter].event}")


def _quantity(catalog: CompiledCatalog, want: WantAsked, path: str) -> int:
    amount = _amount(catalog, want.feature, want.quantity, f"{path}quantity")
    if not amount and want.feature in catalog.features:
        raise invalid(f"{path}quantity", "nothing is asked for", "write a quantity above 0")
    return amount


def _amount(catalog: CompiledCatalog, feature: str, quantity: int | str, path: str) -> int:
    made = catalog.features.get(feature)
    try:
        return parse_quantity(quantity, 9 if made is None else made.scale)
    except ValueError as wrong:
        raise invalid(path, str(wrong)) from None


def _until(lasts: str, now: Instant) -> Instant:
    try:
        until = add_duration(now, parse_duration(lasts), UTC)
    except ValueError as wrong:
        raise invalid("lasts", str(wrong)) from None
    if not now < until <= now + DAY:
        raise invalid("lasts", f"{lasts} is not between an instant and {MAX_LASTS}", "write a duration such as PT15M")
    return until
