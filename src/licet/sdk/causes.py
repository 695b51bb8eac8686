"""Why a server's answer is no feed: the error for whoever waits, and whether trying again soon can help."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from licet.sdk.effects import Answer
from licet.sdk.errors import (
    Invalid,
    LicetError,
    MissingScope,
    NeverHeld,
    NoTruth,
    ReservationEnded,
    ServerTooOld,
    Unreachable,
    WrongKey,
    WrongUrl,
)

_MAKE_KEY: Final = "`licet keys create --scope check` makes a new one; give it as key= or in LICET_KEY."
_MOST_WORDS: Final = 300


class Told(Struct, frozen=True):
    """What a problem response says; fields that it lacks are empty."""

    code: str = ""
    detail: str = ""
    advice: str = ""
    status: int = 0

    @property
    def words(self) -> str:
        """Detail and advice as one text, bounded."""
        return " ".join(_sentence(part) for part in (self.detail, self.advice) if part)


class Cause(Struct, frozen=True):
    """An error, and whether only a person can mend it."""

    error: NoTruth
    hopeless: bool = False
    retry_after: float | None = None
    alone: bool = False
    """It says something about the one customer that was asked about, and nothing about the way to the server."""
    again: bool = False
    """The truth moved on between question and answer: ask once more at once."""


def read_problem(value: Any) -> Told:
    """Return what a decoded problem says; tolerant, because proxies answer too."""
    try:
        return msgspec.convert(value, Told, strict=False)
    except msgspec.ValidationError:
        return Told()


def _sentence(text: str) -> str:
    text = text.strip()[:_MOST_WORDS]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def cause_of(answer: Answer, url: str) -> Cause:
    """Return why an answer that is no feed is none."""
    told = told_of(answer)
    status = answer.status
    if status in (401, 403):
        return _no_right(told, status, url)
    if status in (404, 405, 501):
        return Cause(_nothing_there(told, status, url), True)
    if status == 429 or status >= 500:
        words = told.words or f"it answers {status}"
        return Cause(Unreachable(f"the server at {url} cannot serve just now: {words}"), False, answer.retry_after)
    if status == 409:
        return Cause(Unreachable(f"the server at {url} has no feed for this client: {told.words or told.code}"))
    if status in (400, 422) and told.code:
        words = told.words or f"it answers {status}, {told.code}."
        return Cause(
            ServerTooOld(f"the server at {url} does not understand this client: {words} Update the server."), True
        )
    what = f"with status {status}" if status != 200 else f"with {answer.kind or 'no content type'} instead of a feed"
    return Cause(no_licet(what, url), True)


def no_licet(what: str, url: str) -> WrongUrl:
    """Return the error about an address at which somebody else answers, in the way that ``what`` tells."""
    return WrongUrl(f"what answers at {url} is no Licet server (it answers {what}); look at url= or LICET_URL")


def ended_by(problem: Any, url: str) -> Cause:
    """Return why a feed that had begun says that it ends."""
    told = read_problem(problem)
    if told.status in (401, 403):
        return _no_right(told, told.status, url)
    words = told.words or told.code or "it does not say why"
    return Cause(Unreachable(f"the feed of {url} ended: {words}"))


def _no_right(told: Told, status: int, url: str) -> Cause:
    # The server's advice is for whoever writes requests by hand.
    words = _sentence(told.detail or f"it answers {status}")
    if status == 401:
        return Cause(WrongKey(f"the server at {url} does not take this key: {words} {_MAKE_KEY}"), True)
    return Cause(MissingScope(f"the key may not follow {url}: {words} {_MAKE_KEY}"), True)


def refusal_of(answer: Answer, customer: str, url: str) -> Cause:
    """Return why a server tells nothing of one customer; what it has against the question concerns no other."""
    if not 400 <= answer.status < 500 or answer.status in (401, 408, 409, 425, 429):
        return cause_of(answer, url)
    words = told_of(answer).words or f"it answers {answer.status}"
    return Cause(NeverHeld(f"the server at {url} does not tell of {customer!r}: {words}"), alone=True)


def cause_of_usage(answer: Answer, url: str, *, always_there: bool) -> LicetError:
    """Return why a server did not take what it was told of use: what will not pass by itself.

    ``always_there``: every server that counts use has that path, so that one without it is too old.
    """
    told, status = told_of(answer), answer.status
    if status == 401:
        return _no_right(told, status, url).error
    if status == 403:
        words = _sentence(told.detail or f"it answers {status}")
        return MissingScope(f"the key may not tell {url} of use: {words} It needs the scope `usage`.")
    if not told.code:
        return no_licet(f"with status {status}", url)
    if status in (405, 501) or (status == 404 and always_there):
        return ServerTooOld(f"the server at {url} counts no use (it answers {status}, {told.code}); update the server")
    words = told.words or f"it answers {status}, {told.code}."
    if told.code in ("reservation_closed", "reservation_expired"):
        return ReservationEnded(words, told.code)
    return Invalid(words, told.code)


def _nothing_there(told: Told, status: int, url: str) -> NoTruth:
    """A Licet server says with a problem that it has no such path; so may others, which its keyset tells apart."""
    if told.code:
        return ServerTooOld(f"the server at {url} has no feed (it answers {status}, {told.code}); update the server")
    return no_licet(f"with status {status}", url)


def told_of(answer: Answer) -> Told:
    """Return the problem that an answer is; empty where it is none."""
    if "json" not in answer.kind:
        return Told()
    try:
        return read_problem(msgspec.json.decode(answer.body))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Told()
