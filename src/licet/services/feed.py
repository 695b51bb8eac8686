"""The feed: sets of rows, catalogs and heads, made of one consistent state and signed, as ``wire.feed`` says them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from copy import copy
from typing import Final, Literal

import msgspec
from msgspec import Raw, Struct, structs

from licet.core.audience import for_audience
from licet.core.catalog import decode_catalog, encode_catalog
from licet.core.instant import DAY, SECOND, Instant, to_datetime
from licet.services.errors import Conflict, NotFound
from licet.services.feed_ports import Rows, Signing
from licet.services.normal import invalid
from licet.services.ports import View
from licet.services.rows import Workspace
from licet.wire.feed import (
    DIGEST_SIZE,
    MAX_ROWS,
    Audience,
    CatalogDocument,
    CatalogMark,
    ClockMark,
    Cursor,
    DigestMark,
    Frame,
    Head,
    Line,
    TermsRow,
    UserRow,
    chain_next,
    chain_start,
    digest_part,
    read_cursor,
    user_content,
)

FRAME_BYTES: Final = 512 * 1024
"""Bytes of documents after which a frame ends, however few rows it has."""
FRESH: Final = 45 * SECOND
USABLE: Final = 30 * DAY
_ROW_BYTES: Final = 100
_FEW: Final = 100


class AheadOfLog(Conflict):
    """A follower knows more than the log does: the database was restored to an older copy."""

    code = "ahead_of_log"


class Whose(Struct, frozen=True):
    """Whose feed it is: of a workspace, for its vendor's servers or for what one customer holds."""

    workspace: str
    customer: str | None = None

    @property
    def audience(self) -> Audience:
        """Return for whom documents are cut."""
        return "server" if self.customer is None else "customer"


class Stand(Struct, frozen=True, kw_only=True):
    """What a head says beside its instants: how far a state has come, and which catalog counts there."""

    epoch: int
    seq: int
    zone: str
    clock: ClockMark
    catalog: CatalogMark | None

    @property
    def cursor(self) -> Cursor:
        """Return the cursor of a follower that has all of it."""
        return Cursor(self.epoch, self.seq)


class FeedSet(Struct, frozen=True, kw_only=True):
    """Signed lines from a sequence up to a stand; a head at that stand makes them the truth."""

    since: int
    stand: Stand
    lines: tuple[bytes, ...]
    """JSON of :class:`~licet.wire.feed.Line` each, without its end."""
    touched: frozenset[str]
    """The customers whom its rows are about."""

    @property
    def size(self) -> int:
        """Return how many bytes it has."""
        return sum(map(len, self.lines))


class SignedCatalog(Struct, frozen=True, kw_only=True):
    """A catalog as an audience has it, signed."""

    mark: CatalogMark
    line: bytes


class Framer:
    """Makes one chain of frames: rows are put in, lines come out."""

    def __init__(
        self,
        whose: Whose,
        signing: Signing,
        kind: Literal["full", "changes", "pick"],
        start: Cursor,
        seq: int,
        *,
        about: str | None = None,
        partial: bool = False,
    ) -> None:
        customer = whose.customer if about is None else about
        self._signing = signing
        self._prev = chain_start(whose.workspace, whose.audience, customer, start)
        self._like = Frame(
            workspace=whose.workspace,
            audience=whose.audience,
            customer=customer,
            kind=kind,
            partial=partial,
            epoch=start.epoch,
            since=start.seq,
            seq=seq,
            prev=self._prev,
        )
        self._number = 0
        self._terms: list[TermsRow] = []
        self._users: list[UserRow] = []
        self._bytes = 0

    def put(self, rows: Rows) -> Iterator[bytes]:
        """Put rows in; yields the lines of the frames that are full before them."""
        for row in rows.terms:
            yield from self._room(len(bytes(row.doc)) + _ROW_BYTES)
            self._terms.append(row)
        for user in rows.users:
            yield from self._room(len(user_content(user)) + _ROW_BYTES)
            self._users.append(user)

    def ending_at(self, seq: int) -> "Framer":
        """Return another one that goes on from here, with frames that end at another sequence."""
        other = copy(self)
        other._like = structs.replace(self._like, seq=seq)
        other._terms, other._users = [*self._terms], [*self._users]
        return other

    def end(self) -> bytes:
        """Return the line of the last frame, which may be empty."""
        return self._cut(last=True)

    def _room(self, size: int) -> Iterator[bytes]:
        rows = len(self._terms) + len(self._users)
        if rows and (rows >= MAX_ROWS or self._bytes + size > FRAME_BYTES):
            yield self._cut(last=False)
        self._bytes += size

    def _cut(self, *, last: bool) -> bytes:
        frame = structs.replace(
            self._like,
            number=self._number,
            last=last,
            prev=self._prev,
            terms=tuple(self._terms),
            users=tuple(self._users),
        )
        token = self._signing.sign(msgspec.json.encode(frame))
        self._prev = chain_next(token)
        self._number += 1
        self._terms, self._users, self._bytes = [], [], 0
        return line(Line(frame=token))


