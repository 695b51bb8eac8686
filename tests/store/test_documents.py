"""Attackers who leave the log alone and edit what stands beside it: terms, catalogs, customers and users."""

import asyncpg
import msgspec
import pytest

from licet.core.terms import Profile
from licet.seal.audit import AuditReport
from licet.seal.canonical import canonical
from licet.services import customers, users
from licet.store.audit import verify_log
from licet.store.evidence import PAGE
from licet.store.postgres import PostgresStorage
from licet.wire.event import Event, content_of
from tests.store import rows
from tests.store.worlds import OPERATOR, World


@pytest.fixture(autouse=True)
async def shop(storage: PostgresStorage) -> None:
    """Two releases, two customers with two revisions of one, of its terms and of a user."""
    for revision in (0, 1):
        async with storage.write("test", OPERATOR) as tx:
            await tx.put_catalog(f'{{"release": {revision}}}'.encode(), revision, "")
            await tx.record(rows.note("catalog", revision=revision + 1))
    for name in ("acme", "a/b"):
        async with storage.write("test", OPERATOR) as tx:
            profile = msgspec.convert({"region": "eu"}, Profile)
            given = customers.CreateCustomer(id=name, name="Ann Secret", external_ids={"crm": name}, profile=profile)
            await customers.create_customer(tx, given)
    for region in ("us", "uk"):
        async with storage.write("test", OPERATOR) as tx:
            profile = msgspec.convert({"region": region}, Profile)
            await customers.change_customer(tx, "acme", customers.ChangeCustomer(profile=profile))
            await users.put_user(tx, "acme", "ann", users.PutUser(name="Ann Secret", roles=(region,)))


async def run(world: World, *statements: str) -> None:
    """A superuser without triggers runs statements; each touches something."""
    conn: asyncpg.Connection[asyncpg.Record] = await world.database.connect()
    await conn.execute("SET session_replication_role = replica")
    for statement in statements:
        done: str = await conn.execute(statement)
        assert not done.endswith(" 0"), f"{statement} touched nothing"
    await conn.close()


async def after(world: World, storage: PostgresStorage, *statements: str) -> list[str]:
    """The words of what is found after a superuser without triggers has run statements."""
    await run(world, *statements)
    return words(await verify_log(storage, "test"))


async def grown_old(world: World, until: int = 2**62) -> None:
    """The log up to an entry becomes one of before documents were hashed (its own hashes are not mended)."""
    await run(
        world,
        f"UPDATE event SET documents = NULL, subject = replace(subject, '%2F', '/') WHERE seq <= {until}",
        f"UPDATE customer SET seq = NULL WHERE seq <= {until}",
    )


async def of_before(world: World, storage: PostgresStorage, *statements: str) -> list[str]:
    """What is found besides the edited entries after a superuser has run statements beside an old log."""
    await run(world, *statements)
    report = await verify_log(storage, "test")
    return [fault.words for fault in report.faults if fault.kind != "edited"]


def words(report: AuditReport) -> list[str]:
    """What a report says is wrong; every fault is of the one kind."""
    assert {fault.kind for fault in report.faults} <= {"document"}
    return [fault.words for fault in report.faults]


async def test_what_was_not_touched_fits(storage: PostgresStorage) -> None:
    """Every document is compared and fits, superseded customers included; nothing personal is in the promises."""
    report = await verify_log(storage, "test")
    assert (report.ok, report.documents_before) == (True, 0)
    # 2 catalogs, 2 customers as they are now, 4 revisions of terms, 2 of a user.
    assert report.documents_checked == 10
    async with storage.read("test") as view:
        events = [event for event, _ in await view.log_page(0)]
    promised = [name for event in events for name in event.documents or {}]
    assert {"catalog@2", "customer/acme@1", "customer/acme@3", "terms/acme@3", "user/acme/ann@2"} <= set(promised)
    assert "customer/a%2Fb@1" in promised
    assert b"Ann Secret" not in msgspec.json.encode(events)


