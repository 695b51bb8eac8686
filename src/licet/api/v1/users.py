"""Users and teams of a customer over HTTP."""

from typing import Final

from licet.api.call import Call
from licet.api.contract import AtLeast, Listing, Paging, operation
from licet.api.v1.customers import ACME
from licet.services import teams, users
from licet.services.rows import TeamRow, UserRow
from licet.services.teams import PutTeam
from licet.services.users import PutUser

TAG: Final = "Users and teams"
SENT: Final = {
    "name": "Ann Example",
    "email": "ann@acme.example",
    "roles": ["editor"],
    "attributes": {"department": "design"},
    "teams": ["design"],
}
EXAMPLE: Final = {
    "customer": "acme",
    "id": "ann",
    "revision": 1,
    **SENT,
    "active": True,
    "created_at": "2026-03-01T09:00:00Z",
    "updated_at": "2026-03-01T09:00:00Z",
}
TEAM: Final = {
    "customer": "acme",
    "id": "design",
    "revision": 1,
    "title": "Design",
    "created_at": "2026-03-01T09:00:00Z",
}


@operation(
    "PUT",
    "/v1/customers/{customer}/users/{user}",
    tag=TAG,
    scopes=("orders", "admin"),
    binding="path",
    writes=True,
    example_path=ACME | {"user": "ann"},
    example=SENT,
    answer=EXAMPLE,
)
async def put_user(call: Call, customer: str, user: str, body: PutUser) -> UserRow:
    """Create a user or replace what is known of one.

    Roles and attributes are what conditions read as `user.…`. Teams must exist.
    """
    return await users.put_user(call.tx, customer, user, body)


@operation(
    "GET",
    "/v1/customers/{customer}/users",
    tag=TAG,
    scopes=("orders", "admin"),
    binding="path",
    example_path=ACME,
    answer={"items": [EXAMPLE], "next": None},
    sensitive=True,
)
async def list_users(call: Call, customer: str, query: Paging) -> Listing[UserRow]:
    """List a customer's users by id."""
    async with call.read() as view:
        return query.listing(await users.list_users(view, customer, query.page), lambda row: row.id)


@operation(
    "GET",
    "/v1/customers/{customer}/users/{user}",
    tag=TAG,
    scopes=("orders", "admin"),
    binding="path",
    example_path=ACME | {"user": "ann"},
    answer=EXAMPLE,
    sensitive=True,
)
async def get_user(call: Call, customer: str, user: str, query: AtLeast) -> UserRow:  # noqa: ARG001 read by the runner
    """Return one user."""
    async with call.read() as view:
        return await users.get_user(view, customer, user)


@operation(
    "PUT",
    "/v1/customers/{customer}/teams/{team}",
    tag=TAG,
    scopes=("orders", "admin"),
    binding="path",
    writes=True,
    example_path=ACME | {"team": "design"},
    example={"title": "Design"},
    answer=TEAM,
)
async def put_team(call: Call, customer: str, team: str, body: PutTeam) -> TeamRow:
    """Create a team or give it another title."""
    return await teams.put_team(call.tx, customer, team, body)


@operation(
    "GET",
    "/v1/customers/{customer}/teams",
    tag=TAG,
    scopes=("orders", "admin"),
    binding="path",
    example_path=ACME,
    answer={"items": [TEAM], "next": None},
)
async def list_teams(call: Call, customer: str, query: Paging) -> Listing[TeamRow]:
    """List a customer's teams by id."""
    async with call.read() as view:
        return query.listing(await teams.list_teams(view, customer, query.page), lambda row: row.id)


@operation(
    "GET",
    "/v1/customers/{customer}/teams/{team}",
    tag=TAG,
    scopes=("orders", "admin"),
    binding="path",
    example_path=ACME | {"team": "design"},
    answer=TEAM,
)
async def get_team(call: Call, customer: str, team: str, query: AtLeast) -> TeamRow:  # noqa: ARG001 read by the runner
    """Return one team."""
    async with call.read() as view:
        return await teams.get_team(view, customer, team)
