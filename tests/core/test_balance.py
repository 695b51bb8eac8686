"""The fold of a balance beside a model that moves single units, and what may change nothing about it."""

import random
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from licet.core.balance import Balance, Fact, Grant, Ledger, Mark, Refund, Rollover, Use, fold, in_order
from licet.core.instant import FOREVER
from tests.core.token_balance import TokenBalance
from tests.dose import dose

END: Final = 40
"""Instants run from 0 to here: few, so that much happens at one."""
CASES: Final = dose(400, full=10_000)


class Case:
    """A random history: grants, facts and the ends of periods."""

    def __init__(self, seed: int, *, most: int = 40) -> None:
        rng = self.rng = random.Random(seed)
        self.grants = [self._grant(number) for number in range(rng.randint(1, 20))]
        self.resets = sorted(rng.sample(range(1, END), rng.randint(0, 4)))
        self.carry = rng.random() < 0.3
        self.facts: list[Fact] = []
        for number in range(rng.randint(1, most)):
            uses = [one for one in self.facts if isinstance(one, Use)]
            if uses and rng.random() < 0.3:
                use = rng.choice(uses)
                at = rng.randint(max(0, use.effective - 2), END)
                refund = Refund(id=f"f{number}", effective=at, use=use.id, amount=rng.randint(1, 12))
                self.facts.append(refund)
            else:
                self.facts.append(Use(id=f"u{number:04}", effective=rng.randint(0, END), amount=rng.randint(1, 12)))
        rng.shuffle(self.facts)

    def _grant(self, number: int) -> Grant:
        rng = self.rng
        start = rng.randint(0, END - 5)
        renews = tuple(sorted(rng.sample(range(start + 1, END), rng.choice((0, 0, 1, 2, 4)))))
        least = rng.randint(0, 6)
        return Grant(
            id=f"g{number:02}",
            effective=start,
            amount=rng.randint(0, 15),
            priority=rng.choice((0, 50, 50, 50, 90)),
            expires=rng.choice((FOREVER, rng.randint(0, END))),
            voided=rng.choice((FOREVER, FOREVER, FOREVER, rng.randint(0, END))),
            marks=tuple(Mark(at, "renew", 0) for at in renews),
            rollover=Rollover(least, rng.randint(0, 12)) if rng.random() < 0.6 else Rollover(),
        )

    def read(self, at: int) -> Balance:
        """Return the balance at an instant by the fold."""
        return fold(self.grants, self.facts, at, self.resets, carry=self.carry)


def assert_as_counted(case: Case, at: int) -> None:
    """The fold and the tokens agree on everything, at an instant."""
    told = case.read(at)
    counted = TokenBalance(case.grants, case.facts, at, case.resets, carry=case.carry)
    assert (told.remaining, told.uncovered) == (counted.remaining, counted.uncovered)
    assert told.lefts == {key: len(purse) for key, purse in counted.purses.items()}
    drawn = {use: [(token.grant.id, token.age) for token in tokens] for use, tokens in counted.taken.items() if tokens}
    spread = {
        use: [(one.grant, one.renewal) for one in parts for _ in range(one.amount)] for use, parts in told.draws.items()
    }
    assert spread == drawn
    assert not (told.remaining and told.uncovered)


