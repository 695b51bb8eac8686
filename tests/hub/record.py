"""Writes ``spec/vectors/quota.json`` from the scenes below: ``python -m tests.hub.record``."""

import json
from typing import Any

from tests.hub.cases import PAGE, play

A, B = "a" * 32, "b" * 32
ONE, TWO, THREE = (f"{number:032x}" for number in (1, 2, 3))
ABOUT = (
    "What a hub answers to calls (licet.wire.quota), step by step. One cap on acme's calls, whole again every period "
    "(seconds). `now` is the hub's real time in seconds; `held` what it holds then: what is left to be issued, and "
    "by lease its state, amount, use told of, what is charged for it, and what of that is written off. `only` is the "
    "customer that whoever calls is bound to."
)


def ask(lease: str, wanted: int, least: int = 1) -> dict[str, Any]:
    """A request for a slice."""
    return {"id": lease, "customer": "acme", "feature": "calls", "wanted": wanted, "least": least}


def call(owner: str, number: int, epoch: int = 1, **said: Any) -> dict[str, Any]:
    """What one evaluator says."""
    return {"call": {"owner": owner, "number": number, "epoch": epoch, **said}}


def claim(lease: str, used: int) -> dict[str, Any]:
    """What was used of a lease that the hub does not know."""
    return {"id": lease, "customer": "acme", "feature": "calls", "used": used}


def known(lease: str, used: int, epoch: int) -> dict[str, Any]:
    """A claim of what was once leased under an epoch."""
    return {**claim(lease, used), "epoch": epoch}


def told(lease: str, used: int, **more: Any) -> dict[str, Any]:
    """What became of a slice."""
    return {"id": lease, "used": used, **more}


