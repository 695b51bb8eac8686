"""What the hot routes do: ``POST /v1/check`` and ``/v1/check/batch``, answered at once from the truth held here.

Hot is what needs nothing but memory: a key the gate remembers, with the scope, bound to nobody else; a question that
was read and fits; a customer (and user) that is held; a truth that may be used; an answer that allows. Everything else,
every refusal among it, goes the cold way: a remedy is searched at the instant of the question, for milliseconds, so
that it can neither be kept nor made here. What is done is what the cold way does, by the same functions.
"""

import time
from collections.abc import Sequence
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
from licet.core.instant import Instant
from licet.core.question import Context, Question
from licet.core.reason import Reason
from licet.core.recorded import recorded_question
from licet.door.gate import Caller
from licet.door.hot import Asked
from licet.door.problems import Refusal
from licet.door.scan import scan
from licet.evaluator import truth
from licet.services.checks import Answered, check_amounts, said_use
from licet.services.errors import ServiceError
from licet.services.normal import normal
from licet.services.ports import View
from licet.services.rows import Instants, Workspace
from licet.telemetry import heard, log

CHECK: Final = b"/v1/check"
BATCH: Final = b"/v1/check/batch"
MOST_ANSWERS: Final = 20_000
"""Encoded answers of one workspace that are kept, and bodies that find them; those that came first give way."""
MOST_QUESTION: Final = 1_024
"""Bytes of a question that is kept."""
MOST_NEW: Final = 50
"""Answers that one batch may have to make; a batch with more is cold, since others wait meanwhile."""
HEARD_SECONDS: Final = 0.05

_ROUTES: Final = {path: path.decode() for path in (CHECK, BATCH)}
_JSON_TYPES: Final = frozenset({None, JSON.encode()})
_BASIS: Final = b'"basis":null}'
_questions: Final = msgspec.json.Decoder(Question)
_batches: Final = msgspec.json.Decoder(Batch)
_encoder: Final = msgspec.json.Encoder()
_HEAD: Final = b"".join(b"%b: %b\r\n" % pair for pair in HEADERS)
_TAIL: Final = b"\r\n%b: %b\r\n\r\n" % NO_STORE


class Ready(Struct, gc=False):
    """One encoded answer: it counts while the truth answers with the same ``prepared``.

    ``head`` is the document up to the value of ``basis``, its last field; None where the question is for the cold way.
    ``sent`` is the whole answer around the request's id, for the truth that ``basis`` names.
    """

    prepared: truth.Ready
    customer: str
    feature: str
    head: bytes | None
    answered: Answered | None
    basis: bytes = b""
    sent: tuple[bytes, bytes] = (b"", b"")


class _Cold(Exception):
    """This question is for the cold way."""


_Who = tuple[Caller, tuple[str, int] | None, float]
"""Who asks, from which address, and when that began."""


class _Told:
    """What counting reads of a view: the workspace and both clocks."""

    __slots__ = ("time", "workspace")
    time: Instants
    workspace: Workspace


class Book:
    """The encoded answers of one workspace's truth."""

    def __init__(self, hosted: Hosted) -> None:
        self.hosted = hosted
        self.told = _Told()
        self.by_body: dict[bytes, Ready] = {}
        self.by_question: dict[bytes, Ready] = {}


class HotChecks:
    """The routes behind the hot door of one server."""

    paths: Final = frozenset({CHECK, BATCH})

    def __init__(self, parts: Parts, hosting: Hosting) -> None:
        self._parts = parts
        self._hosting = hosting
        self._books: dict[str, Book] = {}
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
            at = hosted.time(self._parts.storage.wall())
            found = _one(book, caller, body, at) if asked.path == CHECK else _many(book, caller, body, at)
        except (_Cold, Refusal, ServiceError, msgspec.DecodeError, UnicodeDecodeError, ValueError):
            return None
        except Exception:  # noqa: BLE001 a defect here is answered the cold way, and logged whole
            log("licet.api").exception("failed", route=asked.path.decode())
            return None
        if self._parts.rate.take(caller.key, now) > 0:
            return None
        # From here on what is done can be noticed: nothing below goes the cold way.
        return self._finish(asked, book, at, found, (caller, client, began))

    def _book(self, hosted: Hosted) -> Book:
        book = self._books.get(hosted.id)
        if book is None or book.hosted is not hosted:
            book = self._books[hosted.id] = Book(hosted)
        return book

    def _finish(self, asked: Asked, book: Book, at: Instants, found: Sequence[Ready], who: _Who) -> bytes:
        """Count, log and encode what was found."""
        parts, hosted, (caller, client, began) = self._parts, book.hosted, who
        metrics = parts.metrics
        metrics.begin()
        metrics.hot += 1
        seconds = (time.perf_counter() - began) / len(found)
        answers = [_with_basis(one, hosted) for one in found]
        for answer in answers:
            metrics.decided(answer.decision.reason, answer.decision.allowed, seconds)
        book.told.workspace, book.told.time = hosted.workspace, at
        parts.counting.note(cast("View", book.told), answers)
        before, after = _sent(found[0], hosted) if asked.path == CHECK else _around(_batch(found, hosted))
        name, route = request_id(asked.request_id), _ROUTES[asked.path]
        spent = time.perf_counter() - began
        metrics.end("POST", route, 200, spent)
        if self._heard(began):
            line = Line("POST", asked.path, "" if client is None else client[0])
            size = len(after) - len(_TAIL)
            write_line(Trail(request_id=name, route=route, caller=caller), line, Sent(200, size, spent))
        return b"".join((before, name.encode(), after))

    def _heard(self, now: float) -> bool:
        """Whether access lines go anywhere; looked at now and then, since looking costs as much as counting."""
        if now >= self._heard_until:
            self._is_heard, self._heard_until = heard(), now + HEARD_SECONDS
        return self._is_heard


