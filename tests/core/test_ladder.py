"""Missed payments against a diary kept hour by hour: any facts, in any order of arrival, end in the same standings."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import permutations
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.instant import to_datetime, to_instant
from licet.core.ladder import dunning_of
from licet.core.orders import OrderDocument, PaymentNotice, Placement
from licet.core.placement import place_order, record_payments
from licet.core.standing import standing_at
from licet.core.terms import PaymentFact, Subscription, Terms
from licet.core.timeline import read_timeline
from licet.core.trail import moves_of
from tests.core.ladder_reference import HOUR, Course, Entry, Said, Step, keep_diary
from tests.core.worlds import COMPILED
from tests.dose import dose

BASES: Final = (datetime(2026, 3, 26, tzinfo=UTC), datetime(2026, 10, 22, tzinfo=UTC))
"""Shortly before clocks change in Berlin, forward and back."""
HORIZON: Final = timedelta(days=48)
CARD: Final = (
    Step(0, 0, "warn"),
    Step(3, 0, "restrict", frozenset({"ai", "sso"})),
    Step(6, 0, "restrict", frozenset({"export"})),
    Step(9, 0, "suspend"),
    Step(20, 0, "end"),
)
HARD: Final = (Step(0, 36, "suspend"), Step(5, 0, "end"))
PLANS: Final = {
    "card": {"kind": "plan", "id": "team", "version": "2026-01"},
    "hard": {"kind": "plan", "id": "team", "version": "2026-04"},
    "business": {"kind": "plan", "id": "business", "version": "2026-01"},
    "free": {"kind": "plan", "id": "free", "version": "2026-01"},
    "freer": {"kind": "plan", "id": "free", "version": "2026-04"},
}
MOVED: Final = (("card", "hard"), ("hard", "card"), ("free", "freer"), ("freer", "free"))
"""Which plan may be moved to which: another version of the same."""
LADDERS: Final = {"card": CARD, "business": CARD, "hard": HARD}
FALLS_TO: Final = {"card": "free"}
NAMED: Final = {"card": CARD, "hard": HARD}
COHORTS: Final = {"strict": "hard", "partners": None, "kept": "card"}
REFERENCES: Final = {"source": "shop", "external_id": "s1", "customer": {"external_id": "cus_1"}}


@st.composite
def courses(draw: st.DrawFn, *, plain: bool = False) -> Course:
    """A subscription with up to nine facts about three invoices; ``plain``: without phases, trials, pauses and ends."""
    base = draw(st.sampled_from(BASES))
    hours = st.integers(0, 24 * 30).map(lambda hour: base + hour * HOUR) | st.integers(0, 30).map(
        lambda day: base + timedelta(days=day)
    )
    invoices = st.sampled_from(["in_1", "in_2", "in_3"])
    kinds = st.sampled_from(["failed", "failed", "failed", "disputed", "uncollectible", "paid", "voided"])
    facts = st.builds(Said, hours, kinds, invoices, st.none()) | st.builds(
        Said, hours, st.just("due"), invoices, st.none() | hours
    )
    said = tuple(draw(st.lists(facts, min_size=1, max_size=9)))
    if plain:
        return Course(((base, draw(st.sampled_from(["card", "hard"]))),), LADDERS, FALLS_TO, said)
    starts = sorted(draw(st.lists(hours, min_size=1, max_size=3, unique=True)))
    phases = tuple((start, draw(st.sampled_from(sorted(PLANS)))) for start in starts)
    spans = st.tuples(hours, st.none() | hours | hours)
    pauses = draw(st.lists(spans, max_size=2))
    choices = draw(
        st.lists(st.tuples(spans, st.sampled_from([None, *NAMED])), max_size=2, unique_by=lambda one: one[0][0])
    )
    plans = st.sampled_from(sorted(PLANS))
    return Course(
        phases,
        LADDERS,
        FALLS_TO,
        said,
        draw(st.none() | hours),
        draw(st.sampled_from(["convert", "fall", "pause", "end"])),
        tuple((start, end) for start, end in pauses if end is None or start < end),
        draw(st.none() | st.none() | hours),
        tuple(
            sorted(
                draw(
                    st.lists(
                        st.tuples(hours | st.sampled_from(starts), plans), max_size=2, unique_by=lambda one: one[0]
                    )
                )
            )
        ),
        draw(st.none() | st.none() | st.none() | hours),
        tuple(draw(st.lists(st.tuples(hours, hours), max_size=2))),
        tuple(draw(st.lists(spans, max_size=3))),
        tuple(choices),
        tuple(draw(st.lists(st.tuples(spans, st.sampled_from(sorted(COHORTS))), max_size=2))),
        COHORTS,
        NAMED,
        draw(relocations(spans)),
    )


def relocations(spans: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """Up to three moves, no two of which begin at once."""
    found = st.lists(st.tuples(spans, st.sampled_from(MOVED)), max_size=3, unique_by=lambda one: one[0][0])
    return found.map(lambda some: tuple((span, was, becomes) for span, (was, becomes) in some))


def fact_of(said: Said) -> dict[str, Any]:
    """A fact as documents write it."""
    return {"kind": said.kind, "at": said.at, "invoice": said.invoice, "stated_at": said.stated}


def terms_of(course: Course, zone: str) -> Terms:
    """The same course as the terms of a customer of the small vendor."""
    leniencies = [("promise", span) for span in course.promises] + [("pause", span) for span in course.stills]
    document = {
        "customer": "acme",
        "subscriptions": [msgspec.to_builtins(subscription_of(course, zone))],
        "leniencies": [
            {"id": f"len_{number}", "kind": kind, "subscription": "sub_1", "starts_at": start, "ends_at": end}
            for number, (kind, (start, end)) in enumerate(leniencies)
        ],
        "ladders": [{"ladder": name, "starts_at": start, "ends_at": end} for (start, end), name in course.choices],
        "cohorts": [{"cohort": name, "starts_at": start, "ends_at": end} for (start, end), name in course.cohorts],
        "moves": [
            {
                "id": f"mov_{number}",
                "subscription": "sub_1",
                "item": PLANS[was]["id"],
                "from_version": PLANS[was]["version"],
                "to_version": PLANS[becomes]["version"],
                "starts_at": start,
                "ends_at": end,
            }
            for number, ((start, end), was, becomes) in enumerate(course.moves)
        ],
    }
    return msgspec.convert(document, Terms)


def subscription_of(course: Course, zone: str) -> Subscription:
    """The same course as a subscription of the small vendor."""
    document = {
        "schedule": {
            "phases": [{"starts_at": start, "items": [PLANS[plan]]} for start, plan in course.planned],
            "ends_at": course.planned_end,
            "occurred_at": course.phases[0][0],
        },
        "id": "sub_1",
        "phases": [{"starts_at": start, "items": [PLANS[plan]]} for start, plan in course.phases],
        "trial_end": course.trial_end,
        "trial_end_behavior": course.behavior,
        "pauses": [{"starts_at": start, "ends_at": end} for start, end in course.pauses],
        "ends_at": course.ends_at,
        "payments": [fact_of(fact) for fact in course.facts],
        "zone": zone,
    }
    return msgspec.convert(document, Subscription)


def diary(course: Course, zone: tzinfo) -> list[Entry]:
    """The reference from a day before everything to the horizon."""
    base = max(one for one in BASES if one <= course.phases[0][0])
    return keep_diary(course, zone, base - timedelta(days=1), base + HORIZON)


def entries_of(terms: Terms, zone: tzinfo, start: datetime, end: datetime) -> list[Entry]:
    """What the rules say from ``start`` to ``end``, as the diary writes it."""
    found: list[Entry] = []
    (subscription,) = terms.subscriptions
    dunning, moves = dunning_of(terms, subscription.id), moves_of(terms, subscription.id)
    for segment in read_timeline(subscription, COMPILED, zone, dunning, moves):
        if segment.end <= to_instant(start) or segment.start >= to_instant(end):
            continue
        entry = Entry(
            max(start, to_datetime(segment.start)) if segment.start > to_instant(start) else start,
            segment.state.kind,
            frozenset(segment.state.restricted),
        )
        if not found or found[-1][1:] != entry[1:]:
            found.append(entry)
    return found


def placed(facts: Sequence[Said], start: datetime, plan: dict[str, str], turn: int = 0) -> Terms:
    """The terms after these notices in this order, the subscription itself arriving after ``turn`` of them."""
    line = {"plan": plan["id"], "version": plan["version"]}
    order = msgspec.convert({**REFERENCES, "occurred_at": start, "lines": [line], "zone": "UTC"}, OrderDocument)
    terms = Terms(customer="acme")
    for number, said in enumerate(facts):
        if number == turn:
            terms = place_order(COMPILED, terms, order, subscription_id="sub_1").terms
        terms = notify(terms, said).terms
    if turn >= len(facts):
        terms = place_order(COMPILED, terms, order, subscription_id="sub_1").terms
    return terms


def notify(terms: Terms, said: Said) -> Placement:
    """Record one fact."""
    notice = msgspec.convert({**REFERENCES, "payments": [fact_of(said)]}, PaymentNotice)
    return record_payments(COMPILED, terms, notice)


@settings(max_examples=dose(200, full=10000), deadline=None)
@given(courses(), st.sampled_from(["UTC", "Europe/Berlin"]))
def test_every_hour_stands_as_the_diary_says(course: Course, zone_name: str) -> None:
    """Facts, phases, schedules, trials, pauses, promises, chosen ladders: each change at the diary's hour, no other."""
    zone = ZoneInfo(zone_name)
    wanted = diary(course, zone)
    base = max(one for one in BASES if one <= course.phases[0][0])
    found = entries_of(terms_of(course, zone_name), zone, base - timedelta(days=1), base + HORIZON)
    assert found == wanted


