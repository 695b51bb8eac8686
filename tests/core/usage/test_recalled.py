"""Accounts with their past at hand: late facts, and going on from any checkpoint."""

import random

import pytest

from licet.core.usage.account import Account
from licet.core.usage.balance import Fact, Grant, Mark, Refund, Rollover, Use, in_order
from licet.core.usage.course import Course
from licet.core.usage.recalled import SLICE, Base, Recalled
from tests.core.usage.test_account import END, KINDS, Kind, course, grant, random_facts
from tests.dose import dose


def lines(rng: random.Random) -> tuple[tuple[int, ...], list[Grant]]:
    """Ends of periods, and grants that are whole again with them."""
    resets = tuple(sorted(rng.sample(range(1, END), rng.randint(0, 4))))
    return resets, [grant("a", 40, marks=tuple(Mark(at, "renew", 40) for at in resets)), grant("b", 25, 5, expires=40)]


def some(rng: random.Random, kind: Kind) -> list[Fact]:
    """Random facts in order."""
    facts = random_facts(rng)
    if kind in ("latest", "max", "unique"):
        facts = [one for one in facts if isinstance(one, Use)]
    return [fact for _, fact in in_order(facts)]


def since_checkpoint(one: Course, facts: list[Fact], account: Account) -> tuple[list[Fact], Base] | None:
    """The facts after a checkpoint, and where to go on; None where one of them gives back what still matters."""
    uses = {fact.id: fact.effective for fact in facts if isinstance(fact, Use)}
    later = [one for one in facts if max(one.effective, uses.get(getattr(one, "use", ""), 0)) > account.newest]
    about = {fact.use for fact in later if isinstance(fact, Refund)} - {fact.id for fact in later}
    if any(uses[name] >= account.slate for name in about):
        return None
    return later, Base(account.dump(), frozenset(about))


@pytest.mark.parametrize("kind", KINDS)
def test_late_facts_together_are_what_they_are_one_by_one(kind: Kind) -> None:
    """In whatever order facts come, and whenever somebody looks, it ends as the fold in order."""
    for seed in range(dose(40, full=2_000)):
        rng = random.Random(f"late {kind} {seed}")
        resets, grants = lines(rng)
        one = course(kind, *grants, length=rng.randint(1, 30), resets=resets)
        facts = some(rng, kind)
        held = Recalled(one, [])
        since = {fact.id: fact.effective for fact in facts if isinstance(fact, Use)}
        uses = [fact for fact in facts if isinstance(fact, Use)]
        rng.shuffle(uses)
        backs = [fact for fact in facts if isinstance(fact, Refund)]
        coming: list[Fact] = [*uses, *backs]
        for fact in coming:
            if isinstance(fact, Use):
                held.admit_use(fact)
            else:
                left = held.refund(fact, held.draws.get(fact.use, ()), since[fact.use])
                assert left == held.draws.get(fact.use, ())
            if rng.random() < 0.2:
                held.room(END)
        folded = Account(one)
        draws = folded.replay(facts)
        assert held.totals == folded.totals
        assert held.standing(END) == folded.standing(END)
        assert {use: sum(part.amount for part in parts) for use, parts in held.draws.items()} == {
            use: sum(part.amount for part in parts) for use, parts in draws.items()
        }


@pytest.mark.parametrize("kind", KINDS)
def test_from_every_checkpoint_the_rest_comes_to_the_same(kind: Kind) -> None:
    """What is yielded as a checkpoint holds the facts up to it and no other; the rest goes on to the same numbers."""
    tried = 0
    for seed in range(dose(60, full=3_000)):
        rng = random.Random(f"checkpoint {kind} {seed}")
        resets, grants = lines(rng)
        one = course(kind, *grants, length=rng.randint(1, 8), resets=resets)
        facts = some(rng, kind)
        whole = Recalled(one, facts)
        for account in whole.checkpoints(every=4):
            found = since_checkpoint(one, facts, account)
            if found is None:
                continue
            tried += 1
            rest, base = found
            resumed = Recalled(one, rest, base)
            assert resumed.standing(END) == whole.standing(END), seed
            assert resumed.totals == whole.totals
    assert tried > 20


def test_a_course_with_another_past_goes_on_from_its_next_slate() -> None:
    """Of a checkpoint of another past the running totals stay, and from the next period on all numbers are right."""
    tried = 0
    for seed in range(dose(60, full=3_000)):
        rng = random.Random(f"another {seed}")
        marks = tuple(Mark(at, "renew", 40) for at in (20, 40))
        before = course("plain", grant("a", 40, marks=marks), resets=(20, 40))
        after = course("plain", grant("a", 50, marks=marks), resets=(20, 40))
        facts = some(rng, "plain")
        whole = Recalled(after, facts)
        for account in Recalled(before, facts).checkpoints(every=4):
            if account.newest >= 40:
                continue
            state = account.dump()
            uses = {one.id: one.effective for one in facts if isinstance(one, Use)}
            rest = [one for one in facts if one.effective > account.newest]
            gone = {one.use for one in rest if isinstance(one, Refund)} - {one.id for one in rest}
            assert all(uses[name] <= account.newest for name in gone)
            resumed = Recalled(after, rest, Base(state, frozenset(gone)))
            assert Account.load(after, state) is None
            assert resumed.standing(END) == whole.standing(END), seed
            assert resumed.totals == whole.totals
            tried += 1
    assert tried > 20


def test_what_was_drawn_stays_drawn_though_its_facts_are_gone() -> None:
    """Of another past of which no facts are kept, each grant that is there still keeps what was drawn of it."""
    before = Account(course("plain", grant("a", 100), grant("b", 50, 5)))
    before.admit_use(Use("u", 10, 120))
    # The first grant turns out larger, the second one voided later, a third one dated back.
    after = course("plain", grant("a", 130), grant("b", 50, 5, voided=40), grant("c", 7, 8))
    assert Account.load(after, before.dump()) is None
    resumed = Recalled(after, [Use("v", 20, 1)], Base(before.dump(), frozenset()))
    standing = resumed.standing(20)
    assert sum(standing.lefts.values()) == 130 + 50 + 7 - 121
    assert standing.used == 121
    assert standing.lefts == {"a": 130 - 101, "b": 50 - 20, "c": 7}
    assert resumed.standing(45).remaining == 130 - 101 + 7


def test_many_late_facts_are_folded_once_in_slices() -> None:
    """Late facts are only put down when they come; then all of them are folded in one go, with pauses."""
    count = 4 * SLICE
    stays = Rollover(most=count)
    plan = grant("a", count, marks=(Mark(20, "renew", count),), rollover=stays)
    held = Recalled(course("plain", plan, resets=(20,)), [])
    held.admit_use(Use("new", END - 1, 1))
    for number in range(1, count):
        held.admit_use(Use(f"{number:06}", number % 30, 1, (("meter@1", 1),)))
    # Placing and folding pause once for each slice: more pauses were more folds.
    assert len(list(held.settling())) == 2 * count // SLICE
    assert not list(held.settling())
    assert held.totals == {"meter@1": count - 1}
    assert held.standing(END).used == 1 + sum(number % 30 >= 20 for number in range(1, count))
