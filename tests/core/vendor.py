"""The example vendor, and customers of it, for tests that read whole sentences."""

from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from licet.core.catalog import Catalog
from licet.core.compiled import compile_catalog
from licet.core.decision import Decision
from licet.core.instant import parse_instant
from licet.core.snapshot import Truth
from licet.core.terms import Terms

MERIDIAN = compile_catalog(
    msgspec.yaml.decode(
        (Path(__file__).parents[2] / "examples" / "meridian" / "catalog.yaml").read_text(encoding="utf-8"), type=Catalog
    ),
    1,
    ZoneInfo,
    UTC,
)
NOW = parse_instant("2026-08-05T10:00:12.5Z")
"""A Wednesday."""


def bought(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A subscription since July."""
    return {"id": "sub_1", "phases": [{"starts_at": "2026-07-01T00:00:00Z", "items": items}], **more}


def plan(name: str, version: str = "2026-01", **more: Any) -> dict[str, Any]:
    """An item that is a plan."""
    return {"kind": "plan", "id": name, "version": version, **more}


def seats(name: str, quantity: int, version: str = "2026-01") -> dict[str, Any]:
    """A plan bought for a number of editors."""
    return plan(name, version, quantity=quantity, quantity_of="editor")


def override(feature: str, **more: Any) -> dict[str, Any]:
    """An override in force."""
    return {"id": "ovr_1", "feature": feature, "starts_at": "2026-07-01T00:00:00Z", **more}


def ask(
    feature: str,
    *subscriptions: dict[str, Any],
    profile: dict[str, Any] | None = None,
    overrides: Any = (),
    **more: Any,
) -> Decision:
    """The decision on a question of the customer acme."""
    document = {"customer": "acme", "profile": profile or {}, "subscriptions": subscriptions, "overrides": overrides}
    return Truth(MERIDIAN, [msgspec.convert(document, Terms)]).check("acme", feature, NOW, **more)


def steps(decision: Decision) -> list[tuple[str, dict[str, Any], str, str]]:
    """Kind, target, words for the customer and for support of every step of the remedy."""
    remedy = decision.view(NOW).remedy
    return [] if remedy is None else [(one.kind, dict(one.target), one.words, one.support) for one in remedy.steps]
