"""Events are counted exactly, by the meters they fit; what is not exact is refused in words."""

from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from licet.core.catalog import Catalog
from licet.core.compiled import compile_catalog
from licet.core.usage.metering import Plain, compile_metering, measure, metering_of
from tests.core.usage.till import METERING

METERS: dict[str, Any] = {
    "tokens": {"event": "llm", "field": "tokens", "scale": 2, "dimensions": ["model", "cached"]},
    "requests": {"event": "llm", "aggregate": "count", "scale": 1},
    "large": {"event": "llm", "field": "tokens", "filters": {"model": ["xl", "xxl"], "cached": ["false"]}, "scale": 2},
    "people": {"event": "login", "aggregate": "unique"},
    "hosts": {"event": "login", "aggregate": "unique", "field": "host", "filters": {"tags": ["prod"]}},
    "disk": {"event": "disk", "aggregate": "latest", "field": "gib", "scale": 3},
    "peak": {"event": "disk", "aggregate": "max", "field": "gib", "scale": 3},
}
DOCUMENT = {"version": 1, "products": {}, "meters": METERS, "features": {}, "plans": {}}
FOUND = compile_metering(compile_catalog(msgspec.convert(DOCUMENT, Catalog), 1, ZoneInfo, UTC))


def counted(event: str, **data: Plain) -> tuple[dict[str, int], dict[str, str], dict[str, str]]:
    """What an event comes to."""
    found = measure(FOUND, event, data)
    assert found is not None
    return found.metered, found.values, found.dimensions


def test_several_meters_count_one_event() -> None:
    """Each meter of the type whose filters fit counts, in minor units; dimensions are those of all of them."""
    assert counted("llm", tokens="12.5", model="xl", cached=False) == (
        {"tokens": 1250, "requests": 10, "large": 1250},
        {},
        {"model": "xl", "cached": "false"},
    )
    assert counted("llm", tokens=3, model="s", cached=False)[0] == {"tokens": 300, "requests": 10}
    assert counted("llm", tokens=3)[0] == {"tokens": 300, "requests": 10}


def test_values_and_levels() -> None:
    """A unique meter tells the value it counts, the user where it names no field; a level is what was told."""
    assert counted("login", user="ann", host=7, tags=["prod", "eu"]) == (
        {"people": 1, "hosts": 1},
        {"people": "ann", "hosts": "7"},
        {},
    )
    assert counted("login", user="ann", tags=["eu"])[0] == {"people": 1}
    assert counted("disk", gib="1.25")[0] == {"disk": 1250, "peak": 1250}


def test_who_used_it() -> None:
    """User and team of the data go with what was counted."""
    found = measure(FOUND, "llm", {"tokens": 1, "user": "ann", "team": "red"})
    assert found is not None
    assert (found.user, found.team) == ("ann", "red")


def test_what_nobody_counts() -> None:
    """An event of another type, or that fits no filter, is counted by nobody."""
    assert measure(FOUND, "other", {"quantity": 1}) is None
    assert measure(METERING, "llm.tokens", {"quantity": 1}) is not None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"tokens": 1.5}, "send it as a string"),
        ({"tokens": 1e300}, "not exact"),
        ({"tokens": float("nan")}, "not exact"),
        ({}, "has no 'tokens'"),
        ({"tokens": None}, "has no 'tokens'"),
        ({"tokens": True}, "integer or a decimal string"),
        ({"tokens": ["1"]}, "integer or a decimal string"),
        ({"tokens": -1}, "not a quantity"),
        ({"tokens": "1e3"}, "not a quantity"),
        ({"tokens": " 7 "}, "not a quantity"),
        ({"tokens": "٣"}, "not a quantity"),
        ({"tokens": "1.234"}, "at most 2"),
        ({"tokens": 2**63}, "too large"),
        ({"tokens": 1, "model": "m" * 257}, "257 characters"),
        ({"tokens": 1, "model": 1.5}, "send a text"),
        ({"tokens": 1, "user": 7}, "data.user is 7"),
        ({"tokens": 1, "team": "t" * 129}, "1 to 128"),
    ],
)
def test_what_is_refused(data: dict[str, Plain], words: str) -> None:
    """Whatever is not exact, not there or too large is refused with the field and what is allowed."""
    with pytest.raises(ValueError, match=words):
        measure(FOUND, "llm", data)


def test_a_value_is_needed() -> None:
    """A meter of different values refuses an event without one."""
    with pytest.raises(ValueError, match=r"data\.user is missing"):
        measure(FOUND, "login", {})


def test_nothing_used_is_no_event() -> None:
    """A sum of 0 is refused; of several sums one may be 0, an event is counted whatever it sums up, levels may be 0."""
    document = {
        "version": 1,
        "products": {},
        "meters": {
            "in": {"event": "ai", "field": "in"},
            "out": {"event": "ai", "field": "out", "scale": 2},
            "level": {"event": "level", "aggregate": "latest"},
            "peak": {"event": "level", "aggregate": "max"},
        },
        "features": {},
        "plans": {},
    }
    found = compile_metering(compile_catalog(msgspec.convert(document, Catalog), 1, ZoneInfo, UTC))
    for none in (0, "0", "0.00"):
        with pytest.raises(ValueError, match=r"data\.in and data\.out is 0"):
            measure(found, "ai", {"in": 0, "out": none})
    some = measure(found, "ai", {"in": 0, "out": 1})
    assert some is not None
    assert some.metered == {"in": 0, "out": 100}
    level = measure(found, "level", {"quantity": 0})
    assert level is not None
    assert level.metered == {"level": 0, "peak": 0}
    assert counted("llm", tokens=0)[0] == {"tokens": 0, "requests": 10}


def test_what_meters_touch() -> None:
    """A meter touches its metered features, then the credits that burn it; levels burn none."""
    told = {key: [one.feature for one in found] for key, found in METERING.burning.items()}
    assert told["tokens"] == ["drafts", "ai"]
    assert told["images"] == ["ai"]
    rate = METERING.burning["images"][0].rate
    assert rate is not None
    assert rate.of(8) == 10
    assert METERING.rate_of("ai", "images@0.125") == rate
    assert METERING.rate_of("gone", "images@0.125") is None


def test_what_a_catalog_counts_is_worked_out_once_for_each_of_many() -> None:
    """The same catalog has the same metering, another one its own, however many were asked about in between."""
    catalogs = [compile_catalog(msgspec.convert(DOCUMENT, Catalog), number, ZoneInfo, UTC) for number in range(200)]
    first = metering_of(catalogs[0])
    assert first == compile_metering(catalogs[0])
    assert metering_of(catalogs[0]) is first
    found = [metering_of(one) for one in catalogs]
    assert len({id(one) for one in found}) == len(catalogs)
    assert metering_of(catalogs[0]) == first
