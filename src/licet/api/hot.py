"""What the hot routes do: ``POST /v1/check`` and ``/v1/check/batch``, answered at once from the truth held here.

Hot is what needs nothing but memory: a key the gate remembers, with the scope, bound to nobody else; a question that
was read and fits; a customer (and user) that is held; a truth that may be used. Everything else goes the cold way. What
permits is kept as bytes. What refuses (or would, where its feature only observes) is told anew each time: its remedy is
searched at the instant of the question. What is done is what the cold way does, by the same functions.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Final, cast

import msgspec
from msgspec import Struct, structs

from licet.api.call import Trail
from licet.api.contract import JSON
from licet.api.hosting import Hosted, Hosting
from licet.api.observe import HEADERS, NO_STORE, Line, Sent, request_id, write_line
from licet.api.parts import Parts
from licet.api.v1.checks import Batch
from licet.core.decision import Decision
from licet.core.instant import HOUR, Instant
from licet.core.question import Context, Question
from licet.core.reason import Reason
from licet.core.recorded import recorded_question
from licet.core.tally import CheckKey, key_of
from licet.door import limits
from licet.door.gate import Caller
from licet.door.hot import Asked
from licet.door.problems import Refusal
from licet.door.scan import scan
from licet.services.checks import Answered, check_amounts, said_use
from licet.services.errors import ServiceError
from licet.services.normal import normal
from licet.services.ports import View
from licet.services.rows import Instants, Workspace
from licet.services.usage.counted import counts
from licet.telemetry import heard, log

CHECK: Final = b"/v1/check"
BATCH: Final = b"/v1/check/batch"
MOST_ANSWERS: Final = 20_000
"""Encoded answers of one workspace that are kept, and bodies that find them; those that came first give way."""
MOST_QUESTION: Final = 1_024
"""Bytes of a question that is kept."""
MOST_NEW: Final = 50
"""Answers that one batch may have to make; a batch with more is cold, since others wait meanwhile."""
TELLING_SECONDS: Final = 0.003
"""For so long one batch tells anew; if anything is left then, it is cold, and lets others in between."""
HEARD_SECONDS: Final = 0.05

_ROUTES: Final = {path: path.decode() for path in (CHECK, BATCH)}
_JSON_TYPES: Final = frozenset({None, JSON.encode()})
_NO_BASIS: Final = b"null}"
_questions: Final = msgspec.json.Decoder(Question)
_batches: Final = msgspec.json.Decoder(Batch)
_encoder: Final = msgspec.json.Encoder()
_HEAD: Final = b"".join(b"%b: %b\r\n" % pair for pair in HEADERS)
_TAIL: Final = b"\r\n%b: %b\r\n\r\n" % NO_STORE


class Told(Struct, gc=False):
    """An answer as it leaves: ``head`` is the document up to the value of ``basis``, its last field.

    ``sent`` is the whole answer around the request's id, for the truth that ``basis`` names.
    """

    head: bytes
    answered: Answered
    key: CheckKey | None = None
    """What it was counted under last."""
    basis: bytes = b""
    sent: tuple[bytes, bytes] = (b"", b"")


class Ready(Struct, gc=False):
    """One answer made ready: it counts while the truth answers with the same ``prepared``.

    That is None where the truth keeps nothing either: of customers and features that nobody knows.
    """

    prepared: object | None
    question: Question
    decision: Decision
    record: tuple[Question, tuple[str, ...]] | None
    said: int | None
    told: Told | None = None
    """None where it is told anew each time."""

    def tell(self, now: Instant) -> Told:
        """Return the answer as it leaves at an instant."""
        if self.told is not None:
            return self.told
        view = self.decision.view(now)
        answered = Answered(self.question, view, self.record, self.said)
        return Told(_encoder.encode(view).removesuffix(_NO_BASIS), answered)


class _Cold(Exception):
    """This question is for the cold way."""


_Who = tuple[Caller, tuple[str, int] | None, float]
"""Who asks, from which address, and when that began."""


class _Stand:
    """What counting reads of a view: the workspace and both clocks."""

    __slots__ = ("time", "workspace")
    time: Instants
    workspace: Workspace


class Book:
    """The encoded answers of one workspace's truth."""

    def __init__(self, hosted: Hosted) -> None:
        self.hosted = hosted
        self.stand = _Stand()
        self.by_body: dict[bytes, Ready] = {}
        self.by_question: dict[bytes, Ready] = {}
        self.bytes = 0
        """About what they take."""
        self.grown = False
        """Something was kept since it was last looked whether all books together are too heavy."""

    def keep(self, kept: dict[bytes, Ready], key: bytes, ready: Ready) -> None:
        """Keep an answer that may be given again, in one of both."""
        if ready.prepared is None or len(key) > MOST_QUESTION:
            return
        before = kept.pop(key, None)
        self.bytes += _weight(key, ready) - (0 if before is None else _weight(key, before))
        kept[key], self.grown = ready, True
        if len(kept) > MOST_ANSWERS:
            self._drop_first(kept)

    def shorten(self) -> None:
        """Drop what was kept first, of that of which there is more."""
        self._drop_first(max(self.by_body, self.by_question, key=len))

    def _drop_first(self, kept: dict[bytes, Ready]) -> None:
        key = next(iter(kept))
        self.bytes -= _weight(key, kept.pop(key))


