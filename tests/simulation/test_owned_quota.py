"""Owned quota in a world of faults: whatever happens, nothing is spent that its hub has not charged."""

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.dose import dose
from tests.simulation.mutants import MUTANTS, SEEDS, caught
from tests.simulation.world import World

STEPS = 50_000
SHARES = 4
WORLDS = dose(10, full=50)
"""Of each share: 2 · 10^6 steps in all in the reduced dose, 10^7 in the full one."""
LEAST = 1_000
HAPPENED = (
    "lease open", "lease settled", "lease escheated", "lease proven", "lease claimed", "lease recalled", "lease longer",
    "lease told of", "period rolls", "deficit", "lost", "duplicated", "delayed", "cut", "joined", "paused", "goes on",
    "hub clock steps", "hub is away", "hub dies before commit", "hub dies after commit", "fail-over", "restore", "cap",
    "crash anywhere", "crash before a burn is written", "crash after a burn is written",
    "crash before a close is written", "crash after a close is written", "crash before a lease is forgotten",
    "crash before a hold is settled", "crash after a hold is settled", "crash with a hold", "hold", "settle", "release",
    "settle of a closed slice", "claim",
    "a full disk takes no burn", "a full disk takes no close",
)  # fmt: skip


def _run(seed: int) -> Counter[str]:
    world = World(seed)
    world.run(STEPS)
    world.settle()
    return world.counts


def _run_share(share: int) -> Counter[str]:
    return sum((_run(share * WORLDS + number) for number in range(WORLDS)), Counter())


def test_no_fault_makes_anybody_spend_what_is_not_charged() -> None:
    """In two million steps (ten in the full dose) each fault and transition comes a thousand times, none overshoots."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        counts = sum(pool.map(_run_share, range(SHARES)), Counter())
    assert {name: counts[name] for name in HAPPENED if counts[name] < LEAST} == {}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught_from_each_seed(name: str) -> None:
    """Each mistake that breaks the invariant is seen, from every one of three seeds."""
    assert all(caught(MUTANTS[name], seed) is not None for seed in SEEDS)


def test_a_failure_replays_from_its_seed() -> None:
    """The same seed fails at the same step by the same check, and tells what led to it."""
    rules = MUTANTS["4 tells before it closes"]
    assert caught(rules, 1) == caught(rules, 1) is not None
