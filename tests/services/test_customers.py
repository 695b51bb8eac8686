"""Customers, users and teams as use cases on a real database."""

from datetime import UTC, datetime

import pytest

from licet.core.catalog import Id
from licet.core.terms import Attributes, Profile
from licet.services.customers import ChangeCustomer, CreateCustomer, change_customer, create_customer, get_customer
from licet.services.errors import Conflict, Invalid, NotFound
from licet.services.normal import normal
from licet.services.rows import Page
from licet.services.subscriptions import Sell, SoldItem
from licet.services.teams import PutTeam, list_teams, put_team
from licet.services.users import PutUser, get_user, list_users, put_user
from tests.services.desk import Desk


async def create(desk: Desk, command: CreateCustomer) -> None:
    """Create a customer in a transaction of its own."""
    async with desk.write() as tx:
        await create_customer(tx, command)


async def test_a_customer_is_created_with_empty_terms(desk: Desk) -> None:
    """Creation leaves the customer, the first revision of its terms and an event without personal values."""
    await create(
        desk,
        CreateCustomer(
            id="acme",
            name="Acme Inc.",
            email="ann@acme.example",
            external_ids={"crm": "001"},
            profile=Profile(region="eu"),
        ),
    )
    terms = await desk.terms("acme")
    assert (terms.customer, terms.profile.region, terms.subscriptions) == ("acme", "eu", ())
    (event,) = await desk.events(subject="customer/acme")
    assert event.type == "customer.created"
    assert event.after["external_ids"] == {"crm": "001"}
    assert "Acme" not in str(event.after)
    async with desk.read() as view:
        assert (await get_customer(view, "acme")).name == "Acme Inc."
        assert await view.customer_by_external_id("crm", "001") == "acme"


async def test_an_id_is_given_where_none_is_named(desk: Desk) -> None:
    """A customer without an id gets one of Licet's own."""
    async with desk.write() as tx:
        row = await create_customer(tx, CreateCustomer())
    assert row.id.startswith("cus_")


async def test_taken_ids_are_conflicts_and_nothing_is_written(desk: Desk) -> None:
    """A second customer of the same id, or with an external id of another, is refused whole."""
    await create(desk, CreateCustomer(id="acme", external_ids={"crm": "001"}))
    for command in (CreateCustomer(id="acme"), CreateCustomer(id="other", external_ids={"crm": "001"})):
        with pytest.raises(Conflict):
            await create(desk, command)
    async with desk.read() as view:
        assert [row.id for row in await view.customers(Page())] == ["acme"]
    assert len(await desk.events(type="customer.created")) == 1


async def test_a_change_keeps_what_it_does_not_name(desk: Desk) -> None:
    """Fields left out stay; None erases; a profile becomes a revision of the terms; no change leaves no event."""
    await create(
        desk, CreateCustomer(id="acme", name="Acme", email="a@b.example", external_ids={"crm": "1", "erp": "2"})
    )
    async with desk.write() as tx:
        row = await change_customer(
            tx,
            "acme",
            ChangeCustomer(
                name="Acme Inc.", external_ids={"crm": None, "hub": "3"}, profile=Profile(zone="Europe/Berlin")
            ),
        )
    assert (row.name, row.email, row.external_ids) == ("Acme Inc.", "a@b.example", {"erp": "2", "hub": "3"})
    assert (await desk.terms("acme")).profile.zone == "Europe/Berlin"
    before = len(await desk.events())
    async with desk.write() as tx:
        await change_customer(tx, "acme", ChangeCustomer(name="Acme Inc."))
    assert len(await desk.events()) == before
    async with desk.write() as tx:
        assert (await change_customer(tx, "acme", ChangeCustomer(email=None))).email is None
        assert tx.actor.id == "local:tester"


@pytest.mark.parametrize(
    ("command", "path"),
    [
        (CreateCustomer(id=" acme"), "id"),
        (CreateCustomer(id="a\x00b"), "id"),
        (CreateCustomer(id="ok", name="a\x1bb"), "name"),
        (CreateCustomer(id="ok", profile=Profile(zone="Mars/Olympus")), "profile.zone"),
        (CreateCustomer(id="ok", profile=Profile(country="de")), "profile.country"),
        (CreateCustomer(id="ok", profile=Profile(attributes={"a": "x" * 1001})), "profile.attributes.a"),
        (CreateCustomer(id="ok", profile=Profile(attributes={"a": ["x"] * 101})), "profile.attributes.a"),
        (CreateCustomer(id="ok", profile=Profile(attributes={f"a{n}": 1 for n in range(101)})), "profile.attributes"),
    ],
)
async def test_what_does_not_fit_is_told_with_its_place(desk: Desk, command: CreateCustomer, path: str) -> None:
    """Every bound names the field that breaks it, and nothing is written."""
    with pytest.raises(Invalid) as caught:
        await create(desk, command)
    assert [problem["path"] for problem in caught.value.details["problems"]] == [path]
    assert await desk.events(type="customer.created") == []


