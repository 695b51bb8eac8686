"""Finding and removing personal values. The log itself is never touched: it holds commitments only."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from licet.core.orders import name_parts, subject_of
from licet.seal.envelope import EnvelopeError, unseal
from licet.seal.keyring import KeyringError
from licet.services.erasure_ports import KeptAnswer, NamedRow, PersonalValue, Place
from licet.services.rows import FindingRow
from licet.store.findings import finding_of
from licet.store.idempotency import ERASED, purpose_of
from licet.store.session import Reading, Writing, text

MARKER: Final = b'{"erased":true}'
"""What stands instead of the body of an erased message."""
CHUNK: Final = 5_000
"""Rows of checks that one statement changes at most."""
_COMPARISONS: Final = 50_000
_FEWEST: Final = 20
_MOST: Final = 500

VALUES: Final = """
    SELECT e.id, e.type, e.subject, e.after ->> 'id' AS ident, p.field, p.value
    FROM unnest($2::text[], $3::text[]) AS given (low, high)
    JOIN event e ON e.workspace_id = $1 AND e.subject >= given.low AND e.subject < given.high
        AND e.type IN ('customer.created', 'customer.changed', 'user.created', 'user.changed')
    JOIN event_private p ON p.workspace_id = e.workspace_id AND p.event_id = e.id
    ORDER BY e.seq, p.field
"""
ERASED_FIELDS: Final = """
    SELECT e.id, given.field FROM event e CROSS JOIN LATERAL json_object_keys(e.after -> 'private') AS given (field)
    WHERE e.workspace_id = $1 AND e.id = ANY ($2::text[]) AND json_typeof(e.after -> 'private') = 'object'
      AND NOT EXISTS (
          SELECT FROM event_private p
          WHERE p.workspace_id = e.workspace_id AND p.event_id = e.id AND p.field = given.field
      )
    ORDER BY e.id, given.field
"""
ERASURES: Final = """
    SELECT DISTINCT ON (subject) subject, id FROM event
    WHERE workspace_id = $1 AND subject = ANY ($2::text[]) AND type IN ('customer.erased', 'user.erased')
    ORDER BY subject, seq DESC
"""
ERASED_USERS: Final = """
    SELECT DISTINCT subject FROM event
    WHERE workspace_id = $1 AND type = 'user.erased' AND subject >= $2 AND subject < $3 ORDER BY subject
"""
NAMED_CUSTOMER: Final = """
    SELECT name, email FROM customer
    WHERE workspace_id = $1 AND id = $2 AND (name IS NOT NULL OR email IS NOT NULL)
"""
NAMED_USERS: Final = """
    SELECT id, name, email FROM customer_user
    WHERE workspace_id = $1 AND customer = $2 AND ($3::text IS NULL OR id = $3)
      AND (name IS NOT NULL OR email IS NOT NULL)
    ORDER BY id
"""
# A refused request is what somebody asked, like a recorded check. Facts name users by their ids, and are sealed.
RECORDS: Final = """
    SELECT (
        SELECT count(*) FROM check_record c
        WHERE c.workspace_id = $1 AND c.customer = $2 AND ($3::text IS NULL OR c.user_id = $3)
    ) + (
        SELECT count(*) FROM usage_refusal r
        WHERE r.workspace_id = $1 AND r.customer = $2 AND ($3::text IS NULL OR r.user_id = $3)
    ) AS found
"""
COUNTS: Final = """
    SELECT count(*) AS found FROM check_count
    WHERE workspace_id = $1 AND customer = $2 AND user_id <> '' AND ($3::text IS NULL OR user_id = $3)
"""
FOREIGN: Final = """
    SELECT x.source, x.external_id AS name FROM customer_external x WHERE x.workspace_id = $1 AND x.customer = $2
    UNION SELECT s.source, s.external_id FROM subscription_index s WHERE s.workspace_id = $1 AND s.customer = $2
    UNION SELECT r.source, unnest(ARRAY[r.reference, r.invoice])
    FROM subscription_index s JOIN payment_reference r
        ON r.workspace_id = s.workspace_id AND r.source = s.source AND r.external_id = s.external_id
    WHERE s.workspace_id = $1 AND s.customer = $2
    UNION SELECT given.source, given.external_id
    FROM event e CROSS JOIN LATERAL json_each_text(e.after -> 'external_ids') AS given (source, external_id)
    WHERE e.workspace_id = $1 AND e.subject = ANY ($3::text[]) AND e.type IN ('customer.created', 'customer.changed')
      AND e.after ->> 'id' = $2 AND NOT EXISTS (
          SELECT FROM customer_external x
          WHERE x.workspace_id = $1 AND x.source = given.source AND x.external_id = given.external_id
            AND x.customer <> $2
      )
