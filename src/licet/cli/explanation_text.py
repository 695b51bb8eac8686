"""An explanation as a tree: from the order line to the decision."""

from collections.abc import Mapping
from typing import Any

from licet.cli.decision_text import decision_lines
from licet.cli.output import Line


def explanation_lines(explanation: Mapping[str, Any]) -> list[Line]:
    """Return an explanation as lines."""
    return decision_lines(explanation["decision"])
