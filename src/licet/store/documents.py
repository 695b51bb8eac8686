"""The documents beside the log: how each kind is read, named and hashed, when it is written and when it is verified.

Both use the same columns of the same row as PostgreSQL has stored it, so what was written and what was promised cannot
differ.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from licet.core.orders import name_parts
from licet.seal.canonical import NotCanonical
from licet.seal.document import document_hash
from licet.store.session import Reading

LAST: Final = 2**63 - 1
"""Beyond every sequence."""


class Kind(Struct, frozen=True, kw_only=True):
    """One kind of document: a table whose rows carry the sequence of the event that promises them."""

    noun: str
    key: tuple[str, ...]
    """The columns that name it, besides its revision."""
    write: str
    """The statement that writes rows under a sequence and returns them as stored, without what is personal."""
    read: str
    """The statement that reads the same columns, and the sequence, of the rows between two sequences."""
    unplaced: str
    """The statement that reads names and sequence of the rows whose sequence no entry can have."""
    disordered: str | None
    """The same of the rows that name no later entry than an earlier revision; None where only one is kept."""
    lost: str | None
    """The statement that reads the names which the log of before names last and which are not there."""

    def name(self, row: Mapping[str, Any]) -> str:
        """Return a row's name in the log, such as ``terms/acme@3``."""
        return f"{'/'.join((self.noun, *name_parts(*(row[column] for column in self.key))))}@{row['revision']}"

    def read_name(self, name: str) -> tuple[str, int]:
        """Return (id, revision) of the name of a document with one key; ("", 0) for what is none."""
        ident, _, revision = name.removeprefix(f"{self.noun}/").rpartition("@")
        if not (revision.isascii() and revision.isdigit() and len(revision) < 19):
            return "", 0
        return plain(ident), int(revision)

    def hash(self, row: Mapping[str, Any]) -> str:
        """Return a row's hash; empty for a row that nobody but an attacker can have written."""
        try:
            return document_hash({name: value for name, value in row.items() if name != "seq"})
        except NotCanonical:
            return ""


def plain(part: str) -> str:
    """Return a name as it was before ``name_parts`` made it a part of a subject."""
    return part.replace("%3A", ":").replace("%2F", "/").replace("%25", "%")


_TERMS: Final = "customer, revision, recorded_at, doc"
WRITE_TERMS: Final = f"""
    INSERT INTO terms (workspace_id, customer, revision, seq, recorded_at, doc)
    SELECT $1, given.customer, given.revision, $2, $3, given.doc
    FROM unnest($4::text[], $5::bigint[], $6::json[]) AS given (customer, revision, doc)
    RETURNING {_TERMS}
"""
READ_TERMS: Final = f"SELECT {_TERMS}, seq FROM terms WHERE workspace_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq"
_CATALOG: Final = "revision, released_at, actor, note, hash, doc"
WRITE_CATALOG: Final = f"""
    INSERT INTO catalog (workspace_id, revision, seq, released_at, actor, note, hash, doc)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    RETURNING {_CATALOG}
"""
READ_CATALOG: Final = f"""
    SELECT {_CATALOG}, seq FROM catalog WHERE workspace_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq
"""
_USER: Final = "customer, id, revision, recorded_at, roles, attributes, teams, active"
WRITE_USER: Final = f"""
    INSERT INTO user_revision
        (workspace_id, customer, id, revision, seq, recorded_at, roles, attributes, teams, active)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    RETURNING {_USER}
"""
READ_USER: Final = f"""
    SELECT {_USER}, seq FROM user_revision WHERE workspace_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq
"""
_CUSTOMER: Final = """
    id, revision, profile, created_at, updated_at, (
        SELECT coalesce(array_agg(array[x.source, x.external_id] ORDER BY x.source, x.external_id), ARRAY[]::text[])
        FROM customer_external x WHERE x.workspace_id = customer.workspace_id AND x.customer = customer.id
    ) AS external_ids
"""
WRITE_CUSTOMER: Final = f"""
    UPDATE customer SET seq = $2 WHERE workspace_id = $1 AND id = ANY ($3::text[]) RETURNING {_CUSTOMER}
"""
READ_CUSTOMER: Final = f"""
    SELECT {_CUSTOMER}, seq FROM customer WHERE workspace_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq
"""
# What was put on balances has no revisions: it is written once.
_FUNDING: Final = "customer, id, 1 AS revision, feature, holder, doc"
WRITE_FUNDING: Final = f"""
    INSERT INTO funding (workspace_id, seq, customer, id, feature, holder, doc)
    SELECT $1, $2, given.* FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::json[]) AS given
    RETURNING {_FUNDING}
"""
READ_FUNDING: Final = f"""
    SELECT {_FUNDING}, seq FROM funding WHERE workspace_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq
"""
UNPLACED_FUNDING: Final = """
    SELECT customer, id, 1 AS revision, seq FROM funding WHERE workspace_id = $1 AND (seq IS NULL OR seq < 1)
"""
# In events of before an id stands in the subject as it is.
BEFORE: Final = """
    SELECT id, revision, (
        SELECT max(e.revision) FROM event e
        WHERE e.workspace_id = customer.workspace_id AND e.subject = 'customer/' || customer.id
          AND e.type IN ('customer.created', 'customer.changed') AND e.documents IS NULL
    ) AS named
    FROM customer WHERE workspace_id = $1 AND seq IS NULL
"""

