"""Whatever is asked in whatever order: admission is exact, whole, and what its facts fold to."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import pairwise
from math import ceil
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.case import Ask
from licet.core.compiled import UNBOUNDED
from licet.core.decision import decide
from licet.core.instant import BEGINNING
from licet.core.usage.account import Account
from licet.core.usage.admit import Admitted, Batch, Refold, Report, Step, admit
from licet.core.usage.balance import Grant
from licet.core.usage.course import Bound, Course
from licet.core.usage.effects import effects
from licet.core.usage.facts import AccountKey, Fact, Request, Reservation
from licet.core.usage.recalled import Recalled
from tests.core.usage.till import METERING, MINUTE, NOW, Shop, closing, fresh, want
from tests.dose import dose

FEATURES = ("calls", "drafts", "ai", "paid", "soft", "watched", "people")
RATE = Fraction("0.0004") * 100
KINDS = ("consume", "consume", "partial", "both", "reserve", "settle", "release", "report", "consume")


class Deed(NamedTuple):
    """Something done: what, of which feature, how much, and whose turn it is to end."""

    kind: str
    feature: str
    quantity: int
    turn: int


DEEDS = st.lists(
    st.builds(Deed, st.sampled_from(KINDS), st.sampled_from(FEATURES), st.integers(1, 60_000), st.integers(0, 50)),
    max_size=25,
)
AMOUNTS = st.fixed_dictionaries({name: st.sampled_from([0, 7, 500, 20_000, UNBOUNDED]) for name in FEATURES})


class Desk:
    """A customer with accounts of two grants each, of which the smaller one ends within the hour."""

    def __init__(self, amounts: Mapping[str, int], bounds: Mapping[str, Bound] | None = None) -> None:
        self.reaches = Shop().reaches
        self.amounts = amounts
        self.bounds = bounds or {"paid": Bound(BEGINNING, "overage", 50), "soft": Bound(BEGINNING, "warn", None)}
        self.accounts: dict[AccountKey, Account | Recalled] = {}
        self.reservations: dict[str, Reservation] = {}
        self.facts: list[Fact] = []
        self.now = NOW

    def course(self, key: AccountKey) -> Course:
        """What an account is given."""
        amount = self.amounts[key.feature]
        some = 0 if amount == UNBOUNDED else amount // 3
        opens = NOW - MINUTE
        grants = (
            Grant(id="a", effective=opens, amount=some, expires=NOW + 60 * MINUTE),
            Grant(id="b", effective=opens, amount=amount - some),
        )
        return Course(
            key=key,
            zone=ZoneInfo("Europe/Berlin"),
            grants=grants,
            opens=opens,
            gauge="unique" if key.feature == "people" else None,
            bounds=(self.bounds.get(key.feature, Bound(BEGINNING)),),
            thresholds=(80, 95),
        )

    def account(self, key: AccountKey) -> Account | Recalled:
        """One account, made when it is first asked for."""
        if key not in self.accounts:
            self.accounts[key] = Account(self.course(key))
        return self.accounts[key]

    def recalled(self, key: AccountKey) -> Recalled:
        """An account folded anew from what was recorded."""
        meter = METERING.meter_of.get(key.feature)
        facts = [one for one in self.facts if key.feature in one.burns]
        return Recalled(self.course(key), effects(facts, key, self.now + 60 * MINUTE, meter, noted=True))

    def admit(self, *steps: Step) -> Admitted:
        """Decide a batch, and keep what came of it."""
        due = [one for one in self.reservations.values() if one.closed is None and (one.fact.until or 0) <= self.now]
        batch = Batch(steps=steps, reservations=self.reservations, due=due)
        try:
            told = admit(self.reaches, self.account, batch, self.now, lambda _: ())
        except Refold as again:
            # Those that the batch met first only now begin empty: each may be the next to be folded anew.
            self.accounts = {key: self.recalled(key) for key in {*self.accounts, *again.keys}}
            return self.admit(*steps)
        for fact, ended in told.released:
            self.facts.append(fact)
            self.reservations[ended.fact.id] = ended
        for outcome in told.outcomes:
            if outcome.fact is not None:
                self.facts.append(outcome.fact)
            if outcome.reservation is not None:
                self.reservations[outcome.reservation.fact.id] = outcome.reservation
        return told

    def step(self, deed: Deed) -> Step:
        """A deed as a step."""
        if deed.kind in ("settle", "release") and self.reservations:
            made = list(self.reservations.values())[deed.turn % len(self.reservations)]
            used = dict.fromkeys(made.fact.asked, deed.quantity % 700) if deed.kind == "settle" else None
            return closing(made.fact.id, used)
        if deed.kind == "report":
            return Report(fact=_reported(deed, self.now))
        return _asked(deed, self.now)

    def numbers(self) -> dict[AccountKey, object]:
        """How everything stands, without accounts of which nothing was ever taken."""
        found = {key: (one.standing(max(self.now, one.newest)), dict(one.totals)) for key, one in self.accounts.items()}
        return {
            key: (numbers, totals) for key, (numbers, totals) in found.items() if numbers.used or any(totals.values())
        }


def _reported(deed: Deed, now: int) -> Fact:
    meter = "tokens" if deed.feature == "ai" else METERING.meter_of[deed.feature]
    values = {"people": f"u{deed.turn}"} if meter == "people" else {}
    metered = {meter: 1 if values else deed.quantity}
    if deed.turn % 2:
        # An event that two meters count.
        metered["tokens"] = deed.quantity
    return Fact(id=fresh(), kind="report", effective=now, customer="acme", metered=metered, values=values)


def _asked(deed: Deed, now: int) -> Request:
    if deed.feature == "people":
        return want("people", 1, user=f"u{deed.turn}")
    kind = "reserve" if deed.kind == "reserve" else "consume"
    also = [("ai", 3)] if deed.kind == "both" and deed.feature != "ai" else []
    until = now + (1 + deed.turn % 30) * MINUTE if kind == "reserve" else None
    return want(deed.feature, deed.quantity, *also, kind=kind, partial=deed.kind == "partial", until=until)


def _done(amounts: Mapping[str, int], deeds: list[Deed], each: Callable[[Desk, Step], None]) -> Desk:
    """All deeds, one by one, a minute apart now and then."""
    desk = Desk(amounts)
    for deed in deeds:
        desk.now += MINUTE * (deed.turn % 5)
        each(desk, desk.step(deed))
    return desk


@settings(max_examples=dose(150), deadline=None)
@given(AMOUNTS, DEEDS)
def test_a_refused_request_leaves_no_trace(amounts: Mapping[str, int], deeds: list[Deed]) -> None:
    """After a refusal or an error every balance, total and threshold stands as before."""

    def each(desk: Desk, step: Step) -> None:
        desk.admit()
        before, recorded = desk.numbers(), len(desk.facts)
        told = desk.admit(step)
        assert all(not decision.allowed for decision in told.outcomes[0].refusals)
        if not told.outcomes[0].accepted:
            assert len(desk.facts) == recorded
            assert told.changed == []
            after = desk.numbers()
            assert {key: after[key] for key in before} == before
            assert after.keys() == before.keys()

    _done(amounts, deeds, each)


@settings(max_examples=dose(100), deadline=None)
@given(AMOUNTS, DEEDS)
def test_a_consume_is_answered_as_its_check(amounts: Mapping[str, int], deeds: list[Deed]) -> None:
    """What a check of the counted balance says just before is what a consume of the same quantity comes to."""

    def each(desk: Desk, step: Step) -> None:
        alone = isinstance(step, Request) and len(step.wants) == 1 and step.wants[0].feature not in ("drafts", "people")
        if not isinstance(step, Request) or not alone or step.partial:
            desk.admit(step)
            return
        desk.admit()
        name, quantity = step.wants[0]
        account = desk.account(AccountKey("acme", name))
        room = account.room(max(desk.now, account.newest + 1))
        most, spend = (None if left is None else room.overage + left for left in (room.overage_left, room.spend_left))
        ask = Ask(None, None, quantity, room.used, min(room.granted, UNBOUNDED), most, spend)
        check = decide(desk.reaches.of("acme", name, desk.now).touches[0].verdict.case, ask)
        told = desk.admit(step).outcomes[0]
        assert (told.accepted, told.reason, told.would_deny) == (check.allowed, check.reason, check.would_deny)

    _done(amounts, deeds, each)


@settings(max_examples=dose(150), deadline=None)
@given(AMOUNTS, DEEDS)
def test_facts_fold_to_what_was_decided(amounts: Mapping[str, int], deeds: list[Deed]) -> None:
    """The recorded facts alone, folded anew by their order, stand as the accounts that decided."""
    desk = _done(amounts, deeds, lambda desk, step: (desk.admit(step), None)[1])
    desk.admit()
    for key, account in desk.accounts.items():
        anew = Account(desk.course(key))
        meter = METERING.meter_of.get(key.feature)
        at = max(desk.now, account.newest)
        anew.replay(effects([one for one in desk.facts if key.feature in one.burns], key, at, meter))
        mine, told = account.standing(at), anew.standing(at)
        assert (told.used, told.granted, told.remaining, told.lefts) == (
            mine.used,
            mine.granted,
            mine.remaining,
            mine.lefts,
        )
        assert {name: part for name, part in anew.totals.items() if part} == {
            name: part for name, part in account.totals.items() if part
        }


@settings(max_examples=dose(100), deadline=None)
@given(AMOUNTS, DEEDS, st.lists(st.integers(0, 25), max_size=4))
def test_any_split_of_a_batch_is_the_same(amounts: Mapping[str, int], deeds: list[Deed], cuts: list[int]) -> None:
    """One batch and any split of it into batches at the same instant have the same outcomes and facts."""
    whole, parts = Desk(amounts), Desk(amounts)
    steps = [whole.step(deed) for deed in deeds if deed.kind not in ("settle", "release")]
    held = [step.id for step in steps if isinstance(step, Request) and step.kind == "reserve"]
    steps += [closing(name, {step.wants[0].feature: 3}) for name in held for step in steps if step_id(step) == name]  # type: ignore[union-attr]
    together = whole.admit(*steps).outcomes
    bounds = [0, *sorted(cut % (len(steps) + 1) for cut in cuts), len(steps)]
    apart = [outcome for start, end in pairwise(bounds) for outcome in parts.admit(*steps[start:end]).outcomes]
    assert [(one.accepted, one.reason, one.error, one.fact, one.takes) for one in together] == [
        (one.accepted, one.reason, one.error, one.fact, one.takes) for one in apart
    ]
    assert whole.numbers() == parts.numbers()


def step_id(step: Step) -> str:
    """The id of a request; nothing for what is told."""
    return step.id if isinstance(step, Request) else ""


@settings(max_examples=dose(100), deadline=None)
@given(st.integers(0, 2000), st.integers(0, 200), st.lists(st.tuples(st.integers(1, 400), st.booleans()), max_size=40))
def test_a_cap_is_never_passed(amount: int, beyond: int, asked: list[tuple[int, bool]]) -> None:
    """What was admitted never exceeds what was granted and the overage allowed, and nothing that fits is refused."""
    desk = Desk({"paid": amount, "calls": amount}, {"paid": Bound(BEGINNING, "overage", beyond)})
    for feature, most in (("calls", amount), ("paid", amount + beyond)):
        left = most
        for quantity, partial in asked:
            told = desk.admit(want(feature, quantity, partial=partial)).outcomes[0]
            taken = told.takes[0].taken if told.accepted else 0
            assert taken == (min(quantity, left) if partial else quantity if quantity <= left else 0)
            left -= taken
        assert left >= 0


@settings(max_examples=dose(100), deadline=None)
@given(
    pool=st.integers(0, 40),
    limit=st.integers(0, 1200),
    asked=st.lists(st.integers(1, 400), min_size=1, max_size=15),
    held=st.booleans(),
)
def test_a_part_is_the_most_that_fits(pool: int, limit: int, asked: list[int], *, held: bool) -> None:
    """In a pool at a rate ``partial`` never takes more than both bear, and where it takes less not one more fits."""
    desk = Desk({"drafts": limit, "ai": pool})
    kind = "reserve" if held else "consume"
    for quantity in asked:
        told = desk.admit(want("drafts", quantity, kind=kind, partial=True)).outcomes[0]
        taken = told.takes[0].taken if told.accepted else 0
        used = {key.feature: one.room(max(desk.now, one.newest)) for key, one in desk.accounts.items()}
        assert all(room.used <= room.granted for room in used.values())
        if taken < quantity:
            assert not desk.admit(want("drafts", 1, kind=kind)).outcomes[0].accepted
        if told.reservation is not None and taken % 3:
            desk.admit(closing(told.reservation.fact.id, {"drafts": taken // 2}))


@settings(max_examples=dose(100), deadline=None)
@given(st.lists(st.integers(1, 9999), min_size=1, max_size=20))
def test_splitting_costs_the_same(parts: list[int]) -> None:
    """A quantity burns the same credits in one call, in many calls, and as several wants of one call."""
    amounts = {"drafts": 10**6, "ai": 10**6}
    whole, many = Desk(amounts), Desk(amounts)
    whole.admit(want("drafts", sum(parts)))
    many.admit(*(want("drafts", part) for part in parts))
    spent = [desk.account(AccountKey("acme", "ai")).room(desk.now + MINUTE).used for desk in (whole, many)]
    assert spent == [ceil(RATE * sum(parts))] * 2


GRANTED = {"calls": 200_000, "drafts": 10**9, "ai": 10**6}


def test_pairs_of_reserve_and_settle_are_exact() -> None:
    """500 random reservations, settled in random order, come to what a sum of integers says at every step; for rated
    credits what is set aside is rounded up by itself, and what was settled once in all."""
    chance = Random(6)
    desk = Desk(GRANTED)
    calls, settled, open_ones, used = 0, 0, list[str](), dict[str, int]()
    for _ in range(500):
        quantity = chance.randint(1, 999)
        made = desk.admit(want("calls", quantity, ("drafts", quantity * 7), kind="reserve")).outcomes[0]
        if made.reservation is not None:
            open_ones.append(made.reservation.fact.id)
            used[open_ones[-1]] = quantity
            calls += quantity
        while open_ones and chance.random() < 0.6:
            name = open_ones.pop(chance.randrange(len(open_ones)))
            spent = chance.choice([0, chance.randint(0, used[name]), used[name] + chance.randint(0, 50)])
            told = desk.admit(closing(name, {"calls": spent, "drafts": spent * 3})).outcomes[0]
            assert told.accepted
            calls += spent - used[name]
            settled += spent * 3
        aside = [used[name] * 7 for name in open_ones]
        spent_of = {name: desk.account(AccountKey("acme", name)).room(desk.now + MINUTE).used for name in GRANTED}
        assert spent_of["calls"] == calls
        assert spent_of["drafts"] == settled + sum(aside)
        assert spent_of["ai"] == ceil(RATE * settled) + sum(ceil(RATE * one) for one in aside)


def test_all_that_must_be_folded_anew_are_said_at_once() -> None:
    """Reports that come late to many balances name all of these in one go, so that one repetition serves."""
    amounts = dict.fromkeys(FEATURES, 500)
    desk = Desk(amounts)
    early = [_reported(Deed("report", name, 1, 2), NOW) for name in ("calls", "drafts", "soft", "watched")]
    desk.now += 61 * MINUTE
    desk.admit(*(want(name, 1) for name in ("calls", "drafts", "ai", "soft", "watched")))
    batch = Batch(steps=[Report(fact=one) for one in early])
    with pytest.raises(Refold) as said:
        admit(desk.reaches, desk.account, batch, desk.now, lambda _: ())
    assert {key.feature for key in said.value.keys} == {"calls", "drafts", "ai", "soft", "watched"}
    assert all(one.accepted for one in desk.admit(*batch.steps).outcomes)
