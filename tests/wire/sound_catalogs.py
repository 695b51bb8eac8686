"""Random sound catalogs, for properties that must hold of every one."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from licet.core.catalog import (
    AddOn,
    AddOnVersion,
    Bundle,
    Catalog,
    Cohort,
    Configuration,
    Credit,
    Credits,
    Decide,
    Each,
    Feature,
    Given,
    GivenCustomer,
    Include,
    Includes,
    IncludeShort,
    Limit,
    Meter,
    Metered,
    Plan,
    PlanVersion,
    Policy,
    PolicyTest,
    Product,
    Rollover,
    Seats,
    Sold,
    Stage,
    Switch,
    Unit,
    Window,
)

TRICKY = (
    "no",
    "off",
    "yes",
    "null",
    "~",
    "1e3",
    "0o17",
    "2026-01-01",
    "a: b",
    "# c",
    "on",
    "*x",
    "&x",
    "!t",
    "- a",
    "{}",
)
TEXTS = st.one_of(
    st.sampled_from(TRICKY),
    st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20),
    st.text("ab, ;:'\"\\\n\t#&*!{}[]", max_size=12),
)
WORDS = st.one_of(
    st.sampled_from(TRICKY), st.text("abcxyz019_-.: ", min_size=1, max_size=8).filter(lambda word: word == word.strip())
)
UNITS = st.none() | st.builds(Unit, one=WORDS, many=WORDS)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
ENDS = st.none() | st.sampled_from((datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 9, 1, tzinfo=UTC)))
"""Until when a version is sold that begins by May 2026."""
CONDITIONS = st.sampled_from((None, 'context.region == "eu"', '"admin" in user.roles && has(customer.country)'))
PLACES = st.none() | st.sampled_from((("saas",), ("desktop", "on_prem")))
RANKS = st.integers(0, 10_000)
REGIONS = st.none() | st.just(("eu", "no"))


FILTERS: st.SearchStrategy[dict[str, tuple[str, ...]]] = st.sampled_from(({}, {"kind": ("b", "a"), "at": ("x",)}))
EACH: st.SearchStrategy[Each] = st.sampled_from(("customer", "user", "team"))

DECIDE: st.SearchStrategy[Decide] = st.sampled_from(("hub", "local"))


@st.composite
def sound_catalogs(draw: st.DrawFn) -> Catalog:
    """Return a catalog that ``check_catalog`` accepts, with a few of every part, in any of the allowed forms."""
    features = draw(_features())
    plans = draw(_plans(features))
    addons = draw(_addons(features, sorted(plans)))
    ladders: dict[str, tuple[Stage, ...]] = {
        "card": (Stage(after="P0D", do="warn"), Stage(after="P7D", do="restrict", features=("sso",)))
    }
    cohorts = {"kept": Cohort(title=draw(TEXTS), ladder=draw(st.sampled_from((None, "card"))), rank=draw(RANKS))}
    bundle = Bundle(plan=min(plans), addons=tuple(key for key, addon in addons.items() if not addon.requires))
    return Catalog(
        version=1,
        products={"app": Product(name=draw(TEXTS))},
        meters={
            "calls": Meter(event=draw(WORDS), aggregate="count", unit=draw(UNITS), filters=draw(FILTERS)),
            "m2": Meter(event="x", scale=draw(st.integers(2, 9))),
        },
        credits={"coin": Credit(scale=draw(st.integers(2, 9)), burns={"m2": "0.25"}, title=draw(TEXTS))},
        features=features,
        plans=plans,
        addons=addons,
        bundles={"suite": bundle} if draw(st.booleans()) else {},
        ladders=ladders,
        cohorts=draw(st.sampled_from(({}, cohorts))),
        policies=draw(_policies(features)),
        orders=draw(st.sampled_from(({}, {"shop": {}}, {"shop": {"1": Sold(plan=min(plans))}}))),
    )


@st.composite
def _policies(draw: st.DrawFn, features: dict[str, Feature]) -> dict[str, Policy]:
    """Return a few policies, with tests that come true."""
    abroad = Given(customer=GivenCustomer(country="FR", attributes={"no": True, "1": ("off", "x")}))
    tests = (PolicyTest(given=abroad, then=False), PolicyTest(given=Given(features=("sso",)), then=True))
    ids = sorted(features)
    texts: dict[str, Any] = {"text": draw(WORDS), "note": draw(TEXTS), "rank": draw(RANKS)}
    found = {
        "no": Policy(
            when='customer.country == "DE" || features.sso',
            do="suspend",
            tests=draw(st.sampled_from(((), tests))),
            **texts,
        ),
        "off": Policy(
            when="standing == 'grace'", do="restrict", features=tuple(ids[: draw(st.integers(1, 3))]), **texts
        ),
        "1e3": Policy(when="size(plans) > 2", do="warn", server_only=draw(st.booleans()), **texts),
    }
    return {key: found[key] for key in draw(st.sets(st.sampled_from(sorted(found))))}


@st.composite
def _features(draw: st.DrawFn) -> dict[str, Feature]:
    """Return the feature ``sso`` and some of each type, under ids that YAML could misread."""
    live: dict[str, Any] = {
        "title": draw(TEXTS),
        "description": draw(TEXTS),
        "mode": draw(st.sampled_from(("enforce", "observe", "off"))),
        "when": draw(CONDITIONS),
        "regions": draw(REGIONS),
        "unit": draw(UNITS),
        "rank": draw(RANKS),
    }
    makers: dict[str, Callable[[], Feature]] = {
        "switch": lambda: Switch(**live),
        "tier": lambda: Configuration(default=draw(st.none() | TEXTS), **live),
        "limit": lambda: Limit(scale=2, default=draw(st.none() | _amounts(2)), **live),
        "calls": lambda: Metered(meter="calls", warn_at=("80%",), default=5, each=draw(EACH), **live),
        "bursts": lambda: Metered(meter="calls", per="rolling", length="PT5H", default=5, **live),
        "coins": lambda: Credits(
            credit="coin",
            default="unlimited",
            at_limit="overage",
            overage_limit=draw(_amounts(2)),
            decide=draw(DECIDE),
            **live,
        ),
        "seats": lambda: Seats(default=draw(_amounts(0)), window=draw(_windows()), **live),
    }
    features: dict[str, Feature] = {"sso": Switch()}
    for word in draw(st.lists(WORDS, max_size=5, unique=True)):
        features[word] = makers[draw(st.sampled_from(sorted(makers)))]()
    return features


def _windows() -> st.SearchStrategy[Window | None]:
    return st.none() | st.builds(
        Window, start=TIMES, weekdays=st.just(("mon",)), from_hour=st.just("08:30"), until_hour=st.just("24:00")
    )


@st.composite
def _amounts(draw: st.DrawFn, scale: int) -> int | str:
    """Return an amount in any form: a number, a text with needless zeros, unlimited."""
    whole = draw(st.integers(0, 2**31))
    forms: list[int | str] = [whole, str(whole), f"{whole}.50" if scale >= 2 else f"{whole}", "unlimited"]
    return draw(st.sampled_from(forms))


@st.composite
def _includes(draw: st.DrawFn, features: dict[str, Feature]) -> Includes:
    chosen = draw(st.lists(st.sampled_from(sorted(features)), unique=True))
    return {key: draw(_given(features[key])) for key in chosen}


@st.composite
def _given(draw: st.DrawFn, feature: Feature) -> IncludeShort | Include:
    """Return an include that fits its feature, short or long."""
    if draw(st.integers(0, 9)) == 0:
        return _one(draw, [False, Include(on=False)])
    bound: dict[str, Any] = {"when": draw(CONDITIONS), "deployments": draw(PLACES), "window": draw(_windows())}
    if isinstance(feature, Switch):
        return _one(draw, [True, Include(), Include(**bound)])
    if isinstance(feature, Configuration):
        value = draw(TEXTS)
        return _one(draw, [value, Include(value=value), Include(value=value, **bound)])
    amount = draw(_amounts(2 if isinstance(feature, Limit | Credits) else 0))
    long = [Include(amount=amount), Include(amount=amount, **bound), Include(amount=amount, at_limit="warn")]
    if feature.default is not None:
        long += [Include(), Include(**bound)]
    if isinstance(feature, Metered | Credits):
        long += [Include(amount=amount, at_limit="overage", overage_limit=draw(_amounts(0)))]
    if isinstance(feature, Metered | Credits) and feature.length is None:
        long += [Include(amount=amount, per="year", release=draw(st.sampled_from(("month", "quarter"))))]
        long += [Include(amount=amount, per="week", rollover=Rollover(max="10"), priority=draw(st.integers(0, 100)))]
    return _one(draw, [amount, *long])


def _one(draw: st.DrawFn, given: list[IncludeShort | Include]) -> IncludeShort | Include:
    return draw(st.sampled_from(given))


@st.composite
def _plans(draw: st.DrawFn, features: dict[str, Feature]) -> dict[str, Plan]:
    ids = draw(st.lists(WORDS.filter(lambda word: "@" not in word), min_size=1, max_size=3, unique=True))
    plans = {}
    for key in ids:
        first = PlanVersion(
            includes=draw(_includes(features)),
            trial=draw(st.sampled_from((None, "P14D"))),
            ladder=draw(st.sampled_from((None, "card"))),
            title=draw(TEXTS),
            sold_until=draw(ENDS),
        )
        versions = {"2026-01": first}
        if draw(st.booleans()):
            versions["next"] = PlanVersion(
                includes=draw(_includes(features)),
                available_from=datetime(2026, 5, 1, tzinfo=UTC),
                sold_until=draw(ENDS),
            )
        plans[key] = Plan(product="app", versions=versions, description=draw(TEXTS))
    return plans


@st.composite
def _addons(draw: st.DrawFn, features: dict[str, Feature], plans: list[str]) -> dict[str, AddOn]:
    short = AddOn(includes=draw(_includes(features)), requires=(draw(st.sampled_from(plans)),))
    version = AddOnVersion(includes=draw(_includes(features)), title=draw(TEXTS), sold_until=draw(ENDS))
    several = {"1": version, "2026-03": AddOnVersion(includes={"sso": True})}
    long = AddOn(versions=draw(st.sampled_from(({"1": version}, several))), maximum=3, partner=draw(st.none() | WORDS))
    addons = {"+short": short, "+long": long}
    return {key: addons[key] for key in draw(st.lists(st.sampled_from(sorted(addons)), unique=True))}
