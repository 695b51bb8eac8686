"""What single facts do to a balance: ends of reservations, running totals, what is of no matter to it."""

from typing import Any

import pytest

from licet.core.instant import FOREVER
from licet.core.usage.balance import Refund, Use
from licet.core.usage.effects import closing_effect, effects, rated, returned
from licet.core.usage.facts import AccountKey, Fact
from licet.core.usage.rate import parse_rate

HELD, TOLD = "1" * 32, "2" * 32
CALLS, AI = AccountKey("acme", "calls"), AccountKey("acme", "ai")
RATES = {"ai@tokens": "0.5"}


def _fact(made: str, kind: Any, effective: int, **more: Any) -> Fact:
    return Fact(id=made, kind=kind, effective=effective, customer="acme", **more)


RESERVED = _fact(HELD, "reserve", 10, burns={"calls": 7}, until=50)


@pytest.mark.parametrize(("at", "ended"), [(49, False), (50, True), (51, True)])
def test_a_reservation_gives_all_back_at_its_end(at: int, ended: bool) -> None:
    """From its end on, and not before, what nobody closed is back, without anybody noting it."""
    use, back = Use(HELD, 10, 7), Refund(id=HELD, effective=50, use=HELD, amount=7)
    assert effects([RESERVED], CALLS, at) == ([use, back] if ended else [use])


def test_only_what_was_noted_counts_where_that_is_asked() -> None:
    """Where ends are recorded by themselves none is made up."""
    assert effects([RESERVED], CALLS, 60, noted=True) == [Use(HELD, 10, 7)]


@pytest.mark.parametrize(("kind", "burns", "back"), [("settle", 3, 4), ("release", 0, 7)])
def test_what_was_closed_gives_back_once(kind: str, burns: int, back: int) -> None:
    """A reservation that was closed in time does not end by itself besides."""
    closed = _fact(TOLD, kind, 20, of=HELD, burns={"calls": burns})
    wanted = [Use(HELD, 10, 7), Refund(id=TOLD, effective=20, use=HELD, amount=back)]
    assert effects([closed, RESERVED], CALLS, 60) == wanted


def test_what_has_no_end_does_not_end() -> None:
    """A reservation without an end is held however late it is."""
    assert effects([_fact(HELD, "reserve", 10, burns={"calls": 7})], CALLS, FOREVER - 1) == [Use(HELD, 10, 7)]


def test_other_balances_are_left_alone() -> None:
    """What a fact did not burn of is neither taken from nor given back to."""
    settled = _fact(TOLD, "settle", 20, of=HELD, burns={"calls": 3})
    refunded = _fact(TOLD, "refund", 20, of=HELD, burns={"calls": 3})
    assert effects([RESERVED, settled], AI, 60) == []
    assert effects([refunded], AI, 60) == []
    assert sum(one.amount for one in effects([RESERVED], AI, 60)) == 0


def test_a_refund_takes_its_part_off_running_totals() -> None:
    """It names its use, and what of a meter is to be counted no more at which rate."""
    told = _fact(TOLD, "refund", 20, of=HELD, burns={"ai": 3}, metered={"tokens": 6}, rates=RATES)
    back = Refund(id=TOLD, effective=20, use=HELD, amount=3, rated=(("tokens@0.5", 6), ("", 3)))
    assert effects([told], AI, 60) == [back]


def test_a_value_counts_what_its_meter_says() -> None:
    """A different value takes what was metered; where nothing was, what it burned."""
    people = AccountKey("acme", "people")
    told = _fact(TOLD, "report", 20, burns={"people": 0}, metered={"people": 1}, values={"people": "ann"})
    assert effects([told], people, 60, "people") == [Use(TOLD, 20, 1, value="ann")]
    bare = _fact(TOLD, "report", 20, burns={"people": 2}, values={"people": "ann"})
    assert effects([bare], people, 60, "people") == [Use(TOLD, 20, 2, value="ann")]


def test_running_totals_leave_out_what_was_asked_for_itself() -> None:
    """Credits that were asked for as such are no matter of a rate; what no balance holds comes to nothing."""
    told = _fact(TOLD, "consume", 20, asked={"ai": 4}, burns={"ai": 7}, metered={"tokens": 6}, rates=RATES)
    assert rated(told, "ai") == {"tokens@0.5": 6, "": 3}
    none = _fact(TOLD, "consume", 20, metered={"tokens": 6}, rates=RATES)
    assert rated(none, "ai") == {"tokens@0.5": 6, "": 0}


@pytest.mark.parametrize("kind", ["consume", "report"])
def test_use_counts_in_running_totals_at_once(kind: Any) -> None:
    """What was consumed or reported is a use, with what its meters burned at which rate."""
    told = _fact(TOLD, kind, 20, burns={"ai": 3}, metered={"tokens": 6}, rates=RATES)
    assert effects([told], AI, 60) == [Use(TOLD, 20, 3, rated=(("tokens@0.5", 6), ("", 3)))]