UNPLACED_TERMS: Final = """
    SELECT customer, revision, seq FROM terms WHERE workspace_id = $1 AND (seq IS NULL OR seq < 1)
"""
UNPLACED_CATALOG: Final = "SELECT revision, seq FROM catalog WHERE workspace_id = $1 AND (seq IS NULL OR seq < 1)"
UNPLACED_USER: Final = """
    SELECT customer, id, revision, seq FROM user_revision WHERE workspace_id = $1 AND (seq IS NULL OR seq < 1)
"""
UNPLACED_CUSTOMER: Final = "SELECT id, revision, seq FROM customer WHERE workspace_id = $1 AND seq < 1"
_EARLIER: Final = "ORDER BY revision ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS earlier"
DISORDERED_TERMS: Final = f"""
    SELECT customer, revision, seq FROM (
        SELECT customer, revision, seq, max(seq) OVER (PARTITION BY customer {_EARLIER}
        FROM terms WHERE workspace_id = $1
    ) AS ordered WHERE seq > 0 AND seq <= earlier
"""
DISORDERED_CATALOG: Final = f"""
    SELECT revision, seq FROM (
        SELECT revision, seq, max(seq) OVER ({_EARLIER} FROM catalog WHERE workspace_id = $1
    ) AS ordered WHERE seq > 0 AND seq <= earlier
"""
DISORDERED_USER: Final = f"""
    SELECT customer, id, revision, seq FROM (
        SELECT customer, id, revision, seq, max(seq) OVER (PARTITION BY customer, id {_EARLIER}
        FROM user_revision WHERE workspace_id = $1
    ) AS ordered WHERE seq > 0 AND seq <= earlier
"""
LOST_TERMS: Final = """
    SELECT c.id AS customer, named.revision FROM customer c CROSS JOIN LATERAL (
        SELECT max(e.revision) AS revision FROM event e
        WHERE e.workspace_id = c.workspace_id AND e.subject = 'customer/' || c.id
          AND e.type NOT IN ('customer.created', 'customer.changed') AND e.documents IS NULL
    ) AS named
    WHERE c.workspace_id = $1 AND named.revision IS NOT NULL AND NOT EXISTS (
        SELECT FROM terms t
        WHERE t.workspace_id = c.workspace_id AND t.customer = c.id AND t.revision = named.revision
    )
"""
LOST_CATALOG: Final = """
    SELECT max(e.revision) AS revision FROM event e
    WHERE e.workspace_id = $1 AND e.subject = 'catalog' AND e.documents IS NULL
    HAVING max(e.revision) > (SELECT coalesce(max(k.revision), 0) FROM catalog k WHERE k.workspace_id = $1)
"""
LOST_USER: Final = """
    SELECT u.customer, u.id, named.revision FROM customer_user u CROSS JOIN LATERAL (
        SELECT max(e.revision) AS revision FROM event e
        WHERE e.workspace_id = u.workspace_id AND e.subject = 'customer/' || u.customer || '/user/' || u.id
          AND e.documents IS NULL
    ) AS named
    WHERE u.workspace_id = $1 AND named.revision IS NOT NULL AND NOT EXISTS (
        SELECT FROM user_revision r
        WHERE r.workspace_id = u.workspace_id AND r.customer = u.customer AND r.id = u.id
          AND r.revision = named.revision
    )
"""

