"""Leases in the state of an account: whoever goes on from any state gives back what they drew, without their facts."""

import random

import msgspec
import pytest

from licet.core.instant import BEGINNING
from licet.core.usage.account import Account
from licet.core.usage.balance import Draw, Fact, Grant, Mark, Refund, Rollover, Use, in_order
from licet.core.usage.course import Course
from licet.core.usage.lent import MOST, Held
from licet.core.usage.recalled import Base, Recalled
from licet.core.usage.statement import Trace
from tests.core.usage.test_account import END, KINDS, Arrival, Kind, course, grant
from tests.core.usage.token_balance import TokenBalance
from tests.dose import dose


def lines(rng: random.Random) -> tuple[tuple[int, ...], list[Grant]]:
    """Ends of periods; a grant that is whole again with them, which may roll over, one that ends, one that stays."""
    resets = tuple(sorted(rng.sample(range(1, END), rng.randint(0, 4))))
    over = rng.choice((Rollover(), Rollover(0, 15), Rollover(5, 30)))
    found = [grant("a", 40, marks=tuple(Mark(at, "renew", 40) for at in resets), rollover=over)]
    found += [grant("b", 25, 5, expires=40)] if rng.random() < 0.5 else []
    return resets, found + ([grant("c", 60, 3, priority=70)] if rng.random() < 0.5 else [])


def leased(rng: random.Random, most: int = 30) -> list[Fact]:
    """Uses and leases in no order, and what their owners tell: several words of each, a part of them never the last."""
    facts = list[Fact]()
    for number in range(rng.randint(2, most)):
        at, amount = rng.randint(0, END - 1), rng.randint(0, 12)
        lease = rng.random() < 0.5
        facts.append(Use(f"u{number:03}", at, amount, () if lease else (("m@1", amount),), lease=lease))
        rest = amount
        for word in range(rng.randint(0, 3) if lease else 0):
            at = rng.randint(at, END)
            spent = rng.randint(0, rest)
            back = rng.choice((0, rest - spent, rng.randint(0, rest - spent)))
            rest -= spent + back
            rated = (("m@1", -spent),)
            name = f"r{number:03}{word}"
            facts.append(Refund(id=name, effective=at, use=f"u{number:03}", amount=back, rated=rated, spent=spent))
    rng.shuffle(facts)
    return facts


def total(draws: tuple[Draw, ...]) -> int:
    """What draws come to."""
    return sum(one.amount for one in draws)


def from_state(one: Course, placed: list[Fact], cut: int) -> tuple[list[Fact], Base, Account]:
    """The facts after a cut, where to go on from, and the account at it; what is told of leases that it does not know
    is about such of which nothing returns."""
    account = Account(one)
    account.replay(placed[:cut])
    later = placed[cut:]
    about = {fact.use for fact in later if isinstance(fact, Refund)} - {fact.id for fact in later}
    assert account.lent.known == BEGINNING
    return later, Base(account.dump(), frozenset(about - account.lent.leases.keys())), account


@pytest.mark.parametrize("kind", KINDS)
def test_from_every_state_leases_give_back_what_they_drew(kind: Kind) -> None:
    """Wherever a fold is split, also at a place where leases are open, the rest comes to the same without the facts of
    before: numbers, totals and statements."""
    beside = 0
    for seed in range(dose(60, full=3_000)):
        rng = random.Random(f"lent {kind} {seed}")
        resets, grants = lines(rng)
        carry = kind == "plain" and rng.random() < 0.3
        one = course(kind, *grants, length=rng.randint(1, 30), resets=resets, carry=carry)
        placed = [fact for _, fact in in_order(leased(rng))]
        whole = Recalled(one, placed)
        cut = rng.randint(0, len(placed))
        later, base, account = from_state(one, placed, cut)
        beside += bool(account.lent.leases and later)
        resumed = Recalled(one, later, base)
        assert resumed.standing(END) == whole.standing(END), seed
        assert resumed.totals == whole.totals
        assert resumed.account.lent.leases == whole.account.lent.leases
        trace = Trace(one, later, base)
        for _ in trace.until(END + 1):
            pass
        assert trace.account.standing(END) == whole.standing(END)
    assert beside > (20 if kind in ("plain", "rolling", "session") else -1)


