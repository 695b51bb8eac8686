"""Leases on real accounts: what is issued, used, lost and given back adds up, whatever comes in between."""

import random
from collections.abc import Callable
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from licet.core.catalog import Catalog
from licet.core.compiled import compile_catalog
from licet.core.instant import DAY, HOUR, Instant, parse_instant
from licet.core.snapshot import Snapshot
from licet.core.terms import Terms
from licet.core.usage.account import Account
from licet.core.usage.admit import Batch, Outcome, admit
from licet.core.usage.course import course_of
from licet.core.usage.desk import Bench, Refold
from licet.core.usage.effects import effects
from licet.core.usage.facts import AccountKey, Closing, Fact, Request, Reservation, Want
from licet.core.usage.leasing import NOT_LOCAL, Leasable, issue, leasable, tell
from licet.core.usage.metering import compile_metering
from licet.core.usage.reach import Reaches
from licet.core.usage.recalled import Recalled
from tests.dose import dose

NOW = parse_instant("2026-08-05T10:00:00Z")
UNTIL = NOW + 1000 * DAY
DOCUMENT: dict[str, Any] = {
    "version": 1,
    "products": {"m": {}},
    "meters": {"calls": {"event": "call"}, "tokens": {"event": "tokens"}},
    "credits": {"ai": {"scale": 2, "burns": {"tokens": "0.0004"}}},
    "features": {
        "calls": {"type": "metered", "meter": "calls", "per": "month", "at_limit": "block", "decide": "local"},
        "tokens": {"type": "metered", "meter": "tokens", "per": "month", "at_limit": "block", "decide": "local"},
        "ai": {"type": "credits", "credit": "ai", "decide": "local"},
        "asked": {"type": "metered", "meter": "calls", "per": "month", "at_limit": "block"},
        "sso": {"type": "switch"},
    },
    "plans": {
        "team": {
            "product": "m",
            "versions": {
                "1": {"includes": {"calls": 1000, "tokens": 500_000, "ai": {"amount": 50, "per": "month"}, "sso": True}}
            },
        }
    },
}
COMPILED = compile_catalog(msgspec.convert(DOCUMENT, Catalog), 1, ZoneInfo, UTC)
METERING = compile_metering(COMPILED)
BOUGHT = msgspec.convert(
    {
        "customer": "acme",
        "subscriptions": [
            {
                "id": "sub_1",
                "phases": [
                    {"starts_at": "2026-07-01T00:00:00Z", "items": [{"kind": "plan", "id": "team", "version": "1"}]}
                ],
            }
        ],
    },
    Terms,
)
FEATURES = ("calls", "tokens", "ai")


class Place:
    """One customer's real accounts, leases, and every fact recorded."""

    def __init__(self) -> None:
        self.now: Instant = NOW
        self.facts: list[Fact] = []
        self.leases: dict[str, Reservation] = {}
        self.used: dict[str, int] = dict.fromkeys(FEATURES, 0)
        self.reaches = Reaches(COMPILED, METERING, {"acme": Snapshot(COMPILED, BOUGHT)}.get)
        self.accounts: dict[AccountKey, Account | Recalled] = {}
        self.serial = 0

    def fresh(self) -> str:
        """An id in no order."""
        self.serial += 1
        return f"{self.serial * 2654435761 % 2**32:08x}" * 4

    def account(self, key: AccountKey) -> Account | Recalled:
        """An account as of now."""
        found = self.accounts.get(key)
        if found is None:
            course = course_of(COMPILED, BOUGHT, [], key, UNTIL)
            found = self.accounts[key] = Account(course)
        return found

    def refold(self, keys: set[AccountKey]) -> None:
        """Fold accounts anew from the facts."""
        for key in keys:
            course = course_of(COMPILED, BOUGHT, [], key, UNTIL)
            done = effects(self.facts, key, self.now + HOUR, METERING.meter_of.get(key.feature), noted=True)
            self.accounts[key] = Recalled(course, done)

    def on_bench(self, run: Callable[[Bench], Any]) -> Any:
        """Run on a bench at the next instant; where an account must be folded anew, it is."""
        self.now += 1000
        while True:
            try:
                return run(Bench(self.reaches, self.account, self.now))
            except Refold as again:
                self.refold(again.keys)

    def room(self, feature: str) -> Leasable:
        """What can be issued."""
        found: Leasable = self.on_bench(lambda bench: leasable(bench, "acme", feature))
        return found

    def lease(self, feature: str, amount: int) -> str:
        """Issue a lease."""
        name = self.fresh()
        fact, made = self.on_bench(lambda bench: issue(bench, name, "acme", feature, amount))
        self.keep(fact, made)
        return name

    def tell(self, name: str, used: int, lost: int = 0, *, closed: bool = True) -> Fact:
        """Tell of a lease."""
        feature = next(iter(self.leases[name].fact.asked))
        facts, made = self.on_bench(lambda bench: tell(bench, self.leases[name], used, lost, closed=closed))
        self.used[feature] += used
        for fact in facts:
            self.keep(fact, made)
        told: Fact = facts[0]
        return told

    def keep(self, fact: Fact, made: Reservation) -> None:
        """Record what came of it."""
        self.facts.append(fact)
        self.leases[made.fact.id] = made

    def admit(self, *steps: Request | Closing, **more: Any) -> list[Outcome]:
        """Decide requests as the lane does."""
        self.now += 1000
        found = admit(self.reaches, self.account, Batch(steps=steps, **more), self.now, lambda _: ())
        self.facts.extend(one.fact for one in found.outcomes if one.fact is not None)
        return found.outcomes

    def standing(self, feature: str) -> tuple[int, int]:
        """What is used and remains of a balance, as its account says."""
        numbers = self.account(AccountKey("acme", feature)).standing(self.now)
        return numbers.used, numbers.remaining

    def folded(self, feature: str) -> tuple[int, int]:
        """The same, folded from the facts alone."""
        key = AccountKey("acme", feature)
        course = course_of(COMPILED, BOUGHT, [], key, UNTIL)
        fresh = Account(course)
        fresh.replay(effects(self.facts, key, self.now, METERING.meter_of.get(feature), noted=True))
        numbers = fresh.standing(self.now)
        return numbers.used, numbers.remaining

    def held(self, feature: str) -> int:
        """What leases hold of a balance and nobody knows as used."""
        return sum(one.held.get(feature, 0) for one in self.leases.values())


