"""How a client asks its server for quota and tells what became of it: one call after the other. No clock, no chance."""

from collections.abc import Callable
from typing import Final

import msgspec

from licet.sdk.causes import cause_of_usage, no_licet, told_of
from licet.sdk.effects import Answer, Ask, Fault, Flow, Outcome, Sleep
from licet.sdk.owning import Owning
from licet.sdk.pacing import Pace
from licet.sdk.upload import Upload
from licet.wire.quota import QuotaAnswer

LEASES: Final = "/v1/quota-leases"
_MOST: Final = 4 * 1024 * 1024
_SOON: Final = 0.02
"""Seconds between two calls at the end, at most."""
_DISAGREES: Final = "quota_disagreement"


class Leasing(Upload):
    """The calls of one client. ``disagreed`` is called where the server holds that what is told cannot be."""

    def __init__(
        self,
        owning: Owning,
        pace: Pace,
        ticks: Callable[[], float],
        *,
        url: str,
        seconds: float = 10.0,
        tempo: float = 1.0,
    ) -> None:
        super().__init__(pace, ticks, url=url, seconds=seconds, tempo=tempo)
        self._owning = owning

    def run(self) -> Flow:
        """Ask and tell as it is needed, until finished and all is said."""
        while not (self._last and self._owning.is_settled):
            self._owning.sweep()
            pause = self._owning.pause()
            if pause:
                yield Sleep(min(pause, _SOON) if self._last else pause)
                if not self._last:
                    continue
            body = msgspec.json.encode(self._owning.call())
            outcome = yield Ask(self._post(LEASES, body), _MOST)
            wait = self._heard(outcome) * self._tempo
            until = self._ticks() + wait
            # Woken by whoever has a need it sleeps on: nobody waits for a server that is away.
            while (left := until - self._ticks()) > 0:
                last = self._last
                yield Sleep(left)
                if self._last and not last:
                    break

    def _heard(self, outcome: Outcome) -> float:
        """Take what came; returns for how long to leave the server alone."""
        now = self._ticks()
        if not isinstance(outcome, Answer):
            words = outcome.words if isinstance(outcome, Fault) else "nobody answered in time"
            return self._failed(self._pace.failed(now), words)
        if 200 <= outcome.status < 300:
            try:
                answer = msgspec.json.decode(outcome.body, type=QuotaAnswer)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                words = str(no_licet(f"with {outcome.kind or 'no content type'} and no quota", self._url))
                self._say(f"no quota can be owned: {words}", "no answer")
                return self._failed(self._pace.failed(now), words)
            known = self._owning.owned.epoch
            if answer.epoch < known:
                # Nothing of it may be taken, and so nothing was answered: not to be asked again at once.
                words = f"{self._url} is in epoch {answer.epoch}, restored from a copy of before epoch {known}"
                self._say(f"no quota can be owned: {words}; raise its epoch above {known}", "epoch")
                return self._failed(self._pace.failed(now), words)
            self._pace.worked()
            self._owning.hear(answer)
            return 0.0
        told = told_of(outcome)
        if told.code == _DISAGREES:
            self._say(f"what this process owns is given up, and charged in full: {told.words}", told.code)
            self._owning.give_up()
            return self._failed(self._pace.failed(now), told.words)
        if outcome.status in (408, 409, 425, 429) or outcome.status >= 500:
            words = told.words or f"{self._url} answers {outcome.status}"
            return self._failed(self._pace.failed(now, outcome.retry_after), words)
        words = str(cause_of_usage(outcome, self._url, always_there=False))
        self._say(f"no quota can be owned, the server decides every use: {words}", outcome.status)
        return self._failed(self._pace.hopeless(now), words)

    def _failed(self, wait: float, words: str) -> float:
        self._owning.failed(wait * self._tempo, words)
        return wait
