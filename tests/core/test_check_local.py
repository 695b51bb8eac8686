"""What can be decided away from the hub, what cannot and why; and what becomes of it from release to release."""

import re
from datetime import UTC
from time import perf_counter
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from licet.core.catalog import Catalog, Credit, Credits, Feature, Meter, Metered, decode_catalog, encode_catalog
from licet.core.catalog_check import check_catalog, check_release
from licet.core.catalog_diff import diff_catalogs
from licet.core.compiled import CompiledCatalog, compile_catalog
from licet.core.gains import compare_rights
from licet.core.impact import judge_impact
from licet.core.instant import parse_instant
from licet.core.matrix import feature_matrix, render_markdown
from licet.core.normal import normal_catalog
from licet.core.rollback import compose_rollback
from licet.core.usage.metering import compile_metering
from licet.wire.catalog_text import CatalogTextError, read_catalog, write_catalog
from tests.core.usage.courses import bought, holds
from tests.dose import dose

SOUND = """\
version: 1
products: {app: {}}
meters:
  calls: {event: call, aggregate: count}
  words: {event: say, scale: 2}
  disk: {event: disk, aggregate: latest, field: bytes}
  faces: {event: call, aggregate: unique, field: face}
credits:
  coin: {scale: 2, burns: {calls: "0.5", words: "0.01"}}
  gem: {burns: {words: "1"}}
features:
  api: {type: metered, meter: calls, decide: local}
  daily: {type: metered, meter: calls, per: day, mode: observe}
  words: {type: metered, meter: words, decide: local, at_limit: overage, overage_limit: 5}
  ai: {type: credits, credit: coin, per: period, decide: local, carry_overage: true}
  gems: {type: credits, credit: gem, per: lifetime, on_change: reset, at_limit: warn}
  disk: {type: metered, meter: disk}
  faces: {type: metered, meter: faces}
  sso: {type: switch}
plans:
  team:
    product: app
    versions:
      2026-01:
        includes: {api: 100, daily: {amount: 9, per: hour}, words: 5, ai: {amount: 12, per: year, release: month}}
"""
BURST = "  burst: {type: metered, meter: calls, per: rolling, length: PT1H}\n  sso:"


def told(*edits: tuple[str, str]) -> list[str]:
    """Return what is wrong with the catalog after edits, without places."""
    text = edited(*edits)
    try:
        read_catalog(text)
    except CatalogTextError as error:
        return [f"{one.path}: {one.message}" for one in error.problems]
    return []


def edited(*edits: tuple[str, str]) -> str:
    """Return the catalog's text after edits."""
    text = SOUND
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def ready(catalog: Catalog) -> CompiledCatalog:
    """Return a catalog ready to be asked."""
    return compile_catalog(catalog, 1, ZoneInfo, UTC)


def test_sums_and_counts_by_the_calendar_can_be_local() -> None:
    """Whatever mode, limit, release, carrying or per of an include; the compiled feature says so."""
    assert told() == []
    assert _local(read_catalog(SOUND)) == {"api", "words", "ai"}


@pytest.mark.parametrize(
    ("edit", "path", "message"),
    [
        (
            ("meter: disk}", "meter: disk, decide: local}"),
            "disk",
            'local needs a meter that adds up (sum or count), and "disk" is latest: write decide: hub',
        ),
        (
            ("meter: faces}", "meter: faces, decide: local}"),
            "faces",
            'local needs a meter that adds up (sum or count), and "faces" is unique: write decide: hub',
        ),
        (
            ("calls, decide: local}", "calls, decide: local, per: session, length: PT1H}"),
            "api",
            "local needs an allowance by the calendar (such as month), and per is session: write decide: hub, or "
            "define another feature with such a per",
        ),
        (
            ("per: period, decide: local", "per: period, decide: local, each: team"),
            "ai",
            "local needs a balance of the whole customer, and each is team: write decide: hub, or define another "
            "feature without each",
        ),
        (
            ("  sso:", BURST),
            "api",
            'local needs all that a use draws on to be the customer\'s own and by the calendar, and a use of "calls" '
            'draws on "burst" (per: rolling) as well: write decide: hub, or count by another meter',
        ),
        (("per: day, mode", "per: day, each: user, mode"), "api", 'a use of "calls" draws on "daily" (each: user) as'),
        (("per: lifetime", "each: user"), "words", 'a use of "words" draws on "gems" (each: user) as well'),
        (
            ("per: lifetime", "per: rolling, length: P1D, each: team"),
            "words",
            '"gems" (per: rolling, each: team) as well',
        ),
    ],
)
def test_what_cannot_be_leased_is_refused_at_its_word(edit: tuple[str, str], path: str, message: str) -> None:
    """One problem of the feature that says local: what it needs, what is there instead, what can be done."""
    (problem,) = [one for one in told(edit) if one.startswith(f"features.{path}.decide: ")]
    assert message in problem


