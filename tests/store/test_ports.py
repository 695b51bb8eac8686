"""Conformance to the ports that use cases are written against, noun by noun, on a real database."""

from datetime import UTC, datetime, timedelta

import pytest

from licet.core.instant import SECOND, to_datetime, to_instant
from licet.services.errors import Conflict, Invalid, NotFound, UnknownWorkspace
from licet.services.ports import Storage, Tx, View
from licet.services.rows import FindingFilter, Page, Workspace
from licet.store.postgres import PostgresStorage, PostgresTx, PostgresView, real_time
from tests.store import rows
from tests.store.worlds import KEYRING, OPERATOR, World


def ports(storage: PostgresStorage, view: PostgresView, tx: PostgresTx) -> tuple[Storage, View, Tx]:
    """The type checker's proof that the three classes are what the ports ask for."""
    return storage, view, tx


async def with_customer(storage: PostgresStorage, name: str = "acme") -> None:
    """Put a customer."""
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_customer(rows.customer(name))
        await tx.record(rows.note())


async def test_workspaces(storage: PostgresStorage) -> None:
    """Workspaces are listed, made once, begin with the event that says so, and unknown ones are refused."""
    await storage.create_workspace(Workspace(id="third", kind="test", zone="Europe/Berlin"), OPERATOR)
    await storage.create_workspace(Workspace(id="third", kind="live", zone="UTC"), OPERATOR)
    found = await storage.workspaces()
    assert [(one.id, one.kind, one.zone) for one in found] == [
        ("live", "live", "UTC"), ("test", "test", "UTC"), ("third", "test", "Europe/Berlin"),
    ]  # fmt: skip
    async with storage.read("third") as view:
        assert [event.type for event in await view.events(Page())] == ["workspace.created"]
    for name in ("fourth", "", "x'; DROP TABLE event; --", "A", "a" * 64):
        with pytest.raises(UnknownWorkspace):
            async with storage.read(name):
                pass
        with pytest.raises(NotFound):
            async with storage.write(name, OPERATOR):
                pass


async def test_nothing_remains_of_a_failed_transaction(storage: PostgresStorage) -> None:
    """An error inside the block undoes rows and events alike, and the storage goes on working."""

    async def fail(tx: PostgresTx) -> None:
        await tx.put_customer(rows.customer())
        await tx.record(rows.note())
        await tx.flush()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with storage.write("test", OPERATOR) as tx:
            await fail(tx)
    async with storage.read("test") as view:
        assert await view.customer("acme") is None
        assert await view.seq() == 1


async def test_customers(storage: PostgresStorage) -> None:
    """A customer is kept as it was put, found by its foreign names, replaced in revision order, listed by id."""
    first = rows.customer(name="Bäcker & Söhne", email="a@example.com", external_ids={"stripe": "cus_1", "crm": "7"})
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_customer(first)
        assert await tx.terms("acme") == await tx.lock_customer("acme")
        await tx.record(rows.note())
    second = rows.customer(revision=2, external_ids={"stripe": "cus_2"})
    async with storage.read("test") as view:
        assert await view.customer("acme") == first
        assert await view.customer_by_external_id("crm", "7") == "acme"
        empty = await view.terms("acme")
        assert empty is not None
        assert (empty.revision, empty.seq, empty.terms) == (1, 2, rows.terms())
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_customer(second)
        await tx.record(rows.note())
    await with_customer(storage, "zeta")
    await with_customer(storage, "Zeta")
    async with storage.read("test") as view:
        assert await view.customer("acme") == second
        assert await view.customer_by_external_id("stripe", "cus_1") is None
        assert await view.customer_by_external_id("stripe", "cus_2") == "acme"
        assert [row.id for row in await view.customers(Page())] == ["Zeta", "acme", "zeta"]
        assert [row.id for row in await view.customers(Page(after="Zeta", limit=1))] == ["acme"]


@pytest.mark.parametrize("revision", [1, 2, 4])
async def test_a_customer_somebody_else_wrote_is_not_overwritten(storage: PostgresStorage, revision: int) -> None:
    """Only the next revision replaces: the same, an old and a far one are conflicts, and so is a taken id."""
    await with_customer(storage)
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_customer(rows.customer(revision=2))
        await tx.record(rows.note())
    with pytest.raises(Conflict):
        async with storage.write("test", OPERATOR) as tx:
            await tx.put_customer(rows.customer(revision=revision))


