"""The fold of a balance beside a model that moves single units, and what may change nothing about it."""

import random
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from licet.core.instant import FOREVER
from licet.core.usage.balance import (
    UNLIMITED,
    Balance,
    Draw,
    Fact,
    Grant,
    Late,
    Ledger,
    Mark,
    Refund,
    Rollover,
    Timetable,
    Use,
    fold,
    in_order,
)
from tests.core.usage.token_balance import TokenBalance
from tests.dose import dose

END: Final = 40
"""Instants run from 0 to here: few, so that much happens at one."""
CASES: Final = dose(10_000, full=40_000)


class Case:
    """A random history: grants, facts and the ends of periods."""

    def __init__(self, seed: int, *, most: int = 40) -> None:
        rng = self.rng = random.Random(seed)
        self.grants = [self._grant(number) for number in range(rng.randint(1, 20))]
        self.resets = sorted(rng.sample(range(1, END), rng.randint(0, 4)))
        self.carry = rng.random() < 0.3
        self.facts: list[Fact] = []
        for number in range(rng.randint(1, most) if most < 1_000 else most):
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
        least = rng.randint(0, 6)
        return Grant(
            id=f"g{number:02}",
            effective=start,
            amount=rng.randint(0, 15),
            priority=rng.choice((0, 50, 50, 50, 90)),
            expires=rng.choice((FOREVER, rng.randint(0, END))),
            voided=rng.choice((FOREVER, FOREVER, FOREVER, rng.randint(0, END))),
            marks=tuple(
                Mark(at, rng.choice(("renew", "renew", "step", "fresh")), rng.randint(0, 15), self._rollover())
                for at in sorted(rng.choices(range(start + 1, END + 5), k=rng.choice((0, 0, 1, 2, 4, 8))))
            ),
            rollover=Rollover(least, rng.randint(0, 12)) if rng.random() < 0.6 else Rollover(),
        )

    def _rollover(self) -> Rollover | None:
        return Rollover(self.rng.randint(0, 3), self.rng.randint(0, 30)) if self.rng.random() < 0.3 else None

    @property
    def table(self) -> Timetable:
        """What time brings."""
        return Timetable(self.grants, self.resets, carry=self.carry)

    def read(self, at: int) -> Balance:
        """Return the balance at an instant by the fold."""
        return fold(self.grants, self.facts, at, self.resets, carry=self.carry)


def assert_as_counted(case: Case, at: int) -> None:
    """The fold and the tokens agree on everything, at an instant."""
    told = case.read(at)
    counted = TokenBalance(case.grants, case.facts, at, case.resets, carry=case.carry)
    assert (told.remaining, told.uncovered, told.used) == (counted.remaining, counted.uncovered, counted.used)
    assert told.lefts == {key: purse.left for key, purse in counted.purses.items()}
    spread = {use: [part[:2] for part in parts for _ in range(part.amount)] for use, parts in told.draws.items()}
    assert spread == {use: units for use, units in counted.taken.items() if units}
    assert not (told.remaining and told.uncovered)