def steps(*found: tuple[float, dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps with their times."""
    return [{"now": now, **step} for now, step in found]


OPEN = (1.0, call(A, 1, asks=[ask(ONE, 50)]))
SCENES: dict[str, tuple[int, list[dict[str, Any]]]] = {
    "a slice is issued, spent and given back": (
        1_600,
        steps(OPEN, (2.0, call(A, 2, told=[told(ONE, 20)])), (3.0, call(A, 3, told=[told(ONE, 30, closed=True)]))),
    ),
    "the same request is answered with the same lease": (1_600, steps(OPEN, (2.0, call(A, 2, asks=[ask(ONE, 50)])))),
    "what is wanted is cut to a part of what is left": (1_600, steps((1.0, call(A, 1, asks=[ask(ONE, 5_000)])))),
    "two owners have half of that part each": (1_600, steps(OPEN, (2.0, call(B, 1, asks=[ask(TWO, 5_000)])))),
    "the last units are issued as they are needed": (5, steps((1.0, call(A, 1, asks=[ask(ONE, 50, least=4)])))),
    "less than is needed is nothing": (5, steps((1.0, call(A, 1, asks=[ask(ONE, 50, least=6)])))),
    "a first call learns the epoch and asks again": (
        1_600,
        steps((1.0, call(A, 1, epoch=0, asks=[ask(ONE, 50)])), (2.0, call(A, 2, asks=[ask(TWO, 50)]))),
    ),
    "nobody has another's lease": (1_600, steps(OPEN, (2.0, call(B, 1, asks=[ask(ONE, 50)])))),
    "a lease that is used lasts longer": (1_600, steps(OPEN, (100.0, call(A, 2, told=[told(ONE, 20, longer=True)])))),
    "a lease ends with the period that it draws from": (1_600, steps((550.0, call(A, 1, asks=[ask(ONE, 50)])))),
    "an unreported lease is charged in full, for good": (1_600, steps(OPEN, (130.0, {"do": "lapse"}))),
    "a late word gives back what was not used": (
        1_600,
        steps(OPEN, (130.0, {"do": "lapse"}), (140.0, call(A, 2, told=[told(ONE, 30, closed=True)]))),
    ),
    "what a crash leaves in doubt is written off": (
        1_600,
        steps(OPEN, (2.0, call(B, 1, told=[told(ONE, 20, closed=True, lost=10)]))),
    ),
    "a last word is said twice, and changes nothing": (
        1_600,
        steps(
            OPEN,
            (2.0, call(A, 2, told=[told(ONE, 30, closed=True)])),
            (3.0, call(A, 3, told=[told(ONE, 30, closed=True)])),
            (4.0, call(A, 2, told=[told(ONE, 10)])),
        ),
    ),
    "two last words that differ are a disagreement": (
        1_600,
        steps(
            OPEN,
            (2.0, call(A, 2, told=[told(ONE, 30, closed=True)])),
            (3.0, call(A, 3, told=[told(ONE, 31, closed=True)])),
        ),
    ),
    "more than was owned cannot have been spent": (1_600, steps(OPEN, (2.0, call(A, 2, told=[told(ONE, 51)])))),
    "a cap cut below what is out is a deficit; what is out is asked for": (
        1_600,
        steps(
            OPEN,
            (2.0, {"cap": 40}),
            (3.0, call(B, 1, asks=[ask(TWO, 10)])),
            (4.0, call(A, 2, told=[told(ONE, 5)])),
            (5.0, call(A, 3, told=[told(ONE, 5, closed=True)])),
        ),
    ),
    "a cut cap is noticed by who only tells": (
        1_600,
        steps(
            OPEN,
            (2.0, call(B, 1, asks=[ask(TWO, 20)])),
            (3.0, {"cap": 40}),
            (4.0, call(A, 2, told=[told(ONE, 5, longer=True)])),
            (5.0, call(B, 2)),
            (6.0, call(B, 3, told=[told(TWO, 0, closed=True)])),
        ),
    ),
    "what is said of many leases of one balance counts before it is looked whether there is too little": (
        1_600,
        steps(
            OPEN,
            (2.0, call(A, 2, asks=[ask(TWO, 20)])),
            (3.0, {"cap": 55}),
            (4.0, call(A, 3, told=[told(ONE, 5, longer=True), told(TWO, 0, closed=True)])),
        ),
    ),
    "use beyond what was owned is charged by claim, and makes a deficit": (
        60,
        steps(
            (1.0, call(A, 1, asks=[ask(ONE, 50, least=50)])),
            (2.0, call(A, 2, told=[told(ONE, 50, closed=True)], claims=[claim(THREE, 15)])),
            (3.0, call(A, 3, claims=[claim(THREE, 15)], asks=[ask(TWO, 1)])),
        ),
    ),
    "what the hub gave and has forgotten is charged nothing again; of another epoch it is": (
        1_600,
        steps((1.0, call(A, 1, claims=[known(ONE, 12, 1)])), (2.0, call(A, 2, claims=[known(TWO, 12, 7)]))),
    ),
    "who is bound to one customer neither sees nor touches another's": (
        1_600,
        steps(
            OPEN,
            (2.0, {**call(B, 1, told=[told(ONE, 20, closed=True)], asks=[ask(TWO, 5)]), "only": "globex"}),
            (3.0, {**call(B, 2, claims=[claim(THREE, 12), claim(ONE, 12)]), "only": "globex"}),
            (4.0, {**call(A, 2, told=[told(ONE, 20)]), "only": "acme"}),
        ),
    ),
    "a claim under another customer's lease is of nothing known": (
        1_600,
        steps(OPEN, (2.0, {**call(B, 1, claims=[{**claim(ONE, 12), "customer": "globex"}]), "only": "globex"})),
    ),
    "recalled leases are their owners' until they answer": (
        1_600,
        steps(OPEN, (2.0, {"do": "recall"}), (3.0, call(A, 2, told=[told(ONE, 7, longer=True)]))),
    ),
    "what comes back after the period's end is not in the new one": (
        1_600,
        steps(OPEN, (601.0, call(A, 2, told=[told(ONE, 30, closed=True)], asks=[ask(TWO, 50)]))),
    ),
    "a restored copy charges the leases it knows": (
        1_600,
        steps(OPEN, (2.0, {"epoch": 2}), (3.0, {"do": "lapse"}), (4.0, call(A, 2, told=[told(ONE, 30, closed=True)]))),
    ),
    "a restored copy issues nothing to who does not know it": (
        1_600,
        steps((1.0, {"epoch": 2}), (2.0, call(A, 7, asks=[ask(TWO, 50)]))),
    ),
    "what a restored copy does not know is charged by claim, once": (
        1_600,
        steps(
            (1.0, {"epoch": 2}),
            (2.0, call(A, 7, told=[told(THREE, 12, closed=True)])),
            (3.0, call(A, 8, epoch=2, claims=[claim(THREE, 12)])),
            (4.0, call(A, 9, epoch=2, claims=[claim(THREE, 12)])),
        ),
    ),
}


def main() -> None:
    """Write the page."""
    cases = []
    for name, (amount, scene) in SCENES.items():
        case: dict[str, Any] = {"name": name, "cap": {"amount": amount, "period": 600}, "steps": scene}
        case["expect"] = play(case)
        cases.append(case)
    PAGE.write_text(json.dumps({"about": ABOUT, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
