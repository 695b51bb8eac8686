"""Requests are decided exactly: all or nothing, in the order of arrival, by everything that they touch."""

import pytest

from licet.core.instant import BEGINNING
from licet.core.question import Context
from licet.core.reason import Reason
from licet.core.usage.account import Room
from licet.core.usage.admit import Outcome, Purse
from licet.core.usage.course import Bound
from licet.core.usage.facts import Request, Want
from licet.core.usage.rolling import MAX_VALUES
from tests.core.usage.till import COMPILED, METERING, NOW, Shop, Till, fresh, terms, want


def one(shop: Shop, *args: object, **more: object) -> Outcome:
    """The outcome of one request."""
    return shop.admit(want(*args, **more)).outcomes[0]  # type: ignore[arg-type]


def test_what_fits_is_taken() -> None:
    """An accepted consume takes from its balance, and says how that stands."""
    shop = Shop()
    told = one(shop, "calls", 20)
    assert told.accepted
    assert told.reason is Reason.WITHIN_LIMIT
    assert [take[1:] for take in told.takes] == [(20, 20, 500, 480, None)]
    assert told.fact is not None
    assert (told.fact.asked, told.fact.metered, told.fact.burns) == ({"calls": 20}, {"calls": 20}, {"calls": 20})
    assert told.fact.effective == shop.now


def test_a_hard_cap_refuses_whole() -> None:
    """What does not fit takes nothing; the decision is that of a check, with its words, count and remedy."""
    shop = Shop(calls=100)
    one(shop, "calls", 90)
    before = shop.states()
    told = one(shop, "calls", 11)
    assert (told.accepted, told.reason, told.fact) == (False, Reason.LIMIT_REACHED, None)
    decision = told.refusals[0]
    assert decision.message == "calls: 90 of 100 used; 11 more do not fit."
    limit = decision.limit
    assert limit is not None
    assert (limit.amount, limit.used, limit.remaining) == (100, 90, 10)
    remedy = decision.remedy(shop.now)
    assert remedy is not None
    assert remedy.kind == "lower_quantity"
    assert shop.states() == before


def test_twenty_reservations_on_five_hundred() -> None:
    """Of twenty reservations of 75 on 500 exactly six are accepted, in one batch and one by one."""
    together, apart = Shop(), Shop()
    told = together.admit(*(want("calls", 75, kind="reserve") for _ in range(20))).outcomes
    assert [outcome.accepted for outcome in told] == [True] * 6 + [False] * 14
    assert sum(one(apart, "calls", 75, kind="reserve").accepted for _ in range(20)) == 6
    assert together.till("calls").used == apart.till("calls").used == 450


def test_partial_takes_what_there_is() -> None:
    """With ``partial`` as much is taken as fits, of each want; where nothing fits, it is refused."""
    shop = Shop(calls=100, soft=10)
    assert one(shop, "calls", 70).accepted
    told = one(shop, "calls", 70, ("soft", 30), partial=True)
    assert told.fact is not None
    assert told.fact.asked == {"calls": 30, "soft": 30}
    again = one(shop, "calls", 1, partial=True)
    assert (again.accepted, again.reason) == (False, Reason.LIMIT_REACHED)
    rest = one(shop, "calls", 5, ("paid", 5), partial=True)
    assert rest.fact is not None
    assert rest.fact.asked == {"paid": 5}


def test_several_wants_are_all_or_nothing() -> None:
    """Where one of several does not fit none is taken, and every refusing feature gives its decision."""
    shop = Shop(calls=100, mine=5)
    before = (one(shop, "calls", 1), shop.states())[1]
    told = one(shop, "calls", 50, ("mine", 6), user="ann")
    assert not told.accepted
    assert [decision.case.feature for decision in told.refusals] == ["mine"]
    assert {key: state for key, state in shop.states().items() if key in before} == before
    assert shop.till("mine", "user:ann").used == 0
    both = one(shop, "calls", 100, ("mine", 6), user="ann")
    assert [decision.case.feature for decision in both.refusals] == ["calls", "mine"]


def test_wants_of_one_balance_add_up() -> None:
    """Two wants of one feature count together against its balance."""
    shop = Shop(calls=100)
    assert not one(shop, "calls", 60, ("calls", 41)).accepted
    told = one(shop, "calls", 60, ("calls", 40))
    assert told.fact is not None
    assert (told.fact.asked, told.fact.burns) == ({"calls": 100}, {"calls": 100})


def test_an_action_inside_a_pool_needs_both() -> None:
    """A metered feature burns the pool of its meter too; both refuse, each with its reason, the asked one first."""
    shop = Shop(drafts=1000, ai=40)
    told = one(shop, "drafts", 1000)
    assert told.fact is not None
    assert told.fact.burns == {"drafts": 1000, "ai": 40}
    assert told.fact.rates == {"ai@tokens": "0.0004"}
    again = one(shop, "drafts", 26)
    assert [decision.reason for decision in again.refusals] == [Reason.LIMIT_REACHED, Reason.CREDIT_EXHAUSTED]
    assert again.reason is Reason.LIMIT_REACHED


