"""How reservations end and corrections give back, field by field: facts, draws, words and what accounts are told."""

import pytest
from msgspec import structs

from licet.core.instant import format_instant
from licet.core.reason import Reason
from licet.core.usage.admission import Correction, Outcome
from licet.core.usage.admit import Refold, Report
from licet.core.usage.balance import Draw, Late, Refund
from licet.core.usage.closing import expiry_id
from licet.core.usage.facts import AccountKey, Fact, Reservation
from tests.core.usage.till import NOW, Shop, Till, closing, fresh, want


def _reserve(shop: Shop, feature: str, quantity: int, *also: tuple[str, int], user: str | None = None) -> Reservation:
    made = shop.admit(want(feature, quantity, *also, kind="reserve", user=user)).outcomes[0].reservation
    assert made is not None
    return made


def _close(shop: Shop, held: Reservation, used: dict[str, int] | None) -> Outcome:
    return shop.admit(closing(held.fact.id, used), reservations={held.fact.id: held}).outcomes[0]


def _consume(shop: Shop, feature: str, quantity: int, *also: tuple[str, int]) -> Fact:
    return _fact(shop.admit(want(feature, quantity, *also)).outcomes[0])


def _report(shop: Shop, meter: str, quantity: int) -> Fact:
    told = Fact(id=fresh(), kind="report", effective=NOW, customer="acme", metered={meter: quantity})
    return _fact(shop.admit(Report(fact=told)).outcomes[0])


def _correct(shop: Shop, of: Fact, quantity: int | None = None, *back: Fact) -> Outcome:
    draws = {feature: (Draw("g", 0, amount),) for feature, amount in of.burns.items()}
    return shop.admit(Correction(id=fresh(), of=of, back=back, draws=draws, quantity=quantity)).outcomes[0]


def _fact(outcome: Outcome) -> Fact:
    assert outcome.fact is not None, outcome
    return outcome.fact


def test_the_end_of_a_reservation_is_said_in_words() -> None:
    """What is not there, what is over and what was closed before are named, with what to do."""
    shop, unknown = Shop(), fresh()
    assert shop.admit(closing(unknown, None)).outcomes[0].detail == f"there is no reservation res_{unknown}"
    held = _reserve(shop, "calls", 5)
    closed = _close(shop, held, {"calls": 1}).reservation
    assert closed is not None
    told = _close(shop, closed, None)
    assert told.detail == f"res_{held.fact.id} was settled before; it ends once"


def test_what_is_past_its_end_cannot_be_settled() -> None:
    """Whether or not anybody noted its end: at that very instant it is over."""
    shop = Shop()
    held = _reserve(shop, "calls", 5)
    assert held.fact.until is not None
    shop.now = held.fact.until - 1000
    told = _close(shop, held, {"calls": 1})
    end = format_instant(held.fact.until)
    assert told.error == "reservation_expired"
    assert told.detail == f"res_{held.fact.id} ended by itself at {end}; report what was used"


def test_a_settle_is_a_fact_of_its_own() -> None:
    """Its id and instant are those of the settle; it has no end of its own; nobody was asked."""
    shop = Shop()
    held = _reserve(shop, "calls", 5)
    end = closing(held.fact.id, {"calls": 3})
    told = shop.admit(end, reservations={held.fact.id: held}).outcomes[0]
    fact = _fact(told)
    assert (fact.id, fact.effective, fact.of, fact.until) == (end.id, shop.now, held.fact.id, None)
    assert (fact.asked, fact.metered) == ({"calls": 3}, {"calls": 3})
    assert told.reason is Reason.NOT_ENFORCED


@pytest.mark.parametrize("used", [None, {"calls": 0}])
def test_a_release_came_to_nothing(used: dict[str, int] | None) -> None:
    """Zeros in place of everything that was asked, metered and burned; and it has no end."""
    shop = Shop()
    held = _reserve(shop, "calls", 5)
    fact = _fact(_close(shop, held, used))
    assert (fact.asked, fact.metered, fact.burns, fact.until) == ({"calls": 0}, {"calls": 0}, {"calls": 0}, None)


def test_draws_follow_the_settle() -> None:
    """What is still drawn is kept: less after a smaller settle, and what was taken besides after a larger one."""
    shop = Shop(calls=100)
    less = _close(shop, _reserve(shop, "calls", 50), {"calls": 20}).reservation
    more = _close(shop, _reserve(shop, "calls", 50), {"calls": 60}).reservation
    assert less is not None
    assert more is not None
    assert less.draws == {"calls": (Draw("g", 0, 20),)}
    assert more.draws == {"calls": (Draw("g", 0, 50), Draw("g", 0, 10))}


