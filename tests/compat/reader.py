"""Reads a recorded feed the plain way: each token opened, the chain and the hashes compared, the rows put together.

It shares with the evaluator the shapes of ``wire.feed`` and the core alone, so that the two can be held against
each other.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from licet.core.catalog import Catalog
from licet.core.compiled import compile_catalog
from licet.core.instant import parse_instant, to_instant
from licet.core.question import Context, UserFacts
from licet.core.snapshot import Truth
from licet.core.terms import Terms
from licet.seal.keyset import Keyset, open_keyset, open_with
from licet.wire.feed import (
    DIGEST_SIZE,
    CatalogDocument,
    Cursor,
    Frame,
    Head,
    Line,
    TermsRow,
    UserRow,
    chain_next,
    chain_start,
    digest_part,
    user_content,
)

T = TypeVar("T", bound=Struct)
LATER: Final = "x_later"
"""A field that no version knows."""
RECORDED: Final = (
    "allowed", "reason", "reasons", "would_deny", "type", "mode", "value", "limit", "sources", "valid_until",
    "missing", "warnings",
)  # fmt: skip
"""What is recorded of a decision: what programs read. Words for people may get better."""


class Reader:
    """What a transcript comes to."""

    def __init__(self, workspace: str, lines: Iterable[bytes], at: int) -> None:
        """Read them; ``at`` is when the keys are judged, in real time."""
        self.keyset: Keyset | None = None
        self.catalog: CatalogDocument | None = None
        self.catalog_hash = ""
        self.heads: list[Head] = []
        self.terms: dict[str, TermsRow] = {}
        self.users: dict[tuple[str, str], UserRow] = {}
        self.payloads: list[tuple[Struct, bytes, str]] = []
        """Each signed message with its payload and the id of the key that signed it."""
        self._workspace = workspace
        self._at = at
        self._prev: str | None = None
        for line in lines:
            self._take(msgspec.json.decode(line, type=Line))

    def truth(self) -> Truth:
        """Return the rows under the catalog, ready to be asked."""
        if self.catalog is None:
            raise AssertionError("the transcript has no catalog")
        catalog = msgspec.convert(known(msgspec.json.decode(self.catalog.doc)), Catalog)
        compiled = compile_catalog(catalog, self.catalog.revision, ZoneInfo, ZoneInfo(self.heads[-1].zone))
        documents = (known(msgspec.json.decode(row.doc)) for row in self.terms.values())
        return Truth(compiled, (msgspec.convert(document, Terms) for document in documents))

    def digest(self) -> str:
        """Return what the rows add up to, as a head names it."""
        total = sum(digest_part("terms", row.customer, "", row.revision, bytes(row.doc)) for row in self.terms.values())
        total += sum(
            digest_part("user", row.customer, row.user, row.revision, user_content(row)) for row in self.users.values()
        )
        return f"{total % DIGEST_SIZE:032x}"

    def _take(self, line: Line) -> None:
        if line.keyset is not None and line.root is not None:
            self.keyset = open_keyset(line.keyset, [line.root], self._workspace)
        elif line.catalog is not None:
            self._release(self._opened(line.catalog, CatalogDocument))
        elif line.frame is not None:
            self._add(self._opened(line.frame, Frame), line.frame)
        elif line.head is not None:
            head = self._opened(line.head, Head)
            assert head.catalog is not None
            assert head.catalog.hash == self.catalog_hash
            self.heads.append(head)
            self._prev = None

    def _release(self, document: CatalogDocument) -> None:
        self.catalog_hash = hashlib.sha256(document.doc).hexdigest()
        self.catalog = document

    def _add(self, frame: Frame, token: str) -> None:
        start = chain_start(frame.workspace, frame.audience, frame.customer, Cursor(frame.epoch, frame.since))
        assert frame.prev == (self._prev or start)
        self._prev = chain_next(token)
        if frame.kind == "full" and frame.number == 0:
            self.terms, self.users = {}, {}
        self.terms.update({row.customer: row for row in frame.terms})
        self.users.update({(row.customer, row.user): row for row in frame.users})

    def _opened(self, token: str, kind: type[T]) -> T:
        assert self.keyset is not None
        payload = open_with(token, self.keyset, "feed", self._at)
        message = msgspec.json.decode(payload, type=kind)
        self.payloads.append((message, payload, token))
        return message


def known(plain: Any) -> Any:
    """Return a document without the fields that were made up for a later version."""
    if isinstance(plain, dict):
        return {name: known(value) for name, value in plain.items() if name != LATER}
    return [known(value) for value in plain] if isinstance(plain, list) else plain


def facts_of(users: Mapping[tuple[str, str], UserRow], customer: str, user: str | None) -> UserFacts | str | None:
    """Return what is known of a user: the facts, the bare id of one not known, None where nobody is named."""
    if user is None:
        return None
    row = users.get((customer, user))
    if row is None or not row.active:
        return user
    return UserFacts(id=user, roles=row.roles, attributes=row.attributes)


def decide(truth: Truth, users: Mapping[tuple[str, str], UserRow], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recorded part of core's decision on a recorded question."""
    now = parse_instant(asked["now"])
    decision = truth.check(
        asked["customer"],
        asked["feature"],
        now,
        user=facts_of(users, asked["customer"], asked.get("user")),
        context=msgspec.convert(asked["context"], Context) if "context" in asked else None,
        quantity=asked.get("quantity", 1),
        used=asked.get("used"),
    )
    return recorded_part(msgspec.json.encode(decision.view(now)))


def recorded_part(document: bytes) -> dict[str, Any]:
    """Return what is recorded of a decision's document."""
    view = msgspec.json.decode(document)
    return {name: view[name] for name in RECORDED}


def issued(reader: Reader) -> int:
    """Return when the newest head of a transcript was signed."""
    return to_instant(reader.heads[-1].issued_at)
