"""Accounts: windows and gauges beside plain counting, states, totals, thresholds, and room."""

import random
from datetime import UTC
from typing import Any, Final, Literal

import pytest
from msgspec import structs

from licet.core.instant import BEGINNING
from licet.core.usage.account import Account
from licet.core.usage.balance import UNLIMITED, Draw, Fact, Grant, Late, Mark, Refund, Rollover, Use, in_order
from licet.core.usage.course import Bound, Course, Window
from licet.core.usage.facts import AccountKey
from licet.core.usage.lent import Held
from licet.core.usage.rolling import EXACT, MAX_VALUES
from tests.core.usage.brute_window import brute_used
from tests.dose import dose

END: Final = 60
Kind = Literal["plain", "rolling", "session", "latest", "max", "unique"]
KINDS: Final[tuple[Kind, ...]] = ("plain", "rolling", "session", "latest", "max", "unique")


def course(kind: Kind = "plain", *grants: Grant, length: int = 10, **more: Any) -> Course:
    """A course of one balance."""
    if kind in ("rolling", "session"):
        more.setdefault("emptied", more.get("resets", ()) if kind == "rolling" else ())
        more["window"] = Window("rolling" if kind == "rolling" else "session", length)
    elif kind != "plain":
        more["gauge"] = kind
    return Course(key=AccountKey("acme", "api"), zone=UTC, grants=grants, opens=0, **more)


def grant(name: str, amount: int, effective: int = 0, **more: Any) -> Grant:
    """A grant by name and amount."""
    return Grant(id=name, amount=amount, effective=effective, **more)


def random_facts(rng: random.Random, most: int = 40) -> list[Fact]:
    """Uses and refunds in no order; values of few kinds."""
    facts: list[Fact] = []
    uses: list[Use] = []
    for number in range(rng.randint(1, most)):
        if uses and rng.random() < 0.25:
            use = rng.choice(uses)
            at = rng.randint(use.effective, END)
            rated = (("m@1", rng.randint(0, 3)),)
            facts.append(Refund(id=f"r{number}", effective=at, use=use.id, amount=rng.randint(1, 9), rated=rated))
        else:
            amount = rng.randint(0, 9)
            uses.append(Use(f"u{number:03}", rng.randint(0, END), amount, (("m@1", amount),), rng.choice("abcdefgh")))
            facts.append(uses[-1])
    rng.shuffle(facts)
    return facts


class Arrival:
    """Facts as they come in, states written down and read again in between, folded anew where one is late."""

    def __init__(self, course: Course, rng: random.Random) -> None:
        self.course, self.rng = course, rng
        self.account = Account(course)
        self.known: list[Fact] = []
        self.draws: dict[str, tuple[Draw, ...]] = {}
        self.since: dict[str, int] = {}
        self.lates = 0

    def run(self, facts: list[Fact]) -> None:
        """Let facts come, refunds after their uses."""
        waiting: dict[str, list[Fact]] = {}
        for fact in facts:
            if isinstance(fact, Refund) and fact.use not in self.since:
                waiting.setdefault(fact.use, []).append(fact)
            else:
                for one in (fact, *waiting.pop(fact.id, ())):
                    self.come(one)

    def come(self, fact: Fact) -> None:
        """Take one fact."""
        if self.rng.random() < 0.2:
            loaded = Account.load(self.course, self.account.dump())
            assert loaded is not None
            self.account = loaded
        self.known.append(fact)
        place = self.account.place
        try:
            if isinstance(fact, Use):
                self.since[fact.id] = fact.effective
                self.draws[fact.id] = self.account.admit_use(fact)
            else:
                since = self.since[fact.use]
                self.draws[fact.use] = self.account.refund(fact, self.draws[fact.use], since)
        except Late:
            self.lates += 1
            self.account = Account(self.course)
            self.draws = self.account.replay(self.known)
        else:
            if self.account.place == place:  # at once: a later folding anew would mend what is wrong
                self.assert_as_folded(place.at)

    def assert_as_folded(self, now: int) -> None:
        """All numbers and totals are those of the fold in order."""
        folded = Account(self.course)
        folded.replay(self.known)
        assert self.account.standing(now) == folded.standing(now)
        assert self.account.totals == folded.totals