def test_only_the_pool_refuses() -> None:
    """Where only the pool is used up, its own reason is given and the action's balance is untouched."""
    shop = Shop(drafts=10_000, ai=40)
    told = one(shop, "drafts", 2000)
    assert [decision.reason for decision in told.refusals] == [Reason.CREDIT_EXHAUSTED]
    assert shop.till("drafts").used == 0


def test_credits_are_asked_directly() -> None:
    """Credits asked for themselves burn their own units and no meter."""
    shop = Shop(ai=500)
    told = one(shop, "ai", 300)
    assert told.fact is not None
    assert (told.fact.asked, told.fact.metered, told.fact.burns) == ({"ai": 300}, {}, {"ai": 300})
    assert one(shop, "ai", 201).reason is Reason.CREDIT_EXHAUSTED


def test_soft_limits_warn() -> None:
    """A soft limit is passed with its reason; what is left goes below nothing."""
    shop = Shop(soft=10)
    told = one(shop, "soft", 25)
    assert (told.accepted, told.reason) == (True, Reason.SOFT_LIMIT_EXCEEDED)
    assert told.takes[0].remaining == -15


def test_overage_has_bounds() -> None:
    """Overage is allowed up to its limit with ``limit_reached`` beyond, and to the spend limit with its own reason."""
    shop = Shop(paid=100)
    assert one(shop, "paid", 150).reason is Reason.OVERAGE
    assert one(shop, "paid", 1).reason is Reason.LIMIT_REACHED
    spent = Shop(paid=100)
    spent.spend["paid"] = 20
    assert one(spent, "paid", 120).reason is Reason.OVERAGE
    refused = one(spent, "paid", 1)
    assert refused.reason is Reason.SPEND_LIMIT_REACHED
    assert [str(reason) for reason in one(spent, "paid", 31).refusals[0].reasons] == [
        "limit_reached",
        "spend_limit_reached",
    ]
    assert one(spent, "paid", 9, partial=True).accepted is False
    free = Shop(paid=100)
    free.bounds["paid"] = Bound(BEGINNING, "overage", None)
    assert one(free, "paid", 10**15).accepted


def test_what_is_observed_is_recorded_beyond() -> None:
    """An observed feature records what would be refused and says with what; one that is off says nothing."""
    shop = Shop(watched=10, loose=10)
    told = one(shop, "watched", 11)
    assert (told.accepted, told.reason, told.would_deny) == (True, Reason.OBSERVED, (Reason.LIMIT_REACHED,))
    assert told.takes[0].remaining == -1
    assert one(shop, "loose", 11).reason is Reason.NOT_ENFORCED
    never = one(Shop(terms("big"), watched=0), "watched", 1)
    assert (never.accepted, never.would_deny) == (True, (Reason.NOT_ENTITLED,))


def test_rights_refuse_before_amounts() -> None:
    """What is not included, has ended or is gated is refused as its check is, and nothing is taken."""
    assert one(Shop(terms("big")), "soft").reason is Reason.NOT_ENTITLED
    assert one(Shop(terms("team", ends="2026-08-01T00:00:00Z")), "calls").reason is Reason.ENDED
    gated = one(Shop(), "gated")
    assert gated.reason is Reason.DEPLOYMENT_NOT_ALLOWED
    assert one(Shop(), "gated", context=Context(deployment="saas")).accepted


def test_a_pool_that_is_over_touches_nothing() -> None:
    """A pool that only an ended subscription had is no part of what is asked."""
    shop = Shop(terms("team", ends="2026-08-01T00:00:00Z"))
    reach = shop.reaches.of("acme", "drafts", NOW)
    assert [touch.burning.feature for touch in reach.touches] == ["drafts"]
    assert [touch.burning.feature for touch in Shop().reaches.of("acme", "drafts", NOW).touches] == ["drafts", "ai"]


def of_stranger(*features: str) -> Request:
    """A consume of a customer that is not there."""
    wants = tuple(Want(feature, 1) for feature in features)
    return Request(id=fresh(), kind="consume", customer="who", wants=wants)


def test_nobody_and_nothing() -> None:
    """Unknown customers and features are answered as in a check; what is not counted is an error with advice."""
    shop = Shop()
    assert one(shop, "none").reason is Reason.UNKNOWN_FEATURE
    told = shop.admit(of_stranger("calls")).outcomes[0]
    assert told.reason is Reason.UNKNOWN_CUSTOMER
    assert not told.accepted
    for feature, reason, would in (
        ("watched", Reason.OBSERVED, (Reason.UNKNOWN_CUSTOMER,)),
        ("loose", Reason.NOT_ENFORCED, None),
    ):
        said = shop.admit(of_stranger(feature)).outcomes[0]
        assert (said.accepted, said.reason, said.would_deny, said.fact) == (True, reason, would, None)
    both = shop.admit(of_stranger("loose", "calls")).outcomes[0]
    assert (both.accepted, both.reason) == (False, Reason.UNKNOWN_CUSTOMER)
    assert [(refused.case.feature, refused.allowed) for refused in both.refusals] == [("calls", False)]
    switch = one(shop, "sso")
    assert switch.error == "invalid"
    assert "check" in switch.detail
    assert shop.tills == {}