def _weight(key: bytes, ready: Ready) -> int:
    """About how many bytes an entry takes; an answer has two (3 KB, 6.5 with 1 KB of attributes)."""
    return 350 + 2 * len(key) + (0 if ready.told is None else 3 * len(ready.told.head))


def trim(books: Collection[Book], most: int) -> None:
    """Let the heaviest book give way as long as all of them together are heavier than ``most`` bytes."""
    total = sum(one.bytes for one in books)
    for book in books:
        book.grown = False
    while total > most:
        heaviest = max(books, key=lambda one: one.bytes)
        total -= heaviest.bytes
        heaviest.shorten()
        total += heaviest.bytes


class Turn:
    """Who was told anew in this turn of the event loop: one request of each connection, as in the cold way."""

    def __init__(self) -> None:
        self._told: set[tuple[str, int] | None] = set()

    def may(self, client: tuple[str, int] | None) -> bool:
        """Return whether a connection has its turn, and take it."""
        if not self._told:
            asyncio.get_running_loop().call_soon(self._told.clear)
        elif client in self._told:
            return False
        self._told.add(client)
        return True


class HotChecks:
    """The routes behind the hot door of one server."""

    paths: Final = frozenset({CHECK, BATCH})

    def __init__(self, parts: Parts, hosting: Hosting) -> None:
        self._parts = parts
        self._hosting = hosting
        self._books: dict[str, Book] = {}
        hosting.on_drop = self._forget
        self._turn = Turn()
        self._is_heard, self._heard_until = True, 0.0

    def answer(self, asked: Asked, client: tuple[str, int] | None) -> bytes | None:
        """Answer as :class:`licet.door.hot.HotRoutes` asks."""
        began = time.perf_counter()
        clock = self._parts.clock
        now = clock.monotonic()
        try:
            if asked.mark is None or asked.media_type not in _JSON_TYPES or self._parts.traces.on:
                return None
            caller = self._parts.gate.admit_now(asked.mark, now, clock.wall)
            if caller is None or ("check" not in caller.scopes and "admin" not in caller.scopes):
                return None
            hosted = self._hosting.of(caller.workspace, now)
            if hosted is None:
                return None
            book, body = self._book(hosted), asked.body
            at = hosted.now(self._parts.storage.wall())
            found = _one(book, caller, body, at) if asked.path == CHECK else _many(book, caller, body, at)
            told = self._tell(found, client, caller, at)
            if self._parts.rate.take(caller.key, now) > 0:
                return None
        except (_Cold, Refusal, ServiceError, msgspec.DecodeError, UnicodeDecodeError, ValueError):
            return None
        except Exception:  # noqa: BLE001 a defect here is answered the cold way, and logged whole
            log("licet.api").exception("failed", route=asked.path.decode())
            return None
        # From here on what is done can be noticed: nothing below goes the cold way.
        return self._finish(asked, book, at, told, (caller, client, began))

    def _book(self, hosted: Hosted) -> Book:
        book = self._books.get(hosted.id)
        if book is None or book.hosted is not hosted:
            book = self._books[hosted.id] = Book(hosted)
        if book.grown:
            trim(self._books.values(), limits.MAX_ANSWERS)
        return book

    def _forget(self, workspace: str) -> None:
        """Drop the book of a workspace whose truth is dropped."""
        self._books.pop(workspace, None)

    def _tell(
        self, found: Sequence[Ready], client: tuple[str, int] | None, caller: Caller, now: Instant
    ) -> Sequence[Told]:
        """Return answers as they leave now; raises _Cold where others would wait longer than for a cold one."""
        told = [one.told for one in found if one.told is not None]
        if len(told) == len(found):
            return told
        clock = self._parts.clock.monotonic
        if self._parts.rate.wait(caller.key, clock()) > 0 or not self._turn.may(client):
            raise _Cold
        until, told = time.perf_counter() + TELLING_SECONDS, []
        for one in found:
            if time.perf_counter() > until:
                raise _Cold
            told.append(one.tell(now))
        return told

    def _finish(self, asked: Asked, book: Book, at: Instant, told: Sequence[Told], who: _Who) -> bytes:
        """Count, log and encode what was found."""
        parts, hosted, (caller, client, began) = self._parts, book.hosted, who
        self._count(book, at, told)
        before, after = _sent(told[0], hosted) if asked.path == CHECK else _around(_batch(told, hosted))
        name, route = request_id(asked.request_id), _ROUTES[asked.path]
        spent = time.perf_counter() - began
        each = spent / len(told)
        metrics = parts.metrics
        metrics.begin()
        metrics.hot += 1
        for one in told:
            decision = one.answered.decision
            metrics.decided(decision.reason, decision.allowed, each)
        metrics.end("POST", route, 200, spent)
        if self._heard(began):
            line = Line("POST", asked.path, "" if client is None else client[0])
            size = len(after) - len(_TAIL)
            write_line(Trail(request_id=name, route=route, caller=caller), line, Sent(200, size, spent))
        return b"".join((before, name.encode(), after))

    def _count(self, book: Book, at: Instant, told: Sequence[Told]) -> None:
        """Count each as the cold way does; what an answer was counted under is kept with it, for an hour."""
        hosted, counting = book.hosted, self._parts.counting
        hour = at - at % HOUR
        for one in told:
            answered = one.answered
            if answered.record is not None or answered.said is not None:
                book.stand.workspace = hosted.workspace
                book.stand.time = Instants(business=at, wall=self._parts.storage.wall())
                counting.note(cast("View", book.stand), [_with_basis(answered, hosted)])
                continue
            if one.key is None or one.key.hour != hour:
                one.key = key_of(answered.decision, answered.question.user, at)
            counting.again(hosted.id, one.key)

    def _heard(self, now: float) -> bool:
        """Whether access lines go anywhere; looked at now and then, since looking costs as much as counting."""
        if now >= self._heard_until:
            self._is_heard, self._heard_until = heard(), now + HEARD_SECONDS
        return self._is_heard


