"""Makes the transcripts of feeds that are recorded: what a server would have sent, signed with the test keys."""

import hashlib
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw, structs

from licet.core.audience import for_audience
from licet.core.catalog import Catalog, encode_catalog
from licet.core.terms import Override, Terms
from licet.seal.canonical import canonical
from licet.seal.keyset import KeyEntry, Keyset, sign_keyset, sign_with
from licet.seal.paserk import pid, public_of, write_public
from licet.wire.feed import (
    DIGEST_SIZE,
    Audience,
    CatalogDocument,
    CatalogMark,
    ClockMark,
    Cursor,
    DigestMark,
    Frame,
    Head,
    TermsRow,
    UserRow,
    chain_next,
    chain_start,
    digest_part,
    user_content,
)
from tests.compat.place import Keys

WORKSPACE: Final = "recorded"
ISSUED: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
BEGAN: Final = datetime(2026, 1, 1, tzinfo=UTC)
ENDS: Final = datetime(2126, 1, 1, tzinfo=UTC)
FULL_SEQ: Final = 300
NEXT_SEQ: Final = 304
EPOCH: Final = 3
START: Final = Cursor(EPOCH, 0)
AT_ONCE: Final = timedelta()
Kind = Literal["full", "changes", "pick"]
More = Mapping[str, Any]
NOTHING: Final[More] = {}
Rows = tuple[tuple[TermsRow, ...], tuple[UserRow, ...]]


def customer_of(number: int) -> str:
    """Return the id under which the customer of a vector's case stands in a recording."""
    return f"case-{number:03}"


def rows_of(cases: Sequence[Mapping[str, Any]]) -> Rows:
    """Return the rows of a file's cases, each of a customer of its own; a case without terms has none."""
    terms: list[TermsRow] = []
    users: list[UserRow] = []
    for number, case in enumerate(cases):
        if case["terms"] is None:
            continue
        customer = customer_of(number)
        doc = canonical(structs.replace(msgspec.convert(case["terms"], Terms), customer=customer))
        terms.append(TermsRow(customer=customer, revision=1, seq=2 + 2 * number, doc=Raw(doc)))
        if "user" in case["question"]:
            user = case["question"]["user"]
            users.append(
                UserRow(
                    customer=customer,
                    user=user["id"],
                    revision=1,
                    seq=3 + 2 * number,
                    roles=tuple(user.get("roles", ())),
                    attributes=user.get("attributes", {}),
                )
            )
    return tuple(terms), tuple(users)


def digest_of(rows: Iterable[TermsRow | UserRow]) -> int:
    """Return what rows add up to."""
    total = 0
    for row in rows:
        if isinstance(row, TermsRow):
            total += digest_part("terms", row.customer, "", row.revision, bytes(row.doc))
        else:
            total += digest_part("user", row.customer, row.user, row.revision, user_content(row))
    return total % DIGEST_SIZE


