"""The course of a balance: what each source, change of plan, pause and funding brings it, and when."""

from typing import Any

import pytest

from licet.core.catalog import decode_catalog
from licet.core.compiled import UNBOUNDED
from licet.core.instant import BEGINNING, DAY, FOREVER, HOUR
from licet.core.usage.balance import Rollover
from licet.core.usage.course import Course
from licet.core.usage.facts import BalanceReset, GrantGiven, GrantVoided, SpendLimit, TopUpRule
from licet.core.usage.marks import MAX_MARKS
from tests.core.usage.courses import DOCUMENT, at, bought, holds, laid, left, phases, told

START = "2026-01-31T10:00:00Z"
TEAM = phases((START, bought("team")))


def line(course: Course, ends: str = "") -> list[str]:
    """Return the one line whose id ends so, as lines to be read: its beginning and its marks."""
    (grant,) = [one for one in course.grants if one.id.endswith(ends)]
    shown = [f"{told([grant.effective])[0]} begins {grant.amount}"]
    for mark in grant.marks:
        over = "" if mark.rollover is None else f" over {mark.rollover.least}..{mark.rollover.most}"
        shown.append(f"{told([mark.at])[0]} {mark.kind} {mark.amount}{over}")
    return shown if grant.expires == FOREVER else [*shown, f"{told([grant.expires])[0]} expires"]


def test_a_month_follows_its_anchor() -> None:
    """An allowance is whole again on the anchor's day, or the last of a shorter month, at its wall time."""
    course = laid(holds({**TEAM, "zone": "Europe/Berlin"}), "api", "2026-05-01")
    assert line(course) == [
        "2026-01-31T10:00:00Z begins 100",
        "2026-02-28T10:00:00Z renew 100",
        "2026-03-31T09:00:00Z renew 100",
        "2026-04-30T09:00:00Z renew 100",
        "2026-05-31T09:00:00Z renew 100",
    ]
    assert told(course.resets) == ["2026-02-28T10:00:00Z", "2026-03-31T09:00:00Z", "2026-04-30T09:00:00Z"]
    assert told([course.next_reset, course.opens]) == ["2026-05-31T09:00:00Z", START]
    assert course.grants[0].rollover == Rollover(0, 50)
    assert course.thresholds == (80, 100)


def test_a_move_between_versions_is_a_step_that_keeps_every_unit() -> None:
    """What was used stays charged, what is left grows by the difference, and each renewal has its own rollover."""
    move = {
        "id": "mov_1",
        "subscription": "sub_1",
        "item": "team",
        "from_version": "2026-01",
        "to_version": "2026-03",
        "starts_at": "2026-02-10T00:00:00Z",
    }
    course = laid(holds(TEAM, moves=[move]), "api", "2026-03-01")
    assert line(course)[1:] == [
        "2026-02-10T00:00:00Z step 150",
        "2026-02-28T10:00:00Z renew 150 over 0..10",
        "2026-03-31T10:00:00Z renew 150 over 0..10",
    ]
    used = ("2026-02-03", 70)
    assert [left(course, now, used) for now in ("2026-02-09", "2026-02-11")] == [30, 80]
    assert left(course, "2026-02-28T10:00:00Z", used) == 160


@pytest.mark.parametrize(("feature", "kind", "after"), [("api", "step", 0), ("anew", "fresh", 3)])
def test_a_plan_change_carries_use_along_unless_the_feature_begins_anew(feature: str, kind: str, after: int) -> None:
    """The smaller plan is charged with what the larger one gave; with on_change: reset it is whole, and its own."""
    terms = holds(phases((START, bought("team")), ("2026-02-10T00:00:00Z", bought("solo"))))
    course = laid(terms, feature, "2026-02-20")
    assert [mark.kind for mark in course.grants[0].marks if mark.at < at("2026-02-20")] == [kind]
    assert left(course, "2026-02-11", ("2026-02-03", 40 if feature == "api" else 6)) == after
    assert course.resets == ()