def line(told: Line) -> bytes:
    """Return one line as JSON, without its end."""
    return msgspec.json.encode(told)


def cursor_given(text: str) -> Cursor:
    """Return the cursor that somebody sent; raises Invalid."""
    try:
        return read_cursor(text)
    except ValueError as error:
        raise invalid("cursor", str(error), "send the one of the last head, or none to begin anew") from None


def ahead(cursor: Cursor, stand: Cursor) -> AheadOfLog:
    """Return what a follower is told that knows more than the log."""
    return AheadOfLog(
        f"the cursor is {cursor}, and the log of this workspace ends at {stand}: the database was restored to an older "
        "copy of itself, or this is the cursor of another one",
        advice="an operator raises the epoch with `licet epoch raise`; until then followers keep the truth they have",
    )


def stand_of(view: View, seq: int, catalog: CatalogMark | None) -> Stand:
    """Return a view's workspace at a sequence."""
    workspace = view.workspace
    return Stand(epoch=workspace.epoch, seq=seq, zone=workspace.zone, clock=clock_of(workspace), catalog=catalog)


def clock_of(workspace: Workspace) -> ClockMark:
    """Return the business clock of a workspace, as followers apply it."""
    return ClockMark(offset=workspace.clock_offset, frozen_at=workspace.clock_frozen_at)


async def catalog_for(view: View, whose: Whose, revision: int, signing: Signing) -> SignedCatalog:
    """Return a released catalog, cut to its audience and signed; raises NotFound."""
    row = await view.catalog(revision)
    if row is None:
        raise NotFound(f"there is no catalog revision {revision}", advice="list them: GET /v1/catalog/revisions")
    doc = row.doc
    if whose.customer is not None:
        doc = encode_catalog(for_audience(decode_catalog(row.doc), "customer"))
    document = CatalogDocument(workspace=whose.workspace, audience=whose.audience, revision=row.revision, doc=Raw(doc))
    token = signing.sign(msgspec.json.encode(document))
    mark = CatalogMark(revision=row.revision, hash=hashlib.sha256(doc).hexdigest())
    return SignedCatalog(mark=mark, line=line(Line(catalog=token)))


async def changes(
    view: View, whose: Whose, signing: Signing, since: int, seq: int
) -> tuple[list[bytes], frozenset[str]]:
    """Return the frames from one sequence to another, and whom they are about; one frame at least."""
    rows = await _changed(view, whose, since, seq)
    framer = Framer(whose, signing, "changes", Cursor(view.workspace.epoch, since), seq)
    touched = frozenset({row.customer for row in rows.terms} | {user.customer for user in rows.users})
    return await _framed(framer, rows, last=True), touched


def begun(whose: Whose, signing: Signing, stand: Stand) -> Framer:
    """Return what makes the frames of all there is at a stand."""
    return Framer(whose, signing, "full", Cursor(stand.epoch, 0), stand.seq)


async def whole(view: View, whose: Whose, framer: Framer, seq: int, total: "Sum") -> AsyncIterator[bytes]:
    """Yield the frames of all there was at a sequence but the last, and add all of it to ``total``."""
    async for rows in _all_rows(view, whose, seq):
        total.add(rows)
        for made in await _framed(framer, rows, last=False):
            yield made