def test_a_settle_of_a_user_is_the_users() -> None:
    """The balance of the user who reserved gets the rest back."""
    shop = Shop()
    _close(shop, _reserve(shop, "mine", 5, user="ann"), {"mine": 2})
    assert shop.till("mine", "user:ann").used == 2


def test_what_was_asked_of_a_pool_is_settled_beside_its_meters() -> None:
    """Credits that were asked for as such, and those that a meter burned, add up."""
    shop = Shop(drafts=10_000, ai=500)
    held = _reserve(shop, "drafts", 5000, ("ai", 7))
    assert _fact(_close(shop, held, {"drafts": 1000, "ai": 3})).burns == {"drafts": 1000, "ai": 43}


def test_a_settle_may_come_to_nothing_on_a_pool() -> None:
    """Where the rounding of what was used before has paid for it already."""
    shop = Shop(drafts=10_000, ai=500)
    _consume(shop, "drafts", 1)
    fact = _fact(_close(shop, _reserve(shop, "drafts", 100), {"drafts": 1}))
    assert fact.burns == {"drafts": 1, "ai": 0}


def test_a_lease_is_no_reservation() -> None:
    """What one evaluator owns is ended by its word, and by nothing else."""
    shop = Shop()
    held = _reserve(shop, "calls", 5)
    told = _close(shop, structs.replace(held, fact=structs.replace(held.fact, kind="lease")), {"calls": 1})
    assert (told.accepted, told.error) == (False, "unknown_reservation")
    assert shop.till("calls").used == 5


def test_a_feature_that_is_gone_keeps_what_it_burned() -> None:
    """Nobody's balance is touched for it, and the others are settled all the same."""
    shop = Shop(calls=100)
    held = _reserve(shop, "calls", 50)
    gone = structs.replace(held.fact, burns={"gone": 9, "calls": 50})
    told = _close(shop, structs.replace(held, fact=gone), {"calls": 20})
    assert _fact(told).burns == {"gone": 9, "calls": 20}
    assert [one.key.feature for one in told.takes] == ["calls"]


def test_reservations_without_an_end_are_settled_at_any_time() -> None:
    """They are never over."""
    shop = Shop()
    held = _reserve(shop, "calls", 5)
    held = structs.replace(held, fact=structs.replace(held.fact, until=None))
    assert _close(shop, held, {"calls": 1}).accepted


def test_of_several_features_all_are_named() -> None:
    """A settle of what was not reserved is told what is, in order."""
    shop = Shop()
    told = _close(shop, _reserve(shop, "soft", 5, ("calls", 5)), {"paid": 1})
    assert told.detail.endswith("it holds calls, soft")


def test_ends_are_noted_in_their_order() -> None:
    """What ended first is released first, of those that ended at once the one with the lower id; each as nothing."""
    shop = Shop()
    held = [_reserve(shop, "calls", 5) for _ in range(3)]
    early = structs.replace(held[2], fact=structs.replace(held[2].fact, until=NOW + 60_000))
    shop.now = NOW + 3600 * 1_000_000
    released = shop.admit(due=[held[1], held[0], early]).released
    assert [fact.of for fact, _ in released] == [
        early.fact.id,
        *sorted(one.fact.id for one in held[:2]),
    ]
    assert {tuple(fact.asked.items()) for fact, _ in released} == {(("calls", 0),)}


class Strict(Till):
    """An account that takes nothing back."""

    def refund(self, refund: Refund, draws: tuple[Draw, ...], since: int) -> tuple[Draw, ...]:
        """Ask for a fold."""
        raise Late(refund.effective)


def test_an_end_that_lies_before_what_counts_asks_for_a_fold() -> None:
    """The account and the instant to fold from are named."""
    shop, key = Shop(), AccountKey("acme", "calls")
    held = _reserve(shop, "calls", 5)
    assert held.fact.until is not None
    shop.tills[key] = Strict(shop.account(key).course, 500)
    shop.now = held.fact.until + 1000
    with pytest.raises(Refold) as raised:
        shop.admit(due=[held])
    assert (raised.value.key, raised.value.at) == (key, held.fact.until)


def test_the_id_of_an_end_never_changes() -> None:
    """Whoever notes the end of a reservation, in whatever version, notes it under this id."""
    assert expiry_id("0" * 32) == "1b8d13320a4d1de4cc229120b123c6ef"


