"""What a catalog cannot mean by meters and allowances, told in words; and what of them never changes once released."""

from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from licet.core.catalog import Catalog, Include, Recurrence, decode_catalog
from licet.core.catalog_check import check_catalog, check_release
from licet.core.compiled import compile_catalog
from licet.core.gains import Right, compare_rights, right_words
from licet.core.instant import parse_instant
from licet.core.normal import normal_catalog
from licet.core.offer import resolve_include
from licet.core.rollback import compose_rollback
from licet.core.wording import include_words
from tests.core.usage.courses import DOCUMENT, bought, holds

SOUND = DOCUMENT.decode()
METER = '"calls": {"event": "call", "aggregate": "count"}'
API = '"api": {"type": "metered", "meter": "calls", "warn_at": ["80%", "100%"]}'
DISK = '"disk": {"type": "metered", "meter": "bytes", "per": "period"}'
TEAM = '"api": {"amount": 100, "rollover": {"max": 50}}'
AI = '"ai": {"amount": 120, "release": "month"}'


def told(*edits: tuple[str, str]) -> list[str]:
    """Return what is wrong with the vendor's catalog after edits."""
    return [f"{one.path}: {one.message}" for one in check_catalog(edited(*edits))]


def edited(*edits: tuple[str, str]) -> Catalog:
    """Return the vendor's catalog after edits."""
    text = SOUND
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return decode_catalog(text.encode())


def with_api(**fields: str) -> tuple[str, str]:
    """Return the edit that gives the feature api more fields."""
    return API, API[:-1] + "".join(f', "{key}": {value}' for key, value in fields.items()) + "}"


@pytest.mark.parametrize(
    ("edit", "path", "words"),
    [
        ((METER, METER[:-1] + ', "field": "n"}'), "meters.calls.field", "reads no field"),
        ((METER, '"calls": {"event": "e", "aggregate": "unique"}'), "meters.calls.aggregate", "needs field"),
        (
            (METER, '"calls": {"event": "e", "filters": {"quantity": ["1"]}}'),
            "meters.calls.filters.quantity",
            "only other fields can say which events count",
        ),
        (
            (METER, METER[:-1] + ', "filters": {"kind": ["a", "b", "a"]}}'),
            "meters.calls.filters.kind[2]",
            '"a" is listed twice',
        ),
        ((METER, METER[:-1] + ', "dimensions": ["kind", "kind"]}'), "meters.calls.dimensions[1]", "listed twice"),
        (
            (METER, '"calls": {"event": "e", "field": "n", "dimensions": ["n"]}'),
            "meters.calls.dimensions[0]",
            "told apart by other fields",
        ),
        (
            ('"calls": "0.5"', '"bytes": "0.5"'),
            "credits.coin.burns.bytes",
            "holds a level (latest), which burns nothing",
        ),
        (with_api(length='"PT1H"'), "features.api.length", "per is month, which has its own length"),
        ((', "per": "rolling", "length": "PT1H"', ', "per": "rolling"'), "features.burst.per", "needs a length"),
        (('"length": "PT1H"', '"length": "PT59S"'), "features.burst.length", "lasts a minute (PT1M) to 366 days"),
        (('"length": "PT1H"', '"length": "P367D"'), "features.burst.length", "lasts a minute (PT1M) to 366 days"),
        (('"length": "PT1H"', '"length": "P1M"'), "features.burst.length", "depends on the calendar"),
        (('"length": "PT1H"', '"length": "1h"'), "features.burst.length", "is not a duration"),
        (with_api(overage_limit="5"), "features.api.overage_limit", "at_limit is block, so there is no overage"),
        (with_api(at_limit='"overage"', overage_limit='"0.5"'), "features.api.overage_limit", "has 1 decimal;"),
        (with_api(per='"lifetime"', carry_overage="true"), "features.api.carry_overage", "no next period"),
        ((DISK, DISK[:-1] + ', "each": "user"}'), "features.disk.each", "holds a level"),
        ((DISK, DISK[:-1] + ', "carry_overage": true}'), "features.disk.carry_overage", "nothing to carry"),
        ((DISK, DISK.replace('"period"', '"rolling", "length": "P1D"')), "features.disk.per", "not count by windows"),
    ],
)
def test_nonsense_of_meters_and_features_is_told(edit: tuple[str, str], path: str, words: str) -> None:
    """Each is told at its place, once, with what is allowed."""
    (problem,) = [one for one in told(edit) if one.startswith(f"{path}: ")]
    assert words in problem