async def ended(view: View, whose: Whose, framer: Framer, since: int, seq: int) -> list[bytes]:
    """Return the last frames of what :func:`whole` began at one sequence: with what came after it, up to another."""
    rows = await _changed(view, whose, since, seq) if since < seq else Rows()
    return await _framed(framer.ending_at(seq), rows, last=True)


async def _changed(view: View, whose: Whose, since: int, seq: int) -> Rows:
    if whose.customer is None:
        return await view.feed_changes(since, seq)
    return await view.feed_of(whose.customer, since, seq)


async def _framed(framer: Framer, rows: Rows, *, last: bool) -> list[bytes]:
    """Return the lines that rows make; many are signed in a thread, so that they take nobody's turn."""

    def make() -> list[bytes]:
        return [*framer.put(rows), *((framer.end(),) if last else ())]

    few = len(rows.terms) + len(rows.users) <= _FEW
    return make() if few else await asyncio.to_thread(make)


def nothing_held(view: View, whose: Whose, signing: Signing, seq: int) -> bytes:
    """Return the one frame with which a follower begins that picks its customers."""
    return Framer(whose, signing, "full", Cursor(view.workspace.epoch, 0), seq, partial=True).end()


async def picked(view: View, whose: Whose, signing: Signing, customer: str, cursor: Cursor) -> list[bytes]:
    """Return all of one customer as of a cursor, mostly one frame; raises AheadOfLog, or Invalid for another epoch."""
    stand = Cursor(view.workspace.epoch, await view.seq())
    if cursor > stand:
        raise ahead(cursor, stand)
    if cursor.epoch != stand.epoch:
        words = f"{cursor} is of epoch {cursor.epoch}; the log is in epoch {stand.epoch}"
        raise invalid("cursor", words, "follow the feed first: it begins anew")
    framer = Framer(whose, signing, "pick", cursor, cursor.seq, about=customer)
    return [*framer.put(await view.feed_of(customer, 0, cursor.seq)), framer.end()]


async def sum_of(view: View, whose: Whose, seq: int) -> "Sum":
    """Return what all rows at a sequence add up to."""
    total = Sum()
    async for rows in _all_rows(view, whose, seq):
        total.add(rows)
    return total


async def _all_rows(view: View, whose: Whose, seq: int) -> AsyncIterator[Rows]:
    if whose.customer is not None:
        yield await view.feed_of(whose.customer, 0, seq)
        return
    async for rows in view.feed_whole(seq):
        yield rows


class Sum:
    """What the rows of a state add up to."""

    def __init__(self) -> None:
        self.value = 0
        self.rows = 0

    def add(self, rows: Rows) -> None:
        """Add rows that were not in it."""
        parts = [digest_part("terms", row.customer, "", row.revision, bytes(row.doc)) for row in rows.terms]
        parts += [digest_part("user", row.customer, row.user, row.revision, user_content(row)) for row in rows.users]
        self.value = (self.value + sum(parts)) % DIGEST_SIZE
        self.rows += len(parts)

    def mark(self, seq: int) -> DigestMark:
        """Return it as a head carries it."""
        return DigestMark(seq=seq, sum=f"{self.value:032x}")


def sign_head(whose: Whose, signing: Signing, stand: Stand, issued: Instant, digest: DigestMark | None) -> bytes:
    """Return the line of a head; ``issued`` is real time."""
    head = Head(
        workspace=whose.workspace,
        zone=stand.zone,
        audience=whose.audience,
        customer=whose.customer,
        epoch=stand.epoch,
        seq=stand.seq,
        catalog=stand.catalog,
        clock=stand.clock,
        issued_at=to_datetime(issued),
        fresh_until=to_datetime(issued + FRESH),
        usable_until=to_datetime(issued + USABLE),
        digest=digest,
    )
    return line(Line(head=signing.sign(msgspec.json.encode(head))))


def keyset_line(signing: Signing) -> bytes:
    """Return the line with which every feed begins."""
    return line(Line(keyset=signing.keyset, root=signing.root))
