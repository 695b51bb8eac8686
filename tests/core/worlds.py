"""A small vendor with everything a rule can meet, and strategies for customers of it."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from licet.core.catalog import Catalog
from licet.core.compiled import CompiledCatalog, compile_catalog
from licet.core.instant import Instant, to_instant
from licet.core.question import Context, UserFacts
from licet.core.terms import Terms

ORIGIN = datetime(2026, 3, 27, tzinfo=UTC)
"""Two days before clocks change in Berlin."""
DAYS = 40

FEATURES: dict[str, Any] = {
    "sso": {"type": "switch", "title": "Single sign-on", "support_text": "Set up under Settings, Security."},
    "export": {"type": "switch", "deployments": ["saas", "on_prem"]},
    "audit": {"type": "switch", "regions": ["eu", "us"]},
    "beta": {"type": "switch", "when": '"tester" in user.roles || context.attributes.beta == true'},
    "nightly": {
        "type": "switch",
        "window": {"weekdays": ["fri", "sat", "sun"], "from_hour": "22:00", "until_hour": "03:00"},
    },
    "promo": {"type": "switch", "window": {"start": "2026-04-01T00:00:00Z", "end": "2026-04-10T00:00:00Z"}},
    "watch": {"type": "switch", "mode": "observe"},
    "loose": {"type": "switch", "mode": "off"},
    "tier": {"type": "configuration", "values": ["basic", "fast", "max"]},
    "projects": {"type": "limit", "merge": "max", "unit": {"one": "project", "many": "projects"}},
    "spaces": {"type": "limit", "merge": "sum", "at_limit": "warn", "default": 3},
    "quota": {"type": "limit", "merge": "override_wins", "scale": 2},
    "calls": {"type": "metered", "meter": "calls", "per": "month", "at_limit": "overage"},
    "jobs": {"type": "metered", "meter": "calls", "per": "day"},
    "ai": {"type": "credits", "credit": "ai"},
    "editor": {"type": "seats", "kind": "named"},
    "lonely": {"type": "switch"},
    "sync": {"type": "switch", "deployments": ["saas", "on_prem"]},
}

FREE = {"projects": 1, "tier": "basic"}
TEAM = {
    "sso": True,
    "export": {"deployments": ["saas", "desktop"]},
    "audit": True,
    "nightly": True,
    "promo": True,
    "watch": {"when": 'context.deployment == "saas"'},
    "projects": 20,
    "spaces": 2,
    "quota": "1.50",
    "calls": {"amount": 100, "at_limit": "block"},
    "jobs": 5,
    "ai": {"amount": "0.50", "per_seat": "editor"},
    "editor": 3,
    "tier": "fast",
}
BUSINESS = {**TEAM, "beta": True, "projects": "unlimited", "calls": 1000, "tier": "max", "loose": True, "spaces": 10}

CATALOG: dict[str, Any] = {
    "version": 1,
    "products": {"m": {"name": "Meridian"}, "other": {"name": "Other"}},
    "meters": {"calls": {"event": "api.call"}},
    "credits": {"ai": {"scale": 2, "burns": {"calls": "0.01"}}},
    "features": FEATURES,
    "plans": {
        "free": {"product": "m", "versions": {"2026-01": {"includes": FREE}, "2026-04": {"includes": {"projects": 2}}}},
        "team": {
            "product": "m",
            "versions": {
                "2026-01": {"trial": "P14D", "then": "free", "ladder": "card", "includes": TEAM},
                "2026-04": {"ladder": "hard", "includes": {**TEAM, "projects": 15, "sso": False}},
            },
        },
        "business": {
            "product": "m",
            "versions": {"2026-01": {"ladder": "card", "regions": ["eu", "us", "ch"], "includes": BUSINESS}},
        },
        "solo": {"product": "other", "versions": {"2026-01": {"includes": {"jobs": 1}}}},
    },
    "addons": {
        "boost": {
            "requires": ["team", "business"],
            "maximum": 5,
            "versions": {
                "1": {"includes": {"calls": 50, "jobs": 10, "spaces": 1}},
                "2": {"available_from": "2030-01-01T00:00:00Z", "includes": {"calls": 30, "spaces": 4, "sync": True}},
            },
        },
        "sync": {"requires": ["business"], "includes": {"sync": True}},
        "seats": {"excludes": ["free"], "includes": {"editor": 1, "quota": 1}},
        "lab": {"includes": {"beta": True, "tier": "fast", "ai": 10, "nightly": {"window": {"weekdays": ["mon"]}}}},
    },
    "bundles": {"suite": {"plan": "business", "addons": ["lab"]}},
    "ladders": {
        "card": [
            {"after": "P0D", "do": "warn"},
            {"after": "P3D", "do": "restrict", "features": ["ai", "sso"]},
            {"after": "P6D", "do": "restrict", "features": ["export"]},
            {"after": "P9D", "do": "suspend"},
            {"after": "P20D", "do": "end"},
        ],
        "hard": [{"after": "PT36H", "do": "suspend"}, {"after": "P5D", "do": "end"}],
    },
    "cohorts": {"strict": {"ladder": "hard"}, "partners": {}, "kept": {"title": "Key accounts", "ladder": "card"}},
    "orders": {
        "shop": {
            "price_team": {"plan": "team", "quantity": "editor"},
            "price_boost": {"addon": "boost"},
            "price_suite": {"bundle": "suite"},
        }
    },
}


MOVABLE = [
    ("plan", "team", ["2026-01", "2026-04"]),
    ("plan", "team", ["2026-01", "2026-04", "unreleased"]),
    ("plan", "free", ["2026-01", "2026-04"]),
    ("addon", "boost", ["1", "2"]),
    ("plan", "gone", ["1", "2"]),
]
"""What customers are moved between; some of it the catalog does not have."""

POLICIES: dict[str, Any] = {
    "embargo": {
        "when": 'has(customer.country) && customer.country in ["KP", "IR"]',
        "do": "suspend",
        "text": "Embargo.",
    },
    "blind": {"when": 'customer.country == "KP"', "do": "restrict", "features": ["sso", "watch", "loose", "projects"]},
    "gold": {"when": "customer.attributes.gold == true", "do": "restrict", "features": ["tier", "calls"], "rank": 5},
    "dunned": {"when": 'standing in ["grace", "restricted"]', "do": "restrict", "features": ["ai", "editor", "spaces"]},
    "stranger": {"when": 'standing == "none" || standing == "ended"', "do": "suspend", "text": "Welcome."},
    "from_japan": {"when": 'context.region == "jp"', "do": "suspend", "text": "Not from here.", "rank": 7},
    "no_testers": {
        "when": '"tester" in user.roles && "business" in plans',
        "do": "restrict",
        "features": ["beta", "sso"],
    },
    "night": {"when": "features.nightly", "do": "restrict", "features": ["sso", "jobs"], "text": "Not at night."},
    "promoted": {
        "when": "features.promo && amounts.projects < 20",
        "do": "restrict",
        "features": ["projects", "quota"],
    },
    "hoard": {
        "when": "amounts.quota * 2 >= amounts.spaces",
        "do": "restrict",
        "features": ["spaces"],
        "server_only": True,
    },
    "overflow": {"when": "amounts.projects * 3 > 100", "do": "restrict", "features": ["export"]},
    "boosted": {
        "when": '"boost" in addons && context.attributes.beta == true',
        "do": "restrict",
        "features": ["calls"],
    },
    "soon": {"when": 'standing == "trialing"', "do": "warn", "text": "Your trial will end.", "rank": 1},
    "saas": {"when": 'context.deployment == "saas"', "do": "warn", "features": ["sso", "projects"], "text": "Moved."},
    "quiet": {"when": '!features.beta || context.region == "eu"', "do": "warn", "text": "Ask us.", "server_only": True},
}
"""Rules that a catalog of this vendor may have, one or many of them."""


@lru_cache(maxsize=200)
def policed(names: frozenset[str]) -> CompiledCatalog:
    """The vendor's catalog with some of the policies."""
    return catalog_of({**CATALOG, "policies": {name: POLICIES[name] for name in sorted(names)}})


