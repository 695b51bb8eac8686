"""How a request becomes an answer, the same for every operation: gate, rate, decode, one transaction, encode.

Idempotency lives here and nowhere else: the key is claimed in the transaction of the use case, and the answer is kept
in it, so that a crash leaves both or neither.
"""

import hashlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec
from litestar import Request, Response
from litestar.response import Stream
from msgspec import UNSET, Struct

from licet.api.call import Call, Trail, trail_of
from licet.api.contract import JSON, AtLeast, Document, Nothing, Operation, Reply, encode
from licet.api.parameters import read_parameters
from licet.api.parts import Parts
from licet.api.refusals import from_decoding, from_service, unexpected
from licet.api.sse import Flow, Sending
from licet.api.streaming import stream
from licet.core.orders import subject_of
from licet.door.body import Gone, read_body
from licet.door.gate import Caller
from licet.door.limits import (
    MAX_CAUSE,
    MAX_IDEMPOTENCY_KEY,
    MAX_NOTE,
    MAX_PARAMETERS,
    MAX_PATH_PART,
    MAX_QUERY,
    MAX_ROUTE,
)
from licet.door.problems import PROBLEM_TYPE, Place, Refusal, too_often
from licet.door.rate import neighborhood
from licet.door.scan import scan
from licet.services.errors import ServiceError
from licet.services.reads import Read
from licet.telemetry import log

Answer = Response[bytes] | Stream
_KEY: Final = "idempotency-key"
_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii"})
"""UTF-8, and what is a part of it."""
_MAX_PLACE: Final = 600
"""Characters of a path by which places are told apart."""


class Incoming(Struct, frozen=True, kw_only=True):
    """A request as far as it is read: everything checked that can be checked without the database."""

    path: dict[str, str]
    query: Struct
    body: Any
    content: bytes
    arguments: dict[str, Any]


