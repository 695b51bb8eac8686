"""Teams: named groups of users in one customer."""

from collections.abc import Sequence

from msgspec import Struct, structs

from licet.core.catalog import Title
from licet.core.orders import name_parts
from licet.services.customers import business_now, get_customer, lock
from licet.services.errors import NotFound
from licet.services.normal import clean_id, normal
from licet.services.ports import Tx, View
from licet.services.rows import Draft, Page, TeamRow


class PutTeam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole desired state of one team."""

    title: Title = ""


async def get_team(view: View, customer: str, team: str) -> TeamRow:
    """Return one team of a customer; raises NotFound."""
    row = await view.team(customer, team)
    if row is None:
        await get_customer(view, customer)
        raise NotFound(f"customer {customer} has no team {team!r}", advice="list the customer's teams")
    return row


async def list_teams(view: View, customer: str, page: Page) -> Sequence[TeamRow]:
    """List a customer's teams by id; raises NotFound for an unknown customer."""
    await get_customer(view, customer)
    return await view.teams(customer, page)


async def put_team(tx: Tx, customer: str, team: str, command: PutTeam) -> TeamRow:
    """Create or rename a team; leaves ``team.created`` or ``team.changed``, nothing if nothing changes."""
    command, team = normal(command), clean_id(team, "team")
    await lock(tx, customer)
    before = await tx.team(customer, team)
    if before is not None and before.title == command.title:
        return before
    if before is None:
        row = TeamRow(customer=customer, id=team, revision=1, title=command.title, created_at=business_now(tx))
    else:
        row = structs.replace(before, revision=before.revision + 1, title=command.title)
    await tx.put_team(row)
    await tx.record(
        Draft(
            type="team.created" if before is None else "team.changed",
            subject="/".join(("customer", *name_parts(customer), "team", *name_parts(team))),
            before=None if before is None else {"id": team, "title": before.title},
            after={"id": team, "title": row.title},
            revision=row.revision,
        )
    )
    return row
