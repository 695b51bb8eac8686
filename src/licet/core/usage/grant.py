"""Amounts put on a balance, and the timetable they make together: what time alone brings, step by step."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from licet.core.instant import BEGINNING, FOREVER, Instant

DEFAULT_PRIORITY: Final = 50
UNLIMITED: Final = 2**62
"""An amount from here on stands for no limit."""
COUNTED_AS: Final = UNLIMITED + UNLIMITED // 2
"""What an unlimited amount is counted as: half of it may be drawn, and it is still told as unlimited."""


class Rollover(Struct, frozen=True, gc=False):
    """How much of what is left stays at a renewal: ``min(most, max(least, left))``. By default nothing does."""

    least: int = 0
    most: int = 0

    def of(self, left: int) -> int:
        """Return what stays of ``left``."""
        return min(self.most, max(self.least, left))


NOTHING: Final = Rollover()


class Mark(NamedTuple):
    """What becomes of a grant at an instant. ``amount`` is what it is worth from then on.

    ``renew``: it is whole again, plus what rolls over. ``fresh``: whole again, nothing rolls over. ``step``: it is
    worth another amount and charged with what was drawn since it was whole; what is left is never negative.
    """

    at: Instant
    kind: Literal["renew", "step", "fresh"]
    amount: int
    rollover: Rollover | None = None
    """What rolls over at a renewal; the grant's own where None: versions and quantities change it with the amount."""


class Grant(Struct, frozen=True, kw_only=True, gc=False):
    """A dated amount put on a balance, in minor units, usable in ``[effective, expires)``.

    ``marks`` ascend and lie after ``effective``. At equal priority what is whole again, or ends, soonest burns first:
    so marks reach at least one renewal beyond the last instant that is asked about.
    """

    id: str
    effective: Instant
    amount: int
    priority: int = DEFAULT_PRIORITY
    """What has the lower one burns first."""
    expires: Instant = FOREVER
    voided: Instant = FOREVER
    """From then on it no longer counts; what was drawn from it stays drawn."""
    marks: tuple[Mark, ...] = ()
    rollover: Rollover = NOTHING

    @property
    def end(self) -> Instant:
        """The first instant at which it is not usable any more."""
        return min(self.expires, self.voided)


Kind = Literal["ends", "resets", "renew", "step", "fresh", "begins"]
_RANKS: Final[dict[Kind, int]] = {"ends": 0, "resets": 1, "renew": 2, "step": 2, "fresh": 2, "begins": 3}
_SEED: Final = b"licet course 1"


class Change(NamedTuple):
    """One thing that time brings. ``due``: when the grant is whole again or expires, as known from then on.

    ``amount`` of a period's end is 1 where what is owed is forgotten though it is carried otherwise.
    """

    at: Instant
    rank: int
    grant: str
    kind: Kind
    amount: int = 0
    due: Instant = FOREVER
    least: int = 0
    most: int = 0
    """Of a renewal: the bounds of what rolls over."""


class Step(NamedTuple):
    """All that one instant brings, in order, and what burns first from then on."""

    at: Instant
    changes: tuple[Change, ...]
    order: tuple[str, ...]
    """Ids of the grants that are usable from then on, what burns first first."""
    worth: int
    """What they are worth together, whatever was drawn."""
    digest: bytes
    """Of everything up to here that a fold depends on: equal ones have an equal past."""
    slate: Instant
    """The newest instant up to here at which nothing of before mattered any more: a period ended with all it held."""