@pytest.mark.parametrize(
    ("edit", "field", "words"),
    [
        ((TEAM, '"api": {"amount": 100, "per": "rolling"}'), "api.per", "is said by the feature, with its length"),
        (('"burst": 3', '"burst": {"amount": 3, "per": "day"}'), "burst.per", "every include of it does: remove per"),
        ((TEAM, TEAM.replace('"amount"', '"per": "lifetime", "amount"')), "api.rollover", "never renewed"),
        (('"burst": 3', '"burst": {"amount": 3, "rollover": {"max": 1}}'), "burst.rollover", "ends with it"),
        (('"disk": 100', '"disk": {"amount": 1, "rollover": {"max": 1}}'), "disk.rollover", "a ceiling"),
        (('"disk": 100', '"disk": {"amount": 1, "release": "day"}'), "disk.release", "a ceiling"),
        ((AI, AI.replace('"month"', '"year"')), "ai.release", "something shorter than that, not by year"),
        ((AI, AI.replace('"month"', '"period"')), "ai.release", "can be released by hour, day, week, month"),
        (('"talk": 4', '"talk": {"amount": 4, "release": "hour"}'), "talk.release", "which has no period"),
        (('"once": 1000', '"once": {"amount": 9, "release": "day"}'), "once.release", "which has no period"),
        ((TEAM, '"api": {"amount": 100, "overage_limit": 5}'), "api.overage_limit", "write at_limit: overage"),
        ((AI, AI[:-1] + ', "overage_limit": "0.123"}'), "ai.overage_limit", "at most 2 are kept"),
        (('"seat": 2', '"seat": {"amount": 2, "release": "day"}'), "seat.release", "has no release"),
        (('"seat": 2', '"seat": {"amount": 2, "overage_limit": 1}'), "seat.overage_limit", "has no overage_limit"),
    ],
)
def test_nonsense_of_includes_is_told(edit: tuple[str, str], field: str, words: str) -> None:
    """Each is told at its place with what to do instead."""
    found = [one for one in told(edit) if one.startswith(f"plans.team.versions.2026-01.includes.{field}: ")]
    assert any(words in one for one in found), told(edit)


def test_a_billing_period_can_be_released_by_anything() -> None:
    """Its length is the customer's: a year paid at once may be given out by months."""
    assert told((AI, AI.replace('"amount"', '"per": "period", "amount"'))) == []


@pytest.mark.parametrize(
    ("edit", "path", "words"),
    [
        ((METER, METER[:-1] + ', "filters": {"k": ["b", "a"]}}'), "meters.calls.filters", "from unset to k: a or b"),
        ((', "length": "PT1H"', ', "length": "PT2H"'), "features.burst.length", 'from "PT1H" to "PT2H"'),
        (('"each": "user"', '"each": "team"'), "features.mine.each", 'from "user" to "team"'),
        ((', "carry_overage": true', ""), "features.mine.carry_overage", "from true to false"),
        ((', "on_change": "reset"', ""), "features.anew.on_change", 'from "reset" to "carry"'),
        (('"per": "rolling"', '"per": "session"'), "features.burst.per", "from rolling windows to session windows"),
        (
            ('"overage_limit": 10}', '"overage_limit": 11}'),
            "features.ai",
            "a new default, per, at_limit or overage_limit would change what team@2026-01 gives",
        ),
        ((AI, AI.replace("month", "quarter")), "plans.team.versions.2026-01.includes.ai", "released by month"),
    ],
)
def test_what_a_release_may_not_change(edit: tuple[str, str], path: str, words: str) -> None:
    """How anything was counted, and in whose balance, stands for ever; what a version gives, too."""
    found = [f"{one.path}: {one.message}" for one in check_release(edited(), edited(edit))]
    assert any(one.startswith(f"{path}: ") and words in one for one in found), found