class Teller:
    """Signs the lines of one workspace's feed for one audience."""

    def __init__(self, keys: Keys, audience: Audience = "server", customer: str | None = None) -> None:
        self._keys = keys
        self._seed = keys.feed[0]
        self._audience = audience
        self._customer = customer
        self._mark: CatalogMark | None = None
        self.lines: list[dict[str, Any]] = []

    def keyset(self, version: int, *, revoked: Sequence[int] = ()) -> None:
        """Name the keys, from then on signing with the newest that is not revoked."""
        entries = []
        for place, seed in enumerate(self._keys.feed[:version]):
            public = public_of(seed)
            entries.append(
                KeyEntry(
                    id=pid(public),
                    public=write_public(public),
                    purposes=("feed",),
                    not_before=BEGAN,
                    not_after=ENDS,
                    revoked_at=ISSUED if place in revoked else None,
                )
            )
        self._seed = self._keys.feed[version - 1]
        keyset = Keyset(workspace=WORKSPACE, version=version, issued_at=ISSUED, keys=tuple(entries))
        root = write_public(public_of(self._keys.root))
        self.lines.append({"keyset": sign_keyset(keyset, self._keys.root), "root": root})

    def catalog(self, catalog: Catalog, revision: int, more: More = NOTHING) -> None:
        """Release a catalog, cut to the audience."""
        inner = {} if "crit" in more else more
        doc = grown_catalog(encode_catalog(for_audience(catalog, self._audience)), inner)
        self._mark = CatalogMark(revision=revision, hash=hashlib.sha256(doc).hexdigest())
        document = CatalogDocument(workspace=WORKSPACE, audience=self._audience, revision=revision, doc=Raw(doc))
        self.lines.append({"catalog": self._signed(document, more)})

    def frames(
        self,
        kind: Kind,
        since: Cursor,
        seq: int,
        parts: Sequence[Rows],
        *,
        about: str | None = None,
        partial: bool = False,
        more: More = NOTHING,
    ) -> None:
        """Tell rows, one frame for each part; ``about`` whom a pick is."""
        customer = about or self._customer
        prev = chain_start(WORKSPACE, self._audience, customer, since)
        for number, (terms, users) in enumerate(parts):
            frame = Frame(
                workspace=WORKSPACE,
                audience=self._audience,
                customer=customer,
                kind=kind,
                partial=partial,
                epoch=EPOCH,
                since=since.seq,
                seq=seq,
                number=number,
                last=number == len(parts) - 1,
                prev=prev,
                terms=terms,
                users=users,
            )
            token = self._signed(frame, more)
            prev = chain_next(token)
            self.lines.append({"frame": token})

    def head(self, seq: int, later: timedelta, digest: DigestMark | None = None, more: More = NOTHING) -> None:
        """Cover what was told."""
        issued = ISSUED + later
        head = Head(
            workspace=WORKSPACE,
            audience=self._audience,
            customer=self._customer,
            zone="Europe/Berlin",
            epoch=EPOCH,
            seq=seq,
            catalog=self._mark,
            clock=ClockMark(offset=3_600_000_000),
            issued_at=issued,
            fresh_until=issued + timedelta(seconds=45),
            usable_until=issued + timedelta(days=30),
            digest=digest,
        )
        self.lines.append({"head": self._signed(head, more)})

    def text(self) -> bytes:
        """Return the transcript: one line of JSON each, as ``wire.feed.Line`` writes it."""
        return b"".join(msgspec.json.encode(line) + b"\n" for line in self.lines)

    def _signed(self, message: msgspec.Struct, more: Mapping[str, Any]) -> str:
        """Sign a message; ``more`` are fields that this version does not know."""
        payload = msgspec.json.encode(message)
        if more:
            if b'"crit"' in payload:
                raise ValueError("the message has critical fields already")
            plain = msgspec.json.decode(payload)
            for row in [*plain.get("terms", ()), *plain.get("users", ())]:
                row.update({name: value for name, value in more.items() if name != "crit"})
            payload = msgspec.json.encode({**plain, **more})
        return sign_with(payload, self._seed, "feed")


def _both(rows: Rows) -> list[TermsRow | UserRow]:
    return [*rows[0], *rows[1]]


def full(keys: Keys, catalog: Catalog, rows: Rows, more: More = NOTHING) -> Teller:
    """A follower without a cursor gets everything, in two frames."""
    teller = Teller(keys)
    teller.keyset(1)
    teller.catalog(catalog, 1, more)
    rows = (tuple(structs.replace(row, doc=Raw(grown(bytes(row.doc), more))) for row in rows[0]), rows[1])
    half = len(rows[0]) // 2
    parts: list[Rows] = [(rows[0][:half], ()), (rows[0][half:], rows[1])]
    teller.frames("full", START, FULL_SEQ, parts, more=more)
    digest = DigestMark(seq=FULL_SEQ, sum=f"{digest_of(_both(rows)):032x}")
    teller.head(FULL_SEQ, AT_ONCE, digest, more)
    return teller


