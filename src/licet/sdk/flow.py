"""How a client follows its server: what to ask, what to believe, when to try again. No I/O, no clock, no chance.

A stream where one works, else a long poll; from the cursor that is held; and after a failure with the patience of
``pacing``. What was believed last stays the truth whatever happens here.
"""

from collections.abc import Callable, Generator
from typing import Final, Literal, Protocol
from urllib.parse import quote

import msgspec
from msgspec import Struct

from licet.sdk.causes import Cause, cause_of, ended_by, no_licet, refusal_of
from licet.sdk.effects import Answer, Ask, Chunk, Effect, Fault, Flow, Open, Outcome, Read, Request, Shut, Sleep, Work
from licet.sdk.errors import NotBelieved, NotHeld, NoTruth, ServerTooOld, Unreachable
from licet.sdk.lines import Form, Lines, TooLong, form_of
from licet.sdk.pacing import Pace
from licet.wire.feed import Line

Manner = Literal["stream", "poll", "never"]
EVENTS: Final = "text/event-stream"
LINES: Final = "application/x-ndjson"
PICK_MOST: Final = 64 * 1024 * 1024
"""Bytes of all that is told of one customer."""
KEYSET_MOST: Final = 64 * 1024
"""Bytes of a workspace's keyset."""
GATHER: Final = 10.0
"""Seconds for which a set that begins anew waits for customers that are held without having been named."""
HOLD: Final = 20
"""Seconds for which a server may hold a long poll."""
SILENCE: Final = 25.0
"""Seconds without a head after which a stream is taken for dead; a server sends one every 10."""
POLL_FOR: Final = 600.0
"""Seconds of polling before a stream is tried again where streams did not work."""
LOST: Final = 8.0
"""The longest wait before the first try after a stream ended: everybody's ended at once."""
UNHELD: Final = 5.0
"""Seconds between polls of a server that answers at once although there is nothing new."""
DIFFERS: Final = "digest_differs"
"""The code of a truth that is not the server's: all of it is fetched again."""


class Unbelieved(Exception):
    """A line that is refused; the last truth is kept. ``code`` is stable; ``lasting``: only a person can help."""

    def __init__(self, code: str, words: str, *, lasting: bool = False) -> None:
        super().__init__(words)
        self.code = code
        self.lasting = lasting


class Reader(Protocol):
    """Whoever believes lines, or does not."""

    @property
    def cursor(self) -> str | None:
        """From where to go on; None for everything anew."""
        ...

    @property
    def differs(self) -> bool:
        """Whether the rows are known to differ from what the server says they add up to."""
        ...

    def take(self, line: Line, *, heal: bool = True) -> bool:
        """Take one line; returns whether it was a head, so that a truth counts now. Raises Unbelieved.

        Only where it is to ``heal`` a truth that differs from the server's is refused, so that it is fetched anew.
        """
        ...

    def lost(self) -> None:
        """The answer ended: what was staged of a set will not be finished."""
        ...

    def missing(self) -> list[str]:
        """Return the customers that are to be held and are not yet."""
        ...

    def take_pick(self, customer: str, answer: Answer) -> None:
        """Take all of one customer, as of the cursor. Raises Unbelieved."""
        ...

    @property
    def coming(self) -> str | None:
        """As of which cursor to pick whoever is ``awaited``, so that a set that begins anew can ``settle``."""
        ...

    def awaited(self) -> list[tuple[str, bool]]:
        """Return who is to be in a set that begins anew, and whether it was named: those first."""
        ...

    def settle(self) -> None:
        """Make the set that begins anew the truth; until then the last one stays."""
        ...


class Plan(Struct, frozen=True, kw_only=True):
    """What to follow, and how."""

    url: str
    """Only for words."""
    workspace: str = "live"
    """Whose feed it is, as the key names it."""
    manner: Manner = "stream"
    picked: bool = False
    """Only some customers are held; a full set brings no rows."""
    seconds: float = 10.0
    """How long to wait for a connection, and for the first line of an answer."""
    tempo: float = 1.0
    """All waits are multiplied by it; anything but 1 is for tests."""
    spread: float = 0.0
    """The longest wait before the first try."""