async def test_ids_are_one_in_nfc(desk: Desk) -> None:
    """The same id typed with a combining accent is the same customer."""
    await create(desk, CreateCustomer(id="cafe\u0301"))
    async with desk.read() as view:
        assert (await get_customer(view, "caf\u00e9")).id == "caf\u00e9"


async def test_a_user_has_its_whole_state_put(desk: Desk) -> None:
    """Creating, changing and repeating a user: two events, sorted roles, and no event for the repetition."""
    await create(desk, CreateCustomer(id="acme"))
    roles: tuple[Id, ...] = ("planner", "admin", "planner")
    attributes: Attributes = {"region": "eu", "level": 3}
    async with desk.write() as tx:
        await put_team(tx, "acme", "sales", PutTeam(title="Sales"))
        row = await put_user(
            tx, "acme", "ann", PutUser(name="Ann", roles=roles, attributes=attributes, teams=("sales",))
        )
    assert (row.revision, row.roles, row.teams) == (1, ("admin", "planner"), ("sales",))
    async with desk.write() as tx:
        assert (await put_user(tx, "acme", "ann", PutUser(name="Ann", active=False))).revision == 2
    async with desk.write() as tx:
        assert (await put_user(tx, "acme", "ann", PutUser(name="Ann", active=False))).revision == 2
    events = await desk.events(subject="customer/acme/user/ann")
    assert [event.type for event in events] == ["user.created", "user.changed"]
    assert "Ann" not in str([event.after for event in events])
    async with desk.read() as view:
        assert (await get_user(view, "acme", "ann")).active is False
        assert [user.id for user in await list_users(view, "acme", Page())] == ["ann"]
        assert [team.title for team in await list_teams(view, "acme", Page())] == ["Sales"]


async def test_no_two_customers_users_or_teams_share_a_subject(desk: Desk) -> None:
    """Ids that hold a slash, a colon or a percent sign cannot make one thing's events look like another's."""
    for name in ("a", "a/user/b", "a%2Fuser%2Fb"):
        await create(desk, CreateCustomer(id=name))
    for name, user in (("a", "b/user/c"), ("a/user/b", "c"), ("a%2Fuser%2Fb", "c"), ("a", "t:1")):
        async with desk.write() as tx:
            await put_user(tx, name, user, PutUser())
            await put_team(tx, name, user, PutTeam(title="x"))
    made = ("customer.created", "user.created", "team.created")
    subjects = [event.subject for event in await desk.events() if event.type in made]
    assert len(subjects) == len(set(subjects)) == 8 + 3
    assert {"customer/a/user/b%2Fuser%2Fc", "customer/a%2Fuser%2Fb/user/c", "customer/a/team/t%3A1"} <= set(subjects)


async def test_users_and_teams_need_their_customer(desk: Desk) -> None:
    """Unknown customers, users and teams are named in the error."""
    await create(desk, CreateCustomer(id="acme"))
    async with desk.read() as view:
        with pytest.raises(NotFound, match="no user 'ann'"):
            await get_user(view, "acme", "ann")
        with pytest.raises(NotFound, match="no customer 'nobody'"):
            await list_users(view, "nobody", Page())
    with pytest.raises(Invalid, match="no team 'ghosts'"):
        async with desk.write() as tx:
            await put_user(tx, "acme", "ann", PutUser(teams=("ghosts",)))
    with pytest.raises(NotFound):
        async with desk.write() as tx:
            await put_team(tx, "nobody", "sales", PutTeam())


async def test_naive_and_absurd_times_are_refused(desk: Desk) -> None:
    """A time without a zone, or of another age, is no time of a command."""
    for wrong in (datetime(2026, 1, 1), datetime(1800, 1, 1, tzinfo=UTC), datetime(9500, 1, 1, tzinfo=UTC)):  # noqa: DTZ001
        with pytest.raises(Invalid):
            normal(Sell(items=(SoldItem(plan="team"),), starts_at=wrong))
