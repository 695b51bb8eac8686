"""Writes ``spec/vectors/slices.json`` from the scenes below: ``python -m tests.evaluator.slices_record``."""

import json
from typing import Any

from tests.evaluator.slices_cases import PAGE, play

ONE, TWO, SEVEN = (f"{number:032x}" for number in (1, 2, 7))
ABOUT = (
    "What one owner of slices does and says (licet.evaluator.slices), step by step; all of customer acme. `now` is its "
    "monotonic clock in seconds. `disk`: whether it has a journal, and `left` what it finds there. By step: the "
    "`result` (of a spend or hold whether it was owned; of a settling what it did not cover; of a call what is said), "
    "what is `owned` then, when a call is `due`, and what is written on the `disk`: by lease what was certainly spent, "
    "and what may have been."
)


def spend(**wants: int) -> dict[str, Any]:
    """Spend together, or nothing."""
    return {"spend": wants}


def hold(name: str, seconds: float = 900.0, **wants: int) -> dict[str, Any]:
    """Reserve together, or nothing."""
    return {"hold": name, "wants": wants, "seconds": seconds}


def settle(name: str, **used: int) -> dict[str, Any]:
    """End a hold."""
    return {"settle": name, "used": used}


def hear(number: int, epoch: int = 1, **came: Any) -> dict[str, Any]:
    """An answer arrives."""
    return {"hear": {"number": number, "epoch": epoch, **came}}


def heard(lease: str, state: str, used: int, **more: Any) -> dict[str, Any]:
    """What became of a lease."""
    return {"id": lease, "state": state, "used": used, **more}


def steps(*found: tuple[float, dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps with their times."""
    return [{"now": now, **step} for now, step in found]


def owning(amount: int, lease: str = ONE, feature: str = "calls") -> tuple[tuple[float, dict[str, Any]], ...]:
    """Ask for a slice at 0, have it at 1: it lasts 60 seconds from when it was asked for."""
    given = {"id": lease, "epoch": 1, "amount": amount, "seconds": 60.0, "left": 900}
    asked = {"id": lease, "customer": "acme", "feature": feature, "wanted": amount}
    return (0.0, {"ask": asked}), (0.0, CALL), (1.0, hear(1, given=[given]))


CALL: dict[str, Any] = {"do": "call"}
GIVE_BACK: dict[str, Any] = {"do": "give back"}
RELEASE: dict[str, Any] = {"do": "release overdue holds"}
SCENES: dict[str, list[dict[str, Any]]] = {
    "a slice is spent to its last unit, and told of": steps(
        *owning(10), (2.0, spend(calls=7)), (3.0, spend(calls=4)), (4.0, spend(calls=3)), (5.0, CALL)
    ),
    "several features are spent together or not at all": steps(*owning(10), (2.0, spend(calls=1, ai=1))),
    "what was heard is not told again": steps(
        *owning(10), (2.0, spend(calls=4)), (3.0, CALL), (4.0, hear(2, heard=[heard(ONE, "open", 4)])), (5.0, CALL)
    ),
    "what is used lasts longer": steps(
        *owning(10),
        (2.0, spend(calls=4)),
        (41.0, CALL),
        (42.0, hear(2, heard=[heard(ONE, "open", 4, seconds=120.0)])),
        (43.0, CALL),
    ),
    "what is not used ends, and is told as closed": steps(*owning(10), (50.0, CALL), (60.0, CALL)),
    "a last word is said until it was heard": steps(
        *owning(10),
        (2.0, GIVE_BACK),
        (3.0, CALL),
        (4.0, CALL),
        (5.0, hear(2, heard=[heard(ONE, "settled", 0)])),
        (6.0, CALL),
    ),
    "what was not used of a hold is there again": steps(
        *owning(10), (2.0, hold("h", calls=6)), (3.0, spend(calls=5)), (4.0, settle("h", calls=2)), (5.0, CALL)
    ),
    "a settling beyond its hold takes what is owned, and the rest is claimed": steps(
        *owning(10),
        (2.0, hold("h", calls=6)),
        (3.0, settle("h", calls=13)),
        (3.0, {"claim": SEVEN, "used": 3}),
        (4.0, CALL),
        (5.0, hear(2, heard=[heard(ONE, "settled", 10), heard(SEVEN, "settled", 3)])),
        (6.0, CALL),
    ),
    "a recalled slice is told as closed when its hold is settled": steps(
        *owning(10),
        (2.0, spend(calls=1)),
        (2.0, hold("h", calls=6)),
        (3.0, CALL),
        (4.0, hear(2, heard=[heard(ONE, "open", 1)], recalled=[ONE])),
        (5.0, CALL),
        (6.0, settle("h", calls=2)),
        (7.0, CALL),
    ),
    "a slice that ended with a hold on it is charged in full, and proven later": steps(
        *owning(10),
        (2.0, hold("h", calls=6)),
        (61.0, CALL),
        (62.0, spend(calls=1)),
        (63.0, settle("h", calls=2)),
        (64.0, CALL),
    ),
    "an overdue hold is let go; what it settles late is use like any other": steps(
        *owning(10), (2.0, hold("h", 5.0, calls=6)), (7.0, RELEASE), (8.0, spend(calls=8)), (9.0, settle("h", calls=3))
    ),
    "another epoch closes what is owned; what its hub does not know is claimed": steps(
        *owning(10),
        (2.0, hold("h", calls=6)),
        (3.0, CALL),
        (4.0, hear(2, 2)),
        (5.0, settle("h", calls=2)),
        (6.0, CALL),
        (7.0, hear(3, 2, heard=[heard(ONE, "unknown", 2)])),
        (8.0, CALL),
    ),
    "an older or a repeated answer changes nothing": steps(
        *owning(10),
        (2.0, hear(1, recalled=[ONE])),
        (3.0, CALL),
        (4.0, hear(2, 0, recalled=[ONE])),
    ),
}
ON_DISK: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "an eighth is burned ahead, and what is held": (
        [],
        steps(
            *owning(80), (2.0, spend(calls=1)), (3.0, spend(calls=9)), (4.0, hold("h", calls=12)), (5.0, spend(calls=1))
        ),
    ),
    "a close is written before it is told": (
        [],
        steps(
            *owning(80),
            (2.0, spend(calls=1)),
            (2.0, hold("h", calls=2)),
            (3.0, GIVE_BACK),
            (4.0, CALL),
            (5.0, settle("h", calls=1)),
            (6.0, CALL),
            (7.0, hear(3, heard=[heard(ONE, "settled", 2)])),
        ),
    ),
    "what a crash left behind is told as used and in doubt, and claimed where nobody knows it": (
        [
            {"id": ONE, "customer": "acme", "feature": "calls", "spent": 10, "burned": 20},
            {"id": TWO, "customer": "acme", "feature": "calls", "spent": 5, "burned": 5},
        ],
        steps(
            (1.0, CALL),
            (2.0, hear(1, heard=[heard(ONE, "settled", 10), heard(TWO, "unknown", 5)])),
            (3.0, CALL),
            (4.0, hear(2, heard=[heard(TWO, "settled", 5)])),
        ),
    ),
}


def main() -> None:
    """Write the page."""
    cases: list[dict[str, Any]] = [{"name": name, "disk": False, "steps": scene} for name, scene in SCENES.items()]
    cases += [{"name": name, "disk": True, "left": left, "steps": scene} for name, (left, scene) in ON_DISK.items()]
    for case in cases:
        case["expect"] = play(case)
    PAGE.write_text(json.dumps({"about": ABOUT, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
