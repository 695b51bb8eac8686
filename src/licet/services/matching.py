"""Whose order: which customer an order or payment from outside is about. Contradictions are findings, never merges.

A foreign subscription stays with its customer for ever. Else the vendor's own id decides, else a known external id,
else the metadata value, else the client reference, else a customer is created with the foreign id.
"""

from typing import Final

from msgspec import Struct

from licet.core.orders import CustomerReferences, FindingDraft, name_parts
from licet.core.terms import Profile
from licet.services.customers import CreateCustomer, create_customer, get_customer, link_external_id
from licet.services.errors import Conflict, Invalid
from licet.services.ports import Tx, View
from licet.services.rows import CustomerRow

NO_PROFILE: Final = Profile()


class Match(Struct, frozen=True, kw_only=True):
    """Who it is. ``customer`` None: nobody yet; ``create`` is then the id to create, None if nothing names one."""

    customer: str | None
    create: str | None = None
    link: bool = False
    """The external id is not yet known and belongs to this customer."""
    foreign_only: bool = False
    """Nothing but the foreign id names the customer that would be created."""
    findings: tuple[FindingDraft, ...] = ()


async def match_customer(
    view: View, source: str, references: CustomerReferences, subscription: str | None = None
) -> Match:
    """Return who is meant, without writing. ``subscription`` is the foreign id of the subscription it is about."""
    owner = await view.customer_by_subscription(source, subscription) if subscription else None
    known = (
        await view.customer_by_external_id(source, references.external_id)
        if references.external_id is not None
        else None
    )
    said = _said(references)
    named = next((customer for _, customer in said), None)
    decided = owner or references.id or known or named
    findings = tuple(
        _contradiction(source, references, decided, way, other)
        for way, other in [("external_id", known), *said]
        if decided is not None and other is not None and other != decided
    )
    if decided is None:
        return Match(customer=None, create=references.external_id, link=True, foreign_only=True)
    found = await view.customer(decided)
    link = references.external_id is not None and known is None
    if found is None:
        return Match(customer=None, create=decided, link=link, findings=findings)
    if link and source in found.external_ids:
        taken = found.external_ids[source]
        findings += (_second_external_id(source, references, decided, taken),)
        link = False
    return Match(customer=decided, link=link, findings=findings)


async def settle_customer(
    tx: Tx, source: str, references: CustomerReferences, match: Match, profile: Profile = NO_PROFILE
) -> CustomerRow:
    """Create (with ``profile``) or link the matched customer as the match says, and return it.

    Raises Invalid if nothing names a customer, Conflict if the id to create was taken, or linked, meanwhile.
    """
    if match.customer is None:
        if match.create is None:
            raise Invalid(
                "the order names no customer",
                advice="give customer.id, customer.external_id, customer.metadata or customer.client_reference",
            )
        return await _create(tx, source, references, match, profile)
    await tx.lock_customer(match.customer)
    row = await get_customer(tx, match.customer)
    if match.link and references.external_id is not None:
        return await link_external_id(tx, row, source, references.external_id)
    return row


async def _create(tx: Tx, source: str, references: CustomerReferences, match: Match, profile: Profile) -> CustomerRow:
    """Create the customer, unless only the foreign id names it and somebody else bears that id here."""
    create = match.create or ""
    if match.foreign_only and await tx.customer(create) is not None:
        owner = await tx.customer_by_external_id(source, create)
        if owner is not None:
            raise Conflict(f"{source} calls customer {owner} {create!r} since a moment ago", advice="send it again")
        raise Invalid(
            f"the foreign id {create!r} is not known from {source}, but a customer of that id exists",
            advice=f"set customer.id, or give that customer the external id: external_ids.{source} = {create}",
        )
    external = {source: references.external_id} if match.link and references.external_id is not None else {}
    return await create_customer(tx, CreateCustomer(id=create, external_ids=external, profile=profile))


def _said(references: CustomerReferences) -> list[tuple[str, str]]:
    """Return the ways in which the vendor's own id of the customer is given, strongest first."""
    ways = [
        ("id", references.id),
        ("metadata", references.metadata),
        ("client_reference", references.client_reference),
    ]
    return [(way, customer) for way, customer in ways if customer is not None]


def _contradiction(source: str, references: CustomerReferences, decided: str, way: str, other: str) -> FindingDraft:
    """Return the finding that two things said about the customer disagree."""
    return FindingDraft(
        kind="customer_contradiction",
        severity="high",
        subject=":".join(name_parts(source, references.external_id or decided)),
        words=f"this belongs to customer {decided}, but {way} says {other}; nothing was moved or merged",
        customer=decided,
        evidence={
            "source": source,
            "external_id": references.external_id,
            "customer": decided,
            "way": way,
            "other": other,
        },
    )


def _second_external_id(source: str, references: CustomerReferences, decided: str, taken: str) -> FindingDraft:
    """Return the finding that a customer is two in the foreign system."""
    return FindingDraft(
        kind="customer_twice_in_source",
        severity="medium",
        subject=":".join(name_parts(source, references.external_id or "")),
        words=f"customer {decided} is already known to {source} as {taken}; the second id was not linked",
        customer=decided,
        evidence={"source": source, "external_id": references.external_id, "customer": decided, "known": taken},
    )