class _Broken(Exception):
    """An answer came to a bad end."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(str(cause.error))
        self.cause = cause


class Following:
    """One client's way of following; ``run`` is the flow, the attributes say how it is going."""

    def __init__(self, reader: Reader, pace: Pace, ticks: Callable[[], float], plan: Plan) -> None:
        self._reader = reader
        self._pace = pace
        self._ticks = ticks
        self._plan = plan
        self._poll_until = 0.0
        self._spoiled = 0
        self._heals_at = 0.0
        self.connected = False
        """A truth came over the connection that is open now, or with the last poll."""
        self.error: NoTruth | None = None
        """Why it last did not work; None since it works, and does not differ."""
        self.hopeless = False
        """Only a person can mend why it last did not work."""
        self.settled = False
        """All customers that are to be held were loaded once."""
        self.tries = 0
        """Requests made so far."""

    def run(self) -> Flow:
        """Follow until closed; with the manner ``never`` until the first truth."""
        yield Sleep(self._pace.soon(self._plan.spread))
        while True:
            wait = yield from self._once()
            if wait is None:
                return
            yield Sleep(wait * self._plan.tempo)

    def _once(self) -> Generator[Effect, Outcome, float | None]:
        """Ask once and take what comes; returns how long to wait, None if that was all."""
        streams = self._plan.manner == "stream" and self._ticks() >= self._poll_until
        began, before = self._ticks(), self._reader.cursor
        self.tries += 1
        try:
            form = self._form((yield Open(self._request(streams))))
            yield from self._lines(form, SILENCE if form == "events" else self._plan.seconds + HOLD)
        except _Broken as broken:
            yield Shut()
            return self._failed((yield from self._told_apart(broken.cause)), streams)
        finally:
            self._reader.lost()
        yield Shut()
        return self._next(form, began, moved=self._reader.cursor != before)

    def _told_apart(self, cause: Cause) -> Generator[Effect, Outcome, Cause]:
        """Tell a Licet server that is too old from a path at which there is none: any Licet shows its keyset."""
        if not isinstance(cause.error, ServerTooOld):
            return cause
        path = f"/.well-known/licet-keyset?workspace={self._plan.workspace}"
        answer = yield Ask(Request(path=path, seconds=self._plan.seconds), KEYSET_MOST)
        if not isinstance(answer, Answer) or answer.status == 429 or answer.status >= 500:
            return cause
        if answer.status == 200 and b'"keyset"' in answer.body:
            return cause
        return Cause(no_licet(f"{answer.status} for {path}", self._plan.url), hopeless=True)

    def _next(self, form: Form, began: float, *, moved: bool) -> float | None:
        """How long to wait after an answer that ended well."""
        if self._plan.manner == "never":
            self.connected = False
            return None
        if form == "events":
            self.connected = False
            return self._pace.soon(LOST)
        if moved:
            return self._pace.soon(0.1)
        return max(0.0, UNHELD - (self._ticks() - began)) * (0.5 + self._pace.soon(0.5))

    def _failed(self, cause: Cause, streams: bool) -> float:
        """Note why it did not work; returns how long to wait."""
        lost = self.connected
        self.connected, self.error, self.hopeless = False, cause.error, cause.hopeless
        if streams and self._spoiled >= 2:
            self._spoiled, self._poll_until = 0, self._ticks() + POLL_FOR * self._plan.tempo
        if cause.hopeless:
            return self._pace.hopeless(self._ticks())
        wait = self._pace.failed(self._ticks(), cause.retry_after)
        return self._pace.soon(LOST) if lost and cause.retry_after is None else wait

    def _request(self, streams: bool) -> Request:
        """The request for what comes after the held cursor."""
        plan, cursor = self._plan, self._reader.cursor
        asked = [] if cursor is None else [f"cursor={cursor}"]
        if not streams:
            asked.append(f"wait={HOLD if plan.manner != 'never' and self.connected else 0}")
        if plan.picked:
            asked.append("picked=true")
        path = "/v1/feed" + ("?" + "&".join(asked) if asked else "")
        accept = EVENTS if streams else LINES
        return Request(path=path, accept=accept, seconds=plan.seconds + (0 if streams else HOLD))

    def _form(self, outcome: Outcome) -> Form:
        """How the opened answer is cut; raises _Broken for what is no feed."""
        if isinstance(outcome, Fault):
            raise _Broken(Cause(Unreachable(f"no feed from {self._plan.url}: {outcome.words}")))
        if not isinstance(outcome, Answer):
            raise TypeError(f"an open is answered with an answer or a fault, not with {outcome!r}")
        form = form_of(outcome.kind) if outcome.status == 200 else None
        if form is None:
            raise _Broken(cause_of(outcome, self._plan.url))
        return form

    def _lines(self, form: Form, seconds: float) -> Generator[Effect, Outcome, None]:
        """Take lines until the answer ends well; raises _Broken for any other end."""
        cut, heads, heard = Lines(form), 0, self._ticks()
        while True:
            outcome = yield Read(seconds)
            late = form == "events" and self._ticks() - heard > SILENCE
            if isinstance(outcome, Fault) or late:
                words = outcome.words if isinstance(outcome, Fault) else f"no head for {SILENCE:.0f} seconds"
                if form == "events":
                    self._spoiled = 0 if heads else self._spoiled + 1
                raise _Broken(Cause(Unreachable(f"the feed of {self._plan.url} broke off: {words}")))
            if not isinstance(outcome, Chunk):
                raise TypeError(f"a read is answered with a chunk or a fault, not with {outcome!r}")
            if not outcome.data:
                if not heads:
                    self._spoiled += form == "events"
                    raise _Broken(Cause(Unreachable(f"the feed of {self._plan.url} ended before its first head")))
                return
            for message in self._messages(cut, outcome.data):
                if self._took(message):
                    yield from self._gather()
                    heads, heard = heads + 1, self._ticks()
                    self.connected, self.settled, self.error, self.hopeless = True, True, self._doubt(), False
                    self._pace.worked()
                yield Work()

    def _messages(self, cut: Lines, data: bytes) -> list[bytes]:
        try:
            return cut.feed(data)
        except TooLong as wrong:
            raise _Broken(Cause(NotBelieved(f"{wrong} ({self._plan.url})"))) from None

    def _took(self, message: bytes) -> bool:
        """Take one message; returns whether it was a head."""
        try:
            line = msgspec.json.decode(message, type=Line)
        except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
            raise _Broken(
                Cause(NotBelieved(f"a line of the feed of {self._plan.url} cannot be read: {wrong}"))
            ) from None
        if line.problem is not None:
            raise _Broken(ended_by(line.problem, self._plan.url))
        try:
            headed = self._reader.take(line, heal=self._ticks() >= self._heals_at)
        except Unbelieved as wrong:
            if wrong.code == DIFFERS:
                self._heals_at = self._ticks() + self._pace.heals(self._ticks()) * self._plan.tempo
            words = f"what {self._plan.url} sent is not believed ({wrong.code}): {wrong}"
            raise _Broken(Cause(NotBelieved(words), wrong.lasting)) from None
        return headed

    def _doubt(self) -> NoTruth | None:
        """Return why what is followed may not be all of the truth."""
        if not self._reader.differs:
            return None
        words = "they were fetched again, and will be later; until then news are taken, and checks answered from them"
        return NotBelieved(f"the rows held are not those that {self._plan.url} adds up ({DIFFERS}): {words}")

    def _gather(self) -> Generator[Effect, Outcome, None]:
        """Fetch the customers that are to be held and are not. Nothing moves on meanwhile."""
        coming = self._reader.coming
        if coming is not None:
            until = self._ticks() + GATHER
            for customer, named in self._reader.awaited():
                if not named and self._ticks() > until:
                    break
                wrong = yield from self._pick(customer, coming)
                if wrong is not None and (named or not wrong.alone):
                    raise _Broken(wrong)
            self._reader.settle()
        for customer in self._reader.missing():
            wrong = yield from self._pick(customer, self._reader.cursor or "")
            if wrong is not None:
                raise _Broken(wrong)

    def _pick(self, customer: str, cursor: str) -> Generator[Effect, Outcome, Cause | None]:
        """Ask for a customer as of a cursor; returns why the answer cannot be taken."""
        answer = yield Ask(pick_request(customer, cursor, self._plan.seconds), PICK_MOST)
        return taken(self._reader, customer, answer, self._plan.url)


def pick_request(customer: str, cursor: str, seconds: float) -> Request:
    """Return the request for all of one customer as of a cursor."""
    return Request(path=f"/v1/feed/customers/{quote(customer, safe='')}?cursor={cursor}", accept=LINES, seconds=seconds)


def taken(reader: Reader, customer: str, outcome: Outcome, url: str) -> Cause | None:
    """Take the answer to a pick; returns why it cannot be taken, None if it was."""
    if isinstance(outcome, Answer) and outcome.status == 200:
        try:
            reader.take_pick(customer, outcome)
        except Unbelieved as wrong:
            if wrong.code == "gap":
                words = f"{customer!r} could not be loaded: the truth moved on meanwhile"
                return Cause(NotHeld(words), alone=True, again=True)
            return Cause(NotBelieved(f"what {url} told of {customer!r} is not believed ({wrong.code}): {wrong}"))
        return None
    if isinstance(outcome, Answer):
        return refusal_of(outcome, customer, url)
    words = outcome.words if isinstance(outcome, Fault) else "no answer"
    return Cause(Unreachable(f"{customer!r} could not be loaded from {url}: {words}"))
