"""Eight mistakes that break owned quota, each as a switch; the simulation has to catch each of them.

``python -m tests.simulation.mutants`` (``make mutants``) runs each from three seeds and says what caught it, and when.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import structs

from licet.core.instant import Instant
from licet.evaluator.slices import Hold, Journal, Kept, Key, Owned, Slice
from licet.hub import authority
from licet.hub.authority import Books
from licet.hub.lease import Lease, is_lost
from licet.wire.quota import LeaseAsk, LeaseGiven, QuotaAnswer, QuotaCall
from tests.simulation.world import Disk, Rules, Violation, World

SEEDS: Final = (1, 2, 3)
MOST_STEPS: Final = 150_000


def _reclaim(books: Books, leases: Iterable[Lease], now: Instant) -> list[Lease]:
    """Take back by time what was not told of."""
    lost = [one for one in leases if is_lost(one, books.epoch, now)]
    for one in lost:
        books.settle(structs.replace(one, state="settled"), one.amount - one.used, 0, now)
    return lost


def _answer_after_reclaiming(books: Books, call: QuotaCall, now: Instant) -> QuotaAnswer:
    for ask in call.asks:
        _reclaim(books, books.open_of(ask.customer, ask.feature), now)
    return authority.answer(books, call, now)


class NoEpochCheck(Owned):
    """Takes what comes, of whatever epoch, and goes on with what it has."""

    def _enter(self, epoch: int) -> None:
        self.epoch = epoch

    def _take(self, given: LeaseGiven, sent: float, now: float) -> None:
        super()._take(structs.replace(given, epoch=self.epoch), sent, now)


class TakesTwice(Owned):
    """Takes an answer as often as it comes."""

    def __init__(self, owner: str, journal: Journal | None = None) -> None:
        super().__init__(owner, journal)
        self._remembered: dict[str, LeaseAsk] = {}

    def ask(self, ask: LeaseAsk) -> None:
        """Remember it for ever."""
        self._remembered[ask.id] = ask
        super().ask(ask)

    def hear(self, answer: QuotaAnswer, now: float) -> None:
        """Take it again."""
        self._sent.setdefault(answer.number, now)
        for given in answer.given:
            if given.id in self._remembered:
                self._asked.setdefault(given.id, self._remembered[given.id])
        super().hear(answer, now)


class TellsBeforeClosing(Owned):
    """Says that everything is closed, and closes it when it hears that this is known."""

    def call(self, now: float) -> QuotaCall:
        """Tell of open slices as of closed ones."""
        call = super().call(now)
        told = tuple(structs.replace(one, closed=True, longer=False) for one in call.told)
        return structs.replace(call, told=told)


class ForgetsHolds(Owned):
    """Tells of a slice as closed while holds are on it: what they use then was given back."""

    def _close(self, one: Slice) -> None:
        held, one.held = one.held, 0
        one.spent -= held
        super()._close(one)
        one.spent, one.held = one.spent + held, held


class CoversTwice(Owned):
    """Takes what a released hold used for what it still holds."""

    def settle_hold(self, hold: Hold, used: Mapping[Key, int], now: float) -> dict[Key, int]:
        """Use what others were given since."""
        return {} if hold.state == "released" else super().settle_hold(hold, used, now)


class Forgetful(Disk):
    """A disk that is read as if nothing had been spent since the last burn was written."""

    def left(self) -> Sequence[Kept]:
        """Say that what was known then was all."""
        return tuple(structs.replace(one, burned=one.spent) for one in super().left())


MUTANTS: Final[dict[str, Rules]] = {
    "1 reclaims by time": Rules(answer=_answer_after_reclaiming, lapse=_reclaim),
    "2 checks no epoch": Rules(owned=NoEpochCheck),
    "3 takes an answer twice": Rules(owned=TakesTwice),
    "4 tells before it closes": Rules(owned=TellsBeforeClosing),
    "5 forgets burns in a crash": Rules(journal=Forgetful),
    "6 answers before the standby has it": Rules(waits_for_standby=False),
    "7 closes before holds are settled": Rules(owned=ForgetsHolds),
    "8 covers a released hold by what it held": Rules(owned=CoversTwice),
}


def caught(rules: Rules, seed: int, most: int = MOST_STEPS) -> tuple[str, int] | None:
    """Return which check caught a mutant, and after how many steps; None where none did."""
    world = World(seed, rules)
    try:
        world.run(most)
        world.look_at_all()
    except Violation as violation:
        return violation.check, world.steps
    return None


def main() -> int:
    """Run all, and say how many were caught from every seed."""
    whole = 0
    for name, rules in MUTANTS.items():
        found = [caught(rules, seed) for seed in SEEDS]
        whole += all(one is not None for one in found)
        said = "; ".join("not caught" if one is None else f"{one[0]} after {one[1]:,} steps" for one in found)
        sys.stdout.write(f"{name:42} {said}\n")
    sys.stdout.write(f"mutants caught: {whole}/{len(MUTANTS)}\n")
    return 0 if whole == len(MUTANTS) else 1


if __name__ == "__main__":
    sys.exit(main())