TERMS: Final = Kind(
    noun="terms",
    key=("customer",),
    write=WRITE_TERMS,
    read=READ_TERMS,
    unplaced=UNPLACED_TERMS,
    disordered=DISORDERED_TERMS,
    lost=LOST_TERMS,
)
CATALOG: Final = Kind(
    noun="catalog",
    key=(),
    write=WRITE_CATALOG,
    read=READ_CATALOG,
    unplaced=UNPLACED_CATALOG,
    disordered=DISORDERED_CATALOG,
    lost=LOST_CATALOG,
)
USER: Final = Kind(
    noun="user",
    key=("customer", "id"),
    write=WRITE_USER,
    read=READ_USER,
    unplaced=UNPLACED_USER,
    disordered=DISORDERED_USER,
    lost=LOST_USER,
)
CUSTOMER: Final = Kind(
    noun="customer",
    key=("id",),
    write=WRITE_CUSTOMER,
    read=READ_CUSTOMER,
    unplaced=UNPLACED_CUSTOMER,
    disordered=None,
    lost=None,
)
FUNDING: Final = Kind(
    noun="funding",
    key=("customer", "id"),
    write=WRITE_FUNDING,
    read=READ_FUNDING,
    unplaced=UNPLACED_FUNDING,
    disordered=None,
    lost=None,
)
KINDS: Final = (CATALOG, CUSTOMER, FUNDING, TERMS, USER)

NEWEST: Final = """
    SELECT c.revision, c.seq, c.id FROM customer c WHERE c.workspace_id = $1 AND c.id = ANY ($2::text[])
"""
CUSTOMER_NAMES: Final = """
    SELECT c.id, c.revision, c.name, c.email FROM customer c WHERE c.workspace_id = $1 AND c.id = ANY ($2::text[])
"""
USER_NAMES: Final = """
    SELECT u.customer, u.id, u.revision, u.name, u.email
    FROM customer_user u JOIN unnest($2::text[], $3::text[]) AS given (customer, id)
        ON given.customer = u.customer AND given.id = u.id
    WHERE u.workspace_id = $1
"""
UNLIKE_USERS: Final = """
    SELECT u.customer, u.id, u.revision
    FROM customer_user u LEFT JOIN user_revision r
        ON r.workspace_id = u.workspace_id AND r.customer = u.customer AND r.id = u.id AND r.revision = u.revision
    WHERE u.workspace_id = $1 AND (
        r.revision IS NULL OR (u.roles, u.teams, u.active, u.attributes::text)
            IS DISTINCT FROM (r.roles, r.teams, r.active, r.attributes::text)
        OR EXISTS (
            SELECT 1 FROM user_revision later
            WHERE later.workspace_id = u.workspace_id AND later.customer = u.customer AND later.id = u.id
            AND later.revision > u.revision
        )
    )
"""
LOST_USERS: Final = """
    SELECT DISTINCT r.customer, r.id FROM user_revision r
    WHERE r.workspace_id = $1 AND NOT EXISTS (
        SELECT 1 FROM customer_user u
        WHERE u.workspace_id = r.workspace_id AND u.customer = r.customer AND u.id = r.id
    )
"""