def test_a_lease_takes_all_of_it_and_gives_the_rest_back() -> None:
    """What is issued is gone from the balance at once; what its owner did not use is there again, and no more."""
    place = Place()
    assert place.room("calls").left == 1000
    name = place.lease("calls", 100)
    assert place.standing("calls") == (100, 900)
    fact = place.tell(name, 60)
    assert (fact.metered, fact.burns, fact.back) == ({"calls": 60}, {"calls": 60}, {"calls": 40})
    assert place.standing("calls") == (60, 940)
    assert place.leases[name].closed == "settled"
    assert place.held("calls") == 0


def test_a_state_knows_open_leases_alone() -> None:
    """Also where all of one was used, so that nothing goes back, no state keeps it after its owner's last word."""
    place = Place()
    names = [place.lease("calls", 100), place.lease("calls", 50)]
    account = place.account(AccountKey("acme", "calls"))
    assert isinstance(account, Account)
    assert set(account.lent.leases) == set(names)
    place.tell(names[0], 100)
    assert set(account.lent.leases) == {names[1]}


def test_an_escheated_lease_stays_charged_until_its_late_word() -> None:
    """What was told is use at once, the rest stays drawn; the late word gives back all but what is in doubt."""
    place = Place()
    name = place.lease("calls", 100)
    first = place.tell(name, 30, closed=False)
    assert (first.metered, first.back) == ({"calls": 30}, {})
    assert place.standing("calls") == (100, 900)
    last = place.tell(name, 20, 5)
    assert (last.metered, last.back) == ({"calls": 20}, {"calls": 45})
    assert place.standing("calls") == (55, 945)
    assert place.held("calls") == 5


def test_nothing_told_means_nothing_metered() -> None:
    """A lease that came to nothing leaves no use and no meter in the fact that says so."""
    place = Place()
    name = place.lease("tokens", 1000)
    fact = place.tell(name, 0)
    assert (fact.metered, fact.asked, fact.burns) == ({}, {}, {"tokens": 0, "ai": 0})
    assert place.standing("ai") == (0, 5000)