def test_a_plan_that_lacks_a_feature_suspends_its_line_and_gives_nothing_twice() -> None:
    """Changing to a plan without the feature and back brings no second allowance in the same period."""
    terms = holds(
        phases(
            (START, bought("team")),
            ("2026-02-05T00:00:00Z", bought("+first")),
            ("2026-02-09T00:00:00Z", bought("team")),
        )
    )
    course = laid(terms, "api", "2026-02-10")
    assert line(course, "month/50")[1:3] == ["2026-02-05T00:00:00Z step 0", "2026-02-09T00:00:00Z step 100"]
    course = laid(terms, "once", "2026-02-10")
    assert left(course, "2026-02-09T01:00:00Z", ("2026-02-01", 990)) == 10


def test_quantities_and_seats_are_steps() -> None:
    """More of an add-on, or more seats, make the same line larger; what rolls over grows along."""
    seats = [{"kind": "plan", "id": "team", "version": "2026-01"}, *bought("+many", "+boost*2")]
    more = [*seats[:1], {"kind": "addon", "id": "boost", "version": "1", "quantity": 3}, *bought("+many")]
    course = laid(holds(phases((START, seats), ("2026-02-10T00:00:00Z", more))), "api", "2026-02-20")
    assert line(course) == [
        "2026-01-31T10:00:00Z begins 196",
        "2026-02-10T00:00:00Z step 236",
        "2026-02-28T10:00:00Z renew 236 over 3..65",
    ]
    assert course.grants[0].rollover == Rollover(2, 60)


def test_priorities_are_lines_of_their_own() -> None:
    """What burns first is its own grant; both are known by where they come from."""
    course = laid(holds(phases((START, bought("team", "+first")))), "api", "2026-02-01")
    assert [(one.priority, one.amount) for one in course.grants] == [(10, 9), (50, 100)]
    assert {one.kind for one in course.origins.values()} == {"subscription"}
    assert {one.id for one in course.origins.values()} == {"sub_1"}


def test_an_unlimited_include_makes_its_line_unlimited() -> None:
    """Whatever else feeds it."""
    course = laid(holds(phases((START, bought("team", "+endless")))), "api", "2026-02-01")
    assert course.grants[0].amount == UNBOUNDED


def test_a_trial_is_a_line_of_its_own_that_ends_with_it() -> None:
    """Credits of the trial are gone at its end, the bought ones begin whole, and so does a period."""
    trial = {**phases((START, bought("solo"))), "trial_end": "2026-02-14T10:00:00Z", "anchor": "2026-02-14T10:00:00Z"}
    course = laid(holds({**trial, "trial_end_behavior": "fall"}), "api", "2026-02-15")
    assert line(course, "trial") == ["2026-01-31T10:00:00Z begins 30", "2026-02-14T10:00:00Z expires"]
    assert line(course, "50")[:1] == ["2026-02-14T10:00:00Z begins 100"]
    assert told(course.resets) == ["2026-02-14T10:00:00Z"]
    assert [course.origins[one.id].trialing for one in course.grants] == [True, False]


def test_what_a_trial_owed_ends_with_it() -> None:
    """What is owed is carried from period to period, but not out of a trial; a paid plan beside it goes on owing."""
    carried = decode_catalog(DOCUMENT.replace(b'"warn_at": ["80%", "100%"]', b'"carry_overage": true'))
    trial = {**phases((START, bought("solo"))), "trial_end": "2026-02-14T10:00:00Z", "anchor": "2026-02-14T10:00:00Z"}
    trial["trial_end_behavior"] = "fall"
    course = laid(holds(trial), "api", "2026-04-01", catalog=carried)
    used = ("2026-02-01T00:00:00Z", 50)
    assert left(course, "2026-02-13T00:00:00Z", used) == -20
    assert left(course, "2026-02-15T00:00:00Z", used) == 100
    assert left(course, "2026-03-15T00:00:00Z", used, ("2026-02-20T00:00:00Z", 130)) == 70
    beside = laid(holds(trial, phases((START, bought("team")))), "api", "2026-04-01", catalog=carried)
    assert beside.freed == frozenset()