"""
# position() reads a body once for each word, so a page has the fewer rows the more words are looked for.
LOOK: Final = """
    SELECT id, received_at, erased_at IS NULL AND EXISTS (
        SELECT FROM unnest($3::bytea[]) AS given (word) WHERE position(given.word IN body) > 0
    ) AS named
    FROM delivery WHERE workspace_id = $1 AND source = $2
      AND ($4::timestamptz IS NULL OR (received_at, id) > ($4, $5::text))
    ORDER BY received_at, id LIMIT $6
"""
FINDINGS: Final = """
    SELECT id, kind, severity, subject, words, evidence, state, seen, first_seen, last_seen,
        customer, money_amount, money_currency, owner, due_at, repair, note, settled_at
    FROM finding
    WHERE workspace_id = $1 AND id > $4 AND (customer = $2 OR subject = ANY ($3::text[])) ORDER BY id LIMIT $5
"""
DROP_VALUES: Final = """
    DELETE FROM event_private WHERE workspace_id = $1
      AND (event_id, field) IN (SELECT given.event_id, given.field FROM unnest($2::text[], $3::text[])
        AS given (event_id, field))
"""
EMPTY_CUSTOMER: Final = """
    UPDATE customer SET name = NULL, email = NULL, erased_at = $3 WHERE workspace_id = $1 AND id = $2
"""
EMPTY_USERS: Final = """
    UPDATE customer_user SET name = NULL, email = NULL, erased_at = $4
    WHERE workspace_id = $1 AND customer = $2 AND id = ANY ($3::text[])
"""
DROP_RECORDS: Final = """
    DELETE FROM check_record WHERE workspace_id = $1 AND ctid = ANY (ARRAY(
        SELECT ctid FROM check_record
        WHERE workspace_id = $1 AND customer = $2 AND ($3::text IS NULL OR user_id = $3) LIMIT $4
    ))
"""
DROP_REFUSALS: Final = """
    DELETE FROM usage_refusal WHERE workspace_id = $1 AND ctid = ANY (ARRAY(
        SELECT ctid FROM usage_refusal
        WHERE workspace_id = $1 AND customer = $2 AND ($3::text IS NULL OR user_id = $3) LIMIT $4
    ))
"""
FOLD_COUNTS: Final = """
    WITH given AS (
        DELETE FROM check_count WHERE workspace_id = $1 AND ctid = ANY (ARRAY(
            SELECT ctid FROM check_count
            WHERE workspace_id = $1 AND customer = $2 AND user_id <> '' AND ($3::text IS NULL OR user_id = $3)
            ORDER BY hour LIMIT $4
        )) RETURNING hour, feature, reason, outcome, mode, folded, checks
    ), kept AS (
        INSERT INTO check_count AS c
            (workspace_id, hour, customer, user_id, feature, reason, outcome, mode, folded, checks)
        SELECT $1, hour, $2, '', feature, reason, outcome, mode, folded, sum(checks)::bigint
        FROM given GROUP BY hour, feature, reason, outcome, mode, folded
        ORDER BY hour, feature, reason, outcome, mode, folded
        ON CONFLICT (workspace_id, hour, customer, user_id, feature, reason, outcome, mode, folded) DO UPDATE
        SET checks = c.checks + excluded.checks
    )
    SELECT count(*) AS found FROM given
"""
BLANK_DELIVERIES: Final = """
    UPDATE delivery d SET body = $5, words = given.words, erased_at = $6
    FROM unnest($3::text[], $4::text[]) AS given (id, words)
    WHERE d.workspace_id = $1 AND d.source = $2 AND d.id = given.id
"""
# A path without a percent sign names the customer as it is; a longer one is kept by its hash, in braces.
ANSWERS: Final = """
    SELECT route, key, body FROM idempotency i
    WHERE i.workspace_id = $1 AND (i.route, i.key) > ($4, $5) AND i.body_hash <> $6
      AND EXISTS (SELECT FROM unnest($2::text[]) AS given (start) WHERE starts_with(i.route, given.start))
      AND (position('/customers/' IN i.route) = 0 OR position($3 IN i.route) > 0
        OR position('%' IN i.route) > 0 OR position('{' IN i.route) > 0)
    ORDER BY i.route, i.key LIMIT $7
