"""Reservations end once, corrections never give back more than there was, and what is told is recorded."""

import pytest

from licet.core.usage.admit import Correction, Outcome, Refold, Report
from licet.core.usage.balance import Draw
from licet.core.usage.closing import expiry_id
from licet.core.usage.effects import effects
from licet.core.usage.facts import AccountKey, Fact, Reservation
from tests.core.usage.till import MINUTE, NOW, Shop, closing, fresh, want


def reserve(shop: Shop, feature: str, quantity: int, *also: tuple[str, int]) -> Reservation:
    """A reservation that was accepted."""
    made = shop.admit(want(feature, quantity, *also, kind="reserve")).outcomes[0].reservation
    assert made is not None
    return made


def close(shop: Shop, reservation: Reservation, used: dict[str, int] | None) -> Outcome:
    """How a reservation ends."""
    given = {reservation.fact.id: reservation}
    return shop.admit(closing(reservation.fact.id, used), reservations=given).outcomes[0]


def report(feature_meter: str, quantity: int, *, at: int = 0, value: str = "", user: str | None = None) -> Report:
    """Something used, as metering tells it; ``at`` in microseconds from now."""
    values = {feature_meter: value} if value else {}
    return Report(
        fact=Fact(
            id=fresh(),
            kind="report",
            effective=NOW + at,
            customer="acme",
            metered={feature_meter: quantity},
            values=values,
            user=user,
        )
    )


def fact_of(outcome: Outcome) -> Fact:
    """What was recorded."""
    assert outcome.fact is not None, outcome
    return outcome.fact


def test_a_settle_gives_the_rest_back() -> None:
    """A settle below what was reserved returns the rest; the fact says what it came to."""
    shop = Shop(calls=100)
    held = reserve(shop, "calls", 75)
    told = close(shop, held, {"calls": 30})
    assert told.accepted
    fact = fact_of(told)
    assert (fact.kind, fact.of, fact.asked, fact.burns) == ("settle", held.fact.id, {"calls": 30}, {"calls": 30})
    assert not fact.exceeds
    assert (told.takes[0].taken, told.takes[0].used, told.takes[0].remaining) == (30, 30, 70)
    assert told.reservation is not None
    assert (told.reservation.closed, told.reservation.closed_by) == ("settled", fact.id)
    assert shop.till("calls").used == 30


@pytest.mark.parametrize("used", [None, {"calls": 0}])
def test_nothing_used_is_a_release(used: dict[str, int] | None) -> None:
    """A release, and a settle of nothing, give all of it back."""
    shop = Shop(calls=100)
    told = close(shop, reserve(shop, "calls", 75), used)
    assert (fact_of(told).kind, fact_of(told).burns) == ("release", {"calls": 0})
    assert told.reservation is not None
    assert told.reservation.closed == "released"
    assert shop.till("calls").used == 0


@pytest.mark.parametrize(("used", "exceeds"), [(100, False), (101, True)])
def test_more_than_reserved_is_taken(used: int, *, exceeds: bool) -> None:
    """A settle above what was reserved takes the rest too, and is flagged where that is more than there was."""
    shop = Shop(calls=100)
    told = close(shop, reserve(shop, "calls", 75), {"calls": used})
    assert told.accepted
    assert fact_of(told).exceeds is exceeds
    assert shop.till("calls").used == used


def test_of_several_closings_one_counts() -> None:
    """Of two settles in one batch the first is accepted, the other learns that it was closed; so do later ones."""
    shop = Shop()
    held = reserve(shop, "calls", 75)
    first, second = closing(held.fact.id, {"calls": 1}), closing(held.fact.id, {"calls": 2})
    told = shop.admit(first, second, reservations={held.fact.id: held}).outcomes
    assert [outcome.error for outcome in told] == [None, "reservation_closed"]
    assert told[0].reservation is not None
    assert close(shop, told[0].reservation, None).error == "reservation_closed"
    assert shop.till("calls").used == 1