class Runner:
    """Runs operations on the parts of one server."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    async def respond(self, operation: Operation, request: Request[Any, Any, Any]) -> Answer:
        """Answer one request; never raises."""
        trail = trail_of(request.scope)
        trail.route = operation.path
        span = self.parts.traces.span(
            f"{operation.method} {operation.path}",
            {"http.route": operation.path, "http.request.method": operation.method, "request_id": trail.request_id},
            request.headers.get("traceparent"),
        )
        with span:
            try:
                return await self._run(operation, request, trail)
            except Refusal as refusal:
                return refuse(refusal, trail)
            except ServiceError as error:
                return refuse(from_service(error), trail)
            except Gone:
                return Response(b"", status_code=499, media_type=JSON)
            except Exception as error:  # noqa: BLE001 a defect is answered as a problem, and logged whole
                log("licet.api").exception("failed", route=operation.path, request_id=trail.request_id)
                return refuse(unexpected(error), trail)

    async def _run(self, operation: Operation, request: Request[Any, Any, Any], trail: Trail) -> Answer:
        call = Call(self.parts, None, request.headers, trail)
        if operation.scopes:
            caller = await self._admit(request, trail)
            caller.need(operation.scopes)
            call = Call(self.parts, caller, request.headers, trail)
        elif operation.metered:
            self._let_in(request)
        incoming = await self._read(operation, request, call)
        if isinstance(incoming.query, AtLeast) and incoming.query.at_least is not None:
            await self.parts.tide.reach(call.workspace, incoming.query.at_least)
        if operation.writes:
            return await self._write(operation, request, call, incoming)
        if operation.posts:
            call.key = _key_of(request)
        told = await operation.run(call, **incoming.arguments)
        if operation.sensitive:
            self._note(operation, call, incoming)
        if isinstance(told, Reply) and isinstance(told.value, Flow):
            return self._flowing(told, trail)
        if isinstance(told, Reply) and isinstance(told.value, AsyncGenerator):
            status = told.status or operation.status
            return await stream(
                told.value,
                trail,
                self.parts.metrics,
                status=status,
                stall_seconds=self.parts.stall_seconds,
                staying=call.staying(operation.scopes) if operation.scopes else None,
            )
        return _answer(operation, told)

    def _flowing(self, told: Reply, trail: Trail) -> Sending:
        return Sending(
            told.value.source,
            trail,
            self.parts.metrics,
            media_type=told.media_type,
            headers=told.headers,
            stall_seconds=self.parts.stall_seconds,
        )

    def _note(self, operation: Operation, call: Call, incoming: Incoming) -> None:
        """Note who read this, and about whom; it is on record with the next batch."""
        read = Read(call.actor.id, operation.id, read_subject(incoming.path, incoming.query, operation.path))
        self.parts.reads.note(call.workspace, read, self.parts.clock.wall())

    async def _admit(self, request: Request[Any, Any, Any], trail: Trail) -> Caller:
        clock, key = self.parts.clock, request.headers.get("authorization")
        caller = await self.parts.gate.admit(key, clock.monotonic(), clock.wall(), _address(request))
        trail.caller = caller
        wait = self.parts.rate.take(caller.key, clock.monotonic())
        if wait > 0:
            advice = "Wait for as many seconds as Retry-After says; ask several questions in one batch."
            raise too_often(f"the key {caller.key} asks too often", wait, advice)
        return caller

    def _let_in(self, request: Request[Any, Any, Any]) -> None:
        """Raise Refusal (429) before anything is read of a message that comes too soon after others."""
        place = request.scope["path"][:_MAX_PLACE]
        wait = self.parts.inflow.take(neighborhood(_address(request)), place, self.parts.clock.monotonic())
        if wait > 0:
            advice = "Send it again after as many seconds as Retry-After says."
            raise too_often("too many messages come from this address, or to this source", wait, advice)

    async def _read(self, operation: Operation, request: Request[Any, Any, Any], call: Call) -> Incoming:
        path = {name: _path_part(name, request.path_params[name]) for name in operation.path_names}
        if operation.scopes and operation.binding == "path":
            call.caller.may_see(path["customer"])
        elif operation.scopes and operation.binding == "never":
            call.caller.may_see(None)
        query = decode_query(operation, request.scope["query_string"])
        body, content = None, b""
        if operation.body is not None:
            media_type = _media_type(operation, request.headers)
            length = request.headers.get("content-length")
            content = await read_body(request.receive, length, operation.max_body)
            body = Document(content, media_type) if operation.raw else _decode(operation, content)
            if callable(operation.binding) and operation.scopes and call.caller.customer is not None:
                for customer in operation.binding(body):
                    call.caller.may_see(customer)
        arguments: dict[str, Any] = dict(path)
        if operation.query is not Nothing:
            arguments["query"] = query
        if operation.body is not None:
            arguments["body"] = body
        return Incoming(path=path, query=query, body=body, content=content, arguments=arguments)

    async def _write(
        self, operation: Operation, request: Request[Any, Any, Any], call: Call, incoming: Incoming
    ) -> Response[bytes]:
        note = _header(request.headers, "licet-note", MAX_NOTE) or ""
        cause = _header(request.headers, "licet-cause", MAX_CAUSE)
        key = _key_of(request)
        route = _kept_under(operation, request, call)
        digest = hashlib.sha256(b"\0".join([incoming.content, request.scope["query_string"]])).digest()
        async with call.storage.write(call.workspace, call.actor, note=note, cause=cause) as tx:
            if key is not None:
                kept = await tx.replay(route, key, digest)
                if kept is not None:
                    call.trail.replayed = True
                    return _replayed(*kept)
            call.within(tx, note)
            reply = _reply(await operation.run(call, **incoming.arguments))
            status = reply.status or operation.status
            if key is not None:
                seq = await tx.flush()
                told = reply.value if reply.kept is UNSET else reply.kept
                await tx.keep_answer(route, key, digest, status, encode(told, seq))
        return Response(
            encode(reply.value, tx.committed_seq),
            status_code=status,
            media_type=JSON,
            headers={"Licet-Seq": str(tx.committed_seq)},
        )


def refuse(refusal: Refusal, trail: Trail) -> Response[bytes]:
    """Return a problem as the answer."""
    trail.problem = refusal.code
    return Response(
        refusal.body(trail.request_id),
        status_code=refusal.kind.status,
        media_type=PROBLEM_TYPE,
        headers=refusal.headers,
    )


def read_subject(path: Mapping[str, str], query: Struct, route: str) -> str:
    """Return what a read is about, as the log names it: ``customer/acme/user/ann``; the list's name for a whole list.

    A read of the log that asks about one subject is about that, and a list that is narrowed to a customer about it.
    """
    customer = path.get("customer") or getattr(query, "customer", None)
    if customer is not None:
        user = path.get("user") or (None if "customer" in path else getattr(query, "user", None))
        return subject_of("customer", customer, *(() if user is None else ("user", user)))
    if "seq" in path:
        return f"entry/{path['seq']}"
    if "source" in path:
        return subject_of("source", path["source"], *(("delivery", path["delivery"]) if "delivery" in path else ()))
    return getattr(query, "subject", None) or route.rpartition("/")[2]


def _reply(value: Any) -> Reply:
    return value if isinstance(value, Reply) else Reply(value)


def _answer(operation: Operation, value: Any) -> Response[bytes]:
    reply = _reply(value)
    content = reply.value if isinstance(reply.value, bytes) else encode(reply.value)
    return Response(
        content,
        status_code=reply.status or operation.status,
        media_type=reply.media_type,
        headers=reply.headers,
    )


def _replayed(status: int, body: bytes) -> Response[bytes]:
    headers = {"Idempotency-Replayed": "true"}
    kept = msgspec.json.decode(body)
    if isinstance(kept, dict) and isinstance(kept.get("seq"), int):
        headers["Licet-Seq"] = str(kept["seq"])
    return Response(body, status_code=status, media_type=JSON, headers=headers)


def _kept_under(operation: Operation, request: Request[Any, Any, Any], call: Call) -> str:
    """Return where an idempotency key belongs: a route, and for a bound key its customer, so that none meets another's.

    Keys of one binding share theirs: a retry with the key that replaced the first one still gets the first answer.
    """
    bound = "" if call.caller.customer is None else f" for {call.caller.customer}"
    route = f"{request.method} {request.url.path}{bound}"
    if len(route) <= MAX_ROUTE:
        return route
    return f"{request.method} {operation.path} {hashlib.sha256(route.encode()).hexdigest()}"


def _address(request: Request[Any, Any, Any]) -> str:
    """Return the address of who sends, as the socket says: headers that claim another one are not believed."""
    return str((request.scope.get("client") or ("",))[0])


def _path_part(name: str, text: str) -> str:
    try:
        part = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Refusal("bad_request", f"{name} in the path is not UTF-8", advice="Percent-encode UTF-8.") from None
    if len(part) > MAX_PATH_PART:
        raise Refusal(
            "uri_too_long", f"{name} in the path has {len(part)} characters; at most {MAX_PATH_PART} are read"
        )
    return _plain(part, f"{name} in the path")


def _plain(text: str, what: str) -> str:
    if not text.isprintable():
        raise Refusal("bad_request", f"{what} holds a character that cannot be printed", advice="Leave it out.")
    return text


def decode_query(operation: Operation, raw: bytes) -> Struct:
    """Return the query parameters as the operation takes them; raises Refusal for any that is unknown or repeated."""
    if len(raw) > MAX_QUERY:
        raise Refusal("uri_too_long", f"the query string has {len(raw)} bytes; at most {MAX_QUERY} are read")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except (UnicodeDecodeError, ValueError) as error:
        raise Refusal("bad_request", f"the query string cannot be read: {error}") from None
    known = [field.encode_name for field in msgspec.structs.fields(operation.query)]
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in known or name in found:
            raise _odd_parameter(name[:80], known, twice=name in found)
        found[name] = _plain(value, f"the query parameter {name}")
    return read_parameters(found, operation.query)


def _odd_parameter(name: str, known: list[str], *, twice: bool) -> Refusal:
    message = f"the query parameter {name!r} " + ("occurs twice" if twice else "is not known here")
    advice = f"Known here: {', '.join(known)}." if known else "This operation has no query parameters."
    return Refusal("invalid", message, advice=advice, places=[Place(path=f"?{name}", message=message)])


def _media_type(operation: Operation, headers: Mapping[str, str]) -> str:
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise Refusal(
            "unsupported_media_type",
            f"the Content-Encoding is {coding[:80]!r}; bodies are read as they are",
            advice="Send the body uncompressed, without Content-Encoding.",
        )
    given, _, parameters = headers.get("content-type", JSON).lower().partition(";")
    given = given.strip()
    charset = next((one for one in parameters.split(";") if one.strip().startswith("charset")), "")
    coded = charset.partition("=")[2].strip().strip('"')
    if charset and coded not in _CHARSETS:
        raise Refusal(
            "unsupported_media_type",
            f"the Content-Type says charset={coded[:80]!r}; bodies are read as UTF-8",
            advice="Send the body in UTF-8, with charset=utf-8 or none.",
        )
    if given not in operation.accepts:
        raise Refusal(
            "unsupported_media_type",
            f"the Content-Type is {given[:80]!r}; this operation reads {' or '.join(operation.accepts)}",
            advice=f"Send Content-Type: {operation.accepts[0]}.",
        )
    return given


def _decode(operation: Operation, content: bytes) -> Any:
    if operation.optional_body and not content:
        content = b"{}"
    scan(content)
    try:
        return msgspec.json.decode(content, type=operation.body)
    except msgspec.ValidationError as error:
        raise from_decoding(error, operation.body, "the body") from None
    except msgspec.DecodeError as error:
        raise Refusal("bad_request", f"the body is not JSON: {error}") from None


def _key_of(request: Request[Any, Any, Any]) -> str | None:
    """Return the idempotency key of a request; of two nobody can say which one makes it safe to repeat."""
    given = [value for name, value in request.scope["headers"] if name == _KEY.encode()]
    if len(given) > 1:
        raise Refusal(
            "bad_request",
            f"the header {_KEY} comes {len(given)} times; a request has one key",
            advice="Send Idempotency-Key once.",
        )
    return idempotency_key(given[0]) if given else None


def _header(headers: Mapping[str, str], name: str, most: int) -> str | None:
    """Return a header's text, which may be UTF-8; None where it is absent."""
    given = headers.get(name)
    return None if given is None else _header_text(given.encode("latin-1", "replace"), name, most)


def idempotency_key(given: bytes) -> str:
    """Return the idempotency key of a header; raises Refusal for one that cannot be read."""
    return _header_text(given, _KEY, MAX_IDEMPOTENCY_KEY)


def _header_text(given: bytes, name: str, most: int) -> str:
    try:
        text = given.decode()
    except UnicodeError:
        raise Refusal("bad_request", f"the header {name} is not UTF-8") from None
    if not 1 <= len(text) <= most:
        raise Refusal("invalid", f"the header {name} has {len(text)} characters; 1 to {most} are read")
    return _plain(text, f"the header {name}")
