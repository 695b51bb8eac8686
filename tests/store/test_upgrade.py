"""A database of an older version, with data in it: it is migrated, read, written to, and its log still verifies."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from licet.core.orders import CustomerReferences, FindingDraft, OrderDocument, OrderLine
from licet.core.terms import Profile
from licet.services.customers import ChangeCustomer, change_customer
from licet.services.findings import ChangeFinding, change_finding, put_findings
from licet.services.orders import receive_order
from licet.services.rows import FindingFilter, Page
from licet.services.suspensions import Suspend, suspend
from licet.services.truth import Catalogs
from licet.services.users import PutUser, put_user
from licet.store.audit import verify_log
from licet.store.migrate import pending
from licet.store.postgres import PostgresStorage
from licet.store.roles import OWNER
from licet.store.setup import MIGRATIONS
from tests.store.databases import Database
from tests.store.old_database import CUSTOMER, build_old_database
from tests.store.worlds import KEYRING, OPERATOR, World, access_to

OF_THEN = 6
"""A catalog, a customer, three revisions of its terms, and a user."""


@pytest.fixture
async def storage(world: World, bare_database: Database, tmp_path: Path) -> AsyncIterator[PostgresStorage]:
    """An open storage on a database that was filled by an older version and has just been migrated.

    ``world`` stands for the installation that made the server's roles.
    """
    await build_old_database(bare_database, tmp_path, OWNER)
    async with PostgresStorage(access_to(bare_database.dsn), KEYRING, size=4) as opened:
        yield opened


async def test_nothing_is_pending_and_everything_is_read(storage: PostgresStorage, bare_database: Database) -> None:
    """Customers, terms of every revision, users, messages and findings of before are read as today's."""
    conn: asyncpg.Connection[asyncpg.Record] = await bare_database.connect()
    assert await pending(conn, MIGRATIONS) == []
    await conn.close()
    async with storage.read("live") as view:
        customer, terms, user = (
            await view.customer(CUSTOMER),
            await view.terms(CUSTOMER),
            await view.user(CUSTOMER, "ann"),
        )
        assert customer is not None
        assert terms is not None
        assert user is not None
        assert (customer.revision, customer.name, customer.external_ids) == (2, "Ann", {"crm": "c-1"})
        assert (terms.revision, terms.terms.subscriptions[0].id, terms.terms.profile.region) == (3, "sub_old", "us")
        assert (user.name, user.roles) == ("Bea", ("admin",))
        assert [row.revision for row in await view.terms_history(CUSTOMER, Page())] == [3, 2, 1]
        assert await view.customer_by_subscription("crm", "deal-1") == CUSTOMER
        assert [*await view.undone("stripe", ("failed", "waiting"), 10)] == ["evt_f", "evt_w"]
        assert [one.id for one in await view.waiting("stripe", "sub_9")] == ["evt_w"]
        status = await view.source_status("stripe")
        assert (status.failed, status.waiting) == (1, 1)
        found = {one.id: one for one in await view.findings(FindingFilter(), Page())}
        opened = found["fnd_open"]
        assert (opened.seen, opened.owner, opened.due_at, opened.money, opened.repair) == (2, "", None, None, "")
        assert [event.documents for event in await view.events(Page())] == [None] * 7
        then = await view.terms_at(CUSTOMER, 5)
        assert then is not None
        assert then.revision == 2


async def write_all(storage: PostgresStorage) -> None:
    """Everything of before is written to once."""
    catalogs = Catalogs()
    async with storage.write("live", OPERATOR) as tx:
        await change_customer(tx, CUSTOMER, ChangeCustomer(name="Ann B.", profile=Profile(region="uk")))
    async with storage.write("live", OPERATOR) as tx:
        await put_user(tx, CUSTOMER, "ann", PutUser(name="Bea", roles=("viewer",)))
        await suspend(tx, CUSTOMER, Suspend())
    async with storage.write("live", OPERATOR) as tx:
        order = OrderDocument(
            source="crm",
            external_id="deal-1",
            customer=CustomerReferences(id=CUSTOMER),
            occurred_at=(await tx.events(Page()))[-1].recorded_at,
            lines=(OrderLine(line="1", plan="pro"),),
        )
        assert (await receive_order(tx, order, catalogs)).outcome == "applied"
    again = FindingDraft(kind="order_conflict", severity="high", subject="crm:deal-1", words="three", evidence={"a": 1})
    async with storage.write("live", OPERATOR) as tx:
        await put_findings(tx, [again], customer=CUSTOMER)
        await change_finding(tx, "fnd_done", ChangeFinding(state="open", note="not yet"))
        await tx.end_delivery("stripe", "evt_w", "applied", "found")


async def test_what_is_of_before_is_written_to(storage: PostgresStorage) -> None:
    """A new order folds onto the old one, revisions go on, an old finding is counted up, and what waited may end."""
    await write_all(storage)
    async with storage.read("live") as view:
        terms = await view.terms(CUSTOMER)
        assert terms is not None
        assert (terms.revision, len(terms.terms.suspensions), terms.terms.profile.region) == (6, 1, "uk")
        (subscription,) = terms.terms.subscriptions
        assert [phase.items[0].id for phase in subscription.phases] == ["team", "pro"]
        found = {one.id: one for one in await view.findings(FindingFilter(state="open"), Page())}
        assert {name: (one.seen, one.words) for name, one in found.items()} == {
            "fnd_open": (3, "three"),
            "fnd_done": (2, "two answers"),
        }
        assert [*await view.undone("stripe", ("waiting",), 10)] == []


async def test_the_log_verifies_before_and_after(storage: PostgresStorage, bare_database: Database) -> None:
    """What is of before is counted, what is written now is compared, what is added as if of before is named."""
    report = await verify_log(storage, "live")
    assert (report.faults, report.documents_checked, report.documents_before) == ((), 0, OF_THEN)
    await write_all(storage)
    report = await verify_log(storage, "live")
    # The customer has been written anew; besides three revisions of terms and one of a user.
    assert (report.faults, report.documents_checked, report.documents_before) == ((), 5, OF_THEN - 1)
    conn: asyncpg.Connection[asyncpg.Record] = await bare_database.connect()
    await conn.execute("SET session_replication_role = replica")
    await conn.execute(
        "INSERT INTO terms SELECT workspace_id, customer, 7, 6, recorded_at, doc FROM terms WHERE revision = 1"
    )
    await conn.close()
    (fault, *_) = (await verify_log(storage, "live")).faults
    assert fault.words.startswith("terms/a%2Fb@7 ")