class Names(Struct, frozen=True, kw_only=True):
    """The personal values of a customer's or a user's row of today; ``key`` is (id,) or (customer, id)."""

    key: tuple[str, ...]
    revision: int
    name: str | None
    email: str | None


class Stored(Struct, frozen=True, kw_only=True):
    """One document as it is stored: the sequence that it names (None: none), its name and hash."""

    kind: Kind
    key: tuple[str, ...]
    revision: int
    seq: int | None
    hash: str = ""

    @property
    def name(self) -> str:
        """Its name in the log."""
        return self.kind.name({**dict(zip(self.kind.key, self.key, strict=True)), "revision": self.revision})


class DocumentReads(Reading):
    """What a verifier reads beside the log, row by row."""

    async def documents(self, after: int, last: int = LAST) -> AsyncIterator[Stored]:
        """Yield the documents that name a sequence from beyond ``after`` to ``last``."""
        for kind in KINDS:
            async for row in self._conn.cursor(kind.read, self._ws, after, last):
                yield _stored(kind, row, kind.hash(row))

    async def unplaced_documents(self) -> AsyncIterator[Stored]:
        """Yield the documents that name no sequence an event can have: below 1, or none."""
        for kind in KINDS:
            async for row in self._conn.cursor(kind.unplaced, self._ws):
                yield _stored(kind, row)

    async def disordered_documents(self) -> AsyncIterator[Stored]:
        """Yield the documents that name no later sequence than an earlier revision of the same."""
        for kind in KINDS:
            if kind.disordered is not None:
                async for row in self._conn.cursor(kind.disordered, self._ws):
                    yield _stored(kind, row)

    async def customers_of_before(self) -> AsyncIterator[tuple[str, int, int | None]]:
        """Yield (name, revision, revision that the log of before names last) of customers that name no sequence."""
        async for row in self._conn.cursor(BEFORE, self._ws):
            yield CUSTOMER.name(row), row["revision"], row["named"]

    async def lost_documents(self) -> AsyncIterator[str]:
        """Yield the names of terms, users and catalogs that the log of before names last and that are not there."""
        for kind in KINDS:
            if kind.lost is not None:
                async for row in self._conn.cursor(kind.lost, self._ws):
                    yield kind.name(row)

    async def unlike_users(self) -> AsyncIterator[str]:
        """Yield the users whose row of today is not their newest revision."""
        for sql in (UNLIKE_USERS, LOST_USERS):
            async for row in self._conn.cursor(sql, self._ws):
                yield "/".join(("user", *name_parts(row["customer"], row["id"])))

    async def names_of(self, customers: Sequence[str], users: Sequence[tuple[str, str]]) -> Sequence[Names]:
        """Return the personal values of customers by id and of users by customer and id, as they are today."""
        found = [
            Names(key=(row["id"],), revision=row["revision"], name=row["name"], email=row["email"])
            for row in (await self._rows(CUSTOMER_NAMES, customers) if customers else ())
        ]
        whose, ids = [customer for customer, _ in users], [user for _, user in users]
        return found + [
            Names(key=(row["customer"], row["id"]), revision=row["revision"], name=row["name"], email=row["email"])
            for row in (await self._rows(USER_NAMES, whose, ids) if users else ())
        ]

    async def newest_customers(self, names: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Return (revision, sequence) of customers by id; sequence 0 in rows of before."""
        rows = await self._rows(NEWEST, list(names))
        return {row["id"]: (row["revision"], row["seq"] or 0) for row in rows}


def _stored(kind: Kind, row: Mapping[str, Any], hash_: str = "") -> Stored:
    key = tuple(row[column] for column in kind.key)
    return Stored(kind=kind, key=key, revision=row["revision"], seq=row["seq"], hash=hash_)
