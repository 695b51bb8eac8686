"""Levels that were told wrongly and taken back: what remains tells the level, whatever came in which order."""

import random

import pytest
from msgspec import structs

from licet.core.instant import BEGINNING
from licet.core.usage.account import Account
from licet.core.usage.balance import Fact, Refund, Use
from licet.core.usage.effects import effects
from licet.core.usage.facts import AccountKey
from licet.core.usage.facts import Fact as Recorded
from licet.core.usage.recalled import Base, Recalled
from tests.core.usage.test_account import END, Kind, course, grant
from tests.core.usage.test_recalled import lines
from tests.dose import dose

LEVELS: tuple[Kind, ...] = ("latest", "max", "unique")
KEY = AccountKey("acme", "api")


def reports(rng: random.Random) -> tuple[list[Recorded], list[Recorded]]:
    """Reports as they are recorded, and what takes some of them back."""
    told = [
        Recorded(
            id=f"{number:032x}",
            kind="report",
            effective=rng.randint(0, END - 1),
            customer="acme",
            metered={"m": level},
            burns={"api": level},
        )
        for number, level in enumerate(rng.choices(range(10), k=rng.randint(1, 25)))
    ]
    undoing = [
        Recorded(
            id=f"{1_000 + number:032x}",
            kind="refund",
            effective=one.effective,
            customer="acme",
            metered=one.metered,
            burns=one.burns,
            of=one.id,
            undoes=("m",),
        )
        for number, one in enumerate(rng.sample(told, rng.randint(0, len(told))))
    ]
    return told, undoing


def valued(kind: Kind, facts: list[Recorded]) -> list[Recorded]:
    """Facts as a meter of a kind records them: one that counts values has one each, which counts one."""
    if kind != "unique":
        return facts
    return [structs.replace(one, values={"m": f"user {one.metered['m']}"}, metered={"m": 1}) for one in facts]


def expected(kind: Kind, told: list[Recorded], gone: set[str | None], resets: tuple[int, ...], at: int) -> int:
    """The level by what remains, worked out plainly."""
    rest = [one for one in told if one.id not in gone and one.effective <= at]
    if kind == "latest":
        newest = max(rest, key=lambda one: (one.effective, one.id), default=None)
        return 0 if newest is None else newest.metered["m"]
    begin = max((reset for reset in resets if reset <= at), default=BEGINNING)
    inside = [one for one in rest if one.effective >= begin]
    if kind == "unique":
        return len({one.values["m"] for one in inside})
    return max((one.metered["m"] for one in inside), default=0)


@pytest.mark.parametrize("kind", LEVELS)
def test_what_remains_tells_the_level(kind: Kind) -> None:
    """Folded from facts in any order, at every instant, a level is what the reports say that were not taken back."""
    for seed in range(dose(60, full=3_000)):
        rng = random.Random(f"undone {kind} {seed}")
        resets, _ = lines(rng)
        one = course(kind, grant("a", 40), resets=resets)
        told, undoing = (valued(kind, facts) for facts in reports(rng))
        facts = [*told, *undoing]
        rng.shuffle(facts)
        for at in (0, END // 3, END // 2, END):
            account = Recalled(one, effects(facts, KEY, at, "m")).account
            used = account.standing(max(at, account.newest)).used
            assert used == expected(kind, told, {each.of for each in undoing}, resets, at)


@pytest.mark.parametrize("kind", LEVELS)
def test_one_by_one_in_any_order_it_is_the_same(kind: Kind) -> None:
    """Taken back while others go on being told, late ones too, it is as if the wrong ones had never been told."""
    for seed in range(dose(60, full=3_000)):
        rng = random.Random(f"live {kind} {seed}")
        resets, _ = lines(rng)
        one = course(kind, grant("a", 40), resets=resets)
        told, undoing = (valued(kind, facts) for facts in reports(rng))
        uses = {each.id: use for each in told for use in effects([each], KEY, END, "m") if isinstance(use, Use)}
        undone = {each.of: each for each in undoing}
        held, waiting = Recalled(one, []), list(told)
        rng.shuffle(waiting)
        pending: list[Recorded] = []
        while waiting or pending:
            if waiting and (not pending or rng.random() < 0.6):
                each = waiting.pop()
                held.admit_use(uses[each.id])
                if each.id in undone:
                    pending.append(undone[each.id])
            else:
                back = pending.pop(rng.randrange(len(pending)))
                undo = Refund(id=back.id, effective=back.effective, use=back.of or "", amount=0, undoes=True)
                held.refund(undo, (), back.effective)
            if rng.random() < 0.2:
                held.room(END)
        again = Recalled(one, effects([*told, *undoing], KEY, END, "m")).account
        assert held.standing(END) == again.standing(END)
        assert Account.load(one, held.account.dump()) is not None


@pytest.mark.parametrize("kind", LEVELS)
def test_a_checkpoint_of_before_serves(kind: Kind) -> None:
    """From a checkpoint of before a report that was taken back, the rest comes to the same numbers."""
    for seed in range(dose(40, full=2_000)):
        rng = random.Random(f"base {kind} {seed}")
        resets, _ = lines(rng)
        one = course(kind, grant("a", 40), resets=resets)
        told, undoing = (valued(kind, facts) for facts in reports(rng))
        cut = rng.randint(0, END)
        before = Recalled(one, effects([*told, *undoing], KEY, cut, "m")).account
        later: list[Fact] = [
            each for each in effects([*told, *undoing], KEY, END, "m") if each.effective > max(cut, before.newest)
        ]
        whole = Recalled(one, effects([*told, *undoing], KEY, END, "m")).account
        resumed = Recalled(one, later, Base(before.dump(), frozenset())).account
        assert resumed.standing(END) == whole.standing(END)
