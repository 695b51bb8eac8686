"""What answers of equal customers share: bounds, rulings and profiles; never more than is the same for all of them."""

import gc
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from licet.core.catalog import Catalog
from licet.core.compiled import CompiledCatalog
from licet.core.instant import to_instant
from licet.core.terms import Profile
from licet.evaluator.cases import _PROFILES, Alike, Reader
from licet.evaluator.truth import LocalTruth
from tests.evaluator.authority import SMALL, START, WALL, terms

REGIONAL: dict[str, Any] = SMALL | {
    "features": SMALL["features"] | {"sso": {"type": "switch", "regions": ["eu"]}},
}
LATE = START + timedelta(hours=10, minutes=20, seconds=30)


def local(document: dict[str, Any]) -> LocalTruth:
    """A truth with a catalog and nobody."""
    truth = LocalTruth()
    truth.release(msgspec.convert(document, Catalog), 1, "UTC")
    return truth


def put(truth: LocalTruth, customer: str, **more: Any) -> None:
    """Put a customer with the team plan."""
    truth.put_terms(customer, 1, 1, msgspec.json.encode(terms(customer) | more))


def ending(truth: LocalTruth, customer: str, after: timedelta) -> None:
    """Put a customer whose plan ends ``after`` the middle of an hour."""
    truth.put_terms(customer, 1, 1, msgspec.json.encode(terms(customer, ends_at=LATE + after)))


def alike(truth: LocalTruth, customer: str, feature: str = "sso", now: int = WALL) -> Alike:
    """What the prepared answer shares."""
    return truth.prepared(customer, feature, now).alike


def test_equal_customers_share_everything_but_who_they_are() -> None:
    """Two customers with the same plan have one bound and ruling in memory, and each its own name and row."""
    truth = local(SMALL)
    put(truth, "one")
    put(truth, "other")
    assert alike(truth, "one") is alike(truth, "other")
    assert alike(truth, "one") is not alike(truth, "one", "seats")
    told = [truth.check(name, "sso", WALL) for name in ("one", "other")]
    assert [one.case.customer for one in told] == ["one", "other"]
    assert [one.case.terms.customer for one in told if one.case.terms] == ["one", "other"]


def test_an_end_within_an_hour_is_kept_to_the_microsecond() -> None:
    """Answers are shared up to the full hour before they end, and ready anew for the rest; both sides of the end."""
    truth, end = local(SMALL), to_instant(LATE)
    ending(truth, "one", timedelta())
    ending(truth, "other", timedelta(minutes=7))
    assert alike(truth, "one") is alike(truth, "other")
    assert alike(truth, "one").good_until == WALL + 10 * 3600 * 10**6
    assert truth.check("one", "sso", WALL).valid_until == end
    assert truth.check("one", "sso", end - 1)
    assert alike(truth, "one", now=end - 1).good_until == end
    assert alike(truth, "other", now=end - 1) is not alike(truth, "one", now=end - 1)
    assert truth.check("one", "sso", end).reason == "ended"
    assert truth.check("other", "sso", end)


@pytest.mark.parametrize("away", [-3, 0, 3])
def test_a_beginning_within_an_hour_is_kept_to_the_microsecond(away: int) -> None:
    """Whatever was asked before, nothing is permitted a microsecond before it begins, and everything from then on."""
    truth, begins = local(SMALL), to_instant(LATE)
    put(truth, "first")
    truth.check("first", "sso", begins + away * 3600 * 10**6)
    truth.put_terms("late", 1, 1, msgspec.json.encode(terms("late", since=LATE)))
    for now in (begins, begins - 1, begins + 7200 * 10**6, begins - 1, begins):
        assert truth.check("late", "sso", now).allowed is (now >= begins)


def test_conditions_read_no_row() -> None:
    """A condition on the region is answered for many customers without any of their rows being read again."""
    truth = local(REGIONAL)
    for number in range(20):
        put(truth, f"c{number}", profile={"region": "eu"})
        assert truth.check(f"c{number}", "sso", WALL)
    world = truth._state.world
    assert world is not None
    assert world.reader._terms == {}
    assert len({id(alike(truth, f"c{number}")) for number in range(20)}) == 1


def test_profiles_that_differ_are_not_shared() -> None:
    """Each customer is judged by its own region, also when too many profiles differ to keep them all."""
    truth = local(REGIONAL)
    put(truth, "eu", profile={"region": "eu"})
    put(truth, "us", profile={"region": "us"})
    assert [truth.check(name, "sso", WALL).reason for name in ("eu", "us")] == ["entitled", "region_not_allowed"]
    world = truth._state.world
    assert world is not None
    for number in range(_PROFILES):
        world.profile(Profile(region=f"r{number}"))
    for region in ("eu", "us"):
        put(truth, f"late-{region}", profile={"region": region, "country": "FR"})
        assert bool(truth.check(f"late-{region}", "sso", WALL)) is (region == "eu")
        assert alike(truth, f"late-{region}").profile is None
    # Where no condition reads it, a profile does not keep answers apart.
    assert alike(truth, "eu", "seats") is alike(truth, "late-us", "seats")


def test_a_release_that_is_over_is_freed_without_the_collector() -> None:
    """What answers share does not hold itself: an old release goes as soon as nobody holds a decision of it."""
    truth = local(SMALL)
    put(truth, "one")
    kept = truth.check("one", "sso", WALL)
    catalog = truth.catalog
    gc.disable()
    try:
        assert readers(catalog) == 1
        truth.release(msgspec.convert(SMALL, Catalog), 2)
        assert readers(catalog) == 1
        assert kept.message
        del kept
        assert readers(catalog) == 0
    finally:
        gc.enable()


def readers(catalog: CompiledCatalog | None) -> int:
    """How often a release is in memory."""
    # By type itself: isinstance asks proxies that other tests left in memory what they stand for.
    return sum(type(one) is Reader and one.catalog is catalog for one in gc.get_objects())