@settings(max_examples=dose(100, full=4000), deadline=None)
@given(courses(plain=True), st.randoms(use_true_random=False), st.integers(0, 12))
def test_arrival_means_nothing(course: Course, random: Any, turn: int) -> None:
    """Facts in any order, some twice, before or after their subscription: the same terms, and those of the diary."""
    (start, plan) = course.phases[0]
    truth = placed(sorted(course.facts, key=lambda one: (one.at, one.kind, one.invoice)), start, PLANS[plan])
    arrivals = [*course.facts, *random.sample(course.facts, len(course.facts) // 2)]
    random.shuffle(arrivals)
    assert placed(arrivals, start, PLANS[plan], turn) == truth
    found = entries_of(truth, UTC, start - timedelta(days=1), start + HORIZON)
    assert found == diary(course, UTC)


@settings(max_examples=dose(150, full=8000), deadline=None)
@given(courses(plain=True))
def test_an_end_is_final_and_a_payment_restores_at_its_instant(course: Course) -> None:
    """After an end no later fact changes anything; else settling all that is owed restores at that microsecond."""
    one = subscription_of(course, "UTC")
    base = course.phases[0][0]
    last = to_instant(base + HORIZON)
    ended = standing_at(one, COMPILED, last - 1, UTC)
    settling = [
        Said(base + HORIZON, kind, invoice)
        for kind, invoice in zip(("paid", "voided", "paid"), ("in_1", "in_2", "in_3"), strict=True)
    ]
    settled = subscription_of(course._replace(facts=(*course.facts, *settling)), "UTC")
    after = standing_at(settled, COMPILED, last, UTC)
    if ended.kind == "ended":
        assert after == ended
        return
    assert after.kind == "active"
    if ended.kind != "active":
        assert after.since == last
        before = standing_at(settled, COMPILED, last - 1, UTC)
        assert (before.kind, before.until) == (ended.kind, last)


def test_a_payment_at_the_very_end_still_counts() -> None:
    """Paid at the instant of the end: half-open, so it never ended; a microsecond later it has, for good."""
    base = BASES[0]
    failed = Said(base, "failed", "in_1")
    for late, kind in ((timedelta(0), "active"), (timedelta(microseconds=1), "ended")):
        paid = Said(base + timedelta(days=20) + late, "paid", "in_1")
        one = subscription_of(Course(((base, "card"),), LADDERS, FALLS_TO, (failed, paid)), "UTC")
        assert standing_at(one, COMPILED, to_instant(base + timedelta(days=30)), UTC).kind == kind


def test_a_payment_after_the_end_is_told_whichever_fact_comes_last() -> None:
    """The failure and the payment that came too late may arrive either way round: one of them brings the finding."""
    base = BASES[0]
    facts = (
        Said(base, "failed", "in_1"),
        Said(base + timedelta(days=2), "failed", "in_2"),
        Said(base + timedelta(days=30), "paid", "in_1"),
    )
    for order in permutations(facts):
        terms, told = placed((), base, PLANS["card"]), set()
        for said in order:
            placement = notify(terms, said)
            terms = placement.terms
            told |= {(finding.kind, finding.subject) for finding in placement.findings}
        assert told == {("paid_after_end", "shop:s1/in_1")}, [said.kind for said in order]
        assert notify(terms, facts[2]).findings == ()
    assert PaymentFact(kind="paid", at=facts[2].at, invoice="in_1") in terms.subscriptions[0].payments