def _sent(ready: Ready, hosted: Hosted) -> tuple[bytes, bytes]:
    """Return the whole answer to one question, before and after the request's id."""
    if ready.head is None:
        raise LookupError("an answer for the cold way was given hot")
    if ready.basis is not hosted.basis:
        ready.basis, ready.sent = hosted.basis, _around(ready.head + hosted.basis)
    return ready.sent


def _batch(found: Sequence[Ready], hosted: Hosted) -> bytes:
    return b'{"decisions":[%b]}' % b",".join([one.head + hosted.basis for one in found if one.head is not None])


def _around(content: bytes) -> tuple[bytes, bytes]:
    head = b"content-type: application/json\r\ncontent-length: %d\r\n%bx-request-id: " % (len(content), _HEAD)
    return head, _TAIL + content


def _one(book: Book, caller: Caller, body: bytes, at: Instants) -> Sequence[Ready]:
    ready = book.by_body.get(body)
    if ready is None or not _holds(ready, book.hosted, at.business):
        scan(body)
        ready = ready_for(book, normal(_questions.decode(body)), at.business)
        if len(body) <= MOST_QUESTION:
            _keep(book.by_body, body, ready)
    _check_binding(caller, ready)
    return (ready,)


def _many(book: Book, caller: Caller, body: bytes, at: Instants) -> Sequence[Ready]:
    scan(body)
    found: list[Ready] = []
    made = 0
    for question in _batches.decode(body).questions:
        asked = normal(question)
        key = _encoder.encode(asked)
        ready = book.by_question.get(key)
        if ready is None or not _holds(ready, book.hosted, at.business):
            made += 1
            if made > MOST_NEW:
                raise _Cold
            ready = ready_for(book, asked, at.business, key)
        _check_binding(caller, ready)
        found.append(ready)
    return found


def _holds(ready: Ready, hosted: Hosted, now: Instant) -> bool:
    """Whether an answer is still what the truth says."""
    return hosted.truth.prepared(ready.customer, ready.feature, now) is ready.prepared


def _check_binding(caller: Caller, ready: Ready) -> None:
    if ready.head is None or (caller.customer is not None and caller.customer != ready.customer):
        raise _Cold


def _keep(kept: dict[bytes, Ready], key: bytes, ready: Ready) -> None:
    kept.pop(key, None)
    kept[key] = ready
    if len(kept) > MOST_ANSWERS:
        del kept[next(iter(kept))]


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
    if len(key) <= MOST_QUESTION:
        _keep(book.by_question, key, ready)
    return ready


def _make(hosted: Hosted, question: Question, now: Instant) -> Ready:
    customer, feature = question.customer, question.feature
    prepared = hosted.truth.prepared(customer, feature, now)
    catalog = prepared.case.catalog if isinstance(prepared, Decision) else prepared.catalog
    check_amounts(catalog, question)
    decision = hosted.truth.check(
        customer,
        feature,
        now,
        user=question.user,
        context=None if question.context == Context() else question.context,
        quantity=question.quantity,
        used=question.used,
    )
    if not decision.allowed or decision.reason is Reason.OBSERVED:
        return Ready(prepared, customer, feature, None, None)
    told = decision.view(now)
    head = _encoder.encode(told)
    if told.remedy is not None or not head.endswith(_BASIS):
        return Ready(prepared, customer, feature, None, None)
    known = catalog.features.get(feature)
    record = recorded_question(question, decision) if known is not None and known.record == "each" else None
    answered = Answered(question, told, record, said_use(question, decision))
    return Ready(prepared, customer, feature, head[: -len(b"null}")], answered)


def _with_basis(ready: Ready, hosted: Hosted) -> Answered:
    """Return the answer as it is counted; what is on record check by check says what it rested on."""
    answered = ready.answered
    if answered is None:
        raise LookupError("an answer for the cold way was given hot")
    if answered.record is None:
        return answered
    basis = hosted.basis[1:-2].decode()
    return structs.replace(answered, decision=structs.replace(answered.decision, basis=basis))