@pytest.mark.parametrize("kind", KINDS)
def test_no_order_of_arrival_changes_an_account(kind: Kind) -> None:
    """Any order, states read back at any point, late ones folded anew: the numbers and totals of the fold in order,
    and for windows and gauges those of plain counting."""
    for seed in range(dose(100, full=10_000)):
        rng = random.Random(f"{kind} {seed}")
        resets = tuple(sorted(rng.sample(range(1, END), rng.randint(0, 4))))
        lines = [grant("a", 40, marks=tuple(Mark(at, "renew", 40) for at in resets)), grant("b", 25, 5, expires=40)]
        one = course(kind, *lines, length=rng.randint(1, 30), resets=resets)
        facts = random_facts(rng)
        if kind == "unique":
            facts = [Use(fact.id, fact.effective, 1, (), fact.value) for fact in facts if isinstance(fact, Use)]
        arrival = Arrival(one, rng)
        arrival.run(facts)
        now = END + rng.randint(0, 10)
        arrival.assert_as_folded(now)
        if kind != "plain":
            assert arrival.account.standing(now).used == brute_used(one, facts, now), seed
        if kind in ("rolling", "latest", "max", "unique"):
            assert not arrival.lates


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("thresholds", [(), (30, 70)])
def test_uses_taken_together_are_those_taken_one_by_one(kind: Kind, thresholds: tuple[int, ...]) -> None:
    """Batches of uses, near each other or not, and refunds between them: the numbers of the fold in order, and what
    comes late afterwards is taken, or refused, as rightly as ever."""
    together = 0
    for seed in range(dose(150, full=10_000)):
        rng = random.Random(f"{kind} {seed} {thresholds}")
        amounts = rng.choice([(15, 10), (40, 25), (4_000, 25)])
        resets = tuple(sorted(rng.sample(range(1, END), rng.randint(0, 2))))
        lines = [
            grant("a", amounts[0], marks=tuple(Mark(at, "renew", amounts[0]) for at in resets)),
            grant("b", amounts[1], 5, expires=40),
        ]
        one = course(kind, *lines, length=rng.randint(1, 30), resets=resets, thresholds=thresholds)
        account, known = Account(one), list[Fact]()
        for number in range(rng.randint(1, 12)):
            begin = rng.randint(0, END - 6)
            uses = [
                Use(
                    f"{rng.randrange(10**6)}-{number}",
                    begin + rng.randint(0, 5),
                    rng.randint(0, 6),
                    (),
                    f"v{place % 3}",
                )
                for place in range(rng.randint(1, 4))
            ]
            known += uses
            back = rng.choice([use for use in known if isinstance(use, Use)])
            try:
                account.admit_all(uses)
                together += 1
                if kind != "unique" and rng.random() < 0.7:
                    draws = Account(one).replay(known)
                    at = max(account.newest, back.effective)
                    refund = Refund(id=f"r{number}", effective=at, use=back.id, amount=rng.randint(1, 6))
                    known.append(refund)
                    account.refund(refund, draws[back.id], back.effective)
            except Late:
                account = Account(one)
                account.replay(known)
            folded = Account(one)
            folded.replay(known)
            now = max(account.newest, folded.newest)
            mine, theirs = account.standing(now), folded.standing(now)
            assert structs.replace(mine, crossed=()) == structs.replace(theirs, crossed=())
            assert account.totals == folded.totals
    assert together > 50


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_split_by_a_checkpoint_goes_on_the_same(kind: Kind) -> None:
    """From any state between two facts, knowing what the uses before it drew, the rest leads to the same account."""
    for seed in range(dose(60, full=3_000)):
        rng = random.Random(f"split {kind} {seed}")
        one = course(kind, grant("a", 40), grant("b", 25, 5, expires=40), length=rng.randint(1, 30), resets=(30,))
        placed = [fact for _, fact in in_order(random_facts(rng))]
        whole = Account(one)
        whole.replay(placed)
        cut = rng.randint(0, len(placed))
        first = Account(one)
        draws = first.replay(placed[:cut])
        second = Account.load(one, first.dump())
        assert second is not None
        held = {fact.id: Held(draws[fact.id], fact.effective) for fact in placed[:cut] if isinstance(fact, Use)}
        second.replay([*(fact for fact in placed[:cut] if isinstance(fact, Use)), *placed[cut:]], held)
        assert second.dump() == whole.dump()


def test_a_rolling_window_forgets_exactly_at_its_length() -> None:
    """Use counts in ``(now - length, now]``: still one microsecond before its length has passed, no more then."""
    account = Account(course("rolling", grant("g", 10)))
    account.admit_use(Use("u", 100, 7))
    assert [account.standing(at).used for at in (100, 109, 110)] == [7, 7, 0]


