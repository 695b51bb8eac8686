"""Non-payment as people see it: what is owed, on which ladder and since when, and the next thing it takes away."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.dunning import NextStep, lay_course, read_dunning
from licet.core.explain import Node, explain, render_tree
from licet.core.instant import DAY, format_instant, parse_instant, to_instant
from licet.core.question import Question
from licet.core.standing import standing_at
from licet.core.terms import Terms
from licet.core.timeline import ladder_end, segment_at
from licet.core.upcoming import upcoming
from tests.core.ladder_reference import keep_diary
from tests.core.test_ladder import BASES, HORIZON, courses, terms_of
from tests.core.worlds import COMPILED, moments, terms
from tests.dose import dose

FAILED = {"kind": "failed", "at": "2026-04-01T00:00:00Z", "invoice": "in_1"}
TEAM = {"kind": "plan", "id": "team", "version": "2026-01"}
HARD = {"kind": "plan", "id": "team", "version": "2026-04"}


def customer(*payments: dict[str, Any], subscription: Any = None, **more: Any) -> Terms:
    """A customer with plan Team since March."""
    one = {
        "id": "sub_1",
        "phases": [{"starts_at": "2026-03-01T00:00:00Z", "items": [TEAM]}],
        "payments": payments or [FAILED],
        **(subscription or {}),
    }
    return msgspec.convert({"customer": "acme", "subscriptions": [one], **more}, Terms)


def patience(kind: str, start: str, end: str | None) -> dict[str, Any]:
    """A promise or a pause."""
    return {"id": "len_1", "kind": kind, "subscription": "sub_1", "starts_at": start, "ends_at": end, "event": "evt_9"}


@settings(max_examples=dose(60, full=2400), deadline=None)
@given(courses(), st.sampled_from(["UTC", "Europe/Berlin"]), st.integers(0, 40 * 24))
def test_the_next_step_is_what_the_diary_comes_to(course: Any, zone_name: str, hour: int) -> None:
    """Nothing worse is in the diary before the next step, something worse at it; without one nothing ever is."""
    base = max(one for one in BASES if one <= course.phases[0][0])
    plain = course._replace(trial_end=None, pauses=(), ends_at=None, planned_end=None, phases=((base, "card"),))
    told = terms_of(plain, zone_name)
    now = to_instant(base) + hour * DAY // 24
    view = read_dunning(COMPILED, told, "sub_1", now)
    assert view is not None
    entries = keep_diary(plain, ZoneInfo(zone_name), base, base + HORIZON)
    weights = [
        (
            to_instant(one.at),
            {"grace": 0, "restricted": 1, "suspended": 2, "ended": 3}.get(one.kind, -1),
            one.restricted,
        )
        for one in entries
    ]
    here = next(one for one in reversed(weights) if one[0] <= now)
    assert view.standing == next(one.kind for one in reversed(entries) if to_instant(one.at) <= now)
    worse: NextStep | None = None
    before = here
    for after in (one for one in weights if one[0] > now):
        if (after[1], len(after[2])) > (before[1], len(before[2])):
            worse = NextStep(["warn", "restrict", "suspend", "end"][after[1]], after[0])  # type: ignore[arg-type]
            break
        before = after
    if view.next is None or view.next.at < to_instant(base + HORIZON):
        assert view.next == worse


@settings(max_examples=dose(60, full=2400), deadline=None)
@given(terms(), moments())
def test_the_view_agrees_with_the_rules(told: Terms, when: datetime) -> None:
    """Standing and stages are those of the timeline; stages reached are those whose instant has come."""
    now = to_instant(when)
    assert read_dunning(COMPILED, told, "sub_gone", now) is None
    for one in told.subscriptions:
        view, course = read_dunning(COMPILED, told, one.id, now), lay_course(COMPILED, told, one)
        assert view is not None
        assert view.standing == segment_at(course.segments(), now).state.kind
        assert (view.since is not None) == bool(view.invoices)
        assert all(stage.reached == (stage.at is not None and stage.at <= now) for stage in view.stages)
        assert [stage.do for stage in view.stages] == [
            stage.do for stage in (COMPILED.ladders[view.ladder] if view.ladder else ())
        ]
        if view.next is not None:
            assert view.next.at > now
            assert course.step_at(view.next.at)[0] == view.next.do
            assert course.step_at(view.next.at) != course.step_at(view.next.at - 1) or view.next.at == course.start


@pytest.mark.parametrize(
    ("more", "ladder", "origin"),
    [
        ({}, "card", "plan:team@2026-01"),
        ({"cohorts": [{"cohort": "partners", "starts_at": "2026-03-01T00:00:00Z"}]}, "card", "plan:team@2026-01"),
        ({"cohorts": [{"cohort": "strict", "starts_at": "2026-03-01T00:00:00Z"}]}, "hard", "cohort:strict"),
        (
            {
                "cohorts": [
                    {"cohort": "strict", "starts_at": "2026-03-02T00:00:00Z"},
                    {"cohort": "kept", "starts_at": "2026-03-03T00:00:00Z"},
                ]
            },
            "card",
            "cohort:kept",
        ),
        (
            {
                "cohorts": [
                    {"cohort": "strict", "starts_at": "2026-03-03T00:00:00Z"},
                    {"cohort": "kept", "starts_at": "2026-03-03T00:00:00Z"},
                ]
            },
            "card",
            "cohort:kept",
        ),
        ({"ladders": [{"ladder": "hard", "starts_at": "2026-04-01T00:00:00Z"}]}, "hard", "customer"),
        ({"ladders": [{"ladder": "hard", "starts_at": "2026-04-01T00:00:01Z"}]}, "card", "plan:team@2026-01"),
        ({"ladders": [{"ladder": "gone", "starts_at": "2026-03-01T00:00:00Z"}]}, "card", "plan:team@2026-01"),
        ({"ladders": [{"starts_at": "2026-03-01T00:00:00Z"}]}, None, "customer"),
    ],
)
def test_who_decides_on_the_ladder(more: dict[str, Any], ladder: str | None, origin: str) -> None:
    """The customer's choice, then the cohort joined last, then the plan, all of them when the episode begins."""
    view = read_dunning(COMPILED, customer(**more), "sub_1", parse_instant("2026-04-02"))
    assert view is not None
    assert (view.ladder, view.origin) == (ladder, origin)


