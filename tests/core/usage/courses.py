"""A vendor with an allowance of every kind, and customers who buy, change, pause and are funded."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from licet.core.catalog import Catalog, decode_catalog
from licet.core.catalog_check import check_catalog
from licet.core.compiled import CompiledCatalog, compile_catalog
from licet.core.instant import Instant, format_instant, parse_instant, to_datetime
from licet.core.terms import Terms
from licet.core.usage.account import Account
from licet.core.usage.balance import Use
from licet.core.usage.course import Course, course_of
from licet.core.usage.facts import AccountKey, Funding, FundingDoc

DOCUMENT = b"""{"version": 1, "products": {"app": {}},
"meters": {"calls": {"event": "call", "aggregate": "count"},
  "bytes": {"event": "b", "aggregate": "latest", "field": "v"}},
"credits": {"coin": {"scale": 2, "burns": {"calls": "0.5"}}},
"features": {
  "api": {"type": "metered", "meter": "calls", "warn_at": ["80%", "100%"]},
  "hourly": {"type": "metered", "meter": "calls", "per": "hour"},
  "daily": {"type": "metered", "meter": "calls", "per": "day"},
  "weekly": {"type": "metered", "meter": "calls", "per": "week"},
  "anew": {"type": "metered", "meter": "calls", "on_change": "reset"},
  "once": {"type": "metered", "meter": "calls", "per": "lifetime"},
  "burst": {"type": "metered", "meter": "calls", "per": "rolling", "length": "PT1H"},
  "talk": {"type": "metered", "meter": "calls", "per": "session", "length": "PT5H"},
  "disk": {"type": "metered", "meter": "bytes", "per": "period"},
  "mine": {"type": "metered", "meter": "calls", "per": "day", "each": "user", "carry_overage": true},
  "ai": {"type": "credits", "credit": "coin", "per": "year", "at_limit": "overage", "overage_limit": 10},
  "seat": {"type": "seats"}, "sso": {"type": "switch"}},
"plans": {
  "team": {"product": "app", "versions": {
    "2026-01": {"includes": {"api": {"amount": 100, "rollover": {"max": 50}}, "hourly": 5, "daily": 10, "weekly": 20,
      "anew": 7, "once": 1000, "burst": 3, "talk": 4, "disk": 100, "mine": 6, "seat": 2,
      "ai": {"amount": 120, "release": "month"}}},
    "2026-03": {"includes": {"api": {"amount": 150, "rollover": {"max": 10}}, "hourly": 6, "daily": 10, "anew": 9}}}},
  "solo": {"product": "app", "versions": {"2026-01": {"trial": "P14D", "then": "team", "includes": {
      "api": {"amount": 30, "at_limit": "overage", "overage_limit": 40}, "anew": 3, "once": 10, "daily": 1,
      "ai": {"amount": "1.5", "per": "month", "overage_limit": "unlimited"}}}}}},
"addons": {
  "boost": {"includes": {"api": {"amount": 40, "rollover": {"min": 1, "max": 5}}}},
  "first": {"includes": {"api": {"amount": 9, "priority": 10, "at_limit": "warn"}}},
  "many": {"includes": {"api": {"amount": 8, "per_seat": "seat"}}},
  "endless": {"includes": {"api": "unlimited"}}}}"""


def vendor() -> CompiledCatalog:
    """Return the catalog, which is sound."""
    catalog = decode_catalog(DOCUMENT)
    assert check_catalog(catalog) == []
    return compile_catalog(catalog, 1, ZoneInfo, UTC)


VENDOR = vendor()


def bought(*items: str) -> list[dict[str, Any]]:
    """Return items written as ``team``, ``team@2026-03``, ``+boost`` or ``+boost*3``."""
    found = []
    for item in items:
        name, _, quantity = item.partition("*")
        kind = "addon" if name.startswith("+") else "plan"
        key, _, version = name.lstrip("+").partition("@")
        version = version or ("1" if kind == "addon" else "2026-01")
        found.append({"kind": kind, "id": key, "version": version, "quantity": int(quantity or 1)})
    return found


def at(text: str) -> Instant:
    """Return an instant."""
    return parse_instant(text)


def when(instant: Instant) -> datetime:
    """Return an instant as documents have it."""
    return to_datetime(instant)


def told(instants: Any) -> list[str]:
    """Return instants to be read."""
    return [format_instant(one) for one in instants]


def holds(*subscriptions: dict[str, Any], **more: Any) -> Terms:
    """Return terms of subscriptions, whose ids and starts have defaults."""
    held = [{"id": f"sub_{number}", **one} for number, one in enumerate(subscriptions, 1)]
    return msgspec.convert({"customer": "acme", "subscriptions": held, **more}, Terms)


def phases(*given: tuple[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return a subscription of phases."""
    return {"phases": [{"starts_at": since, "items": items} for since, items in given]}


def laid(terms: Terms, feature: str, until: str | Instant, *docs: FundingDoc, catalog: Catalog | None = None) -> Course:
    """Return the course of one feature, with funding in the order of its ids."""
    compiled = VENDOR if catalog is None else compile_catalog(catalog, 1, ZoneInfo, UTC)
    funding = [Funding(id=f"grt_{number}", feature=feature, doc=doc) for number, doc in enumerate(docs, 1)]
    end = at(until) if isinstance(until, str) else until
    return course_of(compiled, terms, funding, AccountKey("acme", feature), end)


def left(course: Course, now: str, *uses: tuple[str, int]) -> int:
    """Return what remains at an instant after uses."""
    account = Account(course)
    account.replay([Use(f"u{number}", at(since), amount) for number, (since, amount) in enumerate(uses)])
    return account.standing(at(now)).remaining