async def test_a_foreign_name_belongs_to_one_customer(storage: PostgresStorage) -> None:
    """Neither a customer nor terms take the foreign id of another customer."""
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_customer(rows.customer(external_ids={"stripe": "cus_1"}))
        await tx.put_terms("acme", rows.terms("acme", "sub_1"))
        await tx.record(rows.note())
    with pytest.raises(Conflict, match="cus_1"):
        async with storage.write("test", OPERATOR) as tx:
            await tx.put_customer(rows.customer("other", external_ids={"stripe": "cus_1"}))
    await with_customer(storage, "other")
    async with storage.write("test", OPERATOR) as tx:
        await tx.lock_customer("other")
        with pytest.raises(Conflict, match="sub_1"):
            await tx.put_terms("other", rows.terms("other", "sub_1"))
        await tx.record(rows.note())
    async with storage.read("test") as view:
        assert await view.customer_by_subscription("stripe", "sub_1") == "acme"


async def test_terms(storage: PostgresStorage) -> None:
    """Terms are appended, one revision for each transaction, which sees it at once, and indexed by foreign id."""
    await with_customer(storage)
    async with storage.write("test", OPERATOR) as tx:
        assert await tx.lock_customer("nobody") is None
        await tx.lock_customer("acme")
        assert await tx.put_terms("acme", rows.terms("acme", "a")) == 2
        assert await tx.put_terms("acme", rows.terms("acme", "b")) == 2
        seen = await tx.terms("acme")
        assert seen is not None
        assert (seen.revision, seen.terms) == (2, rows.terms("acme", "b"))
        assert (await tx.standing_of("acme", None))[1] == seen
        await tx.record(rows.note())
        await tx.record(rows.note())
    async with storage.read("test") as view:
        history = await view.terms_history("acme", Page())
        assert [(row.revision, row.seq) for row in history] == [(2, 4), (1, 2)]
        assert history[0].terms == rows.terms("acme", "b")
        assert [row.revision for row in await view.terms_history("acme", Page(after="2"))] == [1]
        assert await view.customer_by_subscription("stripe", "a") is None
        assert await view.customer_by_subscription("stripe", "b") == "acme"
        assert await view.terms("nobody") is None


async def test_a_check_reads_all_it_needs_at_once(storage: PostgresStorage) -> None:
    """Catalog revision, terms and user come together, each None or 0 where there is none."""
    async with storage.read("test") as view:
        assert await view.standing_of("acme", "ann") == (0, None, None)
    ann = rows.user(roles=("admin",), attributes={"level": 3, "vip": True, "tags": ["a"]}, teams=("ops",))
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_customer(rows.customer())
        await tx.put_user(ann)
        await tx.put_catalog(b"{}", 0, "")
        await tx.record(rows.note())
    async with storage.read("test") as view:
        terms = await view.terms("acme")
        assert await view.standing_of("acme", "ann") == (1, terms, ann)
        assert await view.standing_of("acme", None) == (1, terms, None)
        assert await view.standing_of("acme", "bob") == (1, terms, None)


async def test_users_and_teams(storage: PostgresStorage) -> None:
    """Users and teams are kept as they were put, replaced in revision order, listed by id."""
    await with_customer(storage)
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_team(rows.team())
        await tx.put_user(rows.user(name="Ann", email="ann@example.com"))
        await tx.put_user(rows.user("bob", active=False))
        await tx.record(rows.note())
    later = rows.user(revision=2, roles=("viewer",), teams=("ops",))
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_user(later)
        await tx.put_team(rows.team(revision=2, title="Operators"))
        await tx.record(rows.note())
    for stale in (rows.user(revision=2), rows.user("bob")):
        with pytest.raises(Conflict):
            async with storage.write("test", OPERATOR) as tx:
                await tx.put_user(stale)
    with pytest.raises(Conflict):
        async with storage.write("test", OPERATOR) as tx:
            await tx.put_team(rows.team(revision=5))
    async with storage.read("test") as view:
        assert await view.user("acme", "ann") == later
        assert await view.users("acme", Page()) == [later, rows.user("bob", active=False)]
        assert await view.team("acme", "ops") == rows.team(revision=2, title="Operators")
        assert await view.teams("acme", Page(after="ops")) == []
        assert await view.user("acme", "nobody") is None


async def test_a_users_past_is_kept_without_names(storage: PostgresStorage, world: World) -> None:
    """Each revision of a user leaves its rights and its sequence; the table has no column for anything personal."""
    await with_customer(storage)
    for revision, roles in ((1, ("admin",)), (2, ())):
        async with storage.write("test", OPERATOR) as tx:
            await tx.put_user(rows.user(revision=revision, roles=roles, email="ann@example.com"))
            await tx.record(rows.note())
    conn = await world.database.connect()
    past = await conn.fetch("SELECT * FROM user_revision ORDER BY revision")
    await conn.close()
    assert [(row["revision"], row["roles"], row["seq"]) for row in past] == [(1, ["admin"], 3), (2, [], 4)]
    assert not any("ann@example.com" in str(dict(row)) for row in past)


