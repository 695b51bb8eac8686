"""How a client tells what waits in its outbox: batch after batch, each until it is acknowledged. No clock, no chance.

Everything has an id or a key of its own, so that what is told twice counts once. What the server will never take is
found by halving the batch that it is in, and given up alone.
"""

import sqlite3
from collections.abc import Callable, Generator
from typing import Final

import msgspec

from licet.sdk.causes import cause_of_usage, no_licet, told_of
from licet.sdk.effects import Answer, Ask, Effect, Fault, Flow, Outcome, Request, Sleep
from licet.sdk.outbox import Outbox
from licet.sdk.pacing import Pace
from licet.sdk.shelf import Entry, Waiting
from licet.sdk.spending import BATCH, CONSUME, EVENTS
from licet.sdk.upload import Upload
from licet.wire.usage import ClosingAnswer, ConsumeAnswer, EventsAnswer

LINGER: Final = 1.0
"""Seconds for which what is reported waits at most for more."""
_IDLE: Final = 600.0
_BATCH: Final = 500
_BATCH_BYTES: Final = 512 * 1024
_AT_ONCE: Final = 50
"""Requests that are sent one after the other before it rests."""
_MOST: Final = 256 * 1024
_NEVER: Final = frozenset({400, 404, 409, 413, 415, 422})
"""A Licet server's statuses for what it will not take later either."""


class Reporting(Upload):
    """The upload of one outbox."""

    def __init__(
        self,
        outbox: Outbox,
        pace: Pace,
        ticks: Callable[[], float],
        *,
        url: str,
        seconds: float = 10.0,
        tempo: float = 1.0,
    ) -> None:
        super().__init__(pace, ticks, url=url, seconds=seconds, tempo=tempo)
        self._outbox = outbox
        self._size = _BATCH
        self._urged = False
        self.trouble: str | None = None
        """Why what waits was not taken the last time; None after what worked."""

    def urge(self) -> None:
        """Somebody waits until everything is told. Wake the flow after this."""
        self._urged = True

    def run(self) -> Flow:
        """Tell what waits, until finished."""
        while True:
            if not (self._last or self._urged or self._outbox.waiting[0]):
                since = self._ticks()
                yield Sleep(_IDLE * self._tempo)
                if self._ticks() - since >= _IDLE * self._tempo:
                    self._outbox.adopt()
            until = self._ticks() + (LINGER / 2 + self._pace.soon(LINGER / 2)) * self._tempo
            # Woken by a report it sleeps on; by whoever waits it does not.
            while not (self._last or self._urged) and (left := until - self._ticks()) > 0:
                yield Sleep(left)
            last, urged, self._urged = self._last, self._urged, False
            wait = yield from self._batches(at_once=urged or last)
            if last:
                return
            if wait:
                yield Sleep(wait * self._tempo)

    def _batches(self, *, at_once: bool) -> Generator[Effect, Outcome, float]:
        """Tell what there is; returns how long to leave the server alone. ``at_once``: whatever was before."""
        for number in range(_AT_ONCE):
            shut = self._pace.open(self._ticks()) and not (at_once and number == 0)
            told = [] if shut else self._outbox.take(self._size, _BATCH_BYTES)
            if not told:
                return LINGER if shut else 0.0
            outcome = yield Ask(self._request(told), _MOST)
            try:
                if isinstance(outcome, Answer) and 200 <= outcome.status < 300:
                    wait = self._took(told, outcome)
                else:
                    wait = self._refused(told, outcome)
            except sqlite3.Error as error:
                # Told again under the same ids: nothing counts twice for a disk that does not forget.
                self._waits(f"what was told cannot be struck off on the disk ({error})", "disk")
                wait = self._pace.failed(self._ticks())
            if wait:
                return wait
        return 0.0

    def _request(self, told: list[Waiting]) -> Request:
        first = told[0].entry
        if first.kind == "call":
            return self._post(first.path, first.body)
        body = b"[" + b",".join(one.entry.body for one in told) + b"]"
        return self._post(EVENTS, body, content=BATCH)

    def _took(self, told: list[Waiting], answer: Answer) -> float:
        """Forget what the server has; what it refused to count goes as an event, if there is one for it.

        Returns how long to wait where somebody else answered: only who says what became of it has it.
        """
        first = told[0].entry
        said = _said_of(told, answer)
        if said is None:
            words = f"with status {answer.status} and {answer.kind or 'no content type'}, and not what became of it"
            self._waits(str(no_licet(words, self._url)), "no answer")
            return self._pace.failed(self._ticks())
        self._pace.worked()
        self.trouble = None
        self._size = min(_BATCH, self._size * 2)
        if isinstance(said, ConsumeAnswer) and not said.allowed:
            self._give_up(told[0], "it was refused when the server could be asked", first.spare)
            return 0.0
        self._outbox.drop(told)
        if isinstance(said, EventsAnswer) and said.ignored:
            words = "no meter of the catalog counts events of their type and data"
            self._say(f"{said.ignored} of {len(told)} reports counted for nothing: {words}", "ignored")
        return 0.0

    def _refused(self, told: list[Waiting], outcome: Outcome) -> float:
        """Return how long to wait; 0 where something was given up, or fewer are told next."""
        if not isinstance(outcome, Answer):
            self.trouble = outcome.words if isinstance(outcome, Fault) else "nobody answered in time"
            return self._pace.failed(self._ticks())
        problem = told_of(outcome)
        never = outcome.status in _NEVER and problem.code and problem.code != "idempotency_key_busy"
        no_path = outcome.status == 404 and told[0].entry.path in ("", CONSUME)
        if never and not no_path:
            self._pace.worked()
            self.trouble = None
            if len(told) > 1:
                self._size = len(told) // 2
            else:
                # A reservation that was over before it was settled gave everything back.
                spare = told[0].entry.spare if problem.code == "reservation_expired" else None
                self._give_up(told[0], problem.words or problem.code, spare)
            return 0.0
        if outcome.status in (408, 409, 425, 429) or outcome.status >= 500:
            self.trouble = problem.words or f"{self._url} answers {outcome.status}"
            return self._pace.failed(self._ticks(), outcome.retry_after)
        self._waits(str(cause_of_usage(outcome, self._url, always_there=True)), outcome.status)
        return self._pace.hopeless(self._ticks())

    def _give_up(self, one: Waiting, words: str, spare: bytes | None) -> None:
        """Tell the event in its place, where there is one; else it is lost, and counted as such."""
        entry = one.entry
        if spare is not None:
            self._outbox.exchange(one, Entry(id=f"{entry.id}\0spare", kind="event", body=spare))
            return
        self._outbox.drop([one])
        self._outbox.refused += 1
        self._say(f"a report is given up, {entry.body[:300]!r}: {words}", "given up")

    def _waits(self, words: str, cause: object) -> None:
        self.trouble = words
        self._say(f"reports wait: {words}", cause)


def _said_of(told: list[Waiting], answer: Answer) -> EventsAnswer | ConsumeAnswer | ClosingAnswer | None:
    """What a server says became of what it was told; None from whoever does not account for each part of it."""
    first = told[0].entry
    try:
        if first.kind == "call" and first.path == CONSUME:
            return msgspec.json.decode(answer.body, type=ConsumeAnswer)
        if first.kind == "call":
            return msgspec.json.decode(answer.body, type=ClosingAnswer)
        said = msgspec.json.decode(answer.body, type=EventsAnswer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    parts = (said.recorded, said.duplicates, said.ignored)
    return said if min(parts) >= 0 and sum(parts) == len(told) else None
