"""A simulated server and any number of followers of it: the flow's effects performed in simulated time."""

import heapq
from collections.abc import Callable
from itertools import count
from random import Random

import msgspec

from licet.sdk.effects import Answer, Chunk, Effect, Fault, Flow, Open, Outcome, Read, Request, Sleep
from licet.sdk.flow import DIFFERS, Following, Plan, Unbelieved
from licet.sdk.pacing import Pace
from licet.wire.feed import Line

LATENCY = 0.02
HEAD_EVERY = 10.0


class Believer:
    """A reader that believes every head but those marked as forged; a head is its cursor in plain text."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.losses = 0
        self.wanted: tuple[str, ...] = ()
        self.picked: list[str] = []
        self.anew: tuple[str, ...] = ()
        self.differs = False
        self.coming: str | None = None

    def take(self, line: Line, *, heal: bool = True) -> bool:
        """Take one line; a head that ends with a question mark says that the rows differ."""
        if line.head is None:
            return False
        if line.head == "forged":
            raise Unbelieved("bad_signature", "it was not signed by whom it says")
        self.differs = self.cursor is not None and line.head.endswith("?")
        if self.differs and heal:
            self.cursor = None
            raise Unbelieved(DIFFERS, "the rows are not those of the server")
        self.cursor = line.head.rstrip("?")
        return True

    def lost(self) -> None:
        """Count how often an answer ended."""
        self.losses += 1

    def missing(self) -> list[str]:
        """Return who is to be picked."""
        return [one for one in self.wanted if one not in self.picked]

    def take_pick(self, customer: str, answer: Answer) -> None:
        """Take one customer."""
        if answer.body == b"forged":
            raise Unbelieved("bad_signature", "it was not signed by whom it says")
        if answer.body == b"late":
            raise Unbelieved("gap", "the truth stands elsewhere")
        self.picked.append(customer)

    def awaited(self) -> list[tuple[str, bool]]:
        """Return who is to be in a set that begins anew."""
        return [(one, True) for one in self.anew[:1]] + [(one, False) for one in self.anew[1:]]

    def settle(self) -> None:
        """Take the set that begins anew for the truth."""
        self.cursor, self.coming = self.coming, None


def head(cursor: str) -> bytes:
    """Return a head line."""
    return msgspec.json.encode(Line(head=cursor)) + b"\n"


def event(cursor: str) -> bytes:
    """Return a head as a server-sent event."""
    return b"id: %s\ndata: %s\n" % (cursor.encode(), head(cursor))


class Follower:
    """One client's flow with its clock."""

    def __init__(self, chance: Random, plan: Plan, clock: Callable[[], float]) -> None:
        self.reader = Believer()
        self.following = Following(self.reader, Pace(chance), clock, plan)
        self.flow: Flow = self.following.run()
        self.heard = -1.0
        """When it last heard a head."""
        self.streaming = False
        self.told = False


class Town:
    """A server with outages, and everybody who follows it. One seed, one course of events."""

    def __init__(self, followers: int, seed: int, outages: tuple[tuple[float, float], ...], plan: Plan) -> None:
        self.now = 0.0
        self.outages = outages
        self.requests: list[float] = []
        chance = Random(seed)
        self.followers = [Follower(Random(chance.random()), plan, lambda: self.now) for _ in range(followers)]
        self._order = count()
        self._due: list[tuple[float, int, Follower, Outcome]] = []
        for one in self.followers:
            heapq.heappush(self._due, (0.0, next(self._order), one, None))

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._due and self._due[0][0] <= until:
            self.now, _, one, outcome = heapq.heappop(self._due)
            try:
                effect = one.flow.send(outcome)
                while (done := self._performed(one, effect))[0] <= self.now:
                    effect = one.flow.send(done[1])
            except StopIteration:
                continue
            heapq.heappush(self._due, (done[0], next(self._order), one, done[1]))
        self.now = until

    def is_up(self, at: float) -> bool:
        """Whether the server answers."""
        return not any(start <= at < end for start, end in self.outages)

    def _performed(self, one: Follower, effect: Effect) -> tuple[float, Outcome]:
        """Return when an effect is done, and its outcome."""
        if isinstance(effect, Sleep):
            return self.now + effect.seconds, None
        if isinstance(effect, Open):
            return self._opened(one, effect.request)
        if isinstance(effect, Read):
            return self._read(one, effect.seconds)
        return self.now, None

    def _opened(self, one: Follower, request: Request) -> tuple[float, Outcome]:
        self.requests.append(self.now)
        if not self.is_up(self.now):
            return self.now + LATENCY, Fault("nobody listens")
        one.streaming, one.told = request.accept == "text/event-stream", False
        return self.now + LATENCY, Answer(status=200, kind=request.accept)

    def _read(self, one: Follower, seconds: float) -> tuple[float, Outcome]:
        cursor = f"1:{int(self.now) + 1}"
        if not one.told:
            one.told, one.heard = True, self.now
            return self.now + LATENCY, Chunk(event(cursor) if one.streaming else head(cursor))
        if not one.streaming:
            return self.now, Chunk(b"")
        at = self.now + min(HEAD_EVERY, seconds)
        down = min((start for start, _ in self.outages if self.now < start <= at), default=None)
        if down is not None:
            return down, Fault("the connection was reset")
        one.heard = at
        return at, Chunk(event(f"1:{int(at) + 1}"))
