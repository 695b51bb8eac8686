"""The remedy: the cheapest change that turns a refusal around, found by trying, so that it provably permits."""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import Final

from msgspec import Struct, structs

from licet.core.candidate import Candidates
from licet.core.case import AnyCase, Ask, given_amount, judge
from licet.core.change import COSTS, ORDER, Change, Target, World, apply_change, make_change
from licet.core.compiled import UNBOUNDED
from licet.core.derive import Memo
from licet.core.entitlement import Entitlement
from licet.core.instant import Instant, format_instant
from licet.core.remedywords import CUSTOMER, SUPPORT, customer_words, support_words
from licet.core.views import RemedyView, StepView, wire_amount
from licet.core.words import moment_words

MAX_STEPS: Final = 3
"""A remedy of more changes is none."""
MAX_TRIALS: Final = 400
"""Worlds that one search looks into."""

_Path = tuple[tuple[int, tuple[tuple[str, int | str], ...]], ...]

_Entry = tuple[Candidates, tuple[Change, ...], Change | None, Callable[[], Iterable[Change]] | None]
"""Where from, all steps so far, the last change of them still to be made; or the group still to be worked out."""


class Remedy(Struct, frozen=True):
    """Changes that together permit; ``cost`` is their sum. Steps that apply at one instant, in order."""

    steps: tuple[Change, ...]
    words: str
    support: tuple[str, ...]
    step_words: tuple[str, ...]
    scale: int
    """Decimals of the feature's quantities."""

    @property
    def cost(self) -> int:
        """The sum of the steps' costs."""
        return sum(step.cost for step in self.steps)

    @property
    def kind(self) -> str:
        """The kind of the dearest step: what the remedy mainly is."""
        return max(self.steps, key=lambda one: one.cost).kind


def find_remedy(case: AnyCase, ask: Ask, now: Instant) -> Remedy | None:
    """Return the cheapest remedy of a refused question at ``now``; None where none is found.

    Uniform-cost search over single changes: what it returns permits (it was asked again), and nothing among the
    candidates is cheaper. Between equals: fewer steps, then kind, then the smallest change.
    """
    if case.terms is None or case.feature not in case.catalog.features or _forbidden(case, ask):
        return None
    world = World(case.catalog, case.terms, case.feature, _beyond_sources(case, ask), now)
    found = _Search(world).run()
    if found is None:
        return None
    words, support = [], []
    for step in found:
        words.append(customer_words(world, step))
        support.append(support_words(world, step))
        world = apply_change(world, step)
    return Remedy(found, " ".join(words), tuple(support), tuple(words), world.catalog.features[world.feature].scale)


def waiting_remedy(until: Instant, scale: int) -> Remedy:
    """Return the remedy of waiting until an instant at which a question is known to be permitted."""
    step = make_change("wait", until=until)
    words = CUSTOMER["wait"].format(until=moment_words(until))
    return Remedy((step,), words, (SUPPORT["wait"],), (words,), scale)


def _beyond_sources(case: AnyCase, ask: Ask) -> Ask:
    """The question with what its balance holds beyond the sources: that stays, whatever is bought.

    How much may be used beyond all there is, is theirs to say.
    """
    if ask.granted is None or case.entitlements is None:
        return structs.replace(ask, by_sources=True)
    given = case.entitlements.rights.get(case.feature) or Entitlement(case.feature, (), ())
    amount = given_amount(case.catalog, case.catalog.features[case.feature], given)
    extra = 0 if UNBOUNDED in (amount, ask.granted) else ask.granted - amount
    return structs.replace(ask, granted=None, extra=extra, by_sources=True)


def apply_remedy(world: World, remedy: Remedy) -> World:
    """Return the world after every step of a remedy."""
    for step in remedy.steps:
        world = apply_change(world, step)
    return world


def remedy_view(remedy: Remedy) -> RemedyView:
    """Return a remedy for the wire."""
    return RemedyView(
        kind=remedy.kind,
        cost=remedy.cost,
        words=remedy.words,
        steps=tuple(
            StepView(
                kind=step.kind,
                cost=step.cost,
                target=_wire_target(step, remedy.scale),
                words=words,
                support=support,
            )
            for step, words, support in zip(remedy.steps, remedy.step_words, remedy.support, strict=True)
        ),
    )


def _wire_target(step: Change, scale: int) -> dict[str, Target]:
    """A target as it leaves: quantities in major units, instants as RFC 3339; a fact to take away stays as null."""
    told = {name: value for name, value in step.target if value is not None or "." in name}
    if step.kind == "lower_quantity":
        told["quantity"] = wire_amount(step.number("quantity"), scale)
    if step.kind == "wait":
        told["until"] = format_instant(step.number("until"))
    return told


def _forbidden(case: AnyCase, ask: Ask) -> bool:
    """Whether a policy refuses that nothing the customer could hold would change: saying other facts is no remedy."""
    if not case.catalog.policies:
        return False
    return any(one.policy.denies and not one.policy.bends for one in judge(case, ask).restraints)


class _Search:
    """A uniform-cost search. A queued entry is a change, or a group of changes not worked out yet: only when its
    cheapest kind is next in line.
    """

    def __init__(self, world: World) -> None:
        self.start = Candidates(world, Memo(world.catalog))
        self.heap: list[tuple[int, int, _Path, int]] = []
        self.entries: list[_Entry] = []
        self.seen: set[frozenset[Change]] = set()

    def run(self) -> tuple[Change, ...] | None:
        """Return the cheapest changes after which the question is permitted."""
        if self.start.permitted:
            return None
        self._open(self.start, ())
        trials = 0
        while self.heap and trials < MAX_TRIALS:
            *_, number = heappop(self.heap)
            parent, steps, last, group = self.entries[number]
            if group is not None:
                for change in group():
                    self._queue(parent, steps, change)
                continue
            trials += 1
            after = parent if last is None else parent.after(last)
            if after.permitted and after.sound:
                return steps
            if after.sound and len(steps) < MAX_STEPS and last is not None and last.kind != "wait":
                self._open(after, steps)
        return None

    def _open(self, here: Candidates, steps: tuple[Change, ...]) -> None:
        """Queue what can be changed from here; waiting is never combined."""
        made = {step.kind for step in steps}
        for kind, group in here.groups():
            if kind != "wait" or not steps:
                cost = sum(step.cost for step in steps) + (0 if kind in made else COSTS[kind])
                heappush(self.heap, (cost, 0, (), len(self.entries)))
                self.entries.append((here, steps, None, group))

    def _queue(self, parent: Candidates, before: tuple[Change, ...], change: Change) -> None:
        """Queue one set of changes, once."""
        steps = _joined(before, change)
        if frozenset(steps) in self.seen:
            return
        self.seen.add(frozenset(steps))
        path = tuple((ORDER[one.kind], tuple((type(part).__name__, part) for part in one.rank)) for one in steps)
        heappush(self.heap, (sum(step.cost for step in steps), len(steps), path, len(self.entries)))
        self.entries.append((parent, steps, change, None))


def _joined(steps: tuple[Change, ...], change: Change) -> tuple[Change, ...]:
    """The steps and one more; a second other context or user is one with the first, and costs once."""
    for place, step in enumerate(steps):
        if step.kind == change.kind and change.kind in ("use_context", "change_user"):
            merged = make_change(change.kind, *change.rank, **{**dict(step.target), **dict(change.target)})
            return (*steps[:place], merged, *steps[place + 1 :])
    return (*steps, change)