class Timetable:
    """What time brings to a balance. At one instant: ends, the end of its period, marks, then what begins.

    ``resets`` are the ends of the balance's own periods, ascending: use that nothing covered is forgotten there,
    unless it is carried (``carry``); at those among them that are ``freed`` it is forgotten all the same.
    """

    __slots__ = ("_ats", "carry", "grants", "steps")

    def __init__(
        self,
        grants: Iterable[Grant],
        resets: Iterable[Instant] = (),
        *,
        carry: bool = False,
        freed: Collection[Instant] = (),
    ) -> None:
        self.grants: dict[str, Grant] = {grant.id: grant for grant in grants}
        self.carry = carry
        self.steps: Sequence[Step] = list(_steps(self.grants, resets, freed, carry=carry))
        self._ats = [step.at for step in self.steps]

    def place(self, at: Instant) -> int:
        """Return how many steps have passed at an instant, those of that very instant included."""
        return bisect_right(self._ats, at)

    def next_after(self, at: Instant) -> Instant:
        """Return when time brings something next, after an instant; FOREVER where nothing comes."""
        place = self.place(at)
        return self._ats[place] if place < len(self._ats) else FOREVER

    def digest(self, place: int) -> bytes:
        """Return the digest of everything before a place."""
        return self.steps[place - 1].digest if place else _SEED

    def slate(self, place: int) -> Instant:
        """Return the newest instant before a place at which nothing of before mattered any more."""
        return self.steps[place - 1].slate if place else BEGINNING

    def worth(self, at: Instant) -> int:
        """Return what the grants in force are worth together, whatever was drawn."""
        place = self.place(at)
        return self.steps[place - 1].worth if place else 0

    def worths(self, at: Instant) -> dict[str, int]:
        """Return what each grant in force is worth, whatever was drawn."""
        place = self.place(at)
        return {one: _worth(self.grants[one], at) for one in self.steps[place - 1].order} if place else {}


def _worth(grant: Grant, at: Instant) -> int:
    place = bisect_right(grant.marks, at, key=lambda mark: mark.at)
    return grant.marks[place - 1].amount if place else grant.amount


def _changes(grant: Grant) -> Iterator[Change]:
    """Yield what becomes of one grant; its ``due`` does not depend on whether it is voided some day."""
    if grant.end <= grant.effective:
        return
    due = grant.expires
    dues = [due] * len(grant.marks)
    for place in range(len(grant.marks) - 1, -1, -1):
        dues[place] = due
        if grant.marks[place].kind != "step":
            due = min(grant.marks[place].at, grant.expires)
    yield Change(grant.effective, _RANKS["begins"], grant.id, "begins", min(grant.amount, COUNTED_AS), due)
    for mark, then in zip(grant.marks, dues, strict=True):
        if mark.at >= grant.end:
            break
        amount = min(mark.amount, COUNTED_AS)
        stays = (mark.rollover or grant.rollover) if mark.kind == "renew" else NOTHING
        most = min(stays.most, COUNTED_AS - amount)
        yield Change(mark.at, _RANKS[mark.kind], grant.id, mark.kind, amount, then, min(stays.least, most), most)
    if grant.end < FOREVER:
        yield Change(grant.end, _RANKS["ends"], grant.id, "ends")


def _steps(
    grants: dict[str, Grant], resets: Iterable[Instant], freed: Collection[Instant], *, carry: bool
) -> Iterator[Step]:
    changes = [Change(at, _RANKS["resets"], "", "resets", int(carry and at in freed)) for at in resets]
    for grant in grants.values():
        changes += _changes(grant)
    changes.sort(key=lambda one: one[:3])
    held: dict[str, tuple[int, Instant, Instant, str]] = {}
    worths: dict[str, int] = {}
    order: tuple[str, ...] = ()
    digest = blake2b(_SEED + bytes([carry]), digest_size=8).digest()
    start, slate = 0, BEGINNING
    while start < len(changes):
        at = changes[start].at
        stop = start
        while stop < len(changes) and changes[stop].at == at:
            change = changes[stop]
            stop += 1
            if change.kind == "ends":
                del held[change.grant], worths[change.grant]
            elif change.kind != "resets":
                grant = grants[change.grant]
                held[grant.id] = (grant.priority, change.due, grant.effective, grant.id)
                worths[grant.id] = change.amount
        burning = tuple(sorted(held, key=held.__getitem__)) if len(held) > 1 else tuple(held)
        order = order if burning == order else burning
        now = tuple(changes[start:stop])
        # when a grant is due matters to a fold only as far as it decides the order of burning
        told = repr(([(one.at, one.kind, one.grant, one.amount, one.least, one.most) for one in now], order))
        digest = blake2b(digest + told.encode(), digest_size=8).digest()
        slate = at if not carry and _clean(now, order) else slate
        yield Step(at, now, order, sum(worths.values()), digest, slate)
        start = stop


def _clean(changes: Sequence[Change], held: Sequence[str]) -> bool:
    """Whether a step ends a period and makes all that is held whole, whatever was left of it."""
    anew = {one.grant for one in changes if one.kind in ("begins", "fresh", "renew") and one.least >= one.most}
    return any(one.kind == "resets" for one in changes) and anew.issuperset(held)