def test_a_plain_balance_is_that_of_single_tokens() -> None:
    """From any state, each grant keeps what a balance of single tokens keeps that never stopped."""
    for seed in range(dose(60, full=3_000)):
        rng = random.Random(f"tokens {seed}")
        resets, grants = lines(rng)
        one = course("plain", *grants, resets=resets, carry=rng.random() < 0.3)
        placed = [fact for _, fact in in_order(leased(rng))]
        later, base, _ = from_state(one, placed, rng.randint(0, len(placed)))
        assert Recalled(one, later, base).standing(END).lefts == tokens(one, placed), seed


def tokens(one: Course, placed: list[Fact]) -> dict[str, int]:
    """What is left of each grant by single tokens."""
    told = TokenBalance(one.grants, placed, END, one.resets, carry=one.carry)
    return {name: purse.left for name, purse in told.purses.items()}


class Forgetful(Arrival):
    """Facts as they come in, of which whoever brings what a lease returns does not know what it drew."""

    asked = 0

    def come(self, fact: Fact) -> None:
        """Take one fact; that of a lease without its draws, where the state has them."""
        if isinstance(fact, Refund) and fact.use in self.account.lent.leases:
            self.draws[fact.use], self.since[fact.use] = (), BEGINNING
            self.asked += 1
        super().come(fact)


def test_no_order_of_arrival_changes_an_account_with_leases() -> None:
    """Any order, states read back at any point, late ones folded anew: the numbers and totals of the fold in order,
    though nobody but the state knows what leases drew."""
    asked = 0
    for seed in range(dose(150, full=6_000)):
        rng = random.Random(f"order {seed}")
        resets, grants = lines(rng)
        one = course("plain", *grants, resets=resets)
        arrival = Forgetful(one, rng)
        arrival.run(leased(rng))
        arrival.assert_as_folded(END + 1)
        asked += arrival.asked
    assert asked > 300


def test_what_nothing_can_return_of_is_not_kept() -> None:
    """A lease leaves the state with its owner's last word, and, if it never comes, once its grants and period are
    over; one that a lasting grant paid for stays."""
    marks = (Mark(20, "renew", 10), Mark(40, "renew", 10))
    account = Account(course("plain", grant("a", 10, marks=marks), grant("c", 60, priority=70), resets=(20, 40)))
    for at, name, amount in ((0, "told", 2), (1, "over", 3), (2, "stays", 8)):
        account.admit_use(Use(name, at, amount, lease=True))
    assert account.lent.leases["stays"] == Held((Draw("a", 0, 5), Draw("c", 0, 3)), 2, 8)
    account.refund(Refund(id="r", effective=2, use="told", amount=1, spent=0), (), 1)
    assert account.lent.leases["told"] == Held((Draw("a", 0, 1),), 0, 1)
    account.refund(Refund(id="s", effective=3, use="told", amount=0, spent=1), (), 1)
    assert set(account.lent.leases) == {"over", "stays"}
    account.room(20)
    assert set(account.lent.leases) == {"stays"}
    loaded = Account.load(account.course, account.dump())
    assert loaded is not None
    left = loaded.refund(Refund(id="t", effective=21, use="stays", amount=6, spent=2), (), BEGINNING)
    assert total(left) == 2
    assert loaded.standing(21).lefts == {"a": 10, "c": 60}
    assert not loaded.lent.leases


def test_of_many_leases_the_oldest_are_looked_up_again() -> None:
    """A state knows so many, says since when it knows all, and stays small; from the next slate on it knows all."""
    account = Account(course("plain", grant("a", 10**9, marks=(Mark(9_000, "renew", 10**9),)), resets=(9_000,)))
    for number in range(MOST + 7):
        account.admit_use(Use(f"{number:032x}", 5_000 - number, 1, lease=True))
        account.refund(Refund(id="r", effective=5_001, use="nobody's", amount=0), (), 0)
    assert len(account.lent.leases) == MOST
    assert account.lent.known == 5_000 - MOST - 6 + 7
    assert len(account.dump()) < 80 * MOST
    loaded = Account.load(account.course, account.dump())
    assert loaded is not None
    assert loaded.lent.known == account.lent.known
    loaded.room(9_000)
    assert (loaded.lent.known, loaded.lent.leases) == (BEGINNING, {})


def test_a_state_without_leases_is_two_bytes_longer_and_one_of_before_goes_on() -> None:
    """States that say nothing of leases are read: of those since them all are known."""
    account = Account(course("plain", grant("a", 100)))
    account.admit_use(Use("u", 10, 3))
    state = account.dump()
    before = msgspec.msgpack.encode(msgspec.msgpack.decode(state)[:-2])
    assert len(state) == len(before) + 2
    old = Account.load(account.course, before)
    assert old is not None
    assert old.standing(20) == account.standing(20)
    assert (old.lent.leases, old.lent.known) == ({}, 11)
    again = Account.load(account.course, old.dump())
    assert again is not None
    assert again.lent.known == 11


