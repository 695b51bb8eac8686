"""Whatever is done with slices and holds, in whatever order: each unit is used once, and told once."""

import random
from collections import Counter

import pytest

from licet.evaluator.slices import Hold, Key, Owned
from licet.wire.quota import LeaseAsk, LeaseClaim, LeaseGiven, LeaseHeard, QuotaAnswer, QuotaCall
from tests.dose import dose
from tests.evaluator.owning import AI, CALLS, Notes
from tests.evaluator.owning import named as _named

KEYS = (CALLS, AI)


class Hub:
    """Knows what it gave and what it was told, and nothing of what an owner thinks."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.given: dict[str, tuple[Key, int]] = {}
        self.used: Counter[str] = Counter()
        self.ended: dict[str, int] = {}
        self.lost: Counter[str] = Counter()
        self.claims: dict[str, LeaseClaim] = {}

    def answer(self, call: QuotaCall) -> QuotaAnswer:
        """Take each word, and see that none goes back on one before."""
        heard = []
        for told in call.told:
            assert told.used + told.lost <= self.given[told.id][1]
            assert told.used >= self.used[told.id]
            if told.id in self.ended:
                assert (told.used + told.lost, told.closed) == (self.ended[told.id], True)
            self.used[told.id] = told.used
            if told.closed:
                self.ended[told.id], self.lost[told.id] = told.used + told.lost, told.lost
            longer = 60.0 if told.longer else 0.0
            heard.append(
                LeaseHeard(id=told.id, state="settled" if told.closed else "open", used=told.used, seconds=longer)
            )
        for claim in call.claims:
            assert self.claims.setdefault(claim.id, claim) == claim
            heard.append(LeaseHeard(id=claim.id, state="settled", used=claim.used))
        given = []
        for ask in call.asks:
            self.given.setdefault(ask.id, (Key(ask.customer, ask.feature), self.chance.randint(1, 30)))
            given.append(LeaseGiven(id=ask.id, epoch=1, amount=self.given[ask.id][1], seconds=60.0, left=0))
        mine = [lease for lease in self.given if lease not in self.ended]
        recalled = tuple(lease for lease in mine if self.chance.random() < 0.05)
        return QuotaAnswer(number=call.number, epoch=1, heard=tuple(heard), given=tuple(given), recalled=recalled)

    def known(self, key: Key, counted: Counter[str]) -> int:
        """What is counted of all leases of a key."""
        return sum(counted[lease] for lease, (of, _) in self.given.items() if of == key)


class Run:
    """One owner, its hub, and what was really used."""

    def __init__(self, seed: int, *, on_disk: bool) -> None:
        self.chance = random.Random(seed)
        self.hub = Hub(self.chance)
        self.notes = Notes() if on_disk else None
        self.owned = Owned("a" * 32, self.notes)
        self.now = 0.0
        self.number = 0
        self.used: Counter[Key] = Counter()
        """What was really used of slices."""
        self.claimed: Counter[Key] = Counter()
        self.holds: list[Hold] = []

    def step(self) -> None:
        """Do one thing, and look that as much is owned as it has to be."""
        key = self.chance.choice(KEYS)
        before = self.owned.owned(key, self.now)
        draw = self.chance.random()
        if draw < 0.35:
            quantity = self.chance.randint(1, 12)
            done = self.owned.spend(key, quantity, self.now)
            assert done == (before >= quantity)
            self.used[key] += quantity * done
            assert self.owned.owned(key, self.now) == before - quantity * done
        elif draw < 0.5:
            self._hold(before, key)
        elif draw < 0.65 and self.holds:
            self._settle(self.holds.pop(self.chance.randrange(len(self.holds))))
        elif draw < 0.72:
            self.now += self.chance.choice((0.5, 5.0, 45.0))
        elif draw < 0.75:
            self.owned.release_overdue(self.now)
        elif draw < 0.78:
            self.owned.idle(self.now, 3.0)
        elif draw < 0.8:
            self.owned.give_back(key)
        else:
            self._talk(key)
        counts = self.owned.counts
        assert counts.taken == counts.spent + counts.given_back + counts.held + counts.stranded
        assert counts.spent == sum(self.used.values())

    def _hold(self, before: int, key: Key) -> None:
        quantity = self.chance.randint(1, 12)
        hold = self.owned.hold(key, quantity, self.now, self.chance.choice((1.0, 90.0)))
        assert (hold is not None) == (before >= quantity)
        if hold is not None:
            self.holds.append(hold)
            assert self.owned.owned(key, self.now) == before - quantity

    def _settle(self, hold: Hold) -> None:
        key, quantity = next(iter(hold.wants.items()))
        used = self.chance.randint(0, 2 * quantity)
        certain = quantity if hold.state == "held" else 0
        there = self.owned.owned(key, self.now)
        beyond = self.owned.settle_hold(hold, {key: used}, self.now)
        rest = beyond.get(key, 0)
        assert rest == max(0, used - certain - there)
        self.used[key] += used - rest
        if rest:
            self.number += 1
            self.claimed[key] += rest
            self.owned.claim(_named(10**6 + self.number), key, rest)

    def _talk(self, key: Key) -> None:
        """Call; the answer may be lost."""
        if not self.owned.waits(key):
            self.number += 1
            self.owned.ask(ask_for(self.number, key))
        answer = self.hub.answer(self.owned.call(self.now))
        if self.chance.random() < 0.7:
            self.owned.hear(answer, self.now)

    def end(self) -> None:
        """Settle all, say all."""
        for hold in self.holds:
            self._settle(hold)
        for _ in range(5):
            self.owned.give_everything_back()
            self.owned.hear(self.hub.answer(self.owned.call(self.now)), self.now)
        assert self.owned.is_settled


def ask_for(number: int, key: Key) -> LeaseAsk:
    """A request under a number."""
    return LeaseAsk(id=_named(number), customer=key.customer, feature=key.feature, wanted=10)


@pytest.mark.parametrize("on_disk", [False, True])
def test_each_unit_is_used_once_and_told_once(on_disk: bool) -> None:
    """In the end the hub was told of every lease, and in sum of exactly what was used and claimed."""
    for seed in range(dose(60)):
        run = Run(seed, on_disk=on_disk)
        for _ in range(150):
            run.step()
        run.end()
        assert set(run.hub.ended) == set(run.hub.given), seed
        for key in KEYS:
            assert run.hub.known(key, run.hub.used) == run.used[key], seed
            claims = [one for one in run.hub.claims.values() if (one.customer, one.feature) == key]
            assert sum(one.used for one in claims) == run.claimed[key], seed
        assert run.notes is None or run.notes.left() == (), seed


def test_after_a_crash_what_was_used_lies_within_what_is_told_and_what_is_lost() -> None:
    """Whoever takes over the disk tells as used what is certain, and as lost the rest, with all that was held."""
    for seed in range(dose(60)):
        run = Run(seed, on_disk=True)
        for _ in range(100):
            run.step()
        assert run.notes is not None
        held = run.owned.counts.held
        again = Owned("b" * 32, run.notes)
        run.hub.claims.clear()
        known = set(run.hub.given)
        call = again.call(0.0)
        told = {one.id: one for one in call.told if one.id in known}
        least = sum(told[one].used if one in told else run.hub.used[one] for one in known)
        most = least + sum(one.lost for one in told.values())
        assert least <= run.owned.counts.spent, seed
        assert run.owned.counts.spent + held <= most, seed