def test_a_crowded_rolling_window_errs_on_the_side_of_longer() -> None:
    """Beyond 2,048 instants: never less than what counts, at most a slice more; small in bytes; exact when empty."""
    length = 4_096 * 50
    one = course("rolling", grant("g", 10), length=length)
    rng = random.Random(5)
    account = Account(one)
    uses = [Use(f"u{number:05}", number * 40 + rng.randint(0, 39), 1) for number in range(12_000)]
    for number, use in enumerate(uses):
        account.admit_use(use)
        if number % 500 == 0:
            now = use.effective
            told = account.standing(now).used
            plain = brute_used(one, uses[: number + 1], now)
            longer = sum(now - length - 50 < use.effective <= now for use in uses[: number + 1])
            assert plain <= told <= longer
            assert told == plain or number > EXACT
    assert len(account.dump()) < 60_000
    with pytest.raises(Late):
        account.admit_use(Use("late", uses[-1].effective - 1, 1))
    loaded = Account.load(one, account.dump())
    assert loaded is not None
    account = loaded
    end = uses[-1].effective + length + 50
    assert account.standing(end).used == 0
    account.admit_use(Use("v", end, 3))
    account.admit_use(Use("w", end + length - 1, 4))
    assert [account.standing(end + length - 1).used, account.standing(end + length).used] == [7, 4]


def test_lateness_in_a_crowded_window() -> None:
    """Around the count at which a window becomes coarse, late facts end in the same numbers as in their order."""
    one = course("rolling", grant("g", 10), length=10_000)
    for seed in range(dose(3, full=40)):
        rng = random.Random(seed)
        facts: list[Fact] = [Use(f"u{number:04}", 3 * number, 1) for number in range(EXACT + 6)]
        late = [facts.pop(rng.randrange(len(facts))) for _ in range(12)]
        arrival = Arrival(one, rng)
        arrival.run([*facts, *late])
        inorder = Account(one)
        inorder.replay([*facts, *late])
        assert 0 < arrival.lates < 12
        for now in range(3 * EXACT + 20, 3 * EXACT + 12_000, 500):
            assert arrival.account.standing(now).used == inorder.standing(now).used


def test_a_window_that_might_have_been_crowded_takes_nothing_late() -> None:
    """Where one more use would have made it count by slices at an earlier time, though it is not crowded any more."""
    account = Account(course("rolling", grant("g", 10), length=10_000))
    for number in range(EXACT - 1):
        account.admit_use(Use(f"u{number:04}", 3 * number, 1))
    account.admit_use(Use("v", 12_000, 1))
    account.admit_use(Use("late", 3_001, 1))
    with pytest.raises(Late):
        account.admit_use(Use("later", 3_002, 1))


@pytest.mark.parametrize("kind", ["rolling", "session"])
@pytest.mark.parametrize("cut", [12, 15, 18])
def test_a_reset_empties_a_window_also_one_that_is_kept(kind: Kind, cut: int) -> None:
    """From a reset on nothing counts of before it, whatever comes late or goes back; a state that was kept before it
    was known goes on right, or is not used."""
    before = course(kind, grant("a", 100), length=30)
    after = course(kind, grant("a", 100), length=30, resets=(cut,))
    facts: list[Fact] = [Use("a", 10, 5), Use("b", 15, 7)]
    account = Account(before)
    draws = account.replay(facts)
    assert account.standing(20).used == 12
    kept = Account.load(after, account.dump())
    assert (kept is None) == (cut <= 15)
    if kept is None:
        kept = Account(after)
        draws = kept.replay(facts)
    assert kept.standing(20).used == (7 if cut <= 15 else 0)
    kept.admit_use(Use("d", 21, 3))
    kept.refund(Refund(id="r", effective=22, use="a", amount=4), draws["a"], 10)
    assert kept.standing(22).used == (10 if cut <= 15 else 3)
    if kind == "rolling":
        kept.admit_use(Use("c", 11, 1))
        assert kept.standing(22).used == (10 if cut <= 15 else 3)


def test_a_session_opens_at_a_use_and_is_cut_at_the_end_of_the_period() -> None:
    """Whole again once it is over: by its length, or by the period's end."""
    account = Account(course("session", grant("g", 10), resets=(25,)))
    account.admit_use(Use("a", 3, 4))
    assert (account.standing(12).used, account.standing(12).resets_at) == (4, 13)
    assert (account.standing(13).remaining, account.standing(13).resets_at) == (10, None)
    account.admit_use(Use("b", 20, 6))
    assert account.standing(20).resets_at == 25
    assert account.standing(25).remaining == 10