def test_pauses_and_non_payment_take_rights_but_no_periods() -> None:
    """A line goes on by arithmetic; only the end of the subscription ends it."""
    plain = {**TEAM, "ends_at": "2026-04-10T00:00:00Z"}
    paused = {**plain, "pauses": [{"starts_at": "2026-02-05T00:00:00Z", "ends_at": "2026-03-20T00:00:00Z"}]}
    course, other = (laid(holds(one), "api", "2026-05-01") for one in (paused, plain))
    assert course.grants == other.grants
    assert line(course)[-2:] == ["2026-03-31T10:00:00Z renew 100", "2026-04-10T00:00:00Z expires"]
    assert told(course.resets)[-1] == "2026-04-10T00:00:00Z"
    assert course.next_reset == FOREVER


def test_yearly_credits_are_released_by_months() -> None:
    """A twelfth at each month's boundary, kept until the year ends, then from the first part again."""
    course = laid(holds(TEAM), "ai", "2027-03-01")
    assert line(course)[:4] == [
        "2026-01-31T10:00:00Z begins 1000",
        "2026-02-28T10:00:00Z step 2000",
        "2026-03-31T10:00:00Z step 3000",
        "2026-04-30T10:00:00Z step 4000",
    ]
    assert line(course)[11:14] == [
        "2026-12-31T10:00:00Z step 12000",
        "2027-01-31T10:00:00Z renew 1000",
        "2027-02-28T10:00:00Z step 2000",
    ]
    assert told(course.resets) == ["2027-01-31T10:00:00Z"]
    assert left(course, "2026-03-01", ("2026-02-01", 300), ("2026-02-28T10:00:00Z", 1500)) == 200


def test_a_later_anchor_cuts_the_first_period_and_begins_anew_where_something_was_bought() -> None:
    """Before the anchor periods count from the start; a plan change at the anchor restarts the billing period."""
    stub = holds({**TEAM, "anchor": "2026-02-10T00:00:00Z"})
    assert line(laid(stub, "api", "2026-02-11"))[1:] == [
        "2026-02-10T00:00:00Z renew 100",
        "2026-03-10T00:00:00Z renew 100",
    ]
    changed = phases((START, bought("team")), ("2026-02-10T00:00:00Z", bought("solo")))
    course = laid(holds({**changed, "anchor": "2026-02-10T00:00:00Z"}), "api", "2026-02-11")
    assert line(course)[1] == "2026-02-10T00:00:00Z fresh 30"
    assert told(course.resets) == ["2026-02-10T00:00:00Z"]


