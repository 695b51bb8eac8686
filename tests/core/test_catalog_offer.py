"""How a catalog is read by everybody: versions at an instant, includes in their long form, limits, checks that hold."""

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from licet.core.catalog import (
    LIMITS,
    MAX_INCLUDES,
    MAX_VERSIONS,
    Catalog,
    Configuration,
    Include,
    Limit,
    Metered,
    Plan,
    PlanVersion,
    Product,
    Switch,
    decode_catalog,
    encode_catalog,
)
from licet.core.catalog_check import check_catalog
from licet.core.compiled import compile_catalog
from licet.core.instant import BEGINNING, parse_instant
from licet.core.matrix import feature_matrix
from licet.core.normal import normal_catalog
from licet.core.offer import resolve_include, then_of, version_begins, version_on_sale
from licet.core.problem import MAX_PROBLEMS, path_text
from licet.wire.catalog_text import read_catalog
from tests.dose import dose
from tests.wire.small import SMALL
from tests.wire.sound_catalogs import TRICKY, sound_catalogs

CATALOG = read_catalog(SMALL)
JULY = parse_instant("2026-07-01")


def test_one_version_is_sold_at_a_time() -> None:
    """The latest version that has begun is sold, from its first instant on; before the first there is none."""
    team = CATALOG.plans["team"]
    assert version_on_sale(team, JULY) == "2026-07"
    assert version_on_sale(team, JULY - 1) == "2026-01"
    assert version_on_sale(team, parse_instant("2026-01-01") - 1) is None


def test_undated_addons_are_sold_from_the_beginning() -> None:
    """An add-on's short form is version ``1``, sold always; a dated one begins with its date."""
    assert version_on_sale(CATALOG.addons["more"], BEGINNING) == "1"
    assert version_on_sale(CATALOG.addons["extra"], parse_instant("2026-02-01") - 1) is None
    assert version_on_sale(CATALOG.addons["extra"], parse_instant("2026-02-01")) == "2026-02"


@pytest.mark.parametrize(
    ("version", "begins"),
    [
        ("2026-01", "2026-01-01"),
        ("2026-01-15", "2026-01-15"),
        ("2026-13", None),
        ("2026-02-30", None),
        ("1970-01", "1970-01-01"),
        ("v1", None),
        ("2026-1", None),
        ("\u0662\u0660\u0662\u0666-01", None),
    ],
)
def test_ids_can_say_the_date(version: str, begins: str | None) -> None:
    """Months and days in ids mean their first instant in UTC; anything else says nothing."""
    assert version_begins(version, None) == (None if begins is None else parse_instant(begins))


@pytest.mark.parametrize(
    ("then", "meant"), [("free", "2026-02"), ("free@2026-09", "2026-09"), ("free@2026-03", None), ("gone", None)]
)
def test_what_follows_a_trial_is_pinned(then: str, meant: str | None) -> None:
    """A plan alone means its version sold when the trial's version begins, and later versions do not move it."""
    versions = {"2026-02": PlanVersion(includes={}), "2026-09": PlanVersion(includes={})}
    catalog = msgspec.structs.replace(CATALOG, plans={"free": Plan(product="app", versions=versions)})
    ref = then_of(catalog, PlanVersion(includes={}, then=then), parse_instant("2026-08-01"))
    assert (None if ref is None else ref.version) == meant
    before_all = then_of(catalog, PlanVersion(includes={}, then="free"), parse_instant("2020-01-01"))
    assert before_all is not None
    assert before_all.version == "2026-02"


def test_defaults_fill_what_is_not_said() -> None:
    """``true`` and a long form without an amount take the default; per and at_limit come from the feature."""
    metered = Metered(meter="calls", default=7, per="week", at_limit="warn")
    full = Include(amount=7, per="week", at_limit="warn")
    assert resolve_include(metered, True) == resolve_include(metered, Include()) == full
    assert resolve_include(metered, Include(amount=1, per="day")) == Include(amount=1, per="day", at_limit="warn")
    assert resolve_include(Configuration(default="a"), True) == Include(value="a")
    assert resolve_include(Configuration(), "b") == Include(value="b")
    assert resolve_include(Limit(), "1.5") == Include(amount="1.5", at_limit="block")
    assert resolve_include(Switch(), False) == Include(on=False)