def test_credits_are_rounded_up_once_for_all_use_together() -> None:
    """1,000 slices of 7 tokens, each told by itself, burn what 7,000 tokens come to, rounded up once."""
    place = Place()
    for _ in range(1000):
        place.tell(place.lease("tokens", 10), 7)
    assert place.standing("ai")[0] == -(-7000 * 4 // 100)
    assert place.standing("tokens")[0] == 7000


def test_what_is_lost_keeps_its_credits_rounded_up_by_itself() -> None:
    """Of a pool stays drawn what the lost part comes to at its rate; ids of what is told are 128 bits."""
    place = Place()
    fact = place.tell(place.lease("tokens", 1000), 100, 51)
    assert (fact.burns, fact.back) == ({"tokens": 100, "ai": 4}, {"tokens": 849, "ai": 33})
    assert place.held("ai") == 3
    assert place.held("tokens") == 51
    assert len(fact.id) == 32


def test_the_smallest_balance_bounds_what_can_be_issued() -> None:
    """Of tokens at most so many are leased as the credits that burn with them still pay for."""
    place = Place()
    assert place.room("tokens").left == 125_000
    place.lease("tokens", 125_000)
    assert place.standing("ai") == (5000, 0)
    assert place.room("tokens").left == 0
    assert place.room("ai").left == 0


def test_a_deficit_is_told_and_nothing_is_issued() -> None:
    """Where more was used than there is, what is left is below 0 by that."""
    place = Place()
    place.lease("calls", 1000)
    place.lease("calls", 30)
    assert place.room("calls").left == -30


@pytest.mark.parametrize(
    ("feature", "code"), [("asked", NOT_LOCAL), ("sso", NOT_LOCAL), ("nothing", "unknown_feature")]
)
def test_what_is_not_decided_locally_is_not_leased(feature: str, code: str) -> None:
    """A feature that the hub decides about, one without a balance, and one that is not there say so."""
    assert Place().room(feature).denied == code


def test_nothing_is_leased_to_a_customer_that_is_not_there() -> None:
    """An unknown customer is said to be one."""
    place = Place()
    found = place.on_bench(lambda bench: leasable(bench, "nobody", "calls"))
    assert found.denied == "unknown_customer"
    with pytest.raises(ValueError, match="nobody"):
        place.on_bench(lambda bench: issue(bench, "0" * 32, "nobody", "calls", 1))


def test_a_lease_ends_with_the_period_it_is_drawn_of() -> None:
    """It ends no later than the month; what is told after that counts in the month in which it was used."""
    place = Place()
    ends = place.room("calls").ends
    assert ends == parse_instant("2026-09-01T00:00:00Z")
    name = place.lease("calls", 100)
    place.now = ends + HOUR
    assert place.standing("calls") == (0, 1000)
    fact = place.tell(name, 60)
    assert (fact.kind, fact.effective, fact.metered, fact.burns) == ("return", ends - 1, {"calls": 60}, {})
    last = place.facts[-1]
    assert (last.kind, last.burns, last.back) == ("recovery", {"calls": 60}, {"calls": 40})
    assert last.effective > ends
    assert place.standing("calls") == (0, 1000)
    assert place.folded("calls") == (0, 1000)


def test_a_reservation_cannot_be_made_of_a_lease() -> None:
    """Whoever settles a lease as a reservation is told that there is none."""
    place = Place()
    name = place.lease("calls", 100)
    closing = Closing(id=place.fresh(), reservation=name, used=None)
    outcome = place.admit(closing, reservations={name: place.leases[name]})[0]
    assert outcome.error == "unknown_reservation"
    assert place.standing("calls") == (100, 900)


@pytest.mark.parametrize("seed", range(dose(6, full=400)))
def test_everything_adds_up(seed: int) -> None:
    """Random leases, words, losses, uses and months: numbers are those of the facts, and every unit is somewhere."""
    rng, place = random.Random(seed), Place()
    open_, directly = [], dict.fromkeys(FEATURES, 0)
    for _ in range(150):
        feature = rng.choice(FEATURES)
        action = rng.random()
        if action < 0.4:
            left = place.room(feature).left
            if left > 0:
                open_.append(place.lease(feature, rng.randint(1, max(1, left // rng.choice((1, 4, 16))))))
        elif action < 0.8 and open_:
            name = rng.choice(open_)
            begun = place.leases[name]
            spent = sum(
                one.asked.get(next(iter(begun.fact.asked)), 0)
                for one in place.facts
                if one.of == name and one.kind == "return"
            )
            rest = sum(begun.fact.asked.values()) - spent
            used = rng.randint(0, rest)
            closed = rng.random() < 0.7
            place.tell(name, used, rng.randint(0, rest - used) if closed and rng.random() < 0.3 else 0, closed=closed)
            if closed:
                open_.remove(name)
        elif action < 0.97:
            asked = Request(
                id=place.fresh(), kind="consume", customer="acme", wants=(Want(feature, rng.randint(1, 90)),)
            )
            outcome = place.admit(asked)[0]
            directly[feature] += sum(outcome.fact.asked.values()) if outcome.fact is not None else 0
        else:
            place.now += rng.randint(1, 20) * DAY
        for one in FEATURES:
            assert place.standing(one) == place.folded(one)
            assert place.standing(one)[1] >= 0
    metered = place.used["tokens"] + directly["tokens"]
    burned = sum(fact.burns.get("ai", 0) for fact in place.facts if fact.kind in ("consume", "return", "recovery"))
    plain = place.used["ai"] + directly["ai"]
    # Slices are rounded up by themselves only while they are held. Nothing is taken beyond what is held, so that the
    # last minor unit may wait for the next use.
    assert 0 <= -(-metered * 4 // 100) - (burned - plain) <= 1
    assert all(value >= 0 for one in place.leases.values() for value in one.held.values())
