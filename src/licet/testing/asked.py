"""What was asked in a world, and assertions about it that say what was asked instead."""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from licet.core.question import Context

MOST: Final = 100_000
"""Questions that a world remembers; a test that asks more is told so."""
SHOWN: Final = 12


class Asked(Struct, frozen=True, kw_only=True):
    """One question that the program under test asked, and how it was answered."""

    customer: str
    feature: str
    allowed: bool
    reason: str
    user: str | None = None
    team: str | None = None
    context: Context | None = None
    quantity: int | str = 1
    used: int | str | None = None

    def __str__(self) -> str:
        said = [f"{self.customer} {self.feature}"]
        if self.user is not None:
            said.append(f"user={self.user}")
        if self.team is not None:
            said.append(f"team={self.team}")
        if self.quantity != 1:
            said.append(f"quantity={self.quantity}")
        if self.used is not None:
            said.append(f"used={self.used}")
        return f"{' '.join(said)} → {'allowed' if self.allowed else 'refused'} ({self.reason})"


class Wanted(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an assertion looks for; None where anything will do."""

    customer: str | None = None
    feature: str | None = None
    user: str | None = None
    allowed: bool | None = None
    team: str | None = None

    def fits(self, one: Asked) -> bool:
        """Return whether a question is one of those looked for."""
        return (
            self.customer in (None, one.customer)
            and self.feature in (None, one.feature)
            and self.user in (None, one.user)
            and self.team in (None, one.team)
            and self.allowed in (None, one.allowed)
        )

    def __str__(self) -> str:
        parts = [self.customer or "any customer", self.feature or "any feature"]
        if self.user is not None:
            parts.append(f"user={self.user}")
        if self.team is not None:
            parts.append(f"team={self.team}")
        if self.allowed is not None:
            parts.append("allowed" if self.allowed else "refused")
        return " ".join(parts)


def assert_asked(asked: Iterable[Asked], wanted: Wanted, times: int | None) -> None:
    """Raise AssertionError unless such a question was asked: at least once, or exactly ``times``."""
    listed = list(asked)
    count = sum(map(wanted.fits, listed))
    if count == times or (times is None and count):
        return
    expected = "at least once" if times is None else _times(times)
    raise AssertionError(f"{wanted}: expected to be checked {expected}, was checked {_times(count)}\n{told_of(listed)}")


def assert_not_asked(asked: Iterable[Asked], wanted: Wanted) -> None:
    """Raise AssertionError if such a question was asked."""
    listed = list(asked)
    if any(map(wanted.fits, listed)):
        raise AssertionError(f"{wanted}: expected not to be checked\n{told_of([*filter(wanted.fits, listed)])}")


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def told_of(asked: Sequence[Asked]) -> str:
    """Return the questions as text, one on each line, the last ones."""
    if not asked:
        return "nothing was checked at all; does the program ask a client of this world?"
    lines = ["checked were:", *(f"  {one}" for one in asked[-SHOWN:])]
    if len(asked) > SHOWN:
        lines.insert(1, f"  … {len(asked) - SHOWN} earlier")
    return "\n".join(lines)
