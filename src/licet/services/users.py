"""Users: the persons in a customer, with roles, attributes and teams. Name and email are personal."""

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct, structs

from licet.core.catalog import Id
from licet.core.orders import name_parts
from licet.core.terms import Attributes
from licet.services.customers import Email, PersonalName, business_now, get_customer, lock
from licet.services.errors import NotFound
from licet.services.normal import check_attributes, clean_id, invalid, normal
from licet.services.ports import Tx, View
from licet.services.rows import Draft, Page, UserRow


class PutUser(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole desired state of one user. Teams must exist."""

    name: PersonalName | None = None
    email: Email | None = None
    roles: Annotated[tuple[Id, ...], Meta(max_length=100)] = ()
    attributes: Attributes = {}
    teams: Annotated[tuple[Id, ...], Meta(max_length=100)] = ()
    active: bool = True


async def get_user(view: View, customer: str, user: str) -> UserRow:
    """Return one user of a customer; raises NotFound."""
    row = await view.user(customer, user)
    if row is None:
        await get_customer(view, customer)
        raise NotFound(
            f"customer {customer} has no user {user!r}", advice="ids are case-sensitive; list the customer's users"
        )
    return row


async def list_users(view: View, customer: str, page: Page) -> Sequence[UserRow]:
    """List a customer's users by id; raises NotFound for an unknown customer."""
    await get_customer(view, customer)
    return await view.users(customer, page)


async def put_user(tx: Tx, customer: str, user: str, command: PutUser) -> UserRow:
    """Create or replace a user; leaves ``user.created`` or ``user.changed``, nothing if nothing changes.

    Raises NotFound (customer) or Invalid (bounds, unknown team).
    """
    command, user = normal(command), clean_id(user, "user")
    check_attributes(command.attributes, "attributes")
    await lock(tx, customer)
    for team in command.teams:
        if await tx.team(customer, team) is None:
            raise invalid("teams", f"customer {customer} has no team {team!r}", "create the team first")
    before, now = await tx.user(customer, user), business_now(tx)
    row = UserRow(
        customer=customer,
        id=user,
        revision=1 if before is None else before.revision,
        name=command.name,
        email=command.email,
        roles=tuple(sorted(set(command.roles))),
        attributes=command.attributes,
        teams=tuple(sorted(set(command.teams))),
        active=command.active,
        created_at=now if before is None else before.created_at,
        updated_at=now if before is None else before.updated_at,
        erased_at=None if before is None else before.erased_at,
    )
    if before is not None:
        if row == before:
            return before
        row = structs.replace(row, revision=before.revision + 1, updated_at=now)
    await tx.put_user(row)
    await tx.record(_draft("user.created" if before is None else "user.changed", before, row))
    return row


def _draft(kind: str, before: UserRow | None, after: UserRow) -> Draft:
    """Return the event of a change, with name and email as private fields."""
    private = {field: value for field in ("name", "email") if (value := getattr(after, field)) is not None}
    return Draft(
        type=kind,
        subject="/".join(("customer", *name_parts(after.customer), "user", *name_parts(after.id))),
        before=None if before is None else _public(before),
        after=_public(after),
        revision=after.revision,
        private=private,
    )


def _public(row: UserRow) -> dict[str, Any]:
    """Return what the log may hold of a user in the open."""
    return {
        "id": row.id,
        "roles": list(row.roles),
        "attributes": dict(row.attributes),
        "teams": list(row.teams),
        "active": row.active,
    }
