"""Derivation: the same from any order, process, hash seed, with or without a memo; half-open at every boundary."""

import os
import subprocess
import sys
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.derive import Holdings, Memo, derive
from licet.core.instant import FOREVER, format_instant, parse_instant, to_instant
from licet.core.ladder import dunning_of
from licet.core.snapshot import Truth
from licet.core.standing import standing_at
from licet.core.terms import Terms
from licet.core.trail import moves_of
from licet.core.upcoming import upcoming
from tests.core.entitled import encode_entitlements
from tests.core.worlds import (
    CATALOG,
    COMPILED,
    FEATURE_IDS,
    catalog_of,
    day,
    documents,
    moments,
    questions,
    terms,
    terms_of,
)
from tests.dose import dose

_UNORDERED = (
    *("subscriptions", "overrides", "items", "payments", "pauses"),
    *("leniencies", "ladders", "cohorts", "moves"),
)
"""The lists of a customer's document whose order means nothing."""


@settings(max_examples=dose(75, full=3000), deadline=None)
@given(st.lists(terms(), min_size=2, max_size=4), moments())
def test_a_memo_changes_nothing_and_shares(customers: list[Terms], when: Any) -> None:
    """With a memo in use by others or none, entitlements and bytes are equal; equal holdings share rights."""
    memo, now = Memo(COMPILED), to_instant(when)
    for customer in customers:
        with_memo, without = derive(COMPILED, customer, now, memo), derive(COMPILED, customer, now)
        assert with_memo == without
        assert encode_entitlements(COMPILED, with_memo) == encode_entitlements(COMPILED, without)
    twin = msgspec.structs.replace(customers[0], customer="twin")
    assert derive(COMPILED, twin, now, memo).rights is derive(COMPILED, customers[0], now, memo).rights


@settings(max_examples=dose(60), deadline=None)
@given(documents(), st.randoms(use_true_random=False), moments(), questions())
def test_order_means_nothing(document: dict[str, Any], random: Any, when: Any, question: dict[str, Any]) -> None:
    """Shuffling the catalog's mappings and a customer's subscriptions, overrides, items, facts changes no decision."""
    now, asked = to_instant(when), random.choice(FEATURE_IDS)
    shuffled_catalog = catalog_of(_shuffled(CATALOG, random, lists=()))
    shuffled = terms_of(_shuffled(document, random, lists=_UNORDERED))
    plain, other = Truth(COMPILED, [terms_of(document)]), Truth(shuffled_catalog, [shuffled])
    for feature in FEATURE_IDS:
        first, second = (truth.check("acme", feature, now, **question) for truth in (plain, other))
        assert (second.allowed, second.reasons, second.limit, second.value, second.sources, second.missing) == (
            first.allowed, first.reasons, first.limit, first.value, first.sources, first.missing
        )  # fmt: skip
        if feature == asked:
            assert second.view(now) == first.view(now)


def _shuffled(value: Any, random: Any, *, lists: tuple[str, ...], name: str = "") -> Any:
    """A document with its mappings, and the named lists, in another order."""
    if isinstance(value, dict):
        keys = list(value)
        random.shuffle(keys)
        return {key: _shuffled(value[key], random, lists=lists, name=key) for key in keys}
    if isinstance(value, list):
        found = [_shuffled(one, random, lists=lists) for one in value]
        if name in lists:
            random.shuffle(found)
        return found
    return value


@settings(max_examples=dose(50, full=1600), deadline=None)
@given(terms(), moments(), questions())
def test_boundaries_are_half_open(customer: Terms, when: Any, question: dict[str, Any]) -> None:
    """A decision holds from its first instant up to, not including, the next boundary; then it may differ."""
    now = to_instant(when)
    truth = Truth(COMPILED, [customer])
    for feature in FEATURE_IDS:
        decision = truth.check("acme", feature, now, **question)
        until = decision.valid_until
        assert decision.case.good_from <= now < until
        if until < FOREVER:
            told = decision.judgement
            assert truth.check("acme", feature, until - 1, **question).judgement == told
            for instant in (until, until + 1):
                after = truth.check("acme", feature, instant, **question)
                assert after.case.good_from == until
            assert truth.check("acme", feature, now, **question).judgement == told


