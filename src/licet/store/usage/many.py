"""Reading for many balances at once: as many statements for five hundred of them as for one.

Each is looked up by itself, in the order of the list, so that the indexes serve however long the list is.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from msgspec import structs

from licet.core.instant import BEGINNING, FOREVER, Instant, to_datetime, to_instant
from licet.core.usage.facts import AccountKey, Fact, Funding, FundingDoc, Reservation
from licet.services.rows import TermsRow, UserRow
from licet.services.usage.ports import BalanceRow
from licet.store.session import Reading
from licet.store.terms import terms_of
from licet.store.usage.rows import balance_of, fact_of, ident, key_columns, reservation_of
from licet.store.users import user_of

CHECKPOINTS: Final = """
    SELECT given.place, b.*, coalesce(b.as_of >= s.dropped_until OR b.serial > s.dropped, true) AS whole
    FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[])
        WITH ORDINALITY AS given (customer, feature, holder, before, place)
    CROSS JOIN LATERAL (
        SELECT n.customer, n.feature, n.holder, n.state, n.used, n.granted, n.remaining, n.as_of, n.serial
        FROM balance_checkpoint n
        WHERE n.workspace_id = $1 AND n.customer = given.customer AND n.feature = given.feature
            AND n.holder = given.holder AND n.as_of < given.before AND n.recorded_at <= $6
        ORDER BY n.as_of DESC LIMIT 1
    ) b LEFT JOIN usage_seal s ON s.workspace_id = $1
"""
BORDERS: Final = """
    SELECT given.place, b.as_of AS at
    FROM usage_seal s CROSS JOIN unnest($2::text[], $3::text[], $4::text[])
        WITH ORDINALITY AS given (customer, feature, holder, place)
    CROSS JOIN LATERAL (
        SELECT n.as_of FROM balance_checkpoint n
        WHERE n.workspace_id = $1 AND n.customer = given.customer AND n.feature = given.feature
            AND n.holder = given.holder AND coalesce(n.as_of >= s.dropped_until OR n.serial > s.dropped, true)
        ORDER BY n.as_of LIMIT 1
    ) b WHERE s.workspace_id = $1 AND s.dropped IS NOT NULL
"""
# What closes a reservation may say nothing of what was set aside: whose it is is seen from the reservation.
FACTS: Final = """
    SELECT given.place, f.*
    FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bytea[])
        WITH ORDINALITY AS given (customer, feature, holder, at, id, place)
    CROSS JOIN LATERAL (
        SELECT n.effective_at, n.id, n.kind, n.customer, n.doc FROM usage_fact n
        WHERE n.workspace_id = $1 AND n.customer = given.customer
            AND (n.effective_at, n.id) > (given.at, given.id) AND n.effective_at < $7 AND n.recorded_at <= $8
            AND (n.kind IN ('settle', 'release') OR (
                n.doc #> ARRAY['burns', given.feature] IS NOT NULL AND (given.holder = ''
                    OR given.holder = 'user:' || (n.doc ->> 'user') OR given.holder = 'team:' || (n.doc ->> 'team'))
            ))
        OFFSET 0
    ) f
"""
# Reservations that ended long ago are facts alone.
BEGUN: Final = """
    SELECT f.* FROM unnest($2::text[], $3::bytea[]) AS given (customer, id) CROSS JOIN LATERAL (
        SELECT n.effective_at, n.id, n.kind, n.customer, n.doc FROM usage_fact n
        WHERE n.workspace_id = $1 AND n.customer = given.customer AND n.kind = 'reserve' AND n.id = given.id LIMIT 1
    ) f
"""
RESERVATIONS: Final = """
    SELECT r.id, r.doc FROM unnest($2::bytea[]) AS given (id) CROSS JOIN LATERAL (
        SELECT n.id, n.doc FROM reservation n WHERE n.workspace_id = $1 AND n.id = given.id LIMIT 1
    ) r
"""
TERMS: Final = """
    SELECT given.customer, t.* FROM unnest($2::text[]) AS given (customer) CROSS JOIN LATERAL (
        SELECT n.revision, n.seq, n.recorded_at, n.doc FROM terms n
        WHERE n.workspace_id = $1 AND n.customer = given.customer ORDER BY n.revision DESC LIMIT 1
    ) t
"""
USERS: Final = """
    SELECT u.* FROM unnest($2::text[], $3::text[]) AS given (customer, id) CROSS JOIN LATERAL (
        SELECT n.customer, n.id, n.revision, n.name, n.email, n.roles, n.attributes, n.teams, n.active, n.created_at,
            n.updated_at, n.erased_at
        FROM customer_user n WHERE n.workspace_id = $1 AND n.customer = given.customer AND n.id = given.id LIMIT 1
    ) u
"""
FUNDING: Final = """
    SELECT given.customer, f.* FROM unnest($2::text[]) AS given (customer) CROSS JOIN LATERAL (
        SELECT n.id, n.seq, n.feature, n.holder, n.doc FROM funding n
        WHERE n.workspace_id = $1 AND n.customer = given.customer OFFSET 0
    ) f ORDER BY f.id