@pytest.mark.parametrize("quantity", [1, 50])
def test_any_part_is_given_back(quantity: int) -> None:
    """From one to all; the fact and what the account is told of it say the same."""
    shop = Shop(calls=100)
    of = _consume(shop, "calls", 50)
    step = Correction(id=fresh(), of=of, draws={"calls": (Draw("g", 0, 50),)}, quantity=quantity)
    told = shop.admit(step).outcomes[0]
    fact = _fact(told)
    assert (fact.id, fact.effective, fact.asked, fact.metered) == (
        step.id,
        shop.now,
        {"calls": quantity},
        {"calls": quantity},
    )
    assert told.reason is Reason.NOT_ENFORCED
    back = Refund(id=step.id, effective=shop.now, use=of.id, amount=quantity)
    assert shop.till("calls").taken[-1] == back


@pytest.mark.parametrize("quantity", [0, 51, -1])
def test_no_other_part_is(quantity: int) -> None:
    """Nothing, less than nothing and more than there is are refused, in words."""
    shop = Shop(calls=100)
    told = _correct(shop, _consume(shop, "calls", 50), quantity)
    assert told.detail == f"{quantity} of 'calls' cannot be given back; 50 are left of it"


@pytest.mark.parametrize(("quantity", "tokens", "cents"), [(1, 1, 0), (1001, 1001, 40), (None, 5000, 200)])
def test_a_pool_gets_back_what_its_meter_burned(quantity: int | None, tokens: int, cents: int) -> None:
    """What the rate comes to without the part; running totals count it no more."""
    shop = Shop(drafts=10_000, ai=500)
    fact = _fact(_correct(shop, _consume(shop, "drafts", 5000), quantity))
    assert (fact.asked, fact.metered) == ({"drafts": tokens}, {"tokens": tokens})
    assert fact.burns == {"drafts": tokens, "ai": cents}
    assert shop.till("ai").used == 200 - cents
    assert shop.till("ai").totals["tokens@0.0004"] == 5000 - tokens


def test_what_was_asked_of_a_pool_comes_back_with_the_rest() -> None:
    """Credits that were asked for as such, and those that a meter burned."""
    shop = Shop(drafts=10_000, ai=500)
    fact = _fact(_correct(shop, _consume(shop, "drafts", 5000, ("ai", 7))))
    assert fact.burns == {"drafts": 5000, "ai": 207}


@pytest.mark.parametrize("quantity", [None, 4, 9])
def test_credits_alone_are_given_back(quantity: int | None) -> None:
    """Where no meter counted none is named."""
    shop = Shop(ai=500)
    fact = _fact(_correct(shop, _consume(shop, "ai", 9), quantity))
    back = 9 if quantity is None else quantity
    assert (fact.asked, fact.metered, fact.burns) == ({"ai": back}, {}, {"ai": back})


def test_a_report_is_given_back_by_its_meter() -> None:
    """Nothing was asked for; a part of it is of the meter."""
    shop = Shop(drafts=10_000, ai=500)
    fact = _fact(_correct(shop, _report(shop, "tokens", 5000), 1001))
    assert (fact.asked, fact.metered, fact.burns) == ({}, {"tokens": 1001}, {"drafts": 1001, "ai": 40})


def test_no_more_comes_back_than_is_left() -> None:
    """What earlier corrections gave back is left out, of every balance."""
    shop = Shop(drafts=10_000, ai=500)
    of = _consume(shop, "drafts", 5000)
    first = _fact(_correct(shop, of, 4999))
    rest = _fact(_correct(shop, of, None, first))
    assert (rest.burns["drafts"], first.burns["ai"] + rest.burns["ai"]) == (1, 200)
    over = _correct(shop, of, None, first, rest)
    assert (over.error, over.detail) == ("invalid", "all of it was given back before")


def test_a_level_is_taken_back_once_in_a_batch() -> None:
    """The second of two corrections of one level is refused; the account hears that the first undoes it."""
    shop = Shop()
    of = _report(shop, "disk", 77)
    told = shop.admit(*(Correction(id=fresh(), of=of) for _ in range(2))).outcomes
    assert [one.accepted for one in told] == [True, False]
    last = shop.till("disk").taken[-1]
    assert isinstance(last, Refund)
    assert (last.undoes, last.use, last.effective) == (True, of.id, of.effective)


def test_what_cannot_be_corrected_is_said() -> None:
    """A reservation is settled; of several features all is given back or nothing."""
    shop = Shop()
    held = _reserve(shop, "calls", 5).fact
    told = _correct(shop, held)
    assert (told.error, told.detail) == (
        "invalid",
        f"{held.id} is a reserve; only a consume or a report can be corrected",
    )
    two = _correct(shop, _consume(shop, "soft", 5, ("calls", 5)), 1)
    assert two.detail == "it is of several (calls, soft); leave the quantity out to give all of it back"
