"""A small authority: it signs the lines of a feed about a few customers, as a server does."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Raw

from licet.core.instant import Instant, to_instant
from licet.evaluator.follower import Follower
from licet.evaluator.trust import Trust
from licet.evaluator.truth import LocalTruth
from licet.seal.keyset import KeyEntry, Keyset, sign_keyset, sign_with
from licet.seal.paserk import pid, public_of, write_public
from licet.wire.feed import (
    DIGEST_SIZE,
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
    user_content,
)

ROOT, KEY, OTHER = (bytes([number]) * 32 for number in (21, 22, 23))
PUBLIC_ROOT = write_public(public_of(ROOT))
START = datetime(2026, 4, 1, tzinfo=UTC)
WALL = to_instant(START)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
SMALL: dict[str, Any] = {
    "version": 1,
    "products": {"m": {"name": "M"}},
    "features": {
        "sso": {"type": "switch"},
        "export": {"type": "switch", "when_unreachable": "last_known"},
        "help": {"type": "switch", "when_unreachable": "allow"},
        "seats": {"type": "limit", "when_unreachable": "last_known"},
        "beta": {"type": "switch", "when": '"tester" in user.roles'},
    },
    "plans": {
        "team": {
            "product": "m",
            "versions": {"1": {"includes": {"sso": True, "export": True, "seats": 5, "beta": True}}},
        }
    },
}


def terms(customer: str, *, since: datetime = START - 10 * DAY, **more: Any) -> dict[str, Any]:
    """The terms of a customer with the team plan."""
    items = [{"kind": "plan", "id": "team", "version": "1"}]
    return {
        "customer": customer,
        "subscriptions": [{"id": "sub_1", "phases": [{"starts_at": since, "items": items}], **more}],
    }


def key_entry(seed: bytes, **more: Any) -> KeyEntry:
    """A key of the keyset, valid for years."""
    public = public_of(seed)
    named = {"purposes": ("feed",), "not_before": START - 400 * DAY, "not_after": START + 400 * DAY, **more}
    return KeyEntry(id=pid(public), public=write_public(public), **named)


def keyset(version: int = 1, *keys: KeyEntry, root: bytes = ROOT, workspace: str = "live") -> Line:
    """A signed keyset as a line."""
    made = Keyset(workspace=workspace, version=version, issued_at=START, keys=keys or (key_entry(KEY),))
    return Line(keyset=sign_keyset(made, root), root=write_public(public_of(root)))


class Authority:
    """One workspace with its log: every ``put`` raises the sequence, ``lines`` tell a follower of it."""

    def __init__(self, workspace: str = "live", epoch: int = 1, document: dict[str, Any] | None = None) -> None:
        self.workspace, self.epoch, self.seq = workspace, epoch, 1
        self.now = START
        self.rows: dict[tuple[str, str], TermsRow | UserRow] = {}
        self.log: list[TermsRow | UserRow] = []
        self.pick_size = 1_000
        self.released_at = 1
        self.revision = 1
        self.clock = ClockMark()
        self.seed = KEY
        self.usable = 30 * DAY
        self.zone = "UTC"
        self.document = msgspec.json.encode(document or SMALL)

    def release(self, document: dict[str, Any]) -> None:
        """Release a catalog."""
        self.seq += 1
        self.document, self.revision, self.released_at = msgspec.json.encode(document), self.revision + 1, self.seq

    def put(self, document: dict[str, Any]) -> None:
        """Record a customer's terms."""
        self.seq += 1
        customer = document["customer"]
        doc = msgspec.json.encode(document, order="deterministic")
        revision = self._revision(customer, "")
        self._record(TermsRow(customer=customer, revision=revision, seq=self.seq, doc=Raw(doc)))

    def put_user(self, customer: str, user: str, *roles: str, active: bool = True) -> None:
        """Record a user's facts."""
        self.seq += 1
        revision = self._revision(customer, user)
        row = UserRow(customer=customer, user=user, revision=revision, seq=self.seq, active=active, roles=roles)
        self._record(row)

    def lines(self, since: int | None = None, *, size: int = 2, digest: DigestMark | None = None) -> list[Line]:
        """A set from a sequence on, None for a full one, with its head."""
        told = []
        if since is None or self.released_at > since:
            told.append(self.catalog_line())
        if since is None or since < self.seq:
            told += self.frames(since, size=size)
        return [*told, self.head(digest=digest)]

    def catalog_line(self) -> Line:
        """The catalog, signed."""
        made = CatalogDocument(
            workspace=self.workspace, audience="server", revision=self.revision, doc=Raw(self.document)
        )
        return Line(catalog=self.sign(made))

    def frames(self, since: int | None, *, size: int = 2, **more: Any) -> list[Line]:
        """The chained frames of a set."""
        rows = [row for row in self.rows.values() if row.seq > (since or 0)]
        parts = [rows[place : place + size] for place in range(0, len(rows), size)] or [[]]
        prev = chain_start(self.workspace, "server", None, Cursor(self.epoch, since or 0))
        told = []
        for number, part in enumerate(parts):
            frame = Frame(
                workspace=self.workspace,
                audience="server",
                kind="full" if since is None else "changes",
                epoch=self.epoch,
                since=since or 0,
                seq=self.seq,
                number=number,
                last=number == len(parts) - 1,
                prev=prev,
                terms=tuple(row for row in part if isinstance(row, TermsRow)),
                users=tuple(row for row in part if isinstance(row, UserRow)),
            )
            token = self.sign(msgspec.structs.replace(frame, **more))
            prev = chain_next(token)
            told.append(Line(frame=token))
        return told

    def pick(self, customer: str, seq: int | None = None) -> str:
        """All of one customer as of a sequence, the newest if None, as one frame."""
        (token,) = self.picks(customer, seq)
        return token

    def picks(self, customer: str, seq: int | None = None) -> list[str]:
        """The same in frames of ``pick_size`` rows."""
        at = Cursor(self.epoch, self.seq if seq is None else seq)
        told = (row for row in self.log if row.customer == customer and row.seq <= at.seq)
        rows = list({row.user if isinstance(row, UserRow) else "": row for row in told}.values())
        parts = [rows[place : place + self.pick_size] for place in range(0, len(rows), self.pick_size)] or [[]]
        prev, made = chain_start(self.workspace, "server", customer, at), []
        for number, part in enumerate(parts):
            frame = Frame(
                workspace=self.workspace,
                audience="server",
                customer=customer,
                kind="pick",
                epoch=at.epoch,
                since=at.seq,
                seq=at.seq,
                number=number,
                last=number == len(parts) - 1,
                prev=prev,
                terms=tuple(row for row in part if isinstance(row, TermsRow)),
                users=tuple(row for row in part if isinstance(row, UserRow)),
            )
            made.append(self.sign(frame))
            prev = chain_next(made[-1])
        return made

    def head(self, **more: Any) -> Line:
        """A head of now, a minute later than the last."""
        self.now += MINUTE
        mark = CatalogMark(revision=self.revision, hash=hashlib.sha256(self.document).hexdigest())
        made: dict[str, Any] = {
            "workspace": self.workspace,
            "zone": self.zone,
            "audience": "server",
            "epoch": self.epoch,
            "seq": self.seq,
            "catalog": mark,
            "clock": self.clock,
            "issued_at": self.now,
            "fresh_until": self.now + timedelta(seconds=45),
            "usable_until": self.now + self.usable,
            **more,
        }
        return Line(head=self.sign(Head(**made)))

    def digest(self) -> DigestMark:
        """What all rows add up to now."""
        total = 0
        for row in self.rows.values():
            if isinstance(row, TermsRow):
                total += digest_part("terms", row.customer, "", row.revision, bytes(row.doc))
            else:
                total += digest_part("user", row.customer, row.user, row.revision, user_content(row))
        return DigestMark(seq=self.seq, sum=f"{total % DIGEST_SIZE:032x}")

    def sign(self, message: Any) -> str:
        """Sign a Struct, or any JSON, for the feed."""
        return sign_with(msgspec.json.encode(message), self.seed, "feed")

    def _record(self, row: TermsRow | UserRow) -> None:
        self.rows[row.customer, row.user if isinstance(row, UserRow) else ""] = row
        self.log.append(row)

    def _revision(self, customer: str, user: str) -> int:
        before = self.rows.get((customer, user))
        return 1 if before is None else before.revision + 1


def start(authority: Authority | None = None) -> tuple[Authority, Follower]:
    """An authority with two customers and a user, and a follower that has all of it."""
    authority = authority or Authority()
    authority.put(terms("acme"))
    authority.put(terms("other", ends_at=START + 5 * DAY))
    authority.put_user("acme", "ann", "tester")
    follower = Follower(LocalTruth(), Trust(PUBLIC_ROOT, authority.workspace))
    take(follower, [keyset(workspace=authority.workspace), *authority.lines()])
    return authority, follower


def take(follower: Follower, lines: list[Line], wall: Instant = WALL) -> None:
    """Feed lines into a follower."""
    for line in lines:
        follower.take(line, wall)


def answers(follower: Follower, now: Instant = WALL) -> list[tuple[bool, str]]:
    """Everything that a truth answers about its customers, in a form that can be compared."""
    asked = [("acme", "sso", None), ("acme", "beta", "ann"), ("other", "sso", None), ("new", "sso", None)]
    found = [follower.truth.check(customer, feature, now, user=user) for customer, feature, user in asked]
    return [(one.allowed, one.reason) for one in found]
