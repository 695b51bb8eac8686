"""How a client tells of its checks: batch after batch, each until it is acknowledged. No I/O, no clock, no chance."""

from collections.abc import Callable, Generator
from typing import Final

import msgspec

from licet.core.instant import Instant
from licet.sdk.causes import cause_of
from licet.sdk.effects import Answer, Ask, Effect, Flow, Outcome, Sleep
from licet.sdk.ids import plain
from licet.sdk.pacing import Pace
from licet.sdk.tally import PATH, UPLOAD_SECONDS, CheckTally
from licet.sdk.upload import Upload

_MOST: Final = 64 * 1024
_AT_ONCE: Final = 20
"""Batches that are sent one after the other before it rests."""


class Sending(Upload):
    """The upload of one client's counts. It gives way to the feed: while the breaker is open, nothing is sent."""

    def __init__(
        self,
        tally: CheckTally,
        pace: Pace,
        ticks: Callable[[], float],
        business: Callable[[], Instant],
        bound: Callable[[], str | None],
        *,
        url: str,
        seconds: float = 10.0,
        tempo: float = 1.0,
    ) -> None:
        super().__init__(pace, ticks, url=url, seconds=seconds, tempo=tempo)
        self._tally = tally
        self._business = business
        self._bound = bound

    def run(self) -> Flow:
        """Tell of checks, every few seconds, until finished."""
        while True:
            if not self._last:
                yield Sleep((0.8 * UPLOAD_SECONDS + self._pace.soon(0.4 * UPLOAD_SECONDS)) * self._tempo)
            last = self._last
            if last:
                self._tally.rest()
            wait = yield from self._batches()
            if last:
                return
            if wait:
                yield Sleep(wait * self._tempo)

    def _batches(self) -> Generator[Effect, Outcome, float]:
        """Send what there is; returns how long to leave the server alone beyond the usual."""
        self._tally.bound = self._bound()
        for _ in range(_AT_ONCE):
            upload = None if self._pace.open(self._ticks()) else self._tally.take(self._business())
            if upload is None:
                return 0.0
            body = msgspec.json.encode(upload, enc_hook=plain)
            answer = yield Ask(self._post(PATH, body, repeats=False), _MOST)
            if isinstance(answer, Answer) and answer.status < 300:
                self._tally.acknowledge()
                continue
            if not isinstance(answer, Answer):
                return self._pace.soon(UPLOAD_SECONDS)
            cause = cause_of(answer, self._url)
            if answer.status in (400, 403, 409, 413, 422):
                # It will be refused for ever: what is in it is told as lost with the next one.
                self._tally.give_up()
                self._say(f"a batch of counts was refused and is given up: {cause.error}", "refused")
            return cause.retry_after or self._pace.soon(6 * UPLOAD_SECONDS if cause.hopeless else UPLOAD_SECONDS)
        return 0.0
