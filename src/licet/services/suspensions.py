"""Suspending a customer: from then on nothing at all is permitted to it, whatever was bought, until resumed."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, structs, to_builtins

from licet.core.orders import subject_of
from licet.core.terms import Suspension, Terms
from licet.services.customers import business_now, lock
from licet.services.errors import Conflict
from licet.services.normal import normal
from licet.services.ports import Tx
from licet.services.rows import Draft, TermsRow
from licet.services.terms import next_revision


class Suspend(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a customer is suspended or resumed; kept in the log."""

    note: Annotated[str, Meta(max_length=2000)] = ""


async def suspend(tx: Tx, customer: str, command: Suspend) -> TermsRow:
    """Suspend a customer from now; leaves ``customer.suspended``. Raises NotFound, or Conflict if it is already."""
    command = normal(command)
    before, now = await lock(tx, customer), business_now(tx)
    if _open(before.terms, now):
        raise Conflict(f"customer {customer} is suspended already", advice="resume it first")
    suspension = Suspension(starts_at=now, note=command.note)
    event = await tx.record(_draft("customer.suspended", before, None, to_builtins(suspension)))
    suspension = structs.replace(suspension, event=event)
    return await _put(tx, before, (*before.terms.suspensions, suspension))


async def resume(tx: Tx, customer: str, command: Suspend) -> TermsRow:
    """End a suspension now; leaves ``customer.resumed``. Raises NotFound, or Conflict if there is none."""
    command = normal(command)
    before, now = await lock(tx, customer), business_now(tx)
    standing = _open(before.terms, now)
    if not standing:
        raise Conflict(f"customer {customer} is not suspended", advice="nothing needs to be done")
    kept = tuple(structs.replace(one, ends_at=now) if one in standing else one for one in before.terms.suspensions)
    after = {"ends_at": now.isoformat(), "note": command.note}
    await tx.record(_draft("customer.resumed", before, to_builtins(standing), after))
    return await _put(tx, before, kept)


def _open(terms: Terms, now: datetime) -> list[Suspension]:
    """Return the suspensions that have not ended."""
    return [one for one in terms.suspensions if one.ends_at is None or one.ends_at > now]


async def _put(tx: Tx, before: TermsRow, suspensions: tuple[Suspension, ...]) -> TermsRow:
    """Append the terms with these suspensions and return them."""
    after = structs.replace(before.terms, suspensions=suspensions)
    revision = await tx.put_terms(after.customer, after)
    return structs.replace(before, revision=revision, terms=after, recorded_at=business_now(tx))


def _draft(kind: str, before: TermsRow, was: object, after: object) -> Draft:
    subject = subject_of("customer", before.terms.customer)
    return Draft(type=kind, subject=subject, before=was, after=after, revision=next_revision(before))