def test_grants_are_a_ceiling_of_windows_and_gauges() -> None:
    """What is used beyond is overage; nothing is drawn."""
    account = Account(course("latest", grant("g", 10), grant("h", 5, expires=30)))
    account.admit_use(Use("a", 3, 12))
    told = account.standing(20)
    assert (told.granted, told.remaining, told.overage, told.lefts) == (15, 3, 0, {"g": 10, "h": 5})
    told = account.standing(30)
    assert (told.granted, told.remaining, told.overage, told.lefts) == (10, -2, 2, {"g": 10})


def test_unique_values_count_once_a_period() -> None:
    """A value counts again only in another period, and late repetitions of it change nothing."""
    account = Account(course("unique", grant("g", 10), resets=(30,)))
    for number, (at, value) in enumerate([(1, "ann"), (2, "bob"), (3, "ann")]):
        amount = int(account.counts(value, at))
        account.admit_use(Use(f"u{number}", at, amount, (), value))
    assert account.standing(3).used == 2
    assert account.counts("ann", 30)
    account.admit_use(Use("v", 31, 1, (), "ann"))
    account.admit_use(Use("w", 4, 1, (), "cid"))
    assert account.standing(31).used == 1


def test_a_state_of_another_kind_or_past_is_not_used() -> None:
    """A state goes on only where it fits the course; garbage never does."""
    for kind in KINDS:
        account = Account(course(kind, grant("g", 10)))
        account.admit_use(Use("u", 10, 3))
        state = account.dump()
        assert Account.load(course(kind, grant("g", 10)), state) is not None
        assert Account.load(course(kind, grant("g", 10)), state[:-2]) is None
        others = [one for one in KINDS if one != kind]
        assert [one for one in others if Account.load(course(one, grant("g", 10)), state)] == [
            one for one in others if {one, kind} <= {"latest", "max", "unique"}
        ]
        # What rolls, and a level that was told, are the same whatever periods there are.
        fits = Account.load(course(kind, grant("g", 10), resets=(5,), emptied=()), state) is not None
        assert fits == (kind in ("rolling", "latest"))


def test_balance_numbers_agree() -> None:
    """``granted - used == remaining``, over periods, lasting grants, overage and what is carried."""
    line = grant("line", 10, marks=(Mark(20, "renew", 10, Rollover(0, 5)), Mark(30, "step", 4)))
    account = Account(course("plain", line, grant("gift", 7), resets=(20,), carry=True, next_reset=40))
    account.admit_use(Use("a", 1, 14))
    told = account.standing(19)
    assert (told.used, told.granted, told.remaining, told.lefts) == (14, 17, 3, {"line": 0, "gift": 3})
    told = account.standing(20)
    assert (told.used, told.granted, told.remaining, told.resets_at) == (0, 13, 13, 40)
    account.admit_use(Use("b", 21, 15))
    told = account.standing(22)
    assert (told.used, told.granted, told.remaining, told.overage) == (15, 13, -2, 2)
    assert account.room(22).remaining == 0


def test_an_unlimited_amount_stays_unlimited_and_within_64_bits() -> None:
    """However many of them there are and however much was used."""
    account = Account(course("plain", *(grant(f"g{number}", 2**70) for number in range(5))))
    account.admit_use(Use("a", 1, 10**15))
    told = account.standing(2)
    assert UNLIMITED <= told.remaining <= told.granted < 2**63
    assert Account.load(account.course, account.dump()) is not None


@pytest.mark.parametrize(
    ("bound", "spend", "overage_left", "spend_left"),
    [
        (Bound(BEGINNING), None, 0, None),
        (Bound(BEGINNING, "warn"), None, None, None),
        (Bound(BEGINNING, "overage"), 9, None, 4),
        (Bound(BEGINNING, "overage", 7), 3, 2, 0),
    ],
)
def test_room_beyond_what_there_is(
    bound: Bound, spend: int | None, overage_left: int | None, spend_left: int | None
) -> None:
    """5 were used beyond: what is left beyond is what the overage limit and the spend limit leave of theirs."""
    account = Account(course("plain", grant("g", 10), bounds=(bound,), spend_limits=((0, spend),)))
    account.admit_use(Use("a", 1, 15))
    assert account.room(2) == (0, 10, 15, 5, overage_left, spend_left)


def test_bounds_change_with_time() -> None:
    """What holds at the limit is what is in force at the instant asked about."""
    bounds = (Bound(BEGINNING), Bound(10, "overage", 7), Bound(20, "warn"))
    account = Account(course("plain", grant("g", 10), bounds=bounds, spend_limits=((15, 4), (18, None))))
    found = [account.room(at)[4:] for at in (9, 10, 15, 18, 20)]
    assert found == [(0, None), (7, None), (7, 4), (7, None), (None, None)]


