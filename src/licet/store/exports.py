"""What is held about one customer, row by row as it is stored, for an export of it."""

from collections.abc import AsyncIterator
from typing import Final

from licet.core.orders import subject_of
from licet.services.erasure_ports import Section
from licet.store.erasure import spelled_subjects
from licet.store.session import Reading

_PREFETCH: Final = 50
"""Rows held in memory at a time."""
CUSTOMER: Final = "SELECT to_jsonb(c) - 'workspace_id' AS held FROM customer c WHERE c.workspace_id = $1 AND c.id = $2"
EXTERNAL_IDS: Final = """
    SELECT to_jsonb(x) - 'workspace_id' AS held FROM customer_external x
    WHERE x.workspace_id = $1 AND x.customer = $2 ORDER BY x.source
"""
TEAMS: Final = """
    SELECT to_jsonb(t) - 'workspace_id' AS held FROM team t WHERE t.workspace_id = $1 AND t.customer = $2 ORDER BY t.id
"""
USERS: Final = """
    SELECT to_jsonb(u) - 'workspace_id' AS held FROM customer_user u
    WHERE u.workspace_id = $1 AND u.customer = $2 ORDER BY u.id
"""
USER_REVISIONS: Final = """
    SELECT to_jsonb(r) - 'workspace_id' AS held FROM user_revision r
    WHERE r.workspace_id = $1 AND r.customer = $2 ORDER BY r.id, r.revision
"""
TERMS: Final = """
    SELECT to_jsonb(t) - 'workspace_id' AS held FROM terms t
    WHERE t.workspace_id = $1 AND t.customer = $2 ORDER BY t.revision
"""
# Personal values stand beside their event; a field whose value is gone is named as erased. Only in events of before
# documents were hashed do ids stand in subjects as they are.
EVENTS: Final = """
    SELECT (to_jsonb(e) - 'workspace_id') || jsonb_build_object(
        'prev', encode(e.prev, 'hex'), 'hash', encode(e.hash, 'hex'),
        'personal', (
            SELECT jsonb_object_agg(p.field, p.value) FROM event_private p
            WHERE p.workspace_id = e.workspace_id AND p.event_id = e.id
        ),
        'erased', (
            SELECT jsonb_agg(given.field ORDER BY given.field) FROM json_object_keys(
                CASE WHEN json_typeof(e.after -> 'private') = 'object' THEN e.after -> 'private' END
            ) AS given (field)
            WHERE NOT EXISTS (
                SELECT FROM event_private p
                WHERE p.workspace_id = e.workspace_id AND p.event_id = e.id AND p.field = given.field
            )
        )
    ) AS held
    FROM event e
    WHERE e.workspace_id = $1 AND e.seq IN (
        SELECT o.seq FROM event o WHERE o.workspace_id = $1 AND o.subject = ANY ($3::text[])
            AND (o.subject = $6 OR o.documents IS NULL)
        UNION SELECT b.seq FROM unnest($4::text[], $5::text[]) AS given (low, high)
            JOIN event b ON b.workspace_id = $1 AND b.subject >= given.low AND b.subject < given.high
                AND (starts_with(b.subject, $6 || '/') OR b.documents IS NULL)
        UNION SELECT d.seq FROM subscription_index s JOIN event d ON d.workspace_id = s.workspace_id
            AND d.subject = ANY (ARRAY(
                SELECT noun || replace(replace(replace(s.source, '%', '%25'), '/', '%2F'), ':', '%3A') || '/'
                    || replace(replace(replace(s.external_id, '%', '%25'), '/', '%2F'), ':', '%3A')
                FROM unnest(ARRAY['order/', 'schedule/']) AS given (noun)
            ))
            WHERE s.workspace_id = $1 AND s.customer = $2
        UNION SELECT n.seq FROM finding f JOIN event n ON n.workspace_id = f.workspace_id
            AND n.subject = 'finding/' || f.id
            WHERE f.workspace_id = $1 AND f.customer = $2
    )
    ORDER BY e.seq
"""
REFERENCES: Final = """
    SELECT to_jsonb(r) - 'workspace_id' AS held
    FROM payment_reference r JOIN subscription_index s
        ON s.workspace_id = r.workspace_id AND s.source = r.source AND s.external_id = r.external_id
    WHERE r.workspace_id = $1 AND s.customer = $2 ORDER BY r.source, r.reference
"""
FINDINGS: Final = """
    SELECT to_jsonb(f) - 'workspace_id' AS held FROM finding f
    WHERE f.workspace_id = $1 AND f.customer = $2 ORDER BY f.id
"""
COUNTS: Final = """
    SELECT to_jsonb(c) - 'workspace_id' AS held FROM check_count c WHERE c.workspace_id = $1 AND c.customer = $2
    ORDER BY c.hour, c.user_id, c.feature, c.reason, c.outcome, c.mode, c.folded
"""
RECORDS: Final = """
    SELECT to_jsonb(r) - 'workspace_id' AS held FROM check_record r
    WHERE r.workspace_id = $1 AND r.customer = $2 ORDER BY r.id
"""
USES: Final = """
    SELECT to_jsonb(s) - 'workspace_id' AS held FROM said_use s
    WHERE s.workspace_id = $1 AND s.customer = $2 ORDER BY s.feature
"""
# What balances come to is a cache; its inner form says nothing to others.
BALANCES: Final = """
    SELECT to_jsonb(b) - 'workspace_id' - 'state' AS held FROM balance b
    WHERE b.workspace_id = $1 AND b.customer = $2 AND b.as_of IS NOT NULL ORDER BY b.feature, b.holder
"""
FUNDING: Final = """
    SELECT to_jsonb(f) - 'workspace_id' AS held FROM funding f
    WHERE f.workspace_id = $1 AND f.customer = $2 ORDER BY f.id
"""
FACTS: Final = """
    SELECT (to_jsonb(f) - 'workspace_id') || jsonb_build_object('id', encode(f.id, 'hex')) AS held FROM usage_fact f
    WHERE f.workspace_id = $1 AND f.customer = $2 ORDER BY f.effective_at, f.id
"""
RESERVATIONS: Final = """
    SELECT (to_jsonb(r) - 'workspace_id') || jsonb_build_object('id', encode(r.id, 'hex')) AS held FROM reservation r
    WHERE r.workspace_id = $1 AND r.customer = $2 ORDER BY r.id
"""
LEASES: Final = """
    SELECT (to_jsonb(l) - 'workspace_id') || jsonb_build_object('id', encode(l.id, 'hex'),
        'owner', encode(l.owner, 'hex'), 'reservation', encode(l.reservation, 'hex')) AS held FROM quota_lease l
    WHERE l.workspace_id = $1 AND l.customer = $2 ORDER BY l.id
"""
REFUSALS: Final = """
    SELECT (to_jsonb(r) - 'workspace_id') || jsonb_build_object('id', encode(r.id, 'hex')) AS held FROM usage_refusal r
    WHERE r.workspace_id = $1 AND r.customer = $2 ORDER BY r.refused_at, r.id
"""
HOURS: Final = """
    SELECT to_jsonb(h) - 'workspace_id' - 'split' - 'latest_id' AS held FROM usage_hour h
    WHERE h.workspace_id = $1 AND h.customer = $2 ORDER BY h.meter, h.hour, h.split
"""
MOVES: Final = """
    SELECT to_jsonb(m) - 'workspace_id' AS held FROM version_move_customer m
    WHERE m.workspace_id = $1 AND m.customer = $2 ORDER BY m.move, m.subscription
"""
KEYS: Final = """
    SELECT jsonb_build_object('id', k.id, 'kind', k.kind, 'name', k.name, 'scopes', k.scopes,
        'created_at', k.created_at, 'expires_at', k.expires_at, 'revoked_at', k.revoked_at) AS held
    FROM api_key k WHERE k.workspace_id = $1 AND k.customer = $2 ORDER BY k.id
"""
_SECTIONS: Final[dict[Section, str]] = {
    "customer": CUSTOMER,
    "external_id": EXTERNAL_IDS,
    "team": TEAMS,
    "user": USERS,
    "user_revision": USER_REVISIONS,
    "terms": TERMS,
    "event": EVENTS,
    "payment_reference": REFERENCES,
    "finding": FINDINGS,
    "check_count": COUNTS,
    "check_record": RECORDS,
    "said_use": USES,
    "version_move": MOVES,
    "balance": BALANCES,
    "funding": FUNDING,
    "reservation": RESERVATIONS,
    "quota_lease": LEASES,
    "usage_fact": FACTS,
    "usage_refusal": REFUSALS,
    "usage_hour": HOURS,
    "key": KEYS,
}


class ExportReads(Reading):
    """Reading everything about one customer."""

    async def held(self, section: Section, customer: str) -> AsyncIterator[bytes]:
        """Yield the rows of a section about a customer as JSON objects, as they are stored."""
        more: tuple[object, ...] = ()
        if section == "event":
            own = spelled_subjects(customer)
            more = (own, [f"{one}/" for one in own], [f"{one}0" for one in own], subject_of("customer", customer))
        async for row in self._conn.cursor(_SECTIONS[section], self._ws, customer, *more, prefetch=_PREFETCH):
            yield row["held"].encode()