def test_the_fold_counts_as_tokens_do() -> None:
    """Random grants, renewals, rollovers, resets, voids, uses and refunds: the same to the unit and to the draw."""
    for seed in range(CASES):
        assert_as_counted(Case(seed, most=16), (END + 1, END // 2, END + 1, END // 3)[seed % 4])


def test_a_long_history() -> None:
    """Thousands of facts on twenty grants, read at the end."""
    for seed in range(dose(1, full=20)):
        case = Case(10**6 + seed, most=dose(1_000, full=9_999))
        assert_as_counted(case, END + 1)


class Arrival:
    """Facts as they come in: out of order, with time passing and the state written down and read again in between."""

    def __init__(self, case: Case, *, restless: float = 0.2) -> None:
        self.case, self.rng, self.restless = case, case.rng, restless
        self.ledger = Ledger(case.table)
        self.known: list[Fact] = []
        self.draws: dict[str, tuple[Draw, ...]] = {}
        self.since: dict[str, int] = {}
        self.lates = self.at_once = 0

    def run(self) -> None:
        """Let every fact come, refunds after their uses."""
        waiting: dict[str, list[Fact]] = {}
        for fact in self.case.facts:
            if isinstance(fact, Refund) and fact.use not in self.since:
                waiting.setdefault(fact.use, []).append(fact)
                continue
            self.come(fact)
            for late in waiting.pop(fact.id, ()):
                self.come(late)

    def come(self, fact: Fact) -> None:
        """Take a fact; where it is late in a way that matters, take all anew in their order."""
        self.known.append(fact)
        if self.rng.random() < self.restless:
            loaded = Ledger.load(self.case.table, self.ledger.dump())
            assert loaded is not None
            self.ledger = loaded
        newest = self.ledger.newest
        try:
            self.take(fact)
            if self.ledger.newest == newest:
                self.at_once += 1
                self.assert_as_folded(newest.at)  # at once: a later folding anew would mend what is wrong
        except Late:
            self.lates += 1
            self.ledger = Ledger(self.case.table)
            for _, one in in_order(self.known):
                self.take(one)

    def take(self, fact: Fact) -> None:
        """Take a fact by the ledger at hand, and keep its draws as whoever calls it does."""
        if isinstance(fact, Use):
            self.draws[fact.id] = self.ledger.take(fact)
            self.since[fact.id] = fact.effective
        else:
            self.draws[fact.use] = self.ledger.give_back(fact, self.draws[fact.use], self.since[fact.use])

    def read(self, at: int) -> Balance:
        """Return the balance at an instant after all that came."""
        one = self.ledger
        one.advance(at)
        kept = {use: parts for use, parts in self.draws.items() if parts}
        return Balance(at, one.remaining, one.owed, one.lefts(), one.used, kept)

    def assert_as_folded(self, at: int = END + 1) -> None:
        """All numbers are those of the fold, and all draws that still can return."""
        case, slate = self.case, self.ledger.slate
        folded, told = fold(case.grants, self.known, at, case.resets, carry=case.carry), self.read(at)
        for one in (folded, told):
            for use in [name for name in one.draws if self.since[name] < slate]:
                del one.draws[use]
        assert told == folded


def test_no_order_of_arrival_changes_anything() -> None:
    """Facts in any order, taken at once or folded anew as the ledger says, with states read back: the fold, exactly."""
    lates = at_once = 0
    for seed in range(dose(200, full=20_000)):
        case = Case(seed)
        arrival = Arrival(case)
        arrival.run()
        arrival.assert_as_folded()
        lates, at_once = lates + arrival.lates, at_once + arrival.at_once
    assert min(lates, at_once) > 150


def test_nothing_comes_late_before_what_was_given_back_beyond_the_debt() -> None:
    """A refund of more than is owed by then: use of before it, told later, is folded in its place."""
    arrival = Arrival(Case(6811))
    arrival.run()
    arrival.assert_as_folded()


@pytest.mark.parametrize("kind", ["lasting", "monthly", "rollover", "gift"])
def test_lateness_on_quiet_balances(kind: str) -> None:
    """Few grants, as most balances have: late facts mostly are taken at once, and rightly.

    One grant that is used up or not; one that is whole again by period; the same with rollover; with a lasting one.
    """
    lates = at_once = 0
    for seed in range(dose(100, full=10_000)):
        case = Case(seed, most=40)
        amount = case.rng.choice((0, 30, 150, 400))
        case.resets = [] if kind == "lasting" else [10, 20, 30]
        rule = Rollover(0, 12) if kind == "rollover" else Rollover()
        marks = tuple(Mark(at, "renew", amount, rule) for at in case.resets)
        case.grants = [grant("line", amount, marks=marks)]
        if kind == "gift":
            case.grants.append(grant("gift", 25, 5))
        arrival = Arrival(case, restless=0.02)
        arrival.run()
        arrival.assert_as_folded()
        lates, at_once = lates + arrival.lates, at_once + arrival.at_once
    assert at_once > {"lasting": 2, "monthly": 1.5, "rollover": 0.2, "gift": 0.2}[kind] * lates, (at_once, lates)


@given(seed=st.integers(0, 2**32), cut=st.floats(0, 1))
@example(seed=1, cut=0.0)
def test_neither_order_nor_checkpoints_change_anything(seed: int, cut: float) -> None:
    """A run split in two by a checkpoint that goes on twice, and facts in another order: one balance."""
    case = Case(seed)
    whole = case.read(END + 1)
    case.rng.shuffle(case.facts)
    assert case.read(END + 1) == whole
    placed = [fact for _, fact in in_order(case.facts)]
    middle = round(cut * len(placed))
    first = Arrival(case, restless=0)
    for fact in placed[:middle]:
        first.come(fact)
    for _ in range(2):
        second = Arrival(case, restless=0)
        loaded = Ledger.load(case.table, first.ledger.dump())
        assert loaded is not None
        second.ledger, second.draws, second.since = loaded, dict(first.draws), dict(first.since)
        for fact in placed[middle:]:
            second.take(fact)
        assert second.read(END + 1) == whole


def test_a_state_goes_on_only_where_its_past_is_the_same() -> None:
    """What comes to be known of later instants leaves a state as it is; another past makes it unusable."""
    grants = [grant("a", 10, marks=(Mark(20, "renew", 10),)), grant("b", 5, 3)]
    ledger = Ledger(Timetable(grants))
    ledger.take(use("u", 4, 10))
    state = ledger.dump()

    def known(*more: Grant, resets: tuple[int, ...] = (), carry: bool = False) -> bool:
        return Ledger.load(Timetable([*more], resets, carry=carry), state) is not None

    assert known(*grants, grant("c", 1, 11), resets=(12,))
    assert known(grants[0], grant("b", 5, 3, voided=11))
    assert not known(*grants, grant("c", 1, 10))
    assert not known(*grants, resets=(9,))
    assert not known(*grants, carry=True)
    assert not known(grants[0])
    assert not known(grants[0], grant("b", 5, 3, voided=9))
    assert not known(grants[0], grant("b", 5, 3, priority=10))
    assert not known(grants[0], grant("b", 6, 3))
    assert Ledger.load(Timetable(grants), b"\xc1") is None
    assert Ledger.load(Timetable(grants), state[:-1]) is None


@pytest.mark.parametrize(("carry", "rollover", "most"), [(False, 40, 4_000), (True, 0, 400)])
def test_a_state_stays_small_however_much_was_used(carry: bool, rollover: int, most: int) -> None:
    """Ten thousand uses, most of them beyond all grants and partly given back, over hundreds of periods."""
    resets = tuple(range(100, 50_000, 100))
    lines = tuple(Mark(at, "renew", 50, Rollover(0, rollover)) for at in resets)
    gifts = [grant("early", 20, 150), grant("gift", 20, 30_150, priority=60)]
    ledger = Ledger(Timetable([grant("line", 50, marks=lines), *gifts], resets, carry=carry))
    for number in range(10_000):
        drawn = ledger.take(use(f"u{number:05}", 6, 5 * number))
        back = Refund(id=f"r{number:05}", effective=5 * number + 1, use=f"u{number:05}", amount=number % 3)
        ledger.give_back(back, drawn, 5 * number)
    assert len(ledger.dump()) < most


def test_a_carried_debt_knows_what_repaid_it_through_what_is_over() -> None:
    """Repaid by a gift, two lines that are over since, and a gift again: refunds pass over what cannot return."""
    line = grant("line", 2, 3, marks=(Mark(4, "renew", 2), Mark(5, "renew", 0)))
    grants = [grant("old", 1, 2), line, grant("new", 1, 6)]
    facts: list[Fact] = [use("u", 6, 1)]
    back = [
        fold(grants, [*facts, Refund(id="r", effective=7, use="u", amount=part)], 8, [5], carry=True).lefts
        for part in range(1, 7)
    ]
    assert [(lefts["old"], lefts["new"]) for lefts in back] == [(0, 1)] * 5 + [(1, 1)]


@given(seed=st.integers(0, 2**32), pauses=st.lists(st.integers(0, END), max_size=5))
def test_looking_changes_nothing(seed: int, pauses: list[int]) -> None:
    """Letting time pass in steps is the same as letting it pass at once."""
    case = Case(seed)
    one = Arrival(case, restless=0)
    facts = in_order(case.facts)
    for at in [*sorted(pauses), END + 1]:
        while facts and facts[0][0].at <= at:
            one.take(facts.pop(0)[1])
        assert one.read(at) == case.read(at)


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


def test_a_step_is_charged_with_what_was_drawn() -> None:
    """Another worth within the period: less what was drawn, never negative, and what was overdrawn counts later on."""
    grants = [grant("g", 100, marks=(Mark(5, "step", 50), Mark(7, "step", 90), Mark(9, "fresh", 50)))]
    facts: list[Fact] = [use("u", 60, 1), Refund(id="r", effective=6, use="u", amount=5)]
    lefts = [fold(grants, facts, at).remaining for at in (4, 5, 6, 7, 9)]
    assert lefts == [40, 0, 0, 35, 50]


def test_after_a_fresh_start_nothing_returns() -> None:
    """What was drawn before a line began anew stays drawn: nothing of it rolls over."""
    grants = [grant("g", 10, marks=(Mark(5, "fresh", 10),), rollover=Rollover(0, 10))]
    assert fold(grants, [use("u", 8, 1), Refund(id="r", effective=6, use="u", amount=8)], 6).remaining == 10


def test_unlimited_stays_unlimited() -> None:
    """However much is drawn, an unlimited amount is told as such, and a step down from it charges what was drawn."""
    grants = [grant("g", 2**70, marks=(Mark(5, "step", 100),))]
    told = fold(grants, [use("u", 60, 1)], 4)
    assert told.remaining >= UNLIMITED
    assert fold(grants, [use("u", 60, 1)], 5).remaining == 40


def test_a_refund_of_what_was_owed_lowers_that_first_and_then_what_repaid_it() -> None:
    """Of 6 owed 4 were repaid: giving 3 back cancels the 2 still owed, and one returns to the grant that came."""
    facts: list[Fact] = [use("u", 6, 1), Refund(id="r", effective=3, use="u", amount=3)]
    told = fold([grant("g", 4, 2)], facts, 3)
    assert (told.uncovered, told.lefts, told.used) == (0, {"g": 1}, 3)


def test_what_was_forgotten_returns_nothing() -> None:
    """Use beyond all grants of an ended period, given back later: the new period neither gains nor counts it."""
    facts: list[Fact] = [use("u", 6, 1), Refund(id="r", effective=7, use="u", amount=6)]
    told = fold([grant("g", 4, marks=(Mark(5, "renew", 4),))], facts, 7, [5])
    assert (told.uncovered, told.remaining, told.used) == (0, 4, 0)


def test_an_allowance_burns_before_lasting_grants() -> None:
    """At equal priority what is whole again soonest burns first, also when it began later."""
    grants = [grant("gift", 5), grant("line", 5, 1, marks=(Mark(9, "renew", 5),))]
    assert fold(grants, [use("u", 3, 2)], 3).lefts == {"gift": 5, "line": 2}
