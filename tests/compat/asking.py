"""Asks the evaluator what was asked when a feed was recorded."""

from collections.abc import Mapping
from typing import Any

import msgspec

from licet.core.instant import parse_instant
from licet.core.question import Context
from licet.evaluator.truth import LocalTruth
from tests.compat.reader import recorded_part


def decide(truth: LocalTruth, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recorded part of the evaluator's decision on a recorded question."""
    now = parse_instant(asked["now"])
    decision = truth.check(
        asked["customer"],
        asked["feature"],
        now,
        user=asked.get("user"),
        context=msgspec.convert(asked["context"], Context) if "context" in asked else None,
        quantity=asked.get("quantity", 1),
        used=asked.get("used"),
    )
    return recorded_part(msgspec.json.encode(decision.view(now)))