def test_hours_and_days_are_of_the_clock_of_the_subscription() -> None:
    """In Kathmandu days begin at a quarter past six in the evening of UTC; in summer nights Berlin has 23 hours."""
    course = laid(holds({**TEAM, "zone": "Asia/Kathmandu"}), "daily", "2026-02-01T12:00:00Z")
    assert line(course)[1:] == ["2026-01-31T18:15:00Z renew 10", "2026-02-01T18:15:00Z renew 10"]
    berlin = holds(phases(("2026-03-28T12:00:00Z", bought("team"))), profile={"zone": "Europe/Berlin"})
    course = laid(berlin, "daily", "2026-03-31")
    assert [(one - two) // HOUR for one, two in zip(course.resets[1:], course.resets, strict=False)] == [23, 24]
    assert len(laid(berlin, "hourly", "2026-03-29T23:00:00Z").resets) == 34


def test_windows_have_no_renewals() -> None:
    """A rolling window has no periods at all; a session is cut where a billing period ends."""
    burst, talk = (laid(holds(TEAM), name, "2026-04-01") for name in ("burst", "talk"))
    assert (burst.grants[0].marks, burst.resets, burst.next_reset) == ((), (), FOREVER)
    assert burst.window is not None
    assert (burst.window.kind, burst.window.length) == ("rolling", HOUR)
    assert talk.window is not None
    assert (talk.window.kind, talk.window.length) == ("session", 5 * HOUR)
    assert (talk.grants[0].marks, told(talk.resets)) == ((), ["2026-02-28T10:00:00Z", "2026-03-31T10:00:00Z"])


def test_gauges_holders_and_carried_overage_are_told() -> None:
    """What a feature says for good stands in the course."""
    assert laid(holds(TEAM), "disk", "2026-02-01").gauge == "latest"
    assert laid(holds(TEAM), "api", "2026-02-01").gauge is None
    assert laid(holds(TEAM), "mine", "2026-02-01").carry


def test_an_override_is_a_line_on_the_customers_clock() -> None:
    """It runs from its own start, as often as its feature says, and ends where it ends; a denial is none."""
    given: dict[str, Any] = {"id": "ovr_1", "feature": "api", "amount": 500, "starts_at": "2026-02-20T00:00:00Z"}
    denied = {"id": "ovr_2", "feature": "api", "effect": "deny", "starts_at": "2026-02-20T00:00:00Z"}
    terms = holds(TEAM, overrides=[{**given, "ends_at": "2026-04-01T00:00:00Z"}, denied])
    course = laid(terms, "api", "2026-05-01")
    assert line(course, "ovr_1") == [
        "2026-02-20T00:00:00Z begins 500",
        "2026-03-20T00:00:00Z renew 500",
        "2026-04-01T00:00:00Z expires",
    ]
    assert len(course.grants) == 2
    assert course.origins["ovr_1"].kind == "override"
    assert told(course.resets) == ["2026-02-28T10:00:00Z", "2026-03-31T10:00:00Z", "2026-04-30T10:00:00Z"]


def test_limits_are_those_of_the_most_lenient_source_in_force() -> None:
    """From when on what happens at the limit; a pause takes a source out of force, an unlimited overage any bound."""
    paused = phases((START, bought("solo")), ("2026-03-01T00:00:00Z", bought("team")))
    pause = {"starts_at": "2026-02-05T00:00:00Z", "ends_at": "2026-02-06T00:00:00Z"}
    course = laid(holds({**paused, "pauses": [pause]}), "api", "2026-04-01")
    assert [(one.at_limit, one.overage_limit) for one in course.bounds] == [
        ("block", None),
        ("overage", 40),
        ("block", None),
        ("overage", 40),
        ("block", None),
    ]
    assert course.bound_at(at("2026-02-04")).overage_limit == 40
    assert course.bound_at(BEGINNING).at_limit == "block"
    both = holds(TEAM, phases((START, bought("solo"))))
    assert laid(holds(TEAM), "ai", "2026-04-01").bounds[-1].overage_limit == 1000
    assert laid(both, "ai", "2026-04-01").bounds[-1] == laid(both, "ai", "2026-04-01").bound_at(at(START))
    assert laid(both, "ai", "2026-04-01").bounds[-1].overage_limit is None


def test_another_subscription_takes_over_where_the_first_one_ends() -> None:
    """While one goes on its periods count; with the next one alone its own do, and a gap begins a period anew."""
    first = {**TEAM, "ends_at": "2026-03-05T00:00:00Z"}
    second = phases(("2026-02-20T00:00:00Z", bought("team")))
    course = laid(holds(first, second), "api", "2026-04-25")
    assert told(course.resets) == ["2026-02-28T10:00:00Z", "2026-03-20T00:00:00Z", "2026-04-20T00:00:00Z"]
    late = phases(("2026-03-10T00:00:00Z", bought("team")))
    course = laid(holds(first, late), "api", "2026-03-20")
    assert told(course.resets)[1:] == ["2026-03-05T00:00:00Z", "2026-03-10T00:00:00Z"]
    assert told([laid(holds(first, late), "api", "2026-03-06").next_reset]) == ["2026-03-10T00:00:00Z"]


def test_funding_is_put_beside_lines() -> None:
    """Grants once and again, a void, and what is about another balance left out."""
    once = GrantGiven(amount=70, effective=at("2026-02-03"), expires=at("2026-02-20"), priority=5)
    again = GrantGiven(amount=9, effective=at(START), every="P1M", rollover_max=4)
    void = GrantVoided(grant="grt_1", at=at("2026-02-10"))
    course = laid(holds(TEAM), "api", "2026-03-01", once, again, void)
    assert [one.id for one in course.grants] == ["grt_2", "sub_1/month/50", "grt_1"]
    assert line(course, "grt_2")[1:] == ["2026-02-28T10:00:00Z renew 9", "2026-03-31T10:00:00Z renew 9"]
    assert course.grants[0].rollover == Rollover(0, 4)
    assert (course.grants[2].voided, course.grants[2].priority) == (at("2026-02-10"), 5)
    assert course.origins["grt_1"].kind == "funding"
    assert laid(holds(), "api", "2026-02-04", once).opens == at("2026-02-03")


@pytest.mark.parametrize("anchor", ["keep", "move"])
def test_a_manual_reset_makes_allowances_whole_and_may_move_their_periods(anchor: Any) -> None:
    """Lines and grants that recur are whole again, others stay; with move, periods run from the reset on."""
    reset = BalanceReset(at=at("2026-02-10T15:00:00Z"), anchor=anchor)
    once = GrantGiven(amount=70, effective=at("2026-02-03"))
    again = GrantGiven(amount=9, effective=at("2026-02-03"), every="P7D")
    course = laid(holds(TEAM), "api", "2026-02-26", reset, once, again)
    assert line(course, "month/50")[1:] == [
        "2026-02-10T15:00:00Z fresh 100",
        "2026-02-28T10:00:00Z renew 100" if anchor == "keep" else "2026-03-10T15:00:00Z renew 100",
    ]
    weeks = ["2026-02-17T00:00:00Z", "2026-02-24T00:00:00Z"]
    moved = ["2026-02-17T15:00:00Z", "2026-02-24T15:00:00Z"]
    found = [one.split()[0] for one in line(course, "grt_3") if "fresh" not in one][1:]
    assert found[-3:-1] == (weeks if anchor == "keep" else moved)
    assert line(course, "grt_2") == ["2026-02-03T00:00:00Z begins 70"]
    assert told(course.resets) == ["2026-02-10T15:00:00Z"]
    assert told([course.next_reset])[0][:10] == ("2026-02-28" if anchor == "keep" else "2026-03-10")
    daily = laid(holds(TEAM), "daily", "2026-02-12", reset)
    assert told(daily.resets)[-2:] == (
        ["2026-02-10T15:00:00Z", "2026-02-11T00:00:00Z"]
        if anchor == "keep"
        else ["2026-02-10T15:00:00Z", "2026-02-11T15:00:00Z"]
    )


def test_spend_limits_and_top_ups_are_those_said_last() -> None:
    """By instant; of two for one instant the later command counts; amount 0 and None end them."""
    rules = [
        TopUpRule(at=day * DAY, below=5, amount=amount, most=90, consented_by="ann", consented_at=0)
        for day, amount in ((1, 10), (1, 20), (3, 0))
    ]
    limits = [SpendLimit(at=2 * DAY, amount=7), SpendLimit(at=4 * DAY, amount=None)]
    course = laid(holds(), "api", 9 * DAY, *rules, *limits)
    found = [course.top_up_at(day * DAY) for day in (0, 1, 2, 3)]
    assert [None if one is None else (one.rule, one.amount) for one in found] == [
        None,
        ("grt_2", 20),
        ("grt_2", 20),
        None,
    ]
    assert [course.spend_limit_at(day * DAY) for day in (1, 2, 4)] == [None, 7, None]


@pytest.mark.parametrize("feature", ["sso", "seat", "nothing"])
def test_what_is_not_counted_in_balances_has_no_course(feature: str) -> None:
    """Whoever asks is told which features have one."""
    with pytest.raises(KeyError, match="metered and credits"):
        laid(holds(TEAM), feature, "2026-03-01")


def test_marks_are_bounded() -> None:
    """Hours of thirty years: the newest ones are exact, and what was said of older instants seldom changes."""
    course = laid(holds(TEAM), "hourly", "2056-01-01")
    marks = course.grants[0].marks
    assert MAX_MARKS // 2 < len(marks) <= MAX_MARKS + 1
    assert course.exact_from <= marks[0].at < course.exact_from + HOUR
    assert {mark[1:] for mark in marks} == {("renew", 5, None)}
    assert laid(holds(TEAM), "hourly", "2056-01-02").exact_from == course.exact_from
    assert laid(holds(TEAM), "hourly", "2046-01-01").exact_from == BEGINNING