def catalog_of(document: dict[str, Any]) -> CompiledCatalog:
    """Compile a catalog written as a plain mapping."""
    return compile_catalog(msgspec.convert(document, Catalog), 1, ZoneInfo, UTC)


COMPILED = catalog_of(CATALOG)
FEATURE_IDS = sorted(FEATURES)


def day(number: float) -> datetime:
    """The datetime so many days after the origin."""
    return ORIGIN + timedelta(days=number)


def at(number: float) -> Instant:
    """The instant so many days after the origin."""
    return to_instant(day(number))


def moments() -> SearchStrategy[datetime]:
    """Instants that often coincide, so that ties are met."""
    return st.integers(0, DAYS * 4).map(lambda quarter: day(quarter / 4))


def optional(inner: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Something or nothing."""
    return st.none() | inner


def gates() -> SearchStrategy[dict[str, Any]]:
    """Conditions of an override."""
    return st.fixed_dictionaries(
        {},
        optional={
            "when": st.sampled_from(
                ['"tester" in user.roles', 'context.region == "eu"', "customer.attributes.gold == true", "nonsense ("]
            ),
            "deployments": st.sampled_from([["saas"], ["on_prem", "desktop"]]),
            "regions": st.sampled_from([["eu"], ["us", "ch"]]),
            "window": st.sampled_from([{"weekdays": ["mon", "tue"]}, {"start": "2026-04-02T00:00:00Z"}]),
        },
    )


def items() -> SearchStrategy[list[dict[str, Any]]]:
    """What one phase consists of."""
    plan: SearchStrategy[dict[str, Any]] = st.sampled_from(
        [
            {"kind": "plan", "id": "team", "version": "2026-01"},
            {"kind": "plan", "id": "team", "version": "2026-01", "quantity": 7, "quantity_of": "editor", "line": "l1"},
            {"kind": "plan", "id": "team", "version": "2026-04"},
            {"kind": "plan", "id": "business", "version": "2026-01", "quantity": 2},
            {"kind": "plan", "id": "free", "version": "2026-01"},
            {"kind": "plan", "id": "gone", "version": "1"},
        ]
    )
    addon: SearchStrategy[dict[str, Any]] = st.sampled_from(
        [
            {"kind": "addon", "id": "boost", "version": "1", "quantity": 2},
            {"kind": "addon", "id": "boost", "version": "1", "quantity": 6},
            {"kind": "addon", "id": "seats", "version": "1", "quantity": 4},
            {"kind": "addon", "id": "lab", "version": "1"},
        ]
    )
    return st.tuples(plan, st.lists(addon, max_size=2)).map(lambda parts: [parts[0], *parts[1]])


def payments() -> SearchStrategy[list[dict[str, Any]]]:
    """Payment facts of a few invoices."""
    kinds = ["failed", "failed", "failed", "paid", "voided", "uncollectible", "disputed", "due", "due"]
    return st.lists(
        st.fixed_dictionaries(
            {"kind": st.sampled_from(kinds), "at": moments(), "invoice": st.sampled_from(["in_1", "in_2"])},
            optional={"stated_at": moments()},
        ),
        max_size=4,
    )


@st.composite
def schedules(draw: st.DrawFn) -> dict[str, Any] | None:
    """What a foreign system plans, mostly nothing."""
    if draw(st.integers(0, 3)):
        return None
    starts = sorted(draw(st.lists(moments(), max_size=2, unique=True)))
    return {
        "phases": [{"starts_at": start, "items": draw(items())} for start in starts],
        "ends_at": draw(st.none() | moments()),
        "occurred_at": ORIGIN,
    }


@st.composite
def leniencies(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Promises and pauses of the first two subscriptions."""
    found = []
    for number in range(draw(st.sampled_from([0, 0, 1, 3]))):
        one = {"id": f"len_{number}", "subscription": f"sub_{draw(st.integers(0, 1))}", **draw(periods())}
        found.append({**one, "kind": draw(st.sampled_from(["promise", "pause"])) if "ends_at" in one else "pause"})
    return found


def periods() -> SearchStrategy[dict[str, Any]]:
    """A dated thing with or without an end."""
    return st.fixed_dictionaries({"starts_at": moments()}, optional={"ends_at": moments()})


@st.composite
def moves(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Moves of the first two subscriptions between versions: chains, some back, some at once, some taken back."""
    found = []
    for number in range(draw(st.sampled_from([0, 0, 1, 2, 4]))):
        kind, item, versions = draw(st.sampled_from(MOVABLE))
        pair = draw(st.permutations(versions))[:2]
        start = draw(moments())
        later = draw(st.none() | moments())
        found.append(
            {
                "id": f"mov_{number}",
                "subscription": f"sub_{draw(st.integers(0, 1))}",
                "kind": kind,
                "item": item,
                "from_version": pair[0],
                "to_version": pair[1],
                "starts_at": start,
                "ends_at": None if later is None or later <= start else later,
            }
        )
    return found


@st.composite
def subscriptions(draw: st.DrawFn, number: int) -> dict[str, Any]:
    """One subscription."""
    starts = sorted(draw(st.lists(moments(), min_size=1, max_size=3, unique=True)))
    found: dict[str, Any] = {
        "id": f"sub_{number}",
        "phases": [{"starts_at": start, "items": draw(items()), "event": f"evt_{number}"} for start in starts],
        "payments": draw(payments()),
        "pauses": draw(st.lists(periods(), max_size=2)),
        "schedule": draw(schedules()),
        "trial_end_behavior": draw(st.sampled_from(["convert", "fall", "pause", "end"])),
        "zone": draw(st.sampled_from([None, "Europe/Berlin"])),
    }
    for name in ("trial_start", "trial_end", "ends_at", "anchor"):
        if draw(st.integers(0, 2)) == 0:
            found[name] = draw(moments())
    return found


@st.composite
def overrides(draw: st.DrawFn, number: int) -> dict[str, Any]:
    """One override."""
    return {
        "id": f"ovr_{number}",
        "feature": draw(st.sampled_from(FEATURE_IDS)),
        "effect": draw(st.sampled_from(["give", "give", "deny"])),
        "amount": draw(st.sampled_from([None, 3, 40, "unlimited"])),
        "value": draw(st.sampled_from([None, "max"])),
        **draw(gates()),
        **draw(periods()),
    }


@st.composite
def _dated(draw: st.DrawFn, name: str, values: list[str | None]) -> list[dict[str, Any]]:
    """A few of the values, each for a time, no two from the same instant on."""
    found = draw(st.lists(periods(), max_size=draw(st.sampled_from([0, 0, 2])), unique_by=lambda one: one["starts_at"]))
    return [{name: draw(st.sampled_from(values)), **one} for one in found]


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A customer's terms as a plain mapping."""
    return {
        "customer": "acme",
        "profile": {
            "region": draw(st.sampled_from([None, "eu", "ch"])),
            "zone": draw(st.sampled_from([None, "America/New_York"])),
            "attributes": draw(st.sampled_from([{}, {"gold": True}])),
        },
        "subscriptions": [draw(subscriptions(number)) for number in range(draw(st.integers(0, 3)))],
        "overrides": [draw(overrides(number)) for number in range(draw(st.integers(0, 3)))],
        "suspensions": draw(st.lists(periods(), max_size=1)),
        "leniencies": draw(leniencies()),
        "ladders": draw(_dated("ladder", [None, "card", "hard", "gone"])),
        "moves": draw(moves()),
        "cohorts": draw(_dated("cohort", ["strict", "partners", "kept", "gone"])),
    }


def terms_of(document: dict[str, Any]) -> Terms:
    """Read terms from a plain mapping."""
    return msgspec.convert(document, Terms)


def terms() -> SearchStrategy[Terms]:
    """A customer's terms."""
    return documents().map(terms_of)


def contexts() -> SearchStrategy[Context | None]:
    """A context, or none."""
    return optional(
        st.builds(
            Context,
            deployment=st.sampled_from([None, "saas", "desktop", "on_prem"]),
            region=st.sampled_from([None, "eu", "jp"]),
            attributes=st.sampled_from([{}, {"beta": True}]),
        )
    )


def users() -> SearchStrategy[UserFacts | str | None]:
    """A user with or without facts, or none."""
    return st.sampled_from([None, "ann", UserFacts(id="ann"), UserFacts(id="bob", roles=("tester",))])


def questions() -> SearchStrategy[dict[str, Any]]:
    """The keyword arguments of a check."""
    return st.fixed_dictionaries(
        {
            "user": users(),
            "context": contexts(),
            "quantity": st.sampled_from([0, 1, 2, 25, 10_000]),
            "used": st.sampled_from([None, 0, 2, 19, 500]),
        }
    )