def test_where_nothing_is_owed_the_ladder_to_come_is_shown() -> None:
    """Without an episode: the ladder that one beginning now would climb, no dates, no next step."""
    paid = {**FAILED, "kind": "paid"}
    view = read_dunning(COMPILED, customer(paid), "sub_1", parse_instant("2026-04-02"))
    assert view is not None
    assert (view.standing, view.since, view.invoices, view.next) == ("active", None, (), None)
    assert view.ladder == "card"
    assert {(stage.at, stage.reached) for stage in view.stages} == {(None, False)}


def test_a_pause_without_an_end_holds_the_stages_back() -> None:
    """What was reached stays reached; the rest has no date, and nothing is next."""
    told = customer(leniencies=[patience("pause", "2026-04-05T00:00:00Z", None)])
    view = read_dunning(COMPILED, told, "sub_1", parse_instant("2026-07-01"))
    assert view is not None
    assert [(stage.do, stage.reached) for stage in view.stages if stage.at is not None] == [
        ("warn", True),
        ("restrict", True),
    ]
    assert (view.next, [one.kind for one in view.leniencies]) == (None, ["pause"])


def test_a_promise_moves_no_stage_but_keeps_it_from_applying() -> None:
    """Suspended before the promise, a warning within it, and suspended again at its end: that is the next step."""
    told = customer(leniencies=[patience("promise", "2026-04-11T00:00:00Z", "2026-04-15T00:00:00Z")])
    view = read_dunning(COMPILED, told, "sub_1", parse_instant("2026-04-12"))
    assert view is not None
    assert (view.standing, view.next) == ("grace", NextStep("suspend", parse_instant("2026-04-15")))
    assert [stage.reached for stage in view.stages] == [True, True, True, True, False]


