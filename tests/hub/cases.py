"""Cases of the lease protocol: what is said to a hub, and what it answers; read from ``spec/vectors/quota.json``."""

import json
from pathlib import Path
from typing import Any

import msgspec

from licet.evaluator.slices import Key
from licet.hub.authority import answer, lapse, recall
from licet.hub.lease import Disagreement
from licet.wire.quota import QuotaCall
from tests.simulation.books import Books, Cap, State

PAGE = Path(__file__).parents[2] / "spec" / "vectors" / "quota.json"
SECOND = 1_000_000
KEY = Key("acme", "calls")


def read_cases() -> list[dict[str, Any]]:
    """Return all cases."""
    found: list[dict[str, Any]] = json.loads(PAGE.read_text())["cases"]
    return found


def play(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a hub answers and holds after each step of a case, as the vectors write it."""
    amount, period = case["cap"]["amount"], case["cap"]["period"] * SECOND
    state = State({KEY: Cap(period, 100 * period, ((0, amount),))})
    return [_step(state, step) for step in case["steps"]]


def _step(state: State, step: dict[str, Any]) -> dict[str, Any]:
    books, now = Books(state), int(step["now"] * SECOND)
    told: dict[str, Any] = {}
    if "call" in step:
        call = msgspec.convert(step["call"], QuotaCall)
        before = state.copy()
        try:
            told["answer"] = msgspec.json.decode(msgspec.json.encode(answer(books, call, now, step.get("only"))))
        except Disagreement as wrong:
            told["disagreement"] = str(wrong)
            state.__dict__.update(before.__dict__)
    elif "cap" in step:
        books.do("cap", KEY, state.balances[KEY].instant(now), step["cap"])
    elif "epoch" in step:
        books.do("epoch", step["epoch"])
    elif step.get("do") == "recall":
        recall(books, books.open_of(*KEY), now)
    else:
        lapse(books, books.open_of(*KEY), now)
    balance = state.balances[KEY]
    leases = sorted(state.leases.values(), key=lambda one: one.id)
    told["held"] = {
        "left": balance.left(),
        "leases": {one.id: [one.state, one.amount, one.used, one.charged, one.written_off] for one in leases},
    }
    return told