def test_what_ends_by_itself_is_released_first() -> None:
    """A reservation past its end is released at its end before anything else is decided, and cannot be settled."""
    shop = Shop(calls=100)
    held = reserve(shop, "calls", 75)
    until = held.fact.until
    assert until is not None
    shop.now = until - 1000
    told = shop.admit(
        want("calls", 100), closing(held.fact.id, {"calls": 1}), reservations={held.fact.id: held}, due=[held]
    )
    assert [outcome.accepted for outcome in told.outcomes] == [True, False]
    assert told.outcomes[1].error == "reservation_expired"
    fact, ended = told.released[0]
    assert (fact.id, fact.kind, fact.effective) == (expiry_id(held.fact.id), "release", until)
    assert (ended.closed, ended.closed_by) == ("released", fact.id)


def test_what_was_settled_stays_settled() -> None:
    """Past its end a reservation that was settled in time is closed, not expired; one that was released there is."""
    shop = Shop(calls=100)
    held = reserve(shop, "calls", 75)
    settled = close(shop, held, {"calls": 1}).reservation
    assert settled is not None
    assert held.fact.until is not None
    shop.now = held.fact.until
    assert close(shop, settled, {"calls": 1}).error == "reservation_closed"
    other = want("calls", 1, kind="reserve", until=shop.now + MINUTE)
    left = shop.admit(other).outcomes[0].reservation
    assert left is not None
    shop.now += MINUTE
    ended = shop.admit(due=[left]).released[0][1]
    assert close(shop, ended, None).error == "reservation_expired"


def test_until_the_end_it_holds() -> None:
    """One microsecond before its end a reservation is no matter of release, and can be settled."""
    shop = Shop(calls=100)
    held = reserve(shop, "calls", 75)
    assert held.fact.until is not None
    shop.now = held.fact.until - 1001
    given = {held.fact.id: held}
    told = shop.admit(closing(held.fact.id, {"calls": 1}), reservations=given, due=[held])
    assert told.released == []
    assert told.outcomes[0].accepted


def test_what_nobody_holds() -> None:
    """An unknown reservation, and a settle of what was not reserved, are errors that say so."""
    shop = Shop()
    assert shop.admit(closing(fresh(), None)).outcomes[0].error == "unknown_reservation"
    told = close(shop, reserve(shop, "calls", 75), {"soft": 1})
    assert told.error == "invalid"
    assert "it holds calls" in told.detail


def test_a_settle_of_several() -> None:
    """Of several reserved features those not named stay as they were reserved."""
    shop = Shop()
    told = close(shop, reserve(shop, "calls", 75, ("soft", 20)), {"soft": 5})
    assert fact_of(told).burns == {"calls": 75, "soft": 5}


def test_a_settle_in_a_pool() -> None:
    """What a settle returns to a pool is what its rate gives for what was not used."""
    shop = Shop(drafts=10_000, ai=500)
    held = reserve(shop, "drafts", 5000)
    assert held.rates == {"ai@tokens": "0.0004"}
    told = close(shop, held, {"drafts": 1001})
    assert fact_of(told).burns == {"drafts": 1001, "ai": 41}
    assert shop.till("ai").used == 41


def test_facts_fold_to_the_same() -> None:
    """What admission did to accounts is what the fold of the recorded facts does to them."""
    shop = Shop(drafts=10_000, ai=500)
    held = reserve(shop, "drafts", 5000, ("ai", 7))
    other = reserve(shop, "drafts", 100)
    facts = [held.fact, other.fact, fact_of(close(shop, held, {"drafts": 6001, "ai": 2}))]
    facts.append(fact_of(close(shop, other, {"drafts": 33})))
    facts.append(fact_of(shop.admit(want("drafts", 1234)).outcomes[0]))
    for feature in ("drafts", "ai"):
        told = effects(facts, AccountKey("acme", feature), NOW + MINUTE, "tokens")
        mine = shop.till(feature).taken
        assert sorted(told, key=lambda one: one.id) == sorted(mine, key=lambda one: one.id)


def test_reports_are_never_refused() -> None:
    """A report is recorded whatever there is, on the balance of its meter and on every pool of it."""
    shop = Shop(drafts=10, ai=1)
    told = shop.admit(report("tokens", 100_000)).outcomes[0]
    assert told.accepted
    assert fact_of(told).burns == {"drafts": 100_000, "ai": 4000}
    assert fact_of(told).rates == {"ai@tokens": "0.0004"}
    assert shop.till("drafts").used == 100_000