"""
DROP_ANSWER: Final = """
    DELETE FROM idempotency WHERE workspace_id = $1 AND route = $2 AND key = $3 RETURNING status, created_at
"""
BLANK_ANSWER: Final = """
    INSERT INTO idempotency (workspace_id, route, key, body_hash, status, body, created_at)
    VALUES ($1, $2, $3, $4, $5, ''::bytea, $6)
"""
SCRUB_FINDING: Final = "UPDATE finding SET words = $3, evidence = $4, repair = $5 WHERE workspace_id = $1 AND id = $2"


class ErasureReads(Reading):
    """Finding what is personal."""

    async def personal_values_of(self, customer: str, user: str | None = None) -> Sequence[PersonalValue]:
        """Return the personal values beside the log: of the customer and all its users, or of one user."""
        own, below = spelled_subjects(customer), [f"{one}/user/" for one in spelled_subjects(customer)]
        found: list[PersonalValue] = []
        ranges = [] if user is not None else [(one, f"{one}\x01") for one in own]
        ranges += [(one, f"{one[:-1]}0") for one in below]
        for row in await self._rows(VALUES, [low for low, _ in ranges], [high for _, high in ranges]):
            whose = self._whose(row["type"], row["subject"], str(row["ident"]), own, below)
            if whose == ("", customer) and user is None:
                found.append(PersonalValue(event=row["id"], field=row["field"], value=row["value"]))
            elif whose is not None and whose[0] == "user" and user in (None, whose[1]):
                found.append(PersonalValue(event=row["id"], field=row["field"], value=row["value"], user=whose[1]))
        return found

    @staticmethod
    def _whose(kind: str, subject: str, ident: str, own: Sequence[str], below: Sequence[str]) -> tuple[str, str] | None:
        """Return ("", customer) or ("user", id) of an event; subjects of old events hold ids as they are."""
        if kind.startswith("customer."):
            return ("", ident) if subject in own else None
        ends = {*name_parts(ident), ident}
        return ("user", ident) if any(subject == start + end for start in below for end in ends) else None

    async def erased_fields(self, events: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return by event the fields that it committed to and whose values are no longer there."""
        found: dict[str, list[str]] = {}
        for row in await self._rows(ERASED_FIELDS, list(events)) if events else ():
            found.setdefault(row["id"], []).append(row["field"])
        return found

    async def erasures(self, subjects: Sequence[str]) -> Mapping[str, str]:
        """Return the id of the event that erased last what was personal, by subject; what never was is left out."""
        return {row["subject"]: row["id"] for row in await self._rows(ERASURES, list(subjects))}

    async def erased_users(self, customer: str) -> Sequence[str]:
        """Return the subjects under which the log holds erasures of single users of a customer."""
        below = subject_of("customer", customer, "user", "")
        return [row["subject"] for row in await self._rows(ERASED_USERS, below, f"{below[:-1]}0")]

    async def named_rows(self, customer: str, user: str | None = None) -> Sequence[NamedRow]:
        """Return the rows of today that hold a name or a mail address."""
        whole = await self._row(NAMED_CUSTOMER, customer) if user is None else None
        rows = [] if whole is None else [NamedRow(user=None, name=whole["name"], email=whole["email"])]
        users = await self._rows(NAMED_USERS, customer, user)
        return rows + [NamedRow(user=row["id"], name=row["name"], email=row["email"]) for row in users]

    async def checks_about(self, customer: str, user: str | None = None) -> tuple[int, int]:
        """Return how many recorded checks there are, and how many counts that name a user."""
        records, counts = await self._row(RECORDS, customer, user), await self._row(COUNTS, customer, user)
        return (records["found"] if records else 0), (counts["found"] if counts else 0)

    async def foreign_names(self, customer: str) -> Mapping[str, frozenset[str]]:
        """Return by source every name that it has, or had, for the customer, its subscriptions and its payments."""
        found: dict[str, set[str]] = {}
        for row in await self._rows(FOREIGN, customer, spelled_subjects(customer)):
            found.setdefault(row["source"], set()).add(row["name"])
        return {source: frozenset(names) for source, names in found.items()}

    async def deliveries_naming(
        self, source: str, words: Sequence[str], after: Place | None
    ) -> tuple[Sequence[str], Place | None]:
        """Look through the next messages of a source for whole words; return the ids of those that may hold one."""
        needles = sorted({json.dumps(one, ensure_ascii=plain).encode() for one in words for plain in (True, False)})
        many = min(_MOST, max(_FEWEST, _COMPARISONS // max(1, len(needles))))
        since, last = (None, "") if after is None else (after.received_at, after.id)
        looked = await self._rows(LOOK, source, needles, since, last, many)
        place = Place(looked[-1]["received_at"], looked[-1]["id"]) if len(looked) == many else None
        return [row["id"] for row in looked if row["named"]], place

    async def findings_about(
        self, customer: str, subjects: Sequence[str], after: str, limit: int
    ) -> Sequence[FindingRow]:
        """List findings about a customer, or about one of ``subjects``, by id."""
        return [finding_of(row) for row in await self._rows(FINDINGS, customer, list(subjects), after, limit)]


class ErasureWrites(ErasureReads, Writing):
    """Removing what is personal."""

    async def drop_values(self, values: Sequence[PersonalValue]) -> int:
        """Delete personal values and their salts; returns how many there were."""
        self._write("event_private")
        return await self._execute(DROP_VALUES, [one.event for one in values], [one.field for one in values])

    async def drop_names(self, customer: str, *, whole: bool, users: Sequence[str], at: datetime) -> int:
        """Empty name and mail address; returns how many rows held anything."""
        self._write(f"customer/{customer}")
        chosen = set(users)
        named = await self.named_rows(customer)
        if whole:
            await self._execute(EMPTY_CUSTOMER, customer, at)
        await self._execute(EMPTY_USERS, customer, sorted(chosen), at)
        return sum(1 for row in named if (whole if row.user is None else row.user in chosen))

    async def drop_checks(self, customer: str, user: str | None = None) -> tuple[int, int]:
        """Delete recorded checks and refused requests, let counts no longer name a user; returns how many of each."""
        records = counts = 0
        while done := await self._execute(DROP_RECORDS, customer, user, CHUNK):
            records += done
        while done := await self._execute(DROP_REFUSALS, customer, user, CHUNK):
            records += done
        while (row := await self._row(FOLD_COUNTS, customer, user, CHUNK)) is not None and row["found"]:
            counts += row["found"]
        return records, counts

    async def blank_deliveries(self, source: str, words: Mapping[str, str], at: datetime) -> int:
        """Replace the bodies of messages by a marker, and what is said of each."""
        return await self._execute(BLANK_DELIVERIES, source, list(words), list(words.values()), MARKER, at)

    async def kept_answers(
        self, routes: Sequence[str], customer: str, after: tuple[str, str], limit: int
    ) -> tuple[Sequence[KeptAnswer], tuple[str, str] | None]:
        """Look through the next kept answers that may be about a customer, and open them."""
        rows = await self._rows(ANSWERS, list(routes), customer, *after, ERASED, limit)
        found = []
        for row in rows:
            try:
                content = unseal(self._keyring, self._ws, purpose_of(row["route"], row["key"]), row["body"])
            except (EnvelopeError, KeyringError):
                continue  # nobody can read it any more
            found.append(KeptAnswer(route=row["route"], key=row["key"], content=content))
        return found, (rows[-1]["route"], rows[-1]["key"]) if len(rows) == limit else None

    async def blank_answers(self, answers: Sequence[KeptAnswer]) -> int:
        """Forget the contents of answers, and what was asked: its hash alone would confirm a guessed name."""
        done = 0
        for one in answers:
            row = await self._row(DROP_ANSWER, one.route, one.key)
            if row is not None:
                await self._execute(BLANK_ANSWER, one.route, one.key, ERASED, row["status"], row["created_at"])
                done += 1
        return done

    async def scrub_finding(self, row: FindingRow) -> None:
        """Replace words, evidence and repair of a finding."""
        await self._execute(SCRUB_FINDING, row.id, row.words, text(row.evidence), row.repair)


def spelled_subjects(customer: str) -> list[str]:
    """Return the subjects of events about a customer: as they are spelled, and as they were in old events."""
    return sorted({f"customer/{one}" for one in (*name_parts(customer), customer)})
