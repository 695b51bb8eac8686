"""Without the server: answers by the dates in the truth, then by each feature's own rule, then fresh again."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from licet.core.instant import Instant, to_datetime, to_instant
from licet.core.question import Context
from licet.core.snapshot import Truth
from licet.evaluator.follower import Follower
from licet.wire.feed import ClockMark
from tests.core.worlds import CATALOG, COMPILED, ORIGIN, terms_of
from tests.evaluator.authority import DAY, START, WALL, Authority, answers, start, take, terms

BUSINESS = {"kind": "plan", "id": "business", "version": "2026-01"}
UNPAID = [{"kind": "failed", "at": START + 2 * DAY, "invoice": "in_1"}]
REGION = Context(region="eu", deployment="saas")
TEAM = {"kind": "plan", "id": "team", "version": "2026-01"}


def lives() -> list[dict[str, Any]]:
    """Customers whose rights change by themselves: a trial, unpaid invoices up a ladder, ends, pauses, overrides."""

    def one(name: str, item: dict[str, Any], since: datetime = ORIGIN, **more: Any) -> dict[str, Any]:
        phases = [{"starts_at": since, "items": [item]}]
        return {"customer": name, "subscriptions": [{"id": "sub_1", "phases": phases, **more}]}

    later = START + 6 * DAY
    return [
        one("trial", TEAM, trial_start=ORIGIN, trial_end=later, trial_end_behavior="fall"),
        one("unpaid", BUSINESS, payments=UNPAID),
        one("ending", TEAM, ends_at=START + 9 * DAY),
        one("paused", TEAM, pauses=[{"starts_at": START + 3 * DAY, "ends_at": START + 12 * DAY}]),
        one("coming", BUSINESS, since=START + 20 * DAY),
        {
            **one("excepted", TEAM),
            "overrides": [
                {"id": "o1", "feature": "projects", "amount": 99, "starts_at": START, "ends_at": START + 15 * DAY},
                {"id": "o2", "feature": "sso", "effect": "deny", "starts_at": START + 4 * DAY},
            ],
        },
    ]


def test_a_month_without_the_server_is_answered_by_the_dates_in_the_truth() -> None:
    """At many instants of 30 days each answer is the one that core gives for the same terms, to the byte."""
    authority = Authority(document=CATALOG)
    for document in lives():
        authority.put(document)
    _, follower = start(authority)
    truth = Truth(COMPILED, [terms_of(document) for document in lives()])
    edges = [START + days * DAY for days in (2, 3, 4, 5, 6, 8, 9, 11, 12, 15, 20, 22)]
    instants = [edge + timedelta(microseconds=shift) for edge in edges for shift in (-1, 0)]
    instants += [START + timedelta(hours=hours) for hours in range(0, 30 * 24, 61)]
    met = set()
    for moment in sorted(instants):
        now = follower.truth.business(to_instant(moment))
        for document in lives():
            for feature in ("sso", "projects", "ai", "nightly", "lonely"):
                pair = (document["customer"], feature)
                found = follower.truth.check(*pair, now, context=REGION).view(now)
                expected = truth.check(*pair, now, context=REGION).view(now)
                assert msgspec.json.encode(found) == msgspec.json.encode(expected)
                met.add(found.reason)
    assert {"in_trial", "trial_expired", "in_grace", "restricted", "suspended", "paused", "ended", "not_started"} <= met
    assert follower.freshness(to_instant(START + 29 * DAY)) == "stale"


def reasons(follower: Follower, customer: str, now: Instant) -> list[tuple[bool, list[str]]]:
    """What a truth says about every feature of the small catalog."""
    names = ("sso", "export", "help", "seats")
    found = [follower.truth.check(customer, name, now) for name in names]
    return [(one.allowed, [str(reason) for reason in one.reasons]) for one in found]


def test_past_its_end_each_feature_answers_by_its_own_rule() -> None:
    """Deny refuses, last known stands as it was, allow permits; one fresh set later all is as before."""
    authority, follower = start()
    end = to_instant(authority.now + authority.usable)
    assert reasons(follower, "acme", end - 1) == [
        (True, ["entitled"]),
        (True, ["entitled"]),
        (False, ["not_entitled"]),
        (True, ["within_limit"]),
    ]
    expired = [
        (False, ["snapshot_expired"]),
        (True, ["last_known", "entitled"]),
        (True, ["not_enforced"]),
        (True, ["last_known", "within_limit"]),
    ]
    assert reasons(follower, "acme", end) == expired
    assert reasons(follower, "acme", end + 10**15) == expired
    assert reasons(follower, "other", end) == [
        (False, ["snapshot_expired", "ended"]),
        (False, ["ended"]),
        (True, ["not_enforced"]),
        (False, ["ended"]),
    ]
    assert reasons(follower, "nobody", end)[:3] == [
        (False, ["unknown_customer", "snapshot_expired"]),
        (False, ["unknown_customer"]),
        (True, ["not_enforced"]),
    ]
    beyond = follower.truth.check("acme", "seats", end, used=5)
    assert (beyond.allowed, beyond.reasons) == (False, ("limit_reached",))
    refused = follower.truth.check("acme", "sso", end)
    assert (refused.remedy(end), refused.message) == (None, "The last known rights are too old; connect to renew them.")
    since = authority.seq
    authority.put(terms("new"))
    authority.now = START + 31 * DAY
    take(follower, authority.lines(since))
    assert reasons(follower, "acme", end + 1)[0] == (True, ["entitled"])
    assert follower.freshness(to_instant(authority.now)) == "fresh"


@pytest.mark.parametrize("order", [["before", "after"], ["after", "before", "after"]])
def test_a_prepared_answer_does_not_outlive_the_truth(order: list[str]) -> None:
    """What was made ready before the end is not given after it, nor the other way round."""
    authority, follower = start()
    end = to_instant(authority.now + authority.usable)
    told = {"before": (end - 1, "entitled"), "after": (end, "snapshot_expired")}
    for name in order:
        now, reason = told[name]
        assert follower.truth.check("acme", "sso", now).reason == reason
    assert follower.truth.check("acme", "sso", end - 1).valid_until > end


def test_a_later_end_serves_what_is_ready_on_and_an_earlier_one_ends_it() -> None:
    """A newer head moves the end both ways."""
    authority, follower = start()
    first = to_instant(authority.now + authority.usable)
    assert follower.truth.check("acme", "sso", first - 1)
    take(follower, [authority.head()])
    assert follower.truth.check("acme", "sso", first)
    authority.usable = DAY
    take(follower, [authority.head()])
    assert follower.truth.check("acme", "sso", first).reason == "snapshot_expired"


def test_a_test_workspace_follows_its_own_clock() -> None:
    """Its instants are real time with an offset, or the one at which it stands; its truth runs out in real time."""
    authority, follower = start()
    authority.clock = ClockMark(offset=int(timedelta(days=10).total_seconds()) * 10**6)
    take(follower, [authority.head()])
    wall = to_instant(authority.now)
    assert to_datetime(follower.truth.business(wall)) == authority.now + 10 * DAY
    assert answers(follower, follower.truth.business(wall))[2] == (False, "ended")
    end = to_instant(authority.now + authority.usable)
    assert answers(follower, follower.truth.business(end - 1))[0] == (True, "entitled")
    assert answers(follower, follower.truth.business(end))[0] == (False, "snapshot_expired")
    authority.clock = ClockMark(frozen_at=START)
    take(follower, [authority.head()])
    end = to_instant(authority.now + authority.usable)
    assert follower.truth.business(end - 1) == WALL
    assert answers(follower, WALL)[0] == (True, "entitled")
    assert follower.truth.business(end) == WALL
    assert answers(follower, WALL)[0] == (False, "snapshot_expired")
    authority.now = START + 40 * DAY
    take(follower, [authority.head()])
    assert follower.truth.business(to_instant(authority.now)) == WALL
    assert answers(follower, WALL)[0] == (True, "entitled")