async def test_catalogs(storage: PostgresStorage) -> None:
    """A release on top of the newest is kept byte for byte; one on top of another is a conflict."""
    doc = '{"title":"Überblick","version":1}'.encode()
    async with storage.write("test", OPERATOR, note="n") as tx:
        assert await tx.catalog_revision() == 0
        assert await tx.put_catalog(doc, 0, "first") == 1
        seen = await tx.catalog()
        assert seen is not None
        assert seen.doc == doc
        await tx.record(rows.note())
    with pytest.raises(Conflict, match="revision 1, not at 0"):
        async with storage.write("test", OPERATOR) as tx:
            await tx.put_catalog(b"{}", 0, "")
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_catalog(b'{"version":2}', 1, "second")
        await tx.record(rows.note())
    async with storage.read("test") as view:
        first, newest = await view.catalog(1), await view.catalog()
        assert first is not None
        assert newest is not None
        assert (first.doc, first.note, first.actor) == (doc, "first", OPERATOR.id)
        assert (newest.revision, newest.doc) == (2, b'{"version":2}')
        assert await view.catalog(3) is None
        assert [row.revision for row in await view.catalogs(Page())] == [2, 1]
        assert [row.revision for row in await view.catalogs(Page(after="2"))] == [1]
    async with storage.read("live") as view:
        assert await view.catalog() is None


async def test_sources_and_their_secrets(storage: PostgresStorage) -> None:
    """A source is kept as it was put, its secrets come back opened, newest first, and are replaced as a whole."""
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_source(rows.source(), [b"new", b"old"])
        await tx.record(rows.note())
    async with storage.read("test") as view:
        assert await view.source("stripe") == rows.source()
        assert await view.source_secrets("stripe") == [b"new", b"old"]
        assert await view.source_secrets("other") == []
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_source(rows.source(), [b"newer"])
        await tx.record(rows.note())
    async with storage.read("test") as view:
        assert await view.sources() == [rows.source()]
        assert await view.source_secrets("stripe") == [b"newer"]


async def test_deliveries(storage: PostgresStorage) -> None:
    """A delivery is kept once; a second one of its id gets the first; the list is newest first and pages."""
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_source(rows.source(), [])
        await tx.record(rows.note())
    async with storage.write("test", OPERATOR) as tx:
        for number in (1, 2, 3):
            assert await tx.put_delivery(rows.delivery(f"evt_{number}", number)) is None
        assert await tx.put_delivery(rows.delivery("evt_2", 9)) == rows.delivery("evt_2", 2)
        await tx.end_delivery("stripe", "evt_1", "waiting", "no such subscription yet", awaits="sub_1")
        await tx.end_delivery("stripe", "evt_3", "applied", "")
    async with storage.read("test") as view:
        listed = await view.deliveries("stripe", Page(limit=2))
        assert [row.id for row in listed] == ["evt_3", "evt_2"]
        assert [row.id for row in await view.deliveries("stripe", Page(after="evt_2"))] == ["evt_1"]
        waiting = await view.waiting("stripe", "sub_1")
        assert [(row.id, row.outcome, row.words) for row in waiting] == [
            ("evt_1", "waiting", "no such subscription yet")
        ]
        done = await view.delivery("stripe", "evt_3")
        assert done is not None
        assert done.outcome == "applied"
        assert await view.delivery("stripe", "evt_9") is None


async def test_findings(storage: PostgresStorage) -> None:
    """A finding seen again while open is counted up with the newest words; another subject is another finding."""
    hour = timedelta(hours=1)
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_finding(rows.finding("fnd_1"))
        await tx.put_finding(rows.finding("fnd_2", words="three answers", last_seen=rows.DAY + hour))
        await tx.put_finding(rows.finding("fnd_3", subject="customer/b"))
        await tx.put_finding(rows.finding("fnd_4", state="resolved"))
    async with storage.read("test") as view:
        first, other = await view.findings(FindingFilter(state="open"), Page())
        assert (first.id, first.seen, first.words) == ("fnd_1", 2, "three answers")
        assert (first.first_seen, first.last_seen) == (rows.DAY, rows.DAY + hour)
        assert first.evidence == {"order": "o1"}
        assert other.id == "fnd_3"
        assert [row.id for row in await view.findings(FindingFilter(), Page(after="fnd_1"))] == ["fnd_3", "fnd_4"]


