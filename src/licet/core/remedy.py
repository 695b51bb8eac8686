"""The remedy: the cheapest change that turns a refusal around, found by trying, so that it provably permits."""

from heapq import heappop, heappush
from typing import Final

from msgspec import Struct

from licet.core.candidate import Candidates
from licet.core.case import Ask, Case
from licet.core.change import ORDER, Change, World, apply_change
from licet.core.derive import Memo
from licet.core.instant import Instant
from licet.core.remedywords import customer_words, support_words
from licet.core.views import RemedyView, StepView

MAX_STEPS: Final = 3
"""A remedy of more changes is none."""
MAX_TRIALS: Final = 400
"""Worlds that one search looks into."""

_Path = tuple[tuple[int, tuple[tuple[str, int | str], ...]], ...]


class Remedy(Struct, frozen=True):
    """Changes that together permit; ``cost`` is their sum. Steps that apply at one instant, in order."""

    steps: tuple[Change, ...]
    words: str
    support: tuple[str, ...]
    step_words: tuple[str, ...]

    @property
    def cost(self) -> int:
        """The sum of the steps' costs."""
        return sum(step.cost for step in self.steps)

    @property
    def kind(self) -> str:
        """The kind of the dearest step: what the remedy mainly is."""
        return max(self.steps, key=lambda one: one.cost).kind


def find_remedy(case: Case, ask: Ask, now: Instant) -> Remedy | None:
    """Return the cheapest remedy of a refused question at ``now``; None where none is found.

    Uniform-cost search over single changes: what it returns permits (it was asked again), and nothing among the
    candidates is cheaper. Between equals: fewer steps, then kind, then the smallest change.
    """
    if case.terms is None or case.feature not in case.catalog.features:
        return None
    world = World(case.catalog, case.terms, case.feature, ask, now)
    found = _search(world)
    if found is None:
        return None
    words = tuple(customer_words(world, step) for step in found)
    return Remedy(found, " ".join(words), tuple(support_words(world, step) for step in found), words)


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
                target={name: value for name, value in step.target if value is not None},
                words=words,
                support=support,
            )
            for step, words, support in zip(remedy.steps, remedy.step_words, remedy.support, strict=True)
        ),
    )


def _search(world: World) -> tuple[Change, ...] | None:
    """The cheapest sequence of changes after which the question is permitted."""
    start = Candidates(world, Memo(world.catalog))
    if start.permitted:
        return None
    heap: list[tuple[int, int, _Path, int]] = []
    states: list[tuple[Candidates, tuple[Change, ...]]] = []
    seen: set[frozenset[Change]] = set()
    _push(heap, states, seen, start, ())
    for _ in range(MAX_TRIALS):
        if not heap:
            return None
        _, _, _, number = heappop(heap)
        parent, steps = states[number]
        after = parent.after(steps[-1])
        if not after.sound:
            continue
        if after.permitted:
            return steps
        if len(steps) < MAX_STEPS and steps[-1].kind != "wait":
            _push(heap, states, seen, after, steps)
    return None


def _push(
    heap: list[tuple[int, int, _Path, int]],
    states: list[tuple[Candidates, tuple[Change, ...]]],
    seen: set[frozenset[Change]],
    here: Candidates,
    steps: tuple[Change, ...],
) -> None:
    """Queue every further change from here, each set of changes once."""
    for change in here.all():
        made = (*steps, change)
        if (steps and change.kind == "wait") or frozenset(made) in seen:
            continue
        seen.add(frozenset(made))
        path = tuple((ORDER[one.kind], tuple((type(part).__name__, part) for part in one.rank)) for one in made)
        heappush(heap, (sum(one.cost for one in made), len(made), path, len(states)))
        states.append((here, made))
