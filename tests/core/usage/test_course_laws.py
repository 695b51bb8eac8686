"""What holds for every course: no gaps, the same past for every end, and no unit lost by a change of what is bought."""

from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.instant import DAY, FOREVER, HOUR, Instant, format_instant
from licet.core.terms import Terms
from licet.core.usage.account import Account
from licet.core.usage.balance import Use
from licet.core.usage.course import Course
from licet.core.usage.facts import BalanceReset, FundingDoc, GrantGiven, GrantVoided
from licet.core.usage.period import cycle_of
from tests.core.usage.courses import at, bought, holds, laid
from tests.dose import dose

FIRST = at("2024-01-01")
FEATURES = ("api", "anew", "daily", "weekly", "ai", "once", "burst", "talk", "mine")
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns")
ITEMS = (
    ("team",),
    ("team@2026-03",),
    ("solo",),
    ("team", "+boost"),
    ("team", "+boost*3", "+first"),
    ("solo", "+many", "+first"),
    ("+first",),
)
instants = st.integers(0, 800 * 24).map(lambda hours: FIRST + hours * HOUR)


def stamped(instant: Instant) -> str:
    """Return an instant as documents have it."""
    return format_instant(instant)


@st.composite
def subscriptions(draw: st.DrawFn) -> dict[str, Any]:
    """Return a subscription with plan changes, perhaps a trial, an anchor, a pause and an end."""
    starts = sorted(draw(st.sets(instants, min_size=1, max_size=4)))
    held = {
        "phases": [{"starts_at": stamped(one), "items": bought(*draw(st.sampled_from(ITEMS)))} for one in starts],
        "zone": draw(st.sampled_from(ZONES)),
        "period": draw(st.sampled_from(["P1M", "P1Y", "P10D"])),
    }
    options = {
        "anchor": starts[0] + draw(st.integers(-40, 90)) * DAY,
        "trial_end": starts[0] + draw(st.integers(1, 40)) * DAY,
        "ends_at": starts[0] + draw(st.integers(1, 900)) * DAY,
    }
    held |= {name: stamped(value) for name, value in options.items() if draw(st.booleans())}
    if draw(st.booleans()):
        since = draw(instants)
        held["pauses"] = [{"starts_at": stamped(since), "ends_at": stamped(since + 9 * DAY)}]
    return {**held, "trial_end_behavior": draw(st.sampled_from(["convert", "fall", "end"]))}


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Terms, list[FundingDoc]]:
    """Return terms of up to three subscriptions, an override perhaps, and funding."""
    held = draw(st.lists(subscriptions(), min_size=1, max_size=3))
    since = draw(instants)
    override = {"id": "ovr_1", "feature": "api", "amount": 11, "starts_at": stamped(since)}
    docs: list[FundingDoc] = [
        BalanceReset(at=one, anchor=draw(st.sampled_from(["keep", "move"])))
        for one in draw(st.lists(instants, max_size=2, unique=True))
    ]
    if draw(st.booleans()):
        docs.append(GrantGiven(amount=5, effective=since, every=draw(st.sampled_from([None, "P7D", "P1M"]))))
        docs.append(GrantVoided(grant=f"grt_{len(docs)}", at=since + 33 * DAY))
    return holds(*held, overrides=[override] if draw(st.booleans()) else []), docs


def check_shape(course: Course) -> None:
    """Marks ascend within their grant, resets ascend, and each thing that is whole again has another one ahead."""
    for grant in course.grants:
        ats = [mark.at for mark in grant.marks]
        assert all(one < later for one, later in pairwise([grant.effective, *ats, grant.expires]))
        ahead = [mark.kind for mark in grant.marks if mark.at >= course.until]
        assert len([kind for kind in ahead if kind == "renew"]) <= 1
        assert "step" not in ahead
        assert course.origins[grant.id].id
    assert all(one < later for one, later in pairwise([*course.resets, course.until]))
    assert course.next_reset >= course.until
    assert all(one.at < later.at for one, later in pairwise(course.bounds))