@pytest.mark.parametrize("kind", ["reserve", "lease"])
def test_what_is_set_aside_counts_in_no_running_total(kind: Any) -> None:
    """It is a use, and what it comes to is rated when that is known."""
    told = _fact(TOLD, kind, 20, burns={"ai": 3}, metered={"tokens": 6}, rates=RATES)
    assert rated(told, "ai") == {}
    assert effects([told], AI, 50) == [Use(TOLD, 20, 3, lease=kind == "lease")]


def test_rates_of_another_feature_are_that_ones() -> None:
    """A meter that burns two pools counts in each at its own rate, and where nothing was metered nothing does."""
    both = {"ai": 3, "gpu": 12}
    told = _fact(
        TOLD, "consume", 20, burns=both, metered={"tokens": 6}, rates={**RATES, "gpu@tokens": "2", "ai@x": "1"}
    )
    assert rated(told, "gpu") == {"tokens@2": 6, "": 12}
    assert rated(told, "ai") == {"tokens@0.5": 6, "": 3}


def test_a_feature_may_have_the_sign_that_divides() -> None:
    """A rate is of the meter after the last sign, whatever the feature is called."""
    told = _fact(TOLD, "consume", 20, burns={"ai@eu": 3}, metered={"tokens": 6}, rates={"ai@eu@tokens": "0.5"})
    assert rated(told, "ai@eu") == {"tokens@0.5": 6, "": 3}


def test_a_release_gives_all_back_whatever_else_it_says() -> None:
    """Neither what it burns nor what it metered is use."""
    begun = _fact(HELD, "reserve", 10, burns={"ai": 7})
    told = _fact(TOLD, "release", 20, of=HELD, burns={"ai": 5}, metered={"tokens": 6}, rates=RATES)
    assert closing_effect(told, begun, "ai") == Refund(id=TOLD, effective=20, use=HELD, amount=7)


@pytest.mark.parametrize(
    ("burns", "effect"),
    [
        ({"ai": 9}, Use(TOLD, 20, 2, rated=(("tokens@0.5", 6), ("", 9)))),
        ({"ai": 7}, Refund(id=TOLD, effective=20, use=HELD, amount=0, rated=(("tokens@0.5", -6), ("", -7)))),
        ({}, Refund(id=TOLD, effective=20, use=HELD, amount=7, rated=(("tokens@0.5", -6),))),
    ],
)
def test_a_settle_counts_in_running_totals(burns: dict[str, int], effect: Use | Refund) -> None:
    """More than was reserved is a use, as much or less gives back; either way its meter counts."""
    begun = _fact(HELD, "reserve", 10, burns={"ai": 7})
    told = _fact(TOLD, "settle", 20, of=HELD, burns=burns, metered={"tokens": 6}, rates=RATES)
    assert closing_effect(told, begun, "ai") == effect


@pytest.mark.parametrize(("back", "amount"), [({"ai": 5}, 5), ({"calls": 5}, 0), ({}, 0)])
def test_a_return_counts_what_was_used_and_gives_the_rest_back(back: dict[str, int], amount: int) -> None:
    """Its use enters running totals at once; what it does not name does not go back."""
    told = _fact(TOLD, "return", 20, of=HELD, burns={"ai": 3}, back=back, metered={"tokens": 6}, rates=RATES)
    rates = (("tokens@0.5", -6), ("", -3))
    effect = Refund(id=TOLD, effective=20, use=HELD, amount=amount, rated=rates, spent=3)
    assert returned(told, "ai") == effect
    assert effects([told], AI, 60) == [effect]


def test_there_is_nothing_to_be_had_of_less_than_nothing() -> None:
    """Where more was used than there is, nothing fits, not even one."""
    assert parse_rate("0.5", 0, 0).most(10, -1) == 0
    assert parse_rate("0", 0, 0).most(10, -1) == 0


@pytest.mark.parametrize("kind", ["return", "recovery"])
def test_what_is_told_of_a_lease_in_its_time_or_later_does_the_same_to_a_balance(kind: Any) -> None:
    """Both give back what they say; a return that burns nothing, of a period that is over, does nothing."""
    leased = _fact(HELD, "lease", 10, burns={"calls": 7}, asked={"calls": 7})
    told = _fact(TOLD, kind, 20, of=HELD, burns={"calls": 3}, back={"calls": 4}, metered={"calls": 3})
    (use, back) = effects([leased, told], CALLS, 30)
    assert isinstance(use, Use)
    assert back == Refund(id=TOLD, effective=20, use=HELD, amount=4, spent=3)
    over = _fact(TOLD, kind, 20, of=HELD, metered={"calls": 3})
    assert effects([leased, over], CALLS, 30) == [use]
