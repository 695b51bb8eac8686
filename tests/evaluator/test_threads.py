"""Threads that ask while another one writes: each answer is of one truth, and nobody's work is broken."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import msgspec
import pytest

from licet.core.catalog import decode_catalog
from licet.evaluator.truth import LocalTruth
from licet.wire.feed import Cursor, TermsRow, UserRow
from tests.evaluator.authority import SMALL, START, terms

NOW = 1_790_000_000_000_000
SECONDS = 0.8
"""For so long; before, a tenth of it was enough."""
SIDES = ("left", "right")
SIDED: dict[str, Any] = {
    "version": 1,
    "products": {"main": {"name": "Main"}},
    "features": {"export": {"type": "switch"}},
    "plans": {
        side: {
            "product": "main",
            "versions": {"1": {"includes": {"export": {"when": f'user.attributes.side == "{side}"'}}}},
        }
        for side in SIDES
    },
}
"""Who is on a side may export with the plan of that side only."""


@pytest.fixture(autouse=True)
def _hurried() -> Iterator[None]:
    """Threads take turns very often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@contextmanager
def asking(ask: Callable[[], None]) -> Iterator[list[BaseException]]:
    """Two threads that ask as long as the block lasts; what they raised."""
    stop, raised = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            while not stop.is_set():
                ask()
        except Exception as error:  # noqa: BLE001 whatever it is, the test tells of it
            raised.append(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield raised
    finally:
        stop.set()
        for thread in threads:
            thread.join(5)


def put_side(truth: LocalTruth, number: int) -> None:
    """Put plan and user of acme, of the same side, without a set of its own."""
    side = SIDES[number % 2]
    plan = {"kind": "plan", "id": side, "version": "1"}
    document = {
        "customer": "acme",
        "subscriptions": [{"id": "sub_1", "phases": [{"starts_at": START, "items": [plan]}]}],
    }
    truth.put_terms("acme", number, number, msgspec.json.encode(document))
    truth.put_user(UserRow(customer="acme", user="ann", revision=number, seq=number, attributes={"side": side}))


def sided() -> LocalTruth:
    """A truth about one customer with one user."""
    truth = LocalTruth()
    truth.release(decode_catalog(msgspec.json.encode(SIDED)), 1)
    truth.begin("changes")
    put_side(truth, 1)
    truth.commit(Cursor(1, 1))
    return truth


def test_an_answer_about_a_user_is_of_one_truth() -> None:
    """Plan and user change sides together, again and again: no answer rests on the one's old and the other's new."""
    truth, refused = sided(), list[str]()

    def ask() -> None:
        if not truth.check("acme", "export", NOW, "ann").allowed:
            refused.append("check")
        entry, facts = truth.asked("acme", "export", NOW, "ann")
        ruling = entry.alike.ruling
        if ruling is None or not ruling(entry, 1, None, facts, None).allowed:  # type: ignore[arg-type]
            refused.append("asked")

    with asking(ask) as raised:
        end, number = time.monotonic() + SECONDS, 1
        while time.monotonic() < end:
            number += 1
            truth.begin("changes")
            put_side(truth, number)
            truth.commit(Cursor(1, number))
    assert (refused[:3], raised) == ([], [])
    assert number > 50


def test_a_customer_is_dropped_with_its_users_at_once() -> None:
    """A customer is dropped and comes back, again and again: it is there with its user or not at all."""
    truth, seen = sided(), set[str]()
    with asking(lambda: seen.add(str(truth.check("acme", "export", NOW, "ann").reason.value))) as raised:
        end, number = time.monotonic() + SECONDS, 1
        while time.monotonic() < end:
            number += 2
            truth.drop("acme")
            truth.begin("changes")
            put_side(truth, number)
            truth.commit(Cursor(1, number))
    assert raised == []
    assert seen <= {truth.check("acme", "export", NOW, "ann").reason.value, "unknown_customer"}
    assert truth.digest() == sum_of(truth)


def sum_of(truth: LocalTruth) -> int:
    """What the rows of a truth add up to, from the beginning."""
    again = LocalTruth()
    for row in truth.rows():
        if isinstance(row, TermsRow):
            again.put_terms(row.customer, row.revision, row.seq, bytes(row.doc))
        else:
            again.put_user(row)
    return again.digest()


def test_asking_does_not_break_who_keeps_the_bound() -> None:
    """Customers give way to others while threads ask about all of them: whoever writes is never in their way."""
    most = 2_000
    truth = LocalTruth(most_customers=most)
    truth.release(decode_catalog(msgspec.json.encode(SMALL)), 1)
    document = msgspec.Raw(msgspec.json.encode(terms("acme")))
    chance = Random(7)

    def ask() -> None:
        for feature in ("sso", "export", "help", "seats"):
            truth.check(f"c{chance.randrange(2 * most)}", feature, NOW)

    def pick(number: int) -> None:
        whom = f"c{number % (2 * most)}"
        truth.pick(whom, [TermsRow(customer=whom, revision=number, seq=1, doc=document)], [])

    for number in range(most):
        pick(number)
    with asking(ask) as raised:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            number += 1
            pick(number)
    assert raised == []
    assert truth.dropped > 0