def test_a_pool_bars_what_burns_it_and_nothing_else() -> None:
    """A pool for each user bars the meters that burn it; of credits asked for themselves only their own counts."""
    each = told(("per: lifetime", "each: user"))
    assert [one.partition(":")[0] for one in each] == ["features.words.decide"]
    both = told(("per: period, decide: local", "per: period, each: user"))
    assert [one.partition(":")[0] for one in both] == ["features.api.decide", "features.words.decide"]
    assert told(("calls, decide: local}", "calls}"), ("  sso:", BURST)) == [], "ai burns no meter when asked for itself"


def test_the_place_is_that_of_the_word() -> None:
    """Line and column lead to what has to be changed, not to the feature that bars it."""
    with pytest.raises(CatalogTextError) as caught:
        read_catalog(edited(("  sso:", BURST)))
    (problem,) = caught.value.problems
    line = edited(("  sso:", BURST)).splitlines()[(problem.line or 0) - 1]
    assert line[(problem.column or 0) - 1 :] == "local}"


def test_many_are_named_in_part() -> None:
    """Of more than three, three are named and all are counted, once for each feature that says local."""
    more = "".join(f"  m{number}: {{type: metered, meter: calls, each: user}}\n" for number in range(5))
    (problem,) = told(("  sso:", f"{more}  sso:"))
    assert 'draws on "m0" (each: user), "m1" (each: user), "m2" (each: user) … (5 in all) as well' in problem
    itself = told(("  sso:", f"{more}  sso:"), ("calls, decide: local}", "calls, each: user, decide: local}"))
    assert [one.count("5 in all") for one in itself] == [0, 1], "what is said of itself is not said again"


def test_only_what_is_metered_decides_anywhere_else() -> None:
    """Switches, limits and seats have no such field; another word than the two is refused with both."""
    (switch,) = told(("{type: switch}", "{type: switch, decide: local}"))
    assert switch.startswith('features.sso.decide: a switch feature has no field "decide"')
    (word,) = told(("calls, decide: local}", "calls, decide: client}"))
    assert {"hub", "local", "client"} <= set(re.findall(r"\w+", word))


def test_the_hub_is_not_written() -> None:
    """A catalog that says hub is the one that says nothing: the same document, so the same hash as ever."""
    silent, said = (
        read_catalog(edited(("calls, decide: local}", words))) for words in ("calls}", "calls, decide: hub}")
    )
    assert encode_catalog(silent) == encode_catalog(said)
    assert encode_catalog(said).count(b'"decide"') == 2, "of words and ai"
    assert read_catalog(write_catalog(read_catalog(SOUND))) == read_catalog(SOUND)


@pytest.mark.parametrize("back", [False, True])
def test_who_decides_moves_no_right(back: bool) -> None:
    """A release may change it at any time, there and back; it says who decides, and that nobody gains or loses."""
    hub, local = read_catalog(edited(("calls, decide: local}", "calls}"))), read_catalog(SOUND)
    old, new = (local, hub) if back else (hub, local)
    assert check_release(old, new) == []
    (change,) = diff_catalogs(old, new)
    assert (change.path, change.kind, change.effect) == ("features.api.decide", "changed", "none")
    assert (change.before, change.after) == (("local", "hub") if back else ("hub", "local"))
    who = "the hub, use by use" if back else "the using program, out of what the hub leases to it"
    assert change.sentence == f"The feature api is decided by {who}, from now on. Nobody has more or less of it."
    terms = holds({"phases": [{"starts_at": "2026-01-31T10:00:00Z", "items": bought("team")}]})
    at = parse_instant("2026-02-01")
    assert compare_rights(ready(old), terms, ready(new), terms, at) == ()
    assert judge_impact(ready(old), ready(new), terms, at).impact.nothing


def test_support_sees_who_decides() -> None:
    """The matrix for support notes it; customers have the same allowance either way and see none of it."""
    at = parse_instant("2026-02-01")
    support, customer = (feature_matrix(read_catalog(SOUND), at, audience) for audience in ("support", "customer"))
    assert {row.feature for row in support.rows if "decided locally" in row.notes} == {"api", "words", "ai"}
    assert "locally" not in render_markdown(customer)


