"""What commands put on balances: appended with the sequence of the event that says so, read newest or as of then."""

from collections.abc import Sequence
from typing import Final

import msgspec

from licet.core.usage.facts import Funding, FundingDoc
from licet.services.usage.ports import Grounds
from licet.store.session import Reading, Writing

# Rows of one customer, of which there are few: ids grow with time.
LIST: Final = """
    SELECT id, seq, feature, holder, doc FROM funding
    WHERE workspace_id = $1 AND customer = $2 AND ($3::bigint IS NULL OR seq <= $3) ORDER BY id
"""
GROUNDS: Final = """
    SELECT given.customer, t.revision, t.seq AS terms_seq, coalesce(u.seq, 0) AS funding_seq
    FROM unnest($2::text[]) AS given (customer) CROSS JOIN LATERAL (
        SELECT n.revision, n.seq FROM terms n
        WHERE n.workspace_id = $1 AND n.customer = given.customer ORDER BY n.revision DESC LIMIT 1
    ) t LEFT JOIN LATERAL (
        SELECT f.seq FROM funding f
        WHERE f.workspace_id = $1 AND f.customer = given.customer ORDER BY f.seq DESC LIMIT 1
    ) u ON true
"""
_decode: Final = msgspec.json.Decoder(FundingDoc).decode


class FundingReads(Reading):
    """Reading what was put on balances."""

    async def grounds(self, customers: Sequence[str]) -> Sequence[Grounds]:
        """Return which versions decide about each customer that exists."""
        return [msgspec.convert(dict(row), Grounds) for row in await self._rows(GROUNDS, list(customers))]

    async def funding(self, customer: str, seq: int | None = None) -> Sequence[Funding]:
        """Return all that was put on a customer's balances (as known at ``seq``), by id.

        What this transaction put there itself is among it, with sequence 0 until the commit, unless ``seq`` is given.
        """
        found = [
            Funding(id=row["id"], feature=row["feature"], holder=row["holder"], seq=row["seq"], doc=_decode(row["doc"]))
            for row in await self._rows(LIST, customer, seq)
        ]
        if seq is None:
            found += [one for whose, one in self._new_funding if whose == customer]
            found.sort(key=lambda one: one.id)
        return found


class FundingWrites(FundingReads, Writing):
    """Putting something on balances."""

    async def put_funding(self, customer: str, funding: Funding) -> None:
        """Append one; the customer must be locked. Its ``seq`` becomes that of the transaction's last event."""
        if customer not in self._locked:
            raise RuntimeError(f"customer {customer!r} is not locked: funding is put under its lock")
        self._stage_funding(customer, funding)

    def _stage_funding(self, customer: str, funding: Funding) -> None:
        self._write(f"funding/{funding.id}")
        self._new_funding.append((customer, msgspec.structs.replace(funding, seq=0)))
