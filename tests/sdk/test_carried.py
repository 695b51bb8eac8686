"""Decisions and refusals that leave their process: for queues of work, other processes, and copies."""

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from licet import Decision, NotEntitled
from licet.testing import World
from tests.sdk.office import open_office

READ = (
    "allowed",
    "reason",
    "reasons",
    "would_deny",
    "customer",
    "feature",
    "message",
    "support",
    "remedy",
    "value",
    "limit",
    "sources",
    "missing",
    "warnings",
    "basis",
    "stale",
    "age_seconds",
)


def journey(decision: Decision, protocol: int = pickle.HIGHEST_PROTOCOL) -> Decision:
    """Pickle and unpickle."""
    found = pickle.loads(pickle.dumps(decision, protocol))  # noqa: S301 our own bytes
    assert isinstance(found, Decision)
    return found


def decisions() -> list[Decision]:
    """Allowed, refused and unknown ones, with and without a limit."""
    world = World("examples/meridian/catalog.yaml", strict=False)
    world.subscribe("acme", "team")
    client = world.client()
    asked = [("acme", "projects"), ("acme", "sso"), ("acme", "nonsense"), ("nobody", "sso")]
    return [client.check(*one) for one in asked] + [client.check("acme", "projects", used=10_000)]


def refused(customer: str) -> bool:
    """Raise as a task in another process does."""
    world = World("examples/meridian/catalog.yaml", strict=False)
    return bool(world.client().require(customer, "sso"))


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_a_pickled_decision_says_the_same(protocol: int) -> None:
    """Everything that can be read of a decision, and its document, is the same after a journey, and after two."""
    for decision in decisions():
        once = journey(decision, protocol)
        for told in (once, journey(once, protocol), copy.deepcopy(decision)):
            assert bool(told) == bool(decision)
            assert {name: getattr(told, name) for name in READ} == {name: getattr(decision, name) for name in READ}
            assert told.document() == decision.document()
            assert repr(told) == repr(decision)
        assert len(pickle.dumps(decision)) < 20_000


def test_a_refusal_stays_one_in_another_process() -> None:
    """What a task raises arrives as NotEntitled, with a decision that can be looked at."""
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(NotEntitled, match="not known") as caught,
    ):
        pool.submit(refused, "nobody").result()
    assert caught.value.decision.reason == "unknown_customer"
    assert str(caught.value) == caught.value.decision.message


def test_what_was_assumed_stays_assumed() -> None:
    """An answer without a truth is, after a journey, still one, infinitely old."""
    with open_office() as office:
        options = {"url": "http://127.0.0.1:9", "start_timeout": 0.0, "unreachable": {"sso": "allow"}}
        with office.client(**options) as client:
            for feature in ("sso", "export"):
                decision = client.check("acme", feature)
                told = journey(decision)
                assert {name: getattr(told, name) for name in READ} == {name: getattr(decision, name) for name in READ}
                assert told.document() == decision.document()