ATTACKS = {
    "terms edited": (
        """UPDATE terms SET doc = replace(doc::text, '"us"', '"de"')::json WHERE customer = 'acme' AND revision = 2""",
        "terms/acme@2 is not what entry 7 of the log wrote: it was edited beside the log",
    ),
    "terms spaced": ("UPDATE terms SET doc = (doc::text || ' ')::json WHERE customer = 'a/b'", "terms/a%2Fb@1 is not"),
    "terms dated back": (
        "UPDATE terms SET recorded_at = recorded_at - interval '1 day' WHERE customer = 'acme' AND revision = 3",
        "terms/acme@3 is not what entry 9",
    ),
    "terms deleted": (
        "DELETE FROM terms WHERE customer = 'acme' AND revision = 3",
        "terms/acme@3 is missing: entry 9 of the log wrote it",
    ),
    "catalog edited": (
        "UPDATE catalog SET doc = '{\"release\": 9}' WHERE revision = 1",
        "catalog@1 is not what entry 2",
    ),
    "catalog note": ("UPDATE catalog SET note = 'x' WHERE revision = 2", "catalog@2 is not what entry 3"),
    "catalog deleted": ("DELETE FROM catalog WHERE revision = 2", "catalog@2 is missing: entry 3"),
    "profile edited": (
        """UPDATE customer SET profile = '{"region":"de"}' WHERE id = 'acme'""",
        "customer/acme@3 is not what entry 9 of the log wrote",
    ),
    "external id edited": (
        "UPDATE customer_external SET external_id = 'x' WHERE customer = 'acme'",
        "customer/acme@3 is not what entry 9",
    ),
    "external id deleted": ("DELETE FROM customer_external WHERE customer = 'a/b'", "customer/a%2Fb@1 is not"),
    "customer deleted": ("DELETE FROM customer WHERE id = 'a/b'", "customer/a%2Fb@1 is missing"),
    "user revision edited": (
        "UPDATE user_revision SET active = false WHERE revision = 1",
        "user/acme/ann@1 is not what entry 7",
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
async def test_one_edit_beside_the_log_is_named(storage: PostgresStorage, world: World, attack: str) -> None:
    """Whatever is edited or deleted beside the log is named with the entry that wrote it, and nothing else is."""
    statement, expected = ATTACKS[attack]
    found = await after(world, storage, statement)
    assert len(found) == 1
    assert found[0].startswith(expected)


async def test_a_user_edited_today_is_named(storage: PostgresStorage, world: World) -> None:
    """The row by which a check decides must be the newest revision: other roles, or an older revision, are named."""
    raised = await after(world, storage, "UPDATE customer_user SET roles = '{admin}' WHERE id = 'ann'")
    assert raised == ["user/acme/ann is not as its newest revision says: it was edited beside the log"]
    back = "UPDATE customer_user u SET roles = r.roles, revision = 1 FROM user_revision r WHERE r.revision = 1"
    assert len(await after(world, storage, back)) == 1
    assert len(await after(world, storage, "DELETE FROM customer_user WHERE id = 'ann'")) == 1


@pytest.mark.parametrize("table", ["customer", "customer_user"])
async def test_another_name_is_named(storage: PostgresStorage, world: World, table: str) -> None:
    """A name or an address that the log did not commit to is found, without the log holding either; so is none."""
    who = "customer/acme" if table == "customer" else "user/acme/ann"
    where = f"WHERE id = '{who.rpartition('/')[2]}'"
    for change in ("name = 'Eve'", "name = NULL"):
        assert await after(world, storage, f"UPDATE {table} SET {change} {where}") == [
            f"the name of {who} is not the one that entry {8 if table == 'customer' else 9} of the log committed to: "
            "it was edited beside the log"
        ]
    assert len(await after(world, storage, f"UPDATE {table} SET email = 'eve@example.com' {where}")) == 2


@pytest.mark.parametrize("seq", [1, 7, 9, 10, 10**12])
async def test_an_added_document_is_named(storage: PostgresStorage, world: World, seq: int) -> None:
    """Terms that no entry wrote are named, whichever entry they claim, also one that is not there yet."""
    found = await after(
        world,
        storage,
        f"INSERT INTO terms SELECT workspace_id, customer, 4, {seq}, recorded_at, doc FROM terms "
        "WHERE customer = 'acme' AND revision = 1",
    )
    assert found == [f"terms/acme@4 stands beside the log, but entry {seq}, which it names, did not write it"]


async def test_an_added_customer_is_named(storage: PostgresStorage, world: World) -> None:
    """A customer that no entry wrote is named, whether it claims an entry or none."""
    add = (
        "INSERT INTO customer SELECT workspace_id, '{}', revision, name, email, profile, created_at, updated_at, {} "
        "FROM customer WHERE id = 'acme'"
    )
    assert await after(world, storage, add.format("eve", "seq"), add.format("eva", "NULL")) == [
        "customer/eve@3 stands beside the log, but entry 9, which it names, did not write it",
        "customer/eva@3 stands beside the log, but no entry of the log wrote it",
    ]


async def test_a_customer_put_back_to_an_older_state_is_named(storage: PostgresStorage, world: World) -> None:
    """An older, once genuine row is no proof: the log wrote a newer one; nor is one that claims to be newer."""
    back = """UPDATE customer SET revision = 1, seq = 4, profile = '{"region":"eu"}', updated_at = created_at
              WHERE id = 'acme'"""
    assert "customer/acme@3 was written by entry 9 of the log, but acme is stored as of before it" in await after(
        world, storage, back
    )
    ahead = "UPDATE customer SET revision = 9, seq = NULL WHERE id = 'acme'"
    assert len(await after(world, storage, ahead)) >= 1


async def test_documents_are_compared_over_page_borders(storage: PostgresStorage, world: World) -> None:
    """A long log is compared page by page, the last page's documents too."""
    async with storage.write("test", OPERATOR) as tx:
        for _ in range(PAGE):
            await tx.record(rows.note())
        await tx.put_customer(rows.customer("late"))
    assert (await verify_log(storage, "test")).documents_checked == 12
    found = await after(world, storage, "UPDATE terms SET doc = '{}' WHERE customer IN ('late', 'a/b')")
    assert [one.split(" ")[0] for one in found] == ["terms/a%2Fb@1", "terms/late@1"]


async def test_what_was_written_before_documents_were_hashed_is_counted(storage: PostgresStorage, world: World) -> None:
    """A log of before says of no document what it was: its rows are counted and no fault, and the report says so."""
    await grown_old(world)
    report = await verify_log(storage, "test")
    assert {fault.kind for fault in report.faults} == {"edited"}
    assert (report.documents_checked, report.documents_before) == (0, 10)
    assert "10 documents beside the log are older" in report.limits


ADD_TERMS = (
    "INSERT INTO terms SELECT workspace_id, customer, {}, {}, recorded_at, doc FROM terms "
    "WHERE customer = 'acme' AND revision = 1"
)
TABLES = {
    "terms": ("terms/acme@4", ADD_TERMS),
    "catalog": (
        "catalog@4",
        "INSERT INTO catalog SELECT workspace_id, {}, {}, released_at, actor, note, hash, doc FROM catalog "
        "WHERE revision = 1",
    ),
    "user_revision": (
        "user/acme/ann@4",
        "INSERT INTO user_revision SELECT workspace_id, customer, id, {}, {}, recorded_at, roles, attributes, teams, "
        "active FROM user_revision WHERE revision = 1",
    ),
}


@pytest.mark.parametrize("seq", ["0", "-1", str(-(2**63)), "NULL"])
@pytest.mark.parametrize("table", TABLES)
async def test_what_names_no_entry_is_named(storage: PostgresStorage, world: World, table: str, seq: str) -> None:
    """The owner drops the constraints and adds a revision that names no entry which can be: it is named."""
    name, insert = TABLES[table]
    conn: asyncpg.Connection[asyncpg.Record] = await world.database.connect()
    await conn.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_seq_check, ALTER COLUMN seq DROP NOT NULL")
    await conn.close()
    found = await after(world, storage, insert.format(4, seq))
    assert f"{name} stands beside the log, but no entry of the log wrote it" in found


async def test_a_customer_that_names_no_entry_is_named(storage: PostgresStorage, world: World) -> None:
    """A customer's row with a sequence below the first is named, in an old log, too."""
    conn: asyncpg.Connection[asyncpg.Record] = await world.database.connect()
    await conn.execute("ALTER TABLE customer DROP CONSTRAINT customer_seq_check")
    await conn.close()
    back = "UPDATE customer SET seq = 0 WHERE id = 'acme'"
    words = "customer/acme@3 stands beside the log, but no entry of the log wrote it"
    assert words in await after(world, storage, back)
    await grown_old(world)
    assert words in await of_before(world, storage, back)


async def test_an_event_before_the_first_is_named(storage: PostgresStorage, world: World) -> None:
    """An entry below the first is no entry of the log: it is named."""
    conn: asyncpg.Connection[asyncpg.Record] = await world.database.connect()
    await conn.execute("ALTER TABLE event DROP CONSTRAINT event_seq_check")
    await conn.execute("SET session_replication_role = replica")
    await conn.execute(
        "CREATE TEMP TABLE fake AS SELECT * FROM event WHERE workspace_id = 'test' AND seq = 2;"
        "UPDATE fake SET seq = -3, id = 'evt_' || repeat('0', 32); INSERT INTO event SELECT * FROM fake"
    )
    await conn.close()
    (fault,) = (await verify_log(storage, "test")).faults
    assert (fault.kind, fault.seqs) == ("order", (-3,))


@pytest.mark.parametrize("until", [8, 2**62])
@pytest.mark.parametrize("seq", [1, 2, 4, 5, 6, 7, 8])
async def test_what_is_added_to_an_old_log_is_named(
    storage: PostgresStorage, world: World, seq: int, until: int
) -> None:
    """Terms that name an entry of before are named where that entry, or a later revision, did not write them."""
    await grown_old(world, until)
    assert await of_before(world, storage) == []
    (found, *_) = await of_before(world, storage, ADD_TERMS.format(4, seq))
    assert found.startswith(f"terms/acme@4 stands beside the log, but entry {seq}, which it names, did not") or (
        found == f"terms/acme@4 names entry {seq}, but a later entry wrote the revision before it"
    )


async def test_users_and_catalogs_added_to_an_old_log_are_named(storage: PostgresStorage, world: World) -> None:
    """A user's revision and a release that name an entry of before which did not write them are named."""
    await grown_old(world)
    for table, seq in (("catalog", 9), ("catalog", 2), ("user_revision", 9), ("user_revision", 5)):
        name, insert = TABLES[table]
        found = await of_before(world, storage, insert.format(4, seq))
        assert any(one.startswith(name) for one in found), (table, seq)
        await run(world, f"DELETE FROM {table} WHERE revision = 4")
    assert await of_before(world, storage) == []


NEWEST = {
    "terms/acme@3": "DELETE FROM terms WHERE customer = 'acme' AND revision = 3",
    "user/acme/ann@2": "DELETE FROM user_revision WHERE revision = 2",
    "catalog@2": "DELETE FROM catalog WHERE revision = 2",
    "customer/acme@2": "UPDATE customer SET revision = 2 WHERE id = 'acme'",
    "customer/eve@3": (
        "INSERT INTO customer SELECT workspace_id, 'eve', revision, name, email, profile, created_at, updated_at "
        "FROM customer WHERE id = 'acme'"
    ),
}


@pytest.mark.parametrize("name", NEWEST)
async def test_what_an_old_log_names_last_is_what_is_used(storage: PostgresStorage, world: World, name: str) -> None:
    """Beside an old log, too, the newest revision of each thing is the one that the log names last."""
    async with storage.write("test", OPERATOR) as tx:
        row = await tx.lock_customer("acme")
        assert row is not None
        await tx.put_terms("acme", row.terms)
        await tx.record(rows.note("customer/acme", revision=4))
    await grown_old(world)
    assert await of_before(world, storage) == []
    statement = NEWEST[name].replace("revision = 3", "revision = 4")
    found = await of_before(world, storage, statement)
    assert any(one.startswith(name.replace("terms/acme@3", "terms/acme@4")) for one in found)


def test_an_event_of_before_is_hashed_and_exported_as_it_was() -> None:
    """An exported event without `documents` has the content and the line that it had: old exports still verify."""
    content = {
        "seq": 1, "id": "evt_" + "0" * 32, "type": "a.b", "recorded_at": "2026-03-01T09:00:00Z",
        "wall_at": "2026-03-01T09:00:00Z", "effective_at": "2026-03-01T09:00:00Z", "actor": "key:k", "note": "",
        "cause": None, "subject": "s", "revision": None, "before": None, "after": {"x": 1}, "schema": 1,
    }  # fmt: skip
    line = canonical({**content, "prev": "0" * 64, "hash": "1" * 64})
    event = msgspec.json.decode(line, type=Event)
    assert canonical(event) == line
    assert canonical(content_of(event)) == canonical(content)
    assert content_of(msgspec.structs.replace(event, documents={}))["documents"] == {}
