"""Customers: the organizations that buy. Name and email are personal; the log holds commitments of them only."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, structs, to_builtins

from licet.core.catalog import Id
from licet.core.instant import to_datetime
from licet.core.orders import ForeignId, subject_of
from licet.core.terms import Profile, Terms
from licet.seal.ids import new_id
from licet.services.errors import NotFound
from licet.services.normal import check_profile, clean_id, normal
from licet.services.ports import Tx, View
from licet.services.rows import CustomerRow, Draft, Page, TermsRow

PersonalName = Annotated[str, Meta(max_length=300)]
Email = Annotated[str, Meta(max_length=320)]


class CreateCustomer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new customer. Without an id one is given; ``external_ids`` maps a source to that system's id."""

    id: Id | None = None
    name: PersonalName | None = None
    email: Email | None = None
    external_ids: dict[Id, ForeignId] = {}
    profile: Profile = Profile()


class ChangeCustomer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes; what is left out stays. None removes a name, an email, or one external id from the record.

    The log's side table keeps earlier names and emails until the customer is erased.
    """

    name: PersonalName | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    external_ids: dict[Id, ForeignId | None] | UnsetType = UNSET
    profile: Profile | UnsetType = UNSET
    """Replaces the whole profile."""


async def get_customer(view: View, customer: str) -> CustomerRow:
    """Return one customer; raises NotFound."""
    row = await view.customer(customer)
    if row is None:
        raise unknown_customer(customer)
    return row


async def list_customers(view: View, page: Page) -> Sequence[CustomerRow]:
    """List customers by id."""
    return await view.customers(page)


async def create_customer(tx: Tx, command: CreateCustomer) -> CustomerRow:
    """Create a customer with empty terms; leaves ``customer.created``.

    Raises Invalid, or Conflict if the id or an external id is taken.
    """
    command = normal(command)
    check_profile(command.profile, "profile")
    now = business_now(tx)
    row = CustomerRow(
        id=clean_id(command.id, "id") if command.id is not None else new_id("cus", tx.time.wall),
        revision=1,
        name=command.name,
        email=command.email,
        external_ids=dict(command.external_ids),
        profile=command.profile,
        created_at=now,
        updated_at=now,
    )
    await tx.put_customer(row)
    await tx.put_terms(row.id, Terms(customer=row.id, profile=row.profile))
    await tx.record(_draft("customer.created", None, row))
    return row


async def change_customer(tx: Tx, customer: str, command: ChangeCustomer) -> CustomerRow:
    """Change a customer; leaves ``customer.changed``, and nothing at all if nothing changes.

    A changed profile is a new revision of the terms. Raises NotFound, Invalid, or Conflict (external id taken).
    """
    command = normal(command)
    terms = await lock(tx, customer)
    before = await get_customer(tx, customer)
    row = _apply(before, command)
    if row == before:
        return before
    row = structs.replace(row, revision=before.revision + 1, updated_at=business_now(tx))
    await tx.put_customer(row)
    if row.profile != before.profile:
        check_profile(row.profile, "profile")
        await tx.put_terms(customer, structs.replace(terms.terms, profile=row.profile))
    await tx.record(_draft("customer.changed", before, row))
    return row


async def link_external_id(tx: Tx, row: CustomerRow, source: str, external_id: str) -> CustomerRow:
    """Let a customer (locked by the caller) be known to ``source`` as ``external_id``; leaves ``customer.changed``."""
    changed = structs.replace(
        row,
        revision=row.revision + 1,
        external_ids={**row.external_ids, source: external_id},
        updated_at=business_now(tx),
    )
    await tx.put_customer(changed)
    await tx.record(_draft("customer.changed", row, changed))
    return changed


async def lock(tx: Tx, customer: str) -> TermsRow:
    """Lock a customer until commit and return the newest terms; raises NotFound."""
    terms = await tx.lock_customer(customer)
    if terms is None:
        raise unknown_customer(customer)
    return terms


def unknown_customer(customer: str) -> NotFound:
    """Return the error for a customer that is not there."""
    return NotFound(
        f"there is no customer {customer!r} in this workspace",
        advice="check the spelling (ids are case-sensitive) and whether the key is for the right workspace",
    )


def business_now(view: View) -> datetime:
    """Return the business time of a transaction."""
    return to_datetime(view.time.business)


def _apply(before: CustomerRow, command: ChangeCustomer) -> CustomerRow:
    """Return the customer with the command's fields in place."""
    external = dict(before.external_ids)
    if command.external_ids is not UNSET:
        for source, external_id in command.external_ids.items():
            if external_id is None:
                external.pop(source, None)
            else:
                external[source] = external_id
    return structs.replace(
        before,
        name=before.name if command.name is UNSET else command.name,
        email=before.email if command.email is UNSET else command.email,
        profile=before.profile if command.profile is UNSET else command.profile,
        external_ids=external,
    )


def _draft(kind: str, before: CustomerRow | None, after: CustomerRow) -> Draft:
    """Return the event of a change, with name and email as private fields."""
    private = {field: value for field in ("name", "email") if (value := getattr(after, field)) is not None}
    return Draft(
        type=kind,
        subject=subject_of("customer", after.id),
        before=None if before is None else _public(before),
        after=_public(after),
        revision=after.revision,
        private=private,
    )


def _public(row: CustomerRow) -> dict[str, Any]:
    """Return what the log may hold of a customer in the open."""
    return {"id": row.id, "external_ids": dict(row.external_ids), "profile": to_builtins(row.profile)}