async def test_keys(storage: PostgresStorage) -> None:
    """A key is found in whatever workspace it is, ends when revoked and never later than set before."""
    async with storage.write("test", OPERATOR) as tx:
        mine = rows.key(tx, customer="acme", scopes=frozenset({"check", "orders"}))
        await tx.put_key(mine, b"h" * 32)
        await tx.record(rows.note())
    assert await storage.authenticate("k1") == (mine, b"h" * 32)
    assert await storage.authenticate("k2") is None
    with pytest.raises(Conflict):
        async with storage.write("live", OPERATOR) as tx:
            await tx.put_key(rows.key(tx), b"x" * 32)
    early, late = datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
    async with storage.write("test", OPERATOR) as tx:
        for at in (early, late):
            changed = await tx.revoke_key("k1", at)
            assert changed is not None
            assert changed.revoked_at == early
        await tx.record(rows.note())
    async with storage.write("test", OPERATOR) as tx:
        ended = await tx.revoke_key("k1")
        assert ended is not None
        assert ended.revoked_at == to_datetime(tx.time.wall)
        assert await tx.revoke_key("k9") is None
        await tx.record(rows.note())
    async with storage.read("test") as view:
        assert await view.keys(Page()) == [ended]
    async with storage.read("live") as view:
        assert await view.keys(Page()) == []


async def test_pages_have_bounds_and_cursors_a_form(storage: PostgresStorage) -> None:
    """A limit outside 1 to 500 and a cursor of another list are refused with words."""
    async with storage.read("test") as view:
        for limit in (0, 501, -1):
            with pytest.raises(Invalid, match="1 to 500"):
                await view.customers(Page(limit=limit))
        for after in ("x", "-1", "9" * 30, "١"):
            with pytest.raises(Invalid, match="cursor"):
                await view.events(Page(after=after))


async def test_the_clock_of_a_test_workspace_moves_forward_only(storage: PostgresStorage) -> None:
    """Offset and frozen clocks show in later transactions and in recorded_at; backwards and live are refused."""
    day = 86_400 * SECOND
    async with storage.write("test", OPERATOR) as tx:
        await tx.set_clock(day, None)
        assert tx.time.business - tx.time.wall == day
        await tx.record(rows.note())
    async with storage.write("test", OPERATOR) as tx:
        frozen = tx.time.business + day
        await tx.set_clock(0, frozen)
        await tx.record(rows.note())
    async with storage.read("test") as view:
        assert view.time.business == frozen
        moved = await view.events(Page(after="1"))
        assert moved[0].recorded_at - moved[0].wall_at >= timedelta(days=1)
        assert to_instant(moved[1].recorded_at) == frozen
        assert abs(to_instant(moved[1].wall_at) - real_time()) < 60 * SECOND
    for offset, at in ((0, None), (0, frozen - 1), (-day, None)):
        with pytest.raises(Conflict, match="cannot go back"):
            async with storage.write("test", OPERATOR) as tx:
                await tx.set_clock(offset, at)
    with pytest.raises(Conflict, match="live"):
        async with storage.write("live", OPERATOR) as tx:
            await tx.set_clock(day, None)


async def test_business_time_never_lies_before_what_is_recorded(world: World) -> None:
    """A machine whose clock is behind sees and records no time before the newest entry; real time stays its own."""
    now = real_time()
    ahead = PostgresStorage(world.access, KEYRING, size=1, wall=lambda: now + 600 * SECOND)
    async with ahead, ahead.write("live", OPERATOR) as tx:
        await tx.record(rows.note())
    async with PostgresStorage(world.access, KEYRING, size=1, wall=lambda: now) as behind:
        async with behind.write("live", OPERATOR) as tx:
            assert tx.time.business == now + 600 * SECOND
            await tx.record(rows.note())
        async with behind.read("live") as view:
            last = (await view.events(Page(after="2")))[0]
    assert (to_instant(last.recorded_at), to_instant(last.wall_at)) == (now + 600 * SECOND, now)


async def test_watching_sees_commits_at_once(storage: PostgresStorage) -> None:
    """A watcher hears of a commit with its workspace and sequence, and of every workspace to begin with."""
    seen = storage.watch()
    first = {await anext(seen), await anext(seen)}
    assert first == {("live", 1), ("test", 1)}
    async with storage.write("test", OPERATOR) as tx:
        await tx.record(rows.note())
        await tx.record(rows.note())
    assert await anext(seen) == ("test", 3)
