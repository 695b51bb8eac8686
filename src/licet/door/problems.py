"""How a refusal is said over HTTP: RFC 9457 problem details with a stable ``code``, from the closed list kept here."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

PROBLEM_TYPE: Final = "application/problem+json"


class Kind(Struct, frozen=True):
    """One kind of problem: its HTTP status, a title that never changes, and when it is given."""

    status: int
    title: str
    when: str


KINDS: Final[dict[str, Kind]] = {
    "bad_request": Kind(400, "The request cannot be read", "the body is not JSON, repeats a key, nests too deep, …"),
    "invalid": Kind(400, "The request does not fit", "a field or parameter is missing, unknown, or out of bounds"),
    "bad_signature": Kind(400, "The signature does not match", "a delivery is not signed with a secret of its source"),
    "unauthenticated": Kind(401, "Who is asking?", "no key, or one that is unknown, expired or revoked"),
    "forbidden": Kind(403, "The key may not do this", "a scope is missing, or the key is bound to another customer"),
    "not_found": Kind(404, "There is no such thing", "the path, or the thing it names, does not exist here"),
    "method_not_allowed": Kind(405, "Not with this method", "the path exists, with the methods in Allow"),
    "body_timeout": Kind(408, "The body took too long", "it did not arrive within 30 seconds"),
    "conflict": Kind(409, "The state is another", "what the request assumes is no longer, or not yet, so"),
    "stale_base": Kind(409, "The catalog has moved on", "base is not the newest catalog revision"),
    "preview_required": Kind(
        409,
        "Preview it on live customers first",
        "a release, a move or its way back could touch what customers have, and none was named",
    ),
    "preview_stale": Kind(
        409, "The preview no longer fits", "it was made on another base, of other content, or long ago"
    ),
    "blast_radius": Kind(409, "Too many would lose by it", "more customers lose than max_losing allows"),
    "no_catalog": Kind(409, "There is no catalog yet", "none has been released in the workspace; apply one"),
    "no_catalog_then": Kind(409, "There was no catalog yet", "the first release is later than the instant asked about"),
    "ahead_of_log": Kind(
        409, "The follower knows more than the log", "the database was restored to an older copy; raise the epoch"
    ),
    "idempotency_key_busy": Kind(409, "The first request is still under way", "try again in a moment"),
    "reservation_closed": Kind(
        409, "The reservation has ended", "it was settled or released before, by another request than this one"
    ),
    "reservation_expired": Kind(
        409, "The reservation came to its end", "it was not settled in time; what it set aside has gone back"
    ),
    "quota_disagreement": Kind(
        409,
        "What is told of a quota lease cannot be",
        "more than was issued was used of it, or its last word was another",
    ),
    "too_large": Kind(413, "The body is too large", "more than 1 MiB, 2 MiB for a catalog, or 8 MiB for events"),
    "uri_too_long": Kind(414, "The address is too long", "a path or query string beyond its bound"),
    "unsupported_media_type": Kind(
        415, "Not this kind of body", "the Content-Type is not one the operation reads, or the body is compressed"
    ),
    "catalog_invalid": Kind(422, "The catalog has errors", "problems lists each with its place and a suggestion"),
    "unprocessable": Kind(422, "The content cannot be applied", "it is well-formed, but contradicts what is known"),
    "idempotency_key_reused": Kind(422, "The idempotency key came before", "with another body"),
    "rate_limited": Kind(
        429, "Too many requests", "a key, an address or a source has used up its rate; see Retry-After"
    ),
    "internal": Kind(500, "Something failed here", "a defect; the log has the request id"),
    "unavailable": Kind(
        503, "Not just now", "the database cannot be reached, or as much goes on as may; try again after Retry-After"
    ),
    "behind": Kind(503, "Not yet there", "the sequence named by at_least has not been seen within a second"),
}
"""Code → kind. A code is part of the contract: none is removed or given another meaning within ``v1``."""


class Place(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One place in the content that does not fit: a path such as ``$.plans.team``, where known line and column."""

    path: str
    message: str
    code: str | None = None
    line: int | None = None
    column: int | None = None
    suggestion: str | None = None


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every refusal (RFC 9457). ``code`` is stable and for programs; the rest is for people."""

    type: str
    """``urn:licet:problem:`` and the code."""
    title: str
    """The same for every problem of this code."""
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    """What was wrong, with which value."""
    code: str
    """Stable; one of the documented list."""
    advice: str | None = None
    """What to do next."""
    problems: tuple[Place, ...] = ()
    """Each place that does not fit."""
    request_id: str | None = None
    """Also in the header ``X-Request-Id`` and in the server's log."""


class Refusal(Exception):
    """Ends a request with a problem; nothing was written. ``code`` must be one of :data:`KINDS`."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        advice: str | None = None,
        places: Sequence[Place] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.kind = KINDS[code]
        self.detail = detail
        self.advice = advice
        self.places = tuple(places)
        self.headers = dict(headers or {})

    def problem(self, request_id: str | None) -> Problem:
        """Return what the client reads."""
        return Problem(
            type=f"urn:licet:problem:{self.code}",
            title=self.kind.title,
            status=self.kind.status,
            detail=self.detail,
            code=self.code,
            advice=self.advice or None,
            problems=self.places,
            request_id=request_id,
        )

    def body(self, request_id: str | None) -> bytes:
        """Return the encoded problem."""
        return msgspec.json.encode(self.problem(request_id))


def retry_after(seconds: float) -> dict[str, str]:
    """Return the header that says when to come back: whole seconds, at least one."""
    return {"Retry-After": str(max(1, -int(-seconds // 1)))}


def too_often(detail: str, seconds: float, advice: str) -> Refusal:
    """Return the refusal of whoever asks too often; ``seconds`` until the next request is taken."""
    return Refusal("rate_limited", detail, advice=advice, headers=retry_after(seconds))