@pytest.mark.parametrize("kind", ["plain", "session", "rolling"])
def test_thresholds_are_crossed_once_a_period(kind: Kind) -> None:
    """Several at once are told at once; a refund and more use tell nothing again; another period does."""
    line = grant("g", 100, marks=(Mark(30, "renew", 100),))
    account = Account(course(kind, line, resets=(30,), thresholds=(50, 80, 100)))
    drawn = account.admit_use(Use("a", 20, 49))
    assert account.crossings() == ()
    account.admit_use(Use("b", 21, 31))
    assert account.crossings() == (50, 80)
    assert account.crossings() == ()
    account.refund(Refund(id="r", effective=22, use="a", amount=49), drawn, 20)
    account.admit_use(Use("c", 23, 60))
    assert account.crossings() == ()
    loaded = Account.load(account.course, account.dump())
    assert loaded is not None
    loaded.admit_use(Use("d", 24, 9))
    assert loaded.crossings() == (100,)
    assert loaded.standing(24).crossed == (50, 80, 100)
    loaded.admit_use(Use("e", 35, 55))
    assert loaded.crossings() == (50,)


def test_what_is_put_on_a_balance_arms_thresholds_again() -> None:
    """A gift brings the use below 80 % again, and crossing it is told again; 50 % was never left."""
    account = Account(course("plain", grant("g", 100), grant("gift", 50, 10), thresholds=(50, 80)))
    account.admit_use(Use("a", 1, 85))
    assert account.crossings() == (50, 80)
    account.admit_use(Use("b", 11, 1))
    assert account.crossings() == ()
    account.admit_use(Use("c", 12, 40))
    assert account.crossings() == (80,)


def test_a_gauge_crosses_a_threshold_by_its_level() -> None:
    """The level counts, also where it falls and rises again within the period: told once."""
    account = Account(course("latest", grant("g", 10), resets=(30,), thresholds=(80,)))
    told = []
    for number, (at, level) in enumerate([(1, 7), (2, 8), (3, 2), (4, 9), (31, 9)]):
        account.admit_use(Use(f"u{number}", at, level))
        told.append(account.crossings())
    assert told == [(), (80,), (), (), (80,)]


def test_thresholds_of_nothing_or_no_limit_are_never_crossed() -> None:
    """There is no part of nothing, and none of an unlimited amount."""
    for amount in (0, 2**70):
        account = Account(course("plain", grant("g", amount), thresholds=(1,)))
        account.admit_use(Use("a", 1, 10**12))
        assert account.crossings() == ()


def test_totals_of_rated_use() -> None:
    """They add up by name; what is given back is taken off; a state keeps them."""
    account = Account(course("plain", grant("g", 100)))
    drawn = account.admit_use(Use("a", 1, 5, (("tokens@0.01", 420), ("", 5))))
    account.admit_use(Use("b", 2, 1, (("tokens@0.01", 10),)))
    back = Refund(id="r", effective=3, use="a", amount=2, rated=(("tokens@0.01", 200), ("", 2)))
    assert account.refund(back, drawn, 1) == (Draw("g", 0, 3),)
    loaded = Account.load(account.course, account.dump())
    assert loaded is not None
    assert loaded.totals == {"tokens@0.01": 230, "": 3}


def test_a_late_fact_that_is_refused_leaves_no_trace() -> None:
    """Where an account raises Late, neither numbers nor totals nor thresholds have moved."""
    account = Account(course("plain", grant("a", 5, priority=0), grant("b", 100), thresholds=(50,)))
    account.admit_use(Use("u", 10, 8))
    before = account.dump()
    with pytest.raises(Late) as late:
        account.admit_use(Use("v", 9, 90, (("m@1", 1),)))
    assert late.value.at == 9
    assert account.dump() == before
    assert account.crossings() == ()


def test_so_many_different_values_are_counted_and_no_more() -> None:
    """A state keeps a bounded number of values, in any order; the next period begins anew, known values go on."""
    account = Account(course("unique", grant("g", UNLIMITED), resets=(30,)))
    for number in range(MAX_VALUES + 5):
        account.admit_use(Use(f"u{number:06}", 1, 1, (), str(number)))
    assert account.standing(2).used == MAX_VALUES
    assert len(account.dump()) < 9 * MAX_VALUES
    assert not account.counts("7", 2)
    account.admit_use(Use("v", 31, 1, (), "7"))
    assert account.standing(31).used == 1
    assert len(account.dump()) < 1_000