def _sent(told: Told, hosted: Hosted) -> tuple[bytes, bytes]:
    """Return the whole answer to one question, before and after the request's id."""
    if told.basis is not hosted.basis:
        told.basis, told.sent = hosted.basis, _around(told.head + hosted.basis)
    return told.sent


def _batch(told: Sequence[Told], hosted: Hosted) -> bytes:
    return b'{"decisions":[%b]}' % b",".join([one.head + hosted.basis for one in told])


def _around(content: bytes) -> tuple[bytes, bytes]:
    head = b"content-type: application/json\r\ncontent-length: %d\r\n%bx-request-id: " % (len(content), _HEAD)
    return head, _TAIL + content


def _one(book: Book, caller: Caller, body: bytes, at: Instant) -> Sequence[Ready]:
    ready = book.by_body.get(body)
    if ready is None or not _holds(ready, book.hosted, at):
        scan(body)
        ready = ready_for(book, normal(_questions.decode(body)), at)
        book.keep(book.by_body, body, ready)
    _check_binding(caller, ready)
    return (ready,)


def _many(book: Book, caller: Caller, body: bytes, at: Instant) -> Sequence[Ready]:
    scan(body)
    found: list[Ready] = []
    made = 0
    for question in _batches.decode(body).questions:
        asked = normal(question)
        key = _encoder.encode(asked)
        ready = book.by_question.get(key)
        if ready is None or not _holds(ready, book.hosted, at):
            made += 1
            if made > MOST_NEW:
                raise _Cold
            ready = ready_for(book, asked, at, key)
        _check_binding(caller, ready)
        found.append(ready)
    return found


def _holds(ready: Ready, hosted: Hosted, now: Instant) -> bool:
    """Whether an answer is still what the truth says."""
    question = ready.question
    return hosted.truth.prepared(question.customer, question.feature, now) is ready.prepared


def _check_binding(caller: Caller, ready: Ready) -> None:
    if caller.customer is not None and caller.customer != ready.question.customer:
        raise _Cold


def ready_for(book: Book, question: Question, now: Instant, key: bytes | None = None) -> Ready:
    """Return the encoded answer to a question in its normal form, made if it must be.

    ``key`` is the question encoded. Raises what refuses it: for the cold way, which says so.
    """
    hosted = book.hosted
    if key is None:
        key = _encoder.encode(question)
        kept = book.by_question.get(key)
        if kept is not None and _holds(kept, hosted, now):
            return kept
    if not hosted.holds(question.customer, question.user):
        raise _Cold
    ready = _make(hosted, question, now)
    book.keep(book.by_question, key, ready)
    return ready


def _make(hosted: Hosted, question: Question, now: Instant) -> Ready:
    truth, customer, feature = hosted.truth, question.customer, question.feature
    catalog = truth.catalog
    if catalog is None:
        raise _Cold
    check_amounts(catalog, question)
    known = catalog.features.get(feature)
    if counts(catalog, question):
        # A balance is counted in the database.
        raise _Cold
    decision = truth.check(
        customer,
        feature,
        now,
        user=question.user,
        context=None if question.context == Context() else question.context,
        quantity=question.quantity,
        used=question.used,
    )
    record = recorded_question(question, decision) if known is not None and known.record == "each" else None
    kept = known is not None and decision.case.terms is not None
    prepared = truth.prepared(customer, feature, now) if kept else None
    ready = Ready(prepared, question, decision, record, said_use(question, decision))
    if decision.allowed and decision.reason is not Reason.OBSERVED:
        told = ready.tell(now)
        # A remedy is for its instant alone.
        ready.told = told if told.answered.decision.remedy is None else None
    return ready


def _with_basis(answered: Answered, hosted: Hosted) -> Answered:
    """Return an answer as it is counted; what is on record check by check says what it rested on."""
    if answered.record is None:
        return answered
    basis = hosted.basis[1:-2].decode()
    return structs.replace(answered, decision=structs.replace(answered.decision, basis=basis))
