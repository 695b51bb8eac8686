"""Statements: their rows add up from one end to the other, on every course, from any checkpoint."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.instant import DAY, HOUR, Instant
from licet.core.terms import Terms
from licet.core.usage.account import Account
from licet.core.usage.balance import Fact, Mark, Refund, Rollover, Use, in_order
from licet.core.usage.course import Course
from licet.core.usage.facts import FundingDoc
from licet.core.usage.statement import Row, Trace
from tests.core.usage.courses import laid
from tests.core.usage.test_account import END, KINDS, Kind, course, grant, random_facts
from tests.core.usage.test_course_laws import FEATURES, FIRST, instants, worlds
from tests.core.usage.test_recalled import since_checkpoint
from tests.dose import dose


def remaining(one: Course, facts: Sequence[Fact], now: Instant) -> int:
    """What remains at an instant, folded apart."""
    uses = {fact.id: fact.effective for fact in facts if isinstance(fact, Use)}
    account = Account(one)
    account.replay([fact for fact in facts if max(fact.effective, uses[getattr(fact, "use", "") or fact.id]) <= now])
    return account.standing(now).remaining


def told(trace: Trace, since: Instant, until: Instant) -> list[Row]:
    """The rows of ``[since, until)``."""
    for _ in trace.until(since):
        pass
    return list(trace.rows(until))


def check_sums(one: Course, facts: Sequence[Fact], since: Instant, until: Instant) -> list[Row]:
    """Rows ascend, and add up from what remained before them to what remains after them, also row by row."""
    trace = Trace(one, facts)
    rows = told(trace, since, until)
    places = [(row.at, row.rank, row.place) for row in rows]
    assert places == sorted(places)
    assert all(since <= row.at < until for row in rows)
    opening = remaining(one, facts, since - 1)
    for row in rows:
        opening += row.change
        assert row.remaining == opening
    assert opening == remaining(one, facts, until - 1) == trace.standing().remaining
    for row in rows:
        if row.fact is None and row.grant:
            assert row.change == row.after - row.before
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_rows_add_up(kind: Kind) -> None:
    """Whatever is used and given back, and whatever time brings: rows add up between any two instants."""
    for seed in range(dose(60, full=5_000)):
        rng = random.Random(f"statement {kind} {seed}")
        resets = tuple(sorted(rng.sample(range(1, END), rng.randint(0, 4))))
        marks = tuple(Mark(at, rng.choice(("renew", "fresh", "step")), rng.randint(0, 40)) for at in resets)
        lines = [
            grant("a", 30, marks=marks, rollover=Rollover(rng.randint(0, 3), rng.randint(0, 9))),
            grant("b", 25, 5, expires=40, voided=rng.choice((20, 2**60))),
        ]
        one = course(kind, *lines, length=rng.randint(1, 30), resets=resets, carry=rng.random() < 0.3)
        facts = random_facts(rng)
        if kind in ("latest", "max", "unique"):
            facts = [fact for fact in facts if isinstance(fact, Use)]
        since = rng.randint(0, END)
        check_sums(one, facts, since, rng.randint(since, END + 10))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_the_same_from_a_checkpoint(kind: Kind) -> None:
    """Who goes on from a checkpoint of before tells the same rows."""
    met = 0
    for seed in range(dose(40, full=2_000)):
        rng = random.Random(f"statement base {kind} {seed}")
        resets = tuple(sorted(rng.sample(range(1, END), 2)))
        one = course(kind, grant("a", 40, marks=tuple(Mark(at, "renew", 40) for at in resets)), resets=resets)
        facts = [fact for _, fact in in_order(random_facts(rng))]
        if kind in ("latest", "max", "unique"):
            facts = [fact for fact in facts if isinstance(fact, Use)]
        account = Account(one)
        cut = rng.randint(1, len(facts))
        while cut < len(facts) and facts[cut].effective == facts[cut - 1].effective:
            cut += 1
        account.replay(
            [fact for fact in facts[:cut] if isinstance(fact, Use) or fact.use in {f.id for f in facts[:cut]}]
        )
        found = since_checkpoint(one, facts, account)
        if found is None:
            continue
        met += 1
        later, base = found
        since = account.newest + 1
        assert told(Trace(one, later, base), since, END + 5) == told(Trace(one, facts), since, END + 5)
    assert met


@settings(max_examples=dose(60, full=3000), deadline=None)
@given(
    world=worlds(),
    feature=st.sampled_from((*FEATURES, "hourly", "disk")),
    hours=st.lists(st.tuples(st.integers(0, 800 * 24), st.integers(1, 400), st.booleans()), max_size=12),
    ends=st.tuples(instants, instants),
)
def test_rows_add_up_on_real_courses(
    world: tuple[Terms, list[FundingDoc]],
    feature: str,
    hours: list[tuple[int, int, bool]],
    ends: tuple[Instant, Instant],
) -> None:
    """Trials, plan changes, releases, resets, voids: rows add up on every course that terms and funding lay."""
    terms, docs = world
    since, until = sorted(ends)
    one = laid(terms, feature, until + DAY, *docs)
    uses = [Use(f"u{number:02}", FIRST + hour * HOUR, amount) for number, (hour, amount, _) in enumerate(hours)]
    backs = [
        Refund(id=f"r{number:02}", effective=use.effective + 3 * DAY, use=use.id, amount=use.amount // 2)
        for number, (use, (_, _, back)) in enumerate(zip(uses, hours, strict=True))
        if back and feature != "disk"
    ]
    facts: list[Fact] = [*uses, *backs]
    check_sums(one, [fact for fact in facts if fact.effective < until + DAY], since, until)


def test_a_refund_to_what_is_over_changes_nothing() -> None:
    """What goes back to a grant that was voided is a row that did nothing; the void says what was lost."""
    one = course("plain", grant("a", 40, voided=30))
    facts: list[Fact] = [Use("u", 10, 15), Refund(id="r", effective=35, use="u", amount=15)]
    rows = check_sums(one, facts, 0, END)
    assert [(row.at, row.kind, row.change, row.remaining) for row in rows] == [
        (0, "begins", 40, 40),
        (10, "use", -15, 25),
        (30, "ends", -25, 0),
        (35, "refund", 0, 0),
    ]


def test_what_leaves_a_window_is_one_row() -> None:
    """Between two uses all that left the rolling window is one row, at the newest of its instants; a session ends."""
    facts: list[Fact] = [Use("u1", 1, 3), Use("u2", 4, 2), Use("u3", 20, 1)]
    rows = check_sums(course("rolling", grant("a", 9), length=10), facts, 0, 40)
    assert [(row.at, row.kind, row.change) for row in rows] == [
        (0, "begins", 9),
        (1, "use", -3),
        (4, "use", -2),
        (14, "window", 5),
        (20, "use", -1),
        (30, "window", 1),
    ]
    rows = check_sums(course("session", grant("a", 9), length=10), facts, 0, 40)
    assert [(row.at, row.kind, row.change) for row in rows][1:] == [
        (1, "use", -3),
        (4, "use", -2),
        (11, "window", 5),
        (20, "use", -1),
        (30, "window", 1),
    ]