"""
_LAST: Final = to_datetime(FOREVER - 1)
_SLICE: Final = 500
"""Rows that are decoded before others have their turn."""
_funding: Final = msgspec.json.Decoder(FundingDoc).decode


class ManyReads(Reading):
    """Reading of many balances, customers and users at once."""

    async def checkpoints(
        self, asked: Sequence[tuple[AccountKey, Instant]], known: datetime | None = None
    ) -> list[BalanceRow | None]:
        """Return of each balance the newest checkpoint of before an instant (recorded by ``known``), in their order."""
        found: list[BalanceRow | None] = [None] * len(asked)
        befores = [to_datetime(max(BEGINNING, min(before, FOREVER - 1))) for _, before in asked]
        columns = key_columns([key for key, _ in asked])
        for row in await self._rows(CHECKPOINTS, *columns, befores, _LAST if known is None else known):
            found[row["place"] - 1] = structs.replace(balance_of(row), whole=row["whole"])
        return found

    async def borders(self, keys: Sequence[AccountKey]) -> list[Instant | None]:
        """Return of each balance since when it can be folded, where facts were dropped; None where since its first."""
        found: list[Instant | None] = [None] * len(keys)
        for row in await self._rows(BORDERS, *key_columns(keys)):
            found[row["place"] - 1] = to_instant(row["at"])
        return found

    async def facts_of_each(
        self,
        asked: Sequence[tuple[AccountKey, tuple[Instant, str] | None]],
        *,
        until: Instant | None = None,
        known: datetime | None = None,
    ) -> list[Sequence[Fact]]:
        """Return of each balance the facts that burn of it after a place, as ``facts_of`` does, in their order."""
        after = [(BEGINNING, "") if place is None else place for _, place in asked]
        rows = await self._rows(
            FACTS,
            *key_columns([key for key, _ in asked]),
            [to_datetime(at) for at, _ in after],
            [ident(name) if name else b"" for _, name in after],
            _LAST if until is None else to_datetime(until),
            _LAST if known is None else known,
        )
        found: list[dict[str, Fact]] = [{} for _ in asked]
        for number, row in enumerate(rows):
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
            fact = fact_of(row)
            found[row["place"] - 1][fact.id] = fact
        begun = await self._begun({fact.of: fact.customer for facts in found for fact in missing(facts)})
        return [burning(facts, begun, key) for facts, (key, _) in zip(found, asked, strict=True)]

    async def newest_terms(self, customers: Sequence[str]) -> dict[str, TermsRow]:
        """Return the newest terms of those customers that there are."""
        rows = await self._rows(TERMS, list(customers)) if customers else ()
        return {row["customer"]: terms_of(row) for row in rows}

    async def users_named(self, named: Sequence[tuple[str, str]]) -> dict[tuple[str, str], UserRow]:
        """Return those users, each named by customer and id, that there are."""
        rows = await self._rows(USERS, *map(list, zip(*named, strict=True))) if named else ()
        return {(row["customer"], row["id"]): user_of(row) for row in rows}

    async def funding_of_each(self, customers: Sequence[str]) -> dict[str, list[Funding]]:
        """Return all that is recorded as put on the balances of customers, by id; only of those that have some."""
        found: dict[str, list[Funding]] = {}
        for row in await self._rows(FUNDING, list(customers)) if customers else ():
            one = Funding(
                id=row["id"], feature=row["feature"], holder=row["holder"], seq=row["seq"], doc=_funding(row["doc"])
            )
            found.setdefault(row["customer"], []).append(one)
        return found

    async def _reservations(self, ids: Sequence[str]) -> dict[str, Reservation]:
        if not ids:
            return {}
        rows = await self._rows(RESERVATIONS, [ident(one) for one in ids])
        return {row["id"].hex(): reservation_of(row) for row in rows}

    async def _begun(self, missing: Mapping[str | None, str]) -> dict[str, Fact]:
        """Return the beginnings of reservations, given by id with their customers."""
        ids = sorted(one for one in missing if one is not None)
        begun = {one.fact.id: one.fact for one in (await self._reservations(ids)).values()}
        gone = [one for one in ids if one not in begun]
        if gone:
            customers = [missing[one] for one in gone]
            rows = await self._rows(BEGUN, customers, [ident(one) for one in gone])
            begun |= {one.id: one for one in map(fact_of, rows)}
        return begun


def missing(facts: Mapping[str, Fact]) -> Iterable[Fact]:
    """Return the facts among some that are about a reservation which is not among them."""
    return [one for one in facts.values() if one.kind in ("settle", "release") and one.of and one.of not in facts]


def burning(found: Mapping[str, Fact], begun: Mapping[str, Fact], key: AccountKey) -> list[Fact]:
    """Return the facts that are about a balance, with the beginnings of their reservations, in their places."""
    about = {one.of for one in missing(found)}
    more = [one for one in begun.values() if one.id in about and _burns(one, key)]
    of_this = {one.id for one in (*found.values(), *more) if _burns(one, key)}
    kept = [one for one in found.values() if one.kind not in ("settle", "release") or one.of in of_this]
    return sorted([*kept, *more], key=lambda one: (one.effective, one.id))


def _burns(fact: Fact, key: AccountKey) -> bool:
    """Whether a fact burns of a balance."""
    holders = ("", f"user:{fact.user}", f"team:{fact.team}")
    return key.feature in fact.burns and key.holder in holders