@settings(max_examples=dose(60, full=2000), deadline=None)
@given(terms(), moments())
def test_standings_are_half_open(customer: Terms, when: Any) -> None:
    """A standing is the same one microsecond before its end, and another at its end."""
    now = to_instant(when)
    for subscription in customer.subscriptions:
        dunning, moves = dunning_of(customer, subscription.id), moves_of(customer, subscription.id)
        found = standing_at(subscription, COMPILED, now, None, dunning, moves=moves)
        assert found.since <= now < found.until
        assert standing_at(subscription, COMPILED, found.until - 1, None, dunning, moves=moves) == found
        if found.until < FOREVER:
            later = standing_at(subscription, COMPILED, found.until, None, dunning, moves=moves)
            assert later.since == found.until
            assert (later.kind, later.reason, later.restricted) != (found.kind, found.reason, found.restricted)


@settings(max_examples=dose(60), deadline=None)
@given(terms(), moments())
def test_upcoming_lists_every_change(customer: Terms, when: Any) -> None:
    """Between two neighbours of the list nothing changes, and at least 24 are given unless there are fewer."""
    now = to_instant(when)
    boundaries = upcoming(COMPILED, customer, now)
    instants = [one.at for one in boundaries]
    assert instants == sorted(instants)
    assert all(at > now for at in instants)
    holdings, here = Holdings(COMPILED, customer), now
    for at in sorted(set(instants)):
        assert holdings.span_at(here).end >= at
        here = at
    if len(boundaries) < 24:
        assert holdings.span_at(here).end == FOREVER


def test_billing_periods_follow_the_calendar() -> None:
    """Periods are counted from the anchor, in the subscription's zone, across the change of clocks."""
    solo = {"kind": "plan", "id": "solo", "version": "2026-01"}
    customer = terms_of(
        {
            "customer": "acme",
            "subscriptions": [
                {
                    "id": "sub_1",
                    "phases": [{"starts_at": day(-60), "items": [solo]}],
                    "anchor": "2026-01-30T23:00:00Z",
                    "zone": "Europe/Berlin",
                }
            ],
        }
    )
    found = upcoming(COMPILED, customer, parse_instant("2026-02-01"))
    assert len(found) == 24
    assert [format_instant(one.at) for one in found[:4]] == [
        "2026-02-27T23:00:00Z",
        "2026-03-30T22:00:00Z",
        "2026-04-29T22:00:00Z",
        "2026-05-30T22:00:00Z",
    ]


_SCRIPT = """
import sys
from hypothesis import given, seed, settings, HealthCheck
from licet.core.derive import derive, Memo
from tests.core.entitled import encode_entitlements
from licet.core.instant import to_instant
from licet.core.snapshot import Truth
from tests.core.worlds import COMPILED, FEATURE_IDS, at, terms_of, day
import json, hashlib, msgspec
digest = hashlib.sha256()
memo = Memo(COMPILED)
for number in range(0, 40, 3):
    document = {"customer": "acme", "profile": {"region": "eu"}, "subscriptions": [
        {"id": f"sub_{n}", "phases": [{"starts_at": day(n), "items": [
            {"kind": "plan", "id": ["free", "team", "business"][(number + n) % 3], "version": "2026-01"},
            {"kind": "addon", "id": ["boost", "seats", "lab"][(number // 3 + n) % 3], "version": "1"}]}],
         "payments": [{"kind": "failed", "at": day(10), "invoice": "in"}], "trial_end": day(5 + n),
         "trial_end_behavior": ["fall", "end", "convert", "pause"][(number + n) % 4]} for n in range(3)]}
    terms = terms_of(document)
    now = at(number / 2)
    digest.update(encode_entitlements(COMPILED, derive(COMPILED, terms, now, memo)))
    truth = Truth(COMPILED, [terms])
    for feature in FEATURE_IDS:
        digest.update(msgspec.json.encode(truth.check("acme", feature, now, used=7).view(now)))
print(digest.hexdigest())
"""


def test_equal_bytes_in_every_process() -> None:
    """Entitlements and decisions encode to the same bytes under different hash seeds."""
    found = set()
    for seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        ran = subprocess.run(
            [sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, text=True, check=True, timeout=120
        )
        found.add(ran.stdout)
    assert len(found) == 1
