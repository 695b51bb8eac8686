"""What recorded facts do to one balance: uses and refunds, as its fold takes them."""

from collections.abc import Iterable, Iterator

from licet.core.instant import FOREVER, Instant
from licet.core.usage.balance import Refund, Use
from licet.core.usage.facts import AccountKey, Fact


def effects(
    facts: Iterable[Fact], key: AccountKey, at: Instant, meter: str | None = None, *, noted: bool = False
) -> list[Use | Refund]:
    """Return what facts effective by ``at`` do to a balance, in their order of (effective, id).

    With what settles and releases are about come their reservations. A reservation that ended by itself by ``at`` and
    that nobody closed gives all of itself back at its own end; with ``noted`` only where that was recorded.
    ``meter`` is that of a metered feature.
    """
    known = sorted((one for one in facts if one.effective <= at), key=lambda one: (one.effective, one.id))
    begun = {one.id: one for one in known if one.kind == "reserve"}
    closed = {one.of for one in known if one.kind in ("settle", "release")}
    undone = {one.of for one in known if meter is not None and meter in one.undoes}
    standing = known if not undone else [one for one in known if not undone & {one.id, one.of}]
    found = [effect for fact in standing for effect in _effect(fact, begun.get(fact.of or ""), key.feature, meter)]
    for one in begun.values():
        ends = FOREVER if one.until is None else one.until
        if not noted and one.id not in closed and ends <= at:
            found.append(Refund(id=one.id, effective=ends, use=one.id, amount=one.burns.get(key.feature, 0)))
    return sorted(found, key=lambda one: (one.effective, isinstance(one, Refund), one.id))


def rated(fact: Fact, feature: str) -> dict[str, int]:
    """Return how much a fact burned of which meter at which rate, for the credits of a feature: by ``meter@rate``.

    Under the empty name stands what all of that came to in credits. What is set aside is rounded up by itself; it
    counts in running totals when it is settled, so that giving it back takes off no roundings of others.
    """
    found: dict[str, int] = {}
    if fact.kind in ("reserve", "lease"):
        return found
    for name, rate in fact.rates.items():
        of, _, meter = name.rpartition("@")
        if of == feature and fact.metered.get(meter):
            found[f"{meter}@{rate}"] = fact.metered[meter]
    if found:
        found[""] = fact.burns.get(feature, 0) - fact.asked.get(feature, 0)
    return found


def closing_effect(fact: Fact, of: Fact, feature: str) -> Use | Refund:
    """Return what the end of a reservation does to a balance that it burned: more is a use, less is given back."""
    before = of.burns[feature]
    amount, now = (0, {}) if fact.kind == "release" else (fact.burns.get(feature, 0), rated(fact, feature))
    if amount > before:
        return Use(id=fact.id, effective=fact.effective, amount=amount - before, rated=_parts(now, 1))
    return Refund(id=fact.id, effective=fact.effective, use=of.id, amount=before - amount, rated=_parts(now, -1))


def returned(fact: Fact, feature: str) -> Refund:
    """Return what is told of a lease does to a balance: use enters the running totals, the rest returns."""
    return Refund(
        id=fact.id,
        effective=fact.effective,
        use=fact.of or "",
        amount=fact.back.get(feature, 0),
        rated=_parts(rated(fact, feature), -1),
        spent=fact.burns[feature],
    )


def _parts(more: dict[str, int], sign: int) -> tuple[tuple[str, int], ...]:
    return tuple((name, sign * part) for name, part in more.items() if part)


def _effect(fact: Fact, of: Fact | None, feature: str, meter: str | None) -> Iterator[Use | Refund]:
    amount, counted = fact.burns.get(feature, 0), rated(fact, feature)
    if fact.kind in ("consume", "report", "reserve", "lease"):
        if feature in fact.burns:
            value = fact.values.get(meter or "", "")
            if value:
                # One that was counted before took nothing; it counts where the first one is taken back.
                amount = fact.metered.get(meter or "", amount)
            leased = fact.kind == "lease"
            yield Use(fact.id, fact.effective, amount, tuple(counted.items()), value, leased)
    elif fact.kind == "refund":
        if feature in fact.burns and fact.of is not None:
            yield Refund(id=fact.id, effective=fact.effective, use=fact.of, amount=amount, rated=tuple(counted.items()))
    elif fact.kind in ("return", "recovery"):
        if feature in fact.burns:
            yield returned(fact, feature)
    elif of is not None and feature in of.burns:
        yield closing_effect(fact, of, feature)