@settings(max_examples=dose(60, full=4000), deadline=None)
@given(world=worlds(), feature=st.sampled_from(FEATURES), ends=st.tuples(instants, instants))
def test_a_course_says_the_same_of_an_instant_for_every_end(
    world: tuple[Terms, list[FundingDoc]], feature: str, ends: tuple[Instant, Instant]
) -> None:
    """The longer course begins with the shorter one, whose next renewals and next reset are among its own."""
    terms, docs = world
    low, high = sorted(ends)
    short, long = (laid(terms, feature, end, *docs) for end in (low, high))
    check_shape(short)
    check_shape(long)
    assert short.resets == tuple(one for one in long.resets if one < low)
    later = [one for one in long.resets if one >= low]
    assert short.next_reset == (later[0] if later else long.next_reset)
    known = {one.id: one for one in long.grants}
    for grant in short.grants:
        twin = known[grant.id]
        assert (grant.effective, grant.amount, grant.expires, grant.voided) == (
            twin.effective,
            twin.amount,
            twin.expires,
            twin.voided,
        )
        assert [mark for mark in grant.marks if mark.at < low] == [mark for mark in twin.marks if mark.at < low]
        whole = [mark for mark in twin.marks if mark.kind != "step" and mark.at >= low]
        ahead = [mark for mark in grant.marks if mark.at >= low]
        assert ahead[:1] == whole[:1]
    assert short.bounds == tuple(one for one in long.bounds if one.at < low)


@settings(max_examples=dose(60, full=3000), deadline=None)
@given(
    start=instants,
    name=st.sampled_from(ZONES),
    feature=st.sampled_from(("api", "daily", "weekly", "hourly")),
    length=st.integers(1, 120 * 24),
)
def test_an_allowance_is_whole_again_with_each_period_and_only_then(
    start: Instant, name: str, feature: str, length: int
) -> None:
    """The renewals of a line and the ends of the balance's periods are the starts of the calendar's periods."""
    terms = holds({"phases": [{"starts_at": stamped(start), "items": bought("team")}], "zone": name})
    per = {"api": "month", "daily": "day", "weekly": "week", "hourly": "hour"}[feature]
    cycle = cycle_of(per, ZoneInfo(name), start)  # type: ignore[arg-type]
    assert cycle is not None
    until = start + length * HOUR
    course = laid(terms, feature, until)
    expected = cycle.starts(start + 1, until)
    assert [mark.at for mark in course.grants[0].marks] == [*expected, cycle.first(until)]
    assert [*course.resets, course.next_reset] == [*expected, cycle.first(until)]


@settings(max_examples=dose(60, full=3000), deadline=None)
@given(
    uses=st.lists(st.tuples(st.integers(0, 26 * 24), st.integers(1, 90)), max_size=6),
    change=st.integers(1, 26 * 24),
    by=st.sampled_from(["version", "plan", "quantity"]),
)
def test_no_unit_is_lost_or_won_by_a_change_within_a_period(uses: list[tuple[int, int]], change: int, by: str) -> None:
    """Within a period what remains is what the newest amount leaves after all that was used, whatever came between."""
    start = at("2026-02-01")
    turn = stamped(start + change * HOUR)
    after = {"version": "team", "plan": "solo", "quantity": "team"}[by]
    items = bought(after, *(["+boost*2"] if by == "quantity" else []))
    phases = [{"starts_at": stamped(start), "items": bought("team")}]
    move = {"id": "mov_1", "subscription": "sub_1", "item": "team", "from_version": "2026-01", "to_version": "2026-03"}
    if by == "version":
        terms = holds({"phases": phases}, moves=[{**move, "starts_at": turn}])
    else:
        terms = holds({"phases": [*phases, {"starts_at": turn, "items": items}]})
    amount = {"version": 150, "plan": 30, "quantity": 180}[by]
    course = laid(terms, "api", "2026-02-28")
    account, owed, left = Account(course), 0, 100
    facts = sorted((start + hours * HOUR, f"u{place}", quantity) for place, (hours, quantity) in enumerate(uses))
    account.replay([Use(name, since, quantity) for since, name, quantity in facts])
    for before in (True, False):
        for since, _, quantity in facts:
            if (since < start + change * HOUR) == before:
                part = min(quantity, left)
                left, owed = left - part, owed + quantity - part
        if before:
            left = max(0, amount - (100 - left))
            part = min(left, owed)
            left, owed = left - part, owed - part
    assert account.standing(at("2026-02-28") - 1).remaining == left - owed
    assert course.next_reset < FOREVER
