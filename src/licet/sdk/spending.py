"""How one call that somebody waits for is made: try, wait, try again, believe or refuse. No I/O, no clock."""

from collections.abc import Callable, Generator
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from licet.sdk.causes import cause_of_usage, told_of
from licet.sdk.effects import Answer, Ask, Effect, Fault, Outcome, Request, Sleep
from licet.sdk.errors import LicetError, NoTruth, Unanswered, WrongUrl
from licet.sdk.pacing import Tries

if TYPE_CHECKING:
    from licet.sdk.taps import Turn, Wait

T = TypeVar("T")
CONSUME: Final = "/v1/consume"
RESERVATIONS: Final = "/v1/reservations"
EVENTS: Final = "/v1/events"
BATCH: Final = "application/cloudevents-batch+json"
_MOST: Final = 1024 * 1024
_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_LEAST_SECONDS: Final = 0.05


class Keep:
    """Keep something that is told later: it may wait for a disk. Who asked for it looks at what came of it."""

    def __init__(self, put: Callable[[], bool]) -> None:
        """``put`` keeps it; raises a LicetError where it cannot."""
        self._put = put
        self.error: LicetError | None = None

    def perform(self) -> None:
        """Keep it, or note why it was not kept."""
        try:
            self._put()
        except LicetError as wrong:
            self.error = wrong


Call = Generator["Effect | Keep | Turn | Wait", Outcome, T]
"""A flow that comes to something; only ``Ask``, ``Sleep``, ``Keep``, ``Turn`` and ``Wait`` are asked of its driver."""


class Errand(Struct, frozen=True, kw_only=True):
    """One request with its key: made twice it does no more than once."""

    path: str
    body: bytes
    key: str = ""
    keyed: bool = True
    """Whether the key is in the body."""


class Line(Struct, frozen=True, kw_only=True):
    """The way to one server. ``ticks`` is the monotonic clock."""

    url: str
    tries: Tries
    ticks: Callable[[], float]
    seconds: float
    """For how long a call is tried at most."""


def settle_path(reservation: str) -> str:
    """Return where a reservation is settled."""
    return f"{RESERVATIONS}/{quote(reservation, safe='')}/settle"


def release_path(reservation: str) -> str:
    """Return where a reservation is released."""
    return f"{RESERVATIONS}/{quote(reservation, safe='')}/release"


def closing_key(reservation: str, verb: str, *facts: object) -> str:
    """Return the key under which a reservation is closed: the same from whoever closes it in the same way."""
    text = "\0".join([reservation, verb, *map(str, facts)])
    return f"{verb}_{sha256(text.encode()).hexdigest()[:32]}"


def call(line: Line, errand: Errand, kind: type[T], seconds: float | None = None) -> Call[T]:
    """Return what the server answers, tried for ``seconds``.

    Raises Unanswered where it cannot be reached or says nothing in time, another NoTruth where only a person can
    help, and Invalid for what it does not take.
    """
    deadline = line.ticks() + (line.seconds if seconds is None else seconds)
    shut = line.tries.closed_for(line.ticks())
    if shut:
        words = f"{line.url} could not be reached a moment ago; it is asked again in {shut:.1f} s"
        raise Unanswered(words, errand.key)
    tried = 0
    while True:
        left = deadline - line.ticks()
        # Half of what is left, so that an answer that never comes leaves time to ask again.
        patience = max(_LEAST_SECONDS, left if tried else left / 2)
        request = Request(
            method="POST",
            path=errand.path,
            body=errand.body,
            # In the body it is for whoever has text there that no header may have.
            key="" if errand.keyed else errand.key,
            seconds=patience,
            repeats=True,
        )
        outcome = yield Ask(request, _MOST)
        tried += 1
        if isinstance(outcome, Answer) and not _again(outcome):
            line.tries.worked()
            return _read(outcome, kind, line.url, errand.path)
        after = outcome.retry_after if isinstance(outcome, Answer) else None
        down = not isinstance(outcome, Answer) or outcome.status >= 500
        now = line.ticks()
        wait = line.tries.failed(now, tried, after, down=down)
        if wait is None or now + wait >= deadline:
            raise _gave_up(outcome, line.url, errand, tried)
        yield Sleep(wait)


def _again(answer: Answer) -> bool:
    """Whether the same request may be answered otherwise in a moment."""
    if answer.status == 409:
        return told_of(answer).code == "idempotency_key_busy"
    return answer.status in _AGAIN


def _read(answer: Answer, kind: type[T], url: str, path: str) -> T:
    if not 200 <= answer.status < 300:
        raise cause_of_usage(answer, url, always_there=path in (CONSUME, RESERVATIONS))
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        words = f"what answers at {url} is no Licet server, or one of another time: {answer.kind or 'no content type'}"
        raise WrongUrl(f"{words}; look at url= or LICET_URL") from None


def _gave_up(outcome: Outcome, url: str, errand: Errand, tried: int) -> NoTruth:
    words = outcome.words if isinstance(outcome, Fault) else "it did not answer"
    if isinstance(outcome, Answer):
        words = told_of(outcome).words or f"it answers {outcome.status}"
    times = "once" if tried == 1 else f"{tried} times"
    return Unanswered(f"{url} was asked {times} and could not say: {words}", errand.key)