def test_each_user_has_a_balance() -> None:
    """A balance of each user takes from who is named, and must be told who."""
    shop = Shop(mine=10)
    assert one(shop, "mine", 10, user="ann").accepted
    assert one(shop, "mine", 10, user="bob").accepted
    assert not one(shop, "mine", 1, user="ann").accepted
    assert "name the user" in one(shop, "mine").detail


def test_levels_are_not_consumed() -> None:
    """A gauge refuses a consume with advice; different values are consumed one at a time, the known ones for free."""
    shop = Shop(people=2)
    assert "report the level" in one(shop, "disk").detail
    assert [one(shop, "people", user=name).accepted for name in ("ann", "bob", "ann", "eve")] == [True] * 3 + [False]
    assert shop.till("people").used == 2
    assert "name the user" in one(shop, "people").detail
    assert "consume 1" in one(shop, "people", 2, user="ann").detail
    assert "cannot be reserved" in one(shop, "people", user="ann", kind="reserve").detail


def test_different_values_are_counted_up_to_a_number() -> None:
    """Where as many are counted as can be, another is an error that says so, and a known one is not."""
    shop = Shop(people=-1)
    assert one(shop, "people", user="ann").accepted
    shop.till("people").used = MAX_VALUES
    refused = one(shop, "people", user="bob")
    assert (refused.accepted, refused.error) == (False, "invalid")
    assert "100000 different values" in refused.detail
    assert one(shop, "people", user="ann").accepted


def test_nothing_is_no_quantity() -> None:
    """A consume of nothing is an error."""
    assert one(Shop(), "calls", 0).error == "invalid"


def test_unlimited_is_never_used_up() -> None:
    """Of what is unlimited any quantity is taken."""
    shop = Shop(calls=-1)
    assert one(shop, "calls", 2**62).accepted
    assert one(shop, "calls", 2**62).accepted


def test_arrival_is_the_order_of_the_fold() -> None:
    """Whatever their ids, accepted uses of one account take effect one after the other, also where clocks stand."""
    shop = Shop()
    shop.admit(*(want("calls", 1) for _ in range(50)))
    shop.now -= 1000
    shop.admit(*(want("calls", 1) for _ in range(50)))
    order = [use.effective for use in shop.till("calls").taken]
    assert order == sorted(set(order))
    assert len(order) == 100


def test_a_refused_one_blocks_nobody() -> None:
    """In a batch a refused request takes nothing from those after it."""
    shop = Shop(calls=10)
    told = shop.admit(want("calls", 8), want("calls", 3), want("calls", 2), want("calls", 1)).outcomes
    assert [outcome.accepted for outcome in told] == [True, False, True, False]


def test_thresholds_are_told_together() -> None:
    """Several thresholds crossed in one batch make one crossing that names them all, once."""
    shop = Shop(calls=100)
    told = shop.admit(want("calls", 50), want("calls", 46)).crossings
    assert [(crossing.key.feature, crossing.percents, crossing.used) for crossing in told] == [("calls", (80, 95), 96)]
    assert shop.admit(want("calls", 1)).crossings == []


def test_only_what_changed_is_named() -> None:
    """An account that was only asked is not among the changed ones."""
    shop = Shop(calls=10)
    told = shop.admit(want("calls", 11), want("soft", 1))
    assert [key.feature for key in told.changed] == ["soft"]


def test_a_count_and_its_decision_agree() -> None:
    """Whatever the room, a request is refused exactly where the decision on the same numbers refuses."""
    for amount in (0, 1, 99, 100, 101):
        for limit in (None, 0, 1, 5):
            shop = Shop(paid=amount)
            shop.bounds["paid"] = Bound(BEGINNING, "overage", limit)
            told = one(shop, "paid", 100)
            assert told.accepted == (limit is None or amount + limit >= 100)
            assert all(not decision.allowed for decision in told.refusals)


@pytest.mark.parametrize("feature", sorted(METERING.each_of))
def test_every_counted_feature_is_metered(feature: str) -> None:
    """Every metered and credits feature knows its scale and whose it is."""
    assert METERING.scale_of[feature] == COMPILED.features[feature].scale


def test_the_till_is_a_purse() -> None:
    """The accounts of these tests are what admission asks for."""
    purse: Purse = Till(Shop().till("calls").course, 5)
    assert purse.room(NOW) == Room(5, 5, 0, 0, None, None)
    assert Want("calls", 1).feature == "calls"
