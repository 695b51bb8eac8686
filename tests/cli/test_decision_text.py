"""A decision in words for a terminal: what bounds it, and what would change it."""

from licet.cli.decision_text import decision_lines
from licet.cli.output import plain


def test_a_refusal_tells_when_more_comes_and_what_bounds_it() -> None:
    """A decision names its window with the length, the bounds beyond the limit, and waiting besides the remedy."""
    limit = {"amount": 3, "used": 4, "remaining": -1, "per": "rolling", "at_limit": "overage", "unit": "texts"}
    decision = {
        "allowed": False,
        "reason": "limit_reached",
        "reasons": ["limit_reached"],
        "customer": "acme",
        "feature": "sms",
        "message": "Texts: 4 of 3 texts used; 1 more does not fit. Resets 1 December 2026 00:00 Europe/Berlin.",
        "limit": {**limit, "length": "PT24H", "overage_limit": 1, "spend_limit": 0},
        "remedy": {"words": "Change from Free to Team."},
        "remedies": [{"words": "Change from Free to Team."}, {"words": "Wait until 2026-11-30 23:00 UTC."}],
    }
    assert [plain(line) for line in decision_lines(decision)][1:] == [
        "  because   Texts: 4 of 3 texts used; 1 more does not fit. Resets 1 December 2026 00:00 Europe/Berlin.",
        "  limit     4 of 3 texts in the rolling 24 h window used, 1 beyond",
        "  beyond    1, overage limit",
        "  beyond    0, spend limit of the customer",
        "  remedy    Change from Free to Team.",
        "  or        Wait until 2026-11-30 23:00 UTC.",
    ]