def test_an_end_reached_before_the_subscription_began_comes_with_its_beginning() -> None:
    """An episode older than the subscription climbs the ladder of what it first consists of, and ends nothing early."""
    told = customer({**FAILED, "at": "2026-01-01T00:00:00Z"})
    (one,) = told.subscriptions
    assert ladder_end(one, COMPILED, UTC) == parse_instant("2026-03-01")
    kinds = [standing_at(one, COMPILED, parse_instant(day)).kind for day in ("2026-02-28", "2026-03-01")]
    assert kinds == ["not_started", "ended"]


def test_what_has_ended_takes_no_further_step() -> None:
    """After the ladder's end nothing more is ahead, whatever of the ladder or of promises lies later still."""
    told = customer(
        {"kind": "failed", "at": "2026-03-01T00:00:00Z", "invoice": "in_1"},
        ladders=[{"ladder": "hard", "starts_at": "2026-01-01T00:00:00Z"}],
        leniencies=[patience("promise", "2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z")],
    )
    view = read_dunning(COMPILED, told, told.subscriptions[0].id, to_instant(datetime(2026, 12, 1, tzinfo=UTC)))
    assert view is not None
    assert (view.standing, view.next) == ("ended", None)


def test_what_is_planned_is_seen_ahead() -> None:
    """Planned phases and a planned end are among the boundaries ahead, and end the billing periods."""
    schedule = {
        "phases": [{"starts_at": "2026-04-10T00:00:00Z", "items": [HARD]}],
        "ends_at": "2026-05-10T00:00:00Z",
        "occurred_at": "2026-03-01T00:00:00Z",
    }
    told = customer({**FAILED, "kind": "paid"}, subscription={"schedule": schedule})
    found = upcoming(COMPILED, told, parse_instant("2026-04-02"), 200)
    assert {"2026-04-10T00:00:00Z", "2026-05-10T00:00:00Z"} <= {format_instant(one.at) for one in found}
    assert [format_instant(one.at) for one in found if one.kind == "period"] == ["2026-05-01T00:00:00Z"]


def test_a_planned_phase_before_the_first_ordered_one_means_nothing() -> None:
    """The subscription still begins with its order, and consists of what was ordered."""
    schedule = {
        "phases": [{"starts_at": "2026-02-01T00:00:00Z", "items": [HARD]}],
        "occurred_at": "2026-02-01T00:00:00Z",
    }
    told = customer(subscription={"schedule": schedule})
    segment = segment_at(lay_course(COMPILED, told, told.subscriptions[0]).segments(), parse_instant("2026-02-10"))
    assert (segment.state.kind, segment.state.items[0].version) == ("not_started", "2026-01")


def test_the_explanation_names_episode_ladder_and_promise() -> None:
    """Support reads what is owed, whose ladder it climbs, the promise with its event, and what comes next."""
    told = customer(
        leniencies=[patience("promise", "2026-04-11T00:00:00Z", "2026-04-15T00:00:00Z")],
        cohorts=[{"cohort": "kept", "starts_at": "2026-03-01T00:00:00Z", "event": "evt_1"}],
    )
    events = {"evt_9": "leniency.added by ann", "evt_1": "cohort.joined by bob"}
    question = Question(customer="acme", feature="sso")
    tree = explain(COMPILED, told, question, parse_instant("2026-04-12"), events=events).tree
    text = render_tree(tree)
    assert "owed since 2026-04-01T00:00:00Z: in_1" in text
    promise = "a promise to pay: it only warns, from 2026-04-11T00:00:00Z until 2026-04-15T00:00:00Z"
    assert f"+ {promise} (leniency.added by ann)" in text
    assert "ladder card, of cohort kept when that began; next: suspend at 2026-04-15T00:00:00Z" in text
    assert "(cohort.joined by bob)" in text
    assert {"evt_1", "evt_9"} <= {node.event for node in _nodes(tree)}


def _nodes(node: Node) -> list[Node]:
    """A node and all below it."""
    return [node, *(one for child in node.children for one in _nodes(child))]