def test_a_lease_gives_back_to_grants_of_another_past() -> None:
    """Where a grant was whole again once more by what is known since, a lease gives back to what is there, and what it
    drew of a time that is over is gone."""
    marks = (Mark(20, "renew", 10),)
    before = Account(course("plain", grant("a", 10), grant("c", 60, priority=70)))
    before.admit_use(Use("old", 1, 4, lease=True))
    before.admit_use(Use("new", 2, 9, lease=True))
    after = course("plain", grant("a", 12, marks=marks), grant("c", 60, priority=70), resets=(20,))
    assert Account.load(after, before.dump()) is None
    resumed = Account.resumed(after, before.dump())
    assert resumed.standing(3).lefts == {"a": 2, "c": 57}
    resumed.refund(Refund(id="r", effective=4, use="new", amount=9, spent=0), (), BEGINNING)
    assert resumed.standing(5).lefts == {"a": 8, "c": 60}
    resumed.refund(Refund(id="s", effective=25, use="old", amount=4, spent=0), (), BEGINNING)
    assert resumed.standing(26).lefts == {"a": 10, "c": 60}


def test_what_a_lease_drew_is_named_anew_in_another_past() -> None:
    """Where its grant was whole again, and its period over, before it by what is known since: what it drew, and what
    nothing covered of it, returns as that of the grant and of the debt as they are now; what it drew before a renewal
    that was known then does not."""
    before = Account(course("plain", grant("c", 60, marks=(Mark(3, "renew", 60),))))
    before.admit_use(Use("early", 2, 5, lease=True))
    before.admit_use(Use("late", 4, 69, lease=True))
    assert before.lent.leases["late"].draws == (Draw("c", 1, 60), Draw("", 0, 9))
    after = course("plain", grant("c", 60, marks=(Mark(1, "renew", 60), Mark(3, "renew", 60))), resets=(1,))
    resumed = Account.resumed(after, before.dump())
    assert resumed.lent.leases["late"].draws == (Draw("c", 2, 60), Draw("", 1, 9))
    assert resumed.lent.leases["early"].draws == (Draw("", -1, 5),)
    assert resumed.standing(5).remaining == -9
    resumed.refund(Refund(id="r", effective=6, use="late", amount=29, spent=0), (), BEGINNING)
    assert resumed.standing(7).remaining == 20
    resumed.refund(Refund(id="s", effective=8, use="early", amount=5, spent=0), (), BEGINNING)
    assert resumed.standing(9).remaining == 20


def test_what_nothing_covered_returns_to_what_repaid_it_in_a_period_that_is_over() -> None:
    """A lease of more than there was stays as long as the grant that repaid it does; where debts are carried, as long
    as that is owed."""
    plan = grant("a", 10, marks=(Mark(20, "renew", 10), Mark(40, "renew", 10)))
    account = Account(course("plain", plan, grant("gift", 20, 5, priority=70, expires=30), resets=(20, 40)))
    account.admit_use(Use("lease", 1, 15, lease=True))
    account.room(25)
    assert set(account.lent.leases) == {"lease"}
    account.refund(Refund(id="r", effective=26, use="lease", amount=4, spent=0), (), BEGINNING)
    assert account.standing(26).lefts == {"a": 10, "gift": 19}
    account.room(40)
    assert not account.lent.leases
    carried = Account(course("plain", grant("a", 10, expires=15), resets=(20,), carry=True))
    carried.admit_use(Use("lease", 1, 15, lease=True))
    carried.room(25)
    assert set(carried.lent.leases) == {"lease"}
    carried.refund(Refund(id="r", effective=26, use="lease", amount=4, spent=0), (), BEGINNING)
    assert carried.standing(26).remaining == -1


@pytest.mark.parametrize("kind", ["rolling", "session", "latest"])
def test_leases_leave_windows_and_levels_as_use_does(kind: Kind) -> None:
    """Of what has left its window, or counts as a level, nothing is kept."""
    account = Account(course(kind, grant("a", 100), length=10, resets=(30,)))
    account.admit_use(Use("lease", 1, 15, lease=True))
    account.admit_use(Use("u", 25, 1))
    account.admit_use(Use("v", 35, 1))
    account.room(60)
    assert not account.lent.leases