def test_a_report_of_nobody() -> None:
    """Where no user is named a balance of each user takes no part; the report is kept all the same."""
    shop = Shop()
    assert fact_of(shop.admit(report("mine", 5)).outcomes[0]).burns == {}
    assert fact_of(shop.admit(report("mine", 5, user="ann")).outcomes[0]).burns == {"mine": 5}
    assert shop.till("mine", "user:ann").used == 5


def test_a_report_before_all_rights() -> None:
    """What was used before the customer had anything burns nothing."""
    assert fact_of(Shop().admit(report("calls", 5, at=-60 * 24 * 60 * MINUTE)).outcomes[0]).burns == {}


def test_levels_are_reported() -> None:
    """Levels and values of a meter reach its balance as they are, and burn no credits."""
    shop = Shop()
    told = fact_of(shop.admit(report("disk", 77), report("people", 1, value="ann")).outcomes[0])
    assert told.burns == {"disk": 77}
    assert shop.till("people").seen == {"ann"}


def test_a_late_report_asks_for_a_fold() -> None:
    """Where an account cannot take what lies in its past, the batch names it and the instant to fold from."""
    shop = Shop(late=True)
    shop.admit(want("calls", 5))
    with pytest.raises(Refold) as raised:
        shop.admit(report("calls", 5, at=-MINUTE))
    assert raised.value.key == AccountKey("acme", "calls")
    assert raised.value.at == NOW - MINUTE


def test_a_part_is_given_back() -> None:
    """A correction gives a part of a consume back, never more than is left of it."""
    shop = Shop(calls=100)
    of = fact_of(shop.admit(want("calls", 50)).outcomes[0])
    drawn = {"calls": (Draw("g", 0, 50),)}
    told = shop.admit(Correction(id=fresh(), of=of, draws=drawn, quantity=20)).outcomes[0]
    back = fact_of(told)
    assert (back.kind, back.of, back.asked, back.burns) == ("refund", of.id, {"calls": 20}, {"calls": 20})
    assert told.takes[0][1:5] == (-20, 30, 100, 70)
    again = shop.admit(Correction(id=fresh(), of=of, back=(back,), draws=drawn, quantity=31)).outcomes[0]
    assert "30 are left" in again.detail
    rest = shop.admit(Correction(id=fresh(), of=of, back=(back,), draws=drawn)).outcomes[0]
    assert fact_of(rest).burns == {"calls": 30}
    over = shop.admit(Correction(id=fresh(), of=of, back=(back, fact_of(rest)), draws=drawn)).outcomes[0]
    assert over.error == "invalid"


def test_two_corrections_at_once() -> None:
    """Two corrections of one consume in one batch give back no more than it was."""
    shop = Shop(calls=100)
    of = fact_of(shop.admit(want("calls", 50)).outcomes[0])
    drawn = {"calls": (Draw("g", 0, 50),)}
    both = [Correction(id=fresh(), of=of, draws=drawn, quantity=30) for _ in range(2)]
    told = shop.admit(*both).outcomes
    assert [outcome.accepted for outcome in told] == [True, False]
    assert "20 are left" in told[1].detail
    assert fact_of(shop.admit(*both[1:]).outcomes[0]).burns == {"calls": 30}


def test_what_cannot_be_corrected() -> None:
    """A level is taken back as a whole and once, reservations are settled, of several features all or nothing."""
    shop = Shop()
    level = fact_of(shop.admit(report("disk", 77)).outcomes[0])
    assert "counts no amounts" in shop.admit(Correction(id=fresh(), of=level, quantity=7)).outcomes[0].detail
    back = fact_of(shop.admit(Correction(id=fresh(), of=level)).outcomes[0])
    assert (back.kind, back.undoes, back.effective, back.metered) == (
        "refund",
        ("disk",),
        level.effective,
        {"disk": 77},
    )
    again = shop.admit(Correction(id=fresh(), of=level, back=(back,))).outcomes[0]
    assert again.detail == "all of it was given back before"
    held = reserve(shop, "calls", 5).fact
    assert "only a consume or a report" in shop.admit(Correction(id=fresh(), of=held)).outcomes[0].detail
    two = fact_of(shop.admit(want("calls", 5, ("soft", 5))).outcomes[0])
    assert "leave the quantity out" in shop.admit(Correction(id=fresh(), of=two, quantity=1)).outcomes[0].detail