def plain(**parts: Any) -> Catalog:
    """Return a catalog of given parts."""
    return Catalog(**{"version": 1, "products": {"a": Product()}, "features": {}, "plans": {}, **parts})


def test_documents_are_bounded() -> None:
    """One entry too many in any part, of versions or of includes is told; exactly the limit is accepted."""
    features = {f"f{place}": Switch() for place in range(LIMITS["features"] + 1)}
    (told,) = check_catalog(plain(features=features))
    assert str(told) == "features: there are 5,001 features; at most 5,000 are supported"
    del features["f0"]
    assert check_catalog(plain(features=features)) == []
    version = PlanVersion(includes=dict.fromkeys(features, True))
    versions = {f"{2000 + place}-01": version for place in range(MAX_INCLUDES // 5_000 + 1)}
    (told,) = check_catalog(plain(features=features, plans={"p": Plan(product="a", versions=versions)}))
    assert "105,000 features; at most 100,000" in told.message
    many = {f"{1000 + place}-01": PlanVersion(includes={}) for place in range(MAX_VERSIONS + 1)}
    (told,) = check_catalog(plain(plans={"p": Plan(product="a", versions=many)}))
    assert told.path == "plans.p.versions"


def test_no_more_problems_than_stated() -> None:
    """Thousands of mistakes are told as the first two hundred."""
    version = PlanVersion(includes={f"g{place}": True for place in range(3_000)})
    plans = {"p": Plan(product="a", versions={"2026-01": version})}
    assert len(check_catalog(plain(plans=plans))) == MAX_PROBLEMS


@settings(max_examples=dose(80, full=4000), deadline=None)
@given(sound_catalogs(), st.data())
def test_what_passes_the_check_can_be_used(catalog: Catalog, data: st.DataObject) -> None:
    """Whatever is altered in a catalog, checking never raises, and what it accepts compiles and is shown."""
    document = msgspec.json.decode(encode_catalog(catalog))
    for _ in range(data.draw(st.integers(1, 3))):
        _alter(document, data)
    try:
        altered = decode_catalog(msgspec.json.encode(document))
    except msgspec.ValidationError:
        reject()
    if check_catalog(altered) == []:
        assert normal_catalog(normal_catalog(altered)) == normal_catalog(altered)
        assert len(feature_matrix(altered, JULY, "support").rows) == len(altered.features)
        compile_catalog(altered, 1, ZoneInfo, ZoneInfo("UTC"))


def _alter(node: Any, data: st.DataObject) -> None:
    """Change one random place of a document: drop, replace or rename something."""
    while True:
        if isinstance(node, dict) and node:
            key: Any = data.draw(st.sampled_from(sorted(node)))
        elif isinstance(node, list) and node:
            key = data.draw(st.integers(0, len(node) - 1))
        else:
            return
        if isinstance(node[key], dict | list) and node[key] and data.draw(st.integers(0, 3)):
            node = node[key]
            continue
        how = data.draw(st.integers(0, 2))
        if how == 0:
            del node[key]
        elif how == 1 and isinstance(node, dict):
            node[data.draw(st.sampled_from(("sso", "1", "2026-01", "shop", *TRICKY)))] = node.pop(key)
        else:
            node[key] = data.draw(
                st.sampled_from((True, False, 0, 3, "1.5", "P7D", "unlimited", "sso", "card", *TRICKY))
            )
        return


def test_paths_can_be_told_apart() -> None:
    """Ids with dots and spaces stand in brackets, so that no two paths look the same."""
    assert path_text(("features", "a.b", "when")) == 'features["a.b"].when'
    assert path_text(("ladders", "card", 1, "features", 0)) == "ladders.card[1].features[0]"
    assert path_text(("plans", "team", "versions", "2026-01")) == "plans.team.versions.2026-01"
