"""Cases of owned quota: what happens to one owner, and what it says; read from ``spec/vectors/slices.json``."""

import json
from pathlib import Path
from typing import Any

import msgspec

from licet.evaluator.slices import Hold, Kept, Key, Owned
from licet.wire.quota import LeaseAsk, QuotaAnswer
from tests.evaluator.owning import AI, CALLS, Notes

PAGE = Path(__file__).parents[2] / "spec" / "vectors" / "slices.json"
OWNER = "a" * 32


def read_cases() -> list[dict[str, Any]]:
    """Return all cases."""
    found: list[dict[str, Any]] = json.loads(PAGE.read_text())["cases"]
    return found


def play(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what comes of each step of a case, and what is owned then, as the vectors write it."""
    return Player(case).play()


class Player:
    """One owner that steps happen to."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.steps = case["steps"]
        left = [msgspec.convert(one, Kept) for one in case.get("left", [])]
        self.notes = Notes(*left) if case["disk"] else None
        self.owned = Owned(OWNER, self.notes)
        self.holds: dict[str, Hold] = {}

    def play(self) -> list[dict[str, Any]]:
        """Let all steps happen."""
        found = []
        for step in self.steps:
            now = step["now"]
            came = {"result": self._step(step, now)}
            came["owned"] = {key.feature: self.owned.owned(key, now) for key in (CALLS, AI)}
            came["due"] = self.owned.next_call_at(now)
            if self.notes is not None:
                came["disk"] = {one.id: [one.spent, one.burned] for one in self.notes.left()}
            found.append(came)
        return found

    def _step(self, step: dict[str, Any], now: float) -> Any:
        if "spend" in step:
            return self.owned.spend_all(_wants(step["spend"]), now)
        if "hold" in step:
            hold = self.owned.hold_all(_wants(step["wants"]), now, step["seconds"])
            if hold is not None:
                self.holds[step["hold"]] = hold
            return hold is not None
        if "settle" in step:
            beyond = self.owned.settle_hold(self.holds[step["settle"]], dict(_wants(step["used"])), now)
            return {key.feature: units for key, units in beyond.items()}
        if "hear" in step:
            return self.owned.hear(msgspec.convert(step["hear"], QuotaAnswer), now)
        if "ask" in step:
            return self.owned.ask(msgspec.convert(step["ask"], LeaseAsk))
        if "claim" in step:
            return self.owned.claim(step["claim"], CALLS, step["used"])
        return self._do(step["do"], now)

    def _do(self, what: str, now: float) -> Any:
        if what == "call":
            return msgspec.json.decode(msgspec.json.encode(self.owned.call(now)))
        if what == "release overdue holds":
            overdue = self.owned.release_overdue(now)
            return [name for name, hold in self.holds.items() if hold in overdue]
        assert what == "give back", what
        return self.owned.give_everything_back()


def _wants(said: dict[str, int]) -> tuple[tuple[Key, int], ...]:
    return tuple((Key("acme", feature), units) for feature, units in said.items())