def changes(keys: Keys, catalog: Catalog, rows: Rows) -> Teller:
    """The key was changed, a catalog released, two customers changed, then nothing new, and once nothing but heads."""
    teller = Teller(keys)
    teller.keyset(2, revoked=(0,))
    teller.catalog(catalog, 2)
    first, second = (_changed(row) for row in rows[0][:2])
    teller.frames("changes", Cursor(EPOCH, FULL_SEQ), NEXT_SEQ, [((first, second), (_left(rows[1][0]),))])
    after: list[TermsRow | UserRow] = [first, second, *rows[0][2:], _left(rows[1][0]), *rows[1][1:]]
    digest = DigestMark(seq=NEXT_SEQ, sum=f"{digest_of(after):032x}")
    teller.head(NEXT_SEQ, timedelta(seconds=20), digest)
    teller.head(NEXT_SEQ, timedelta(seconds=30), digest)
    teller.frames("changes", Cursor(EPOCH, NEXT_SEQ), NEXT_SEQ + 2, [((), ())])
    teller.head(NEXT_SEQ + 2, timedelta(seconds=40), digest)
    return teller


def _changed(row: TermsRow) -> TermsRow:
    """A customer's terms with an override more, which denies."""
    terms = msgspec.json.decode(row.doc, type=Terms)
    override = Override(id="ovr_recorded", feature="sso", effect="deny", starts_at=BEGAN, note="Recorded.")
    doc = canonical(structs.replace(terms, overrides=(*terms.overrides, override)))
    return TermsRow(customer=row.customer, revision=row.revision + 1, seq=NEXT_SEQ, doc=Raw(doc))


def _left(row: UserRow) -> UserRow:
    return structs.replace(row, revision=row.revision + 1, seq=NEXT_SEQ, active=False, roles=(), attributes={})


def for_one(keys: Keys, catalog: Catalog, rows: Rows, customer: str) -> Teller:
    """A follower bound to one customer gets that one, and a catalog without internal rules."""
    teller = Teller(keys, "customer", customer)
    teller.keyset(1)
    teller.catalog(catalog, 1)
    terms = tuple(row for row in rows[0] if row.customer == customer)
    users = tuple(row for row in rows[1] if row.customer == customer)
    teller.frames("full", START, FULL_SEQ, [(terms, users)])
    teller.head(FULL_SEQ, AT_ONCE)
    return teller


def picked(keys: Keys, catalog: Catalog, rows: Rows, customer: str) -> Teller:
    """A follower that picks gets a set without rows, and then all of the customer that it asks for."""
    teller = Teller(keys)
    teller.keyset(1)
    teller.catalog(catalog, 1)
    teller.frames("full", START, FULL_SEQ, [((), ())], partial=True)
    teller.head(FULL_SEQ, AT_ONCE)
    terms = tuple(row for row in rows[0] if row.customer == customer)
    users = tuple(row for row in rows[1] if row.customer == customer)
    teller.frames("pick", Cursor(EPOCH, FULL_SEQ), FULL_SEQ, [(terms, users)], about=customer)
    return teller


def grown(doc: bytes, more: More) -> bytes:
    """Return a document of a later version: with further fields, at its top and in each object of its lists."""
    if not more:
        return doc
    plain = msgspec.json.decode(doc)
    for part in [plain, *(one for value in plain.values() if isinstance(value, list) for one in value)]:
        part.update(more)
    return canonical(plain)


def grown_catalog(doc: bytes, more: More) -> bytes:
    """Return a catalog of a later version: with further fields, at its top and in each feature and plan."""
    if not more:
        return doc
    plain = msgspec.json.decode(doc)
    for part in [plain, *plain["features"].values(), *plain["plans"].values()]:
        part.update(more)
    return canonical(plain)


def payload_of(token: str) -> bytes:
    """Return what a token says, without looking at its signature."""
    signed = token.split(".")[2]
    return urlsafe_b64decode(signed + "=" * (-len(signed) % 4))[:-64]