def test_dimensions_and_the_order_of_filters_are_free() -> None:
    """Dimensions are live, and filters in another order are the same filters."""
    before = edited((METER, METER[:-1] + ', "filters": {"k": ["b", "a"], "j": ["c"]}}'))
    filters = ', "filters": {"j": ["c"], "k": ["a", "b"]}, "dimensions": ["k"]}'
    after = edited((METER, METER[:-1] + filters))
    assert check_release(before, after) == []
    assert normal_catalog(before).meters["calls"].filters == normal_catalog(after).meters["calls"].filters


def test_a_rollback_keeps_the_bound_that_a_later_version_was_given() -> None:
    """Where a version since gives a feature's newer overage limit, that is written out in it."""
    newest = edited(
        ('"overage_limit": 10}', '"overage_limit": 11}'),
        (AI, AI[:-1] + ', "overage_limit": 10}'),
        ('"2026-03": {"includes": {', '"2026-09": {"includes": {"ai": 5}}, "2026-03": {"includes": {'),
    )
    assert check_release(edited(), newest) == []
    catalog = compose_rollback(edited(), newest, 0).catalog
    given = catalog.plans["team"].versions["2026-09"].includes["ai"]
    assert resolve_include(catalog.features["ai"], given) == resolve_include(newest.features["ai"], 5)
    assert resolve_include(catalog.features["ai"], 5).overage_limit == 10
    assert check_release(newest, catalog) == []


@pytest.mark.parametrize(
    ("feature", "given", "words"),
    [
        ("burst", 3, "3 within any 1 hour"),
        ("talk", 4, "4 per session of 5 hours"),
        ("mine", 6, "6 per day for each user"),
        ("ai", 5, "5 per year, more is billed by use, up to 10"),
        ("ai", {"amount": 120, "release": "month", "at_limit": "block"}, "120 per year, released by month"),
    ],
)
def test_what_an_include_gives_is_told_in_full(feature: str, given: Any, words: str) -> None:
    """Windows, holders, releases and bounds stand in the words of a price list."""
    include = msgspec.convert(given, Include) if isinstance(given, dict) else given
    assert include_words(edited(), feature, include) == words


def test_what_rolls_over_is_compared_and_told_where_it_differs() -> None:
    """Of two versions of one amount the one that keeps less is another right, in words that say so."""
    team = bought("team")
    terms = holds({"phases": [{"starts_at": "2026-01-31T10:00:00Z", "items": team}]})
    changed = edited((TEAM, TEAM.replace("50", "10")))
    sides = [compile_catalog(one, 1, ZoneInfo, UTC) for one in (edited(), changed)]
    (change,) = compare_rights(sides[0], terms, sides[1], terms, parse_instant("2026-02-01"))
    assert (change.feature, change.kind) == ("api", "changed")
    assert (change.was, change.becomes) == ("100 per month, up to 50 kept", "100 per month, up to 10 kept")


@pytest.mark.parametrize(
    ("name", "per", "words"),
    [("burst", "rolling", " within any 1 hour"), ("talk", "session", " per session of 5 hours")],
)
def test_a_right_within_a_window_is_told_with_its_length(name: str, per: Recurrence, words: str) -> None:
    """A window without its length says nothing: a right has it in its words, as a price list has."""
    feature = compile_catalog(edited(), 1, ZoneInfo, UTC).features[name]
    assert right_words(feature, Right(None, amount=3, pers=(per,))).endswith(words)
