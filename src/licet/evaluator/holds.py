"""Reservations of owned quota, decided and settled in one process without asking anybody.

Held units are spendable by nobody else, and a slice with holds on it has no last word before they are settled.
"""

from collections.abc import Mapping
from typing import Final, Literal

from licet.evaluator.slice import Key, Slice

HOLD: Final = 900.0
"""A hold lasts so many seconds unless it asks otherwise, as a reservation does."""


class Hold:
    """Units of one or several keys, reserved together. Compared by identity; made by ``Owned.hold`` and ``hold_all``.

    ``state``: ``held``, ``released`` (its end came first: what is settled then is use like any other) or ``settled``.
    """

    __slots__ = ("ends", "parts", "state", "wants")

    def __init__(self, wants: Mapping[Key, int], ends: float, parts: list[tuple[Slice, int]]) -> None:
        self.wants: Mapping[Key, int] = wants
        """How many units are held of each key."""
        self.ends = ends
        """Its end in monotonic seconds: from then on ``Owned.release_overdue`` lets go of it."""
        self.parts = parts
        self.state: Literal["held", "released", "settled"] = "held"

    def use(self, used: Mapping[Key, int], now: float) -> tuple[dict[Key, int], list[Slice]]:
        """Let go of all that is held, with so much of it used; what was not goes back to its slices.

        Returns what was used beyond it by key, and the slices it was on. Slices that are closed are used up first: of
        an open one the rest can be spent again.
        """
        rest = {key: units for key, units in used.items() if units > 0}
        parts, self.parts = sorted(self.parts, key=_open_last), []
        for one, part in parts:
            units = min(part, rest.get(one.key, 0))
            if units:
                rest[one.key] -= units
            one.held -= part
            one.spent -= part - units
            one.touched = now
        return {key: units for key, units in rest.items() if units}, [one for one, _ in parts]


def _open_last(part: tuple[Slice, int]) -> bool:
    return not part[0].closed