def test_a_rollback_falls_back_to_the_hub() -> None:
    """What was local then and would meet a window that was added since is the hub's; the rollback says so."""
    target = read_catalog(SOUND)
    newest = read_catalog(edited(("calls, decide: local}", "calls}"), ("  sso:", BURST)))
    assert check_release(target, newest) == []
    made = compose_rollback(target, newest, parse_instant("2026-02-01"))
    assert check_catalog(made.catalog) == []
    assert check_release(newest, made.catalog) == []
    assert _local(made.catalog) == {"words", "ai"}
    assert "The feature api is decided by the hub: what its use touches now cannot be leased." in made.kept


def test_a_rollback_of_rates_falls_back_too() -> None:
    """A rate of then may burn a pool for each user by what was made local since: that one is the hub's again."""
    hub = [(f"{each}, decide: local", each) for each in ("meter: calls", "meter: words")]
    target = read_catalog(edited(*hub, ("per: period, decide: local", "each: user")))
    coin = structs.replace(target.credits["coin"], burns={"words": "0.01"})
    added = {**target.features, "fresh": Metered(meter="calls", decide="local")}
    newest = normal_catalog(structs.replace(target, credits={**target.credits, "coin": coin}, features=added))
    assert check_catalog(newest) == []
    assert check_release(target, newest) == []
    made = compose_rollback(target, newest, parse_instant("2026-02-01"))
    assert check_catalog(made.catalog) == []
    assert check_release(newest, made.catalog) == []
    assert _local(newest) == {"fresh"}
    assert _local(made.catalog) == set()


def _local(catalog: Catalog) -> set[str]:
    return {key for key, one in ready(catalog).features.items() if one.local}


@settings(max_examples=dose(150, full=5000), deadline=None)
@given(st.data())
def test_what_is_refused_is_what_a_use_would_touch(data: st.DataObject) -> None:
    """Of random catalogs: exactly where metering names a balance that is no customer's own, or a window, or a level."""
    catalog = data.draw(_counting())
    found = {one.path for one in check_catalog(catalog)}
    assert all(one.endswith(".decide") for one in found)
    metering = compile_metering(ready(catalog))
    for key in _local(catalog):
        meter = metering.meter_of.get(key)
        touched = {key, *(one.feature for one in metering.burning[meter])} if meter else {key}
        features = [catalog.features[one] for one in touched]
        level = meter is not None and metering.meters[meter].aggregate == "unique"
        barred = level or any(metering.each_of[one] != "customer" for one in touched)
        barred = barred or any(getattr(one, "length", None) is not None for one in features)
        assert (f"features.{key}.decide" in found) == barred


@st.composite
def _counting(draw: st.DrawFn) -> Catalog:
    """A catalog of metered features and credits on a few meters, in any combination."""
    meters = {"a": Meter(event="a"), "b": Meter(event="b", aggregate="count")}
    meters["c"] = Meter(event="c", aggregate="unique", field="f")
    burned = st.dictionaries(st.sampled_from(("a", "b")), st.just("1"))
    coins = {key: Credit(burns=draw(burned)) for key in ("x", "y")}
    features: dict[str, Feature] = {}
    for number in range(draw(st.integers(1, 5))):
        of = draw(st.sampled_from("aabbcxy"))
        more: dict[str, Any] = {"decide": draw(st.sampled_from(("hub", "local")))}
        if of != "c":
            ways: tuple[dict[str, str], ...] = (
                {},
                {},
                {},
                {"per": "rolling", "length": "PT1H"},
                {"per": "session", "length": "P1D"},
            )
            more |= {
                "each": draw(st.sampled_from(("customer", "customer", "user", "team"))),
                **draw(st.sampled_from(ways)),
            }
        features[f"f{number}"] = Metered(meter=of, **more) if of in meters else Credits(credit=of, **more)
    return Catalog(version=1, products={}, meters=meters, credits=coins, features=features, plans={})


def test_a_large_catalog_is_checked_in_time() -> None:
    """Thousands of local features on one meter, beside thousands that bar them, are looked through in a second."""
    catalog = decode_catalog(encode_catalog(read_catalog(SOUND)))
    local = {f"l{number}": Metered(meter="calls", decide="local") for number in range(2_400)}
    barring = {f"u{number}": Metered(meter="calls", each="user") for number in range(2_400)}
    pools = {f"c{number}": Credits(credit="coin", each="user") for number in range(100)}
    catalog = structs.replace(catalog, features={**catalog.features, **local, **barring, **pools})
    begun = perf_counter()
    found = check_catalog(catalog)
    assert len([one for one in found if "(2500 in all)" in one.message]) > 100
    assert perf_counter() - begun < 5