def test_the_fold_counts_as_tokens_do() -> None:
    """Random grants, renewals, rollovers, resets, voids, uses and refunds: the same to the unit and to the draw."""
    for seed in range(CASES):
        case = Case(seed)
        for at in (END // 3, END // 2, END + 1):
            assert_as_counted(case, at)


def test_a_long_history() -> None:
    """Thousands of facts on twenty grants, read at the end."""
    for seed in range(dose(1, full=20)):
        case = Case(10**6 + seed, most=dose(1_000, full=9_999))
        assert_as_counted(case, END + 1)


@given(seed=st.integers(0, 2**32), cut=st.floats(0, 1))
@example(seed=1, cut=0.0)
def test_neither_order_nor_checkpoints_change_anything(seed: int, cut: float) -> None:
    """Facts given in any order, and a run split in two by a checkpoint that goes on twice: one balance."""
    case = Case(seed)
    whole = case.read(END + 1)
    case.rng.shuffle(case.facts)
    assert case.read(END + 1) == whole
    placed = [fact for _, fact in in_order(case.facts)]
    ledger = Ledger(case.grants, case.resets, carry=case.carry)
    middle = round(cut * len(placed))
    for fact in placed[:middle]:
        ledger.take(fact)
    twin = ledger.copy()
    for one in (ledger, twin):
        for fact in placed[middle:]:
            one.take(fact)
    assert ledger.read(END + 1) == twin.read(END + 1) == whole


@given(seed=st.integers(0, 2**32), pauses=st.lists(st.integers(0, END), max_size=5))
def test_looking_changes_nothing(seed: int, pauses: list[int]) -> None:
    """Letting time pass in steps is the same as letting it pass at once."""
    case = Case(seed)
    ledger = Ledger(case.grants, case.resets, carry=case.carry)
    facts = in_order(case.facts)
    for at in [*sorted(pauses), END + 1]:
        while facts and facts[0][0] <= at:
            ledger.take(facts.pop(0)[1])
        assert ledger.read(at) == case.read(at)


def grant(name: str, amount: int, effective: int = 0, **more: object) -> Grant:
    """A grant by name and amount."""
    return Grant(id=name, amount=amount, effective=effective, **more)  # type: ignore[arg-type]


def use(name: str, amount: int, at: int) -> Use:
    """A use by name, amount and instant."""
    return Use(id=name, effective=at, amount=amount)


def test_burn_order() -> None:
    """Priority first, then what expires first, then what began first, then what was made first."""
    grants = [
        grant("d", 1, 2),
        grant("e", 1, 2),
        grant("c", 1, 1),
        grant("b", 1, 0, expires=50),
        grant("a", 1, 3, priority=10),
    ]
    burned = [fold(grants, [use("u", amount, 5)], 5).draws["u"][-1].grant for amount in range(1, 6)]
    assert burned == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(("at", "remaining"), [(9, 0), (10, 7), (19, 7), (20, 0)])
def test_edges(at: int, remaining: int) -> None:
    """A grant counts from its very beginning, and at its expiry no more."""
    assert fold([grant("g", 7, 10, expires=20)], [], at).remaining == remaining


def test_a_use_exactly_at_a_renewal_sees_the_new_amount() -> None:
    """What is left rolls over within its bounds, then the use draws."""
    told = fold(
        [grant("g", 10, marks=(Mark(5, "renew", 10),), rollover=Rollover(0, 3))], [use("a", 2, 1), use("b", 12, 5)], 5
    )
    assert (told.remaining, told.uncovered) == (1, 0)


def test_a_later_grant_covers_what_was_owed_only_within_the_period() -> None:
    """Use beyond all grants is covered by the next grant, unless its period is over; carried, also then."""
    facts = [use("u", 5, 1)]
    grants = [grant("late", 10, 6)]
    assert fold(grants, facts, 9).remaining == 5
    assert fold(grants, facts, 9, [4]).remaining == 10
    assert fold(grants, facts, 9, [4], carry=True).remaining == 5


def test_a_refund_returns_to_the_very_grants_and_as_far_as_it_would_have_rolled_over() -> None:
    """What was drawn last comes back first; to an expired grant nothing, to a renewed one what would have stayed."""
    grants = [grant("a", 3, priority=0), grant("b", 10, marks=(Mark(5, "renew", 10),), rollover=Rollover(0, 8))]
    facts: list[Fact] = [use("u", 8, 1), Refund(id="r", effective=2, use="u", amount=4)]
    told = fold(grants, facts, 2)
    assert (told.lefts, told.draws["u"][-1].amount) == ({"a": 0, "b": 9}, 1)
    late: list[Fact] = [use("u", 8, 1), Refund(id="r", effective=6, use="u", amount=5)]
    assert fold(grants, late, 6).lefts == {"a": 0, "b": 18}  # 5 were left and stayed; of 10, 8 would have


def test_voided_stops_counting_and_what_was_drawn_stays_drawn() -> None:
    """A void takes the rest; a refund to it returns nothing."""
    grants = [grant("g", 10, voided=5)]
    facts: list[Fact] = [use("u", 4, 1), Refund(id="r", effective=7, use="u", amount=4)]
    assert fold(grants, facts[:1], 6).draws["u"][0].amount == 4
    assert fold(grants, facts, 7).remaining == 0
