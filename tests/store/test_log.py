"""The log under many writers and under death: no gap, in commit order, one notification, nothing half."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from licet.seal.canonical import canonical
from licet.seal.chain import genesis, leaf_hash, link_hash
from licet.seal.tile import TileName
from licet.services.rows import Actor, Draft, Page, Reference
from licet.store.audit import verify_log
from licet.store.connections import connect
from licet.store.log import CHANNEL
from licet.store.postgres import PostgresStorage, PostgresTx, PostgresView
from licet.store.session import EXEMPT
from licet.wire.event import Event, content_of
from tests.store import rows
from tests.store.engines import CHECKOUT
from tests.store.worlds import OPERATOR, World

WRITERS = 16
ROUNDS = 12


class Refused(Exception):
    """A command that ends badly."""


async def everything(storage: PostgresStorage, workspace: str = "test") -> list[Event]:
    """The whole log."""
    found: list[Event] = []
    async with storage.read(workspace) as view:
        while page := await view.events(Page(after=str(len(found)), limit=500)):
            found += page
    return found


async def test_the_log_is_gap_free_and_in_commit_order(world: World) -> None:
    """16 writers, a third of whose commands fail: sequence is whole, and who saw a commit is ordered after it."""
    chance = random.Random(20260301)
    acknowledged: list[tuple[int, str]] = []

    async def write(storage: PostgresStorage, writer: int) -> None:
        for step in range(ROUNDS):
            name, before = f"w{writer}.{step}", max((seq for seq, _ in acknowledged), default=0)
            with contextlib.suppress(Refused):
                async with storage.write("test", Actor(id=f"key:{writer}")) as tx:
                    for part in range(chance.randint(1, 3)):
                        await tx.record(rows.note(name, after={"part": part}))
                    if chance.random() < 0.3:
                        await tx.flush()
                    if chance.random() < 0.33:
                        raise Refused
                assert tx.committed_seq > before
                acknowledged.append((tx.committed_seq, name))

    async with world.storage(size=WRITERS) as storage:
        await asyncio.gather(*(write(storage, writer) for writer in range(WRITERS)))
        log = await everything(storage)
        assert (await verify_log(storage, "test")).ok
    assert [event.seq for event in log] == list(range(1, len(log) + 1))
    assert 60 < len(acknowledged) < WRITERS * ROUNDS
    assert {(event.seq, event.subject) for event in log}.issuperset(acknowledged)
    assert {event.subject for event in log[1:]} == {name for _, name in acknowledged}
    assert [event.recorded_at for event in log] == sorted(event.recorded_at for event in log)
    for seq, name in acknowledged:
        parts = [event.after["part"] for event in log if event.subject == name]
        assert parts == list(range(len(parts)))
        assert log[seq - 1].after["part"] == parts[-1]


async def test_events_are_chained_by_hand(storage: PostgresStorage) -> None:
    """Anybody with the events alone can recompute every hash from the first to the last."""
    async with storage.write("test", OPERATOR, note="n", cause="ord_1") as tx:
        event_id = await tx.record(Draft(type="a.b", subject="s", before=[1], after={"x": "ü"}, revision=7, schema=2))
        await tx.record(rows.note(effective_at=rows.DAY))
    prev = genesis("test")
    log = await everything(storage)
    for event in log:
        assert event.prev == prev.hex()
        prev = link_hash(prev, leaf_hash(canonical(content_of(event))))
        assert event.hash == prev.hex()
    first, second = log[1:]
    assert (first.id, first.note, first.cause, first.actor) == (event_id, "n", "ord_1", "local:tester")
    assert (first.before, first.after, first.revision, first.schema) == ([1], {"x": "ü"}, 7, 2)
    assert (first.effective_at, second.effective_at) == (first.recorded_at, rows.DAY)


async def test_personal_values_stand_beside_the_log(storage: PostgresStorage, world: World) -> None:
    """The log holds commitments; the values stand in event_private and open them."""
    async with storage.write("test", OPERATOR) as tx:
        await tx.record(rows.note(after={"id": "acme"}, private={"name": "Ann Secret", "email": "ann@example.com"}))
    event = (await everything(storage))[-1]
    assert sorted(event.after) == ["id", "private"]
    assert sorted(event.after["private"]) == ["email", "name"]
    assert b"Ann Secret" not in msgspec.json.encode(event)
    report = await verify_log(storage, "test")
    assert (report.ok, report.values_checked, report.values_erased) == (True, 2, 0)
    conn = await world.database.connect()
    await conn.execute("DELETE FROM event_private WHERE field = 'name'")
    await conn.close()
    report = await verify_log(storage, "test")
    assert (report.ok, report.values_checked, report.values_erased) == (True, 1, 1)


async def locked_terms(tx: PostgresTx) -> None:
    """Put terms as a use case does."""
    await tx.lock_customer("acme")
    await tx.put_terms("acme", rows.terms())


async def received(tx: PostgresTx) -> None:
    """Take in a delivery and end it."""
    await tx.put_delivery(rows.delivery("d"))
    await tx.end_delivery("stripe", "d", "ignored", "")


async def counted(tx: PostgresTx) -> None:
    """Keep a count and a record of checks."""
    await tx.keep_checks(rows.checks("x"))


async def previewed(tx: PostgresTx) -> None:
    """Keep a preview with one group of one customer."""
    await tx.begin_preview(rows.preview())
    group, touched = rows.touched()
    await tx.keep_preview(rows.PREVIEW, 1, [group], [touched])


async def moved(tx: PostgresTx) -> None:
    """Keep a move and what it did to one subscription."""
    await tx.put_move(rows.move())
    await tx.put_moved([rows.moved()])


async def funded(tx: PostgresTx) -> None:
    """Put something on a balance as a use case does."""
    await tx.lock_customer("acme")
    await tx.put_funding("acme", rows.funding())


WRITES: dict[str, Callable[[PostgresTx], Awaitable[object]]] = {
    "catalog": lambda tx: tx.put_catalog(b"{}", 0, ""),
    "customer": lambda tx: tx.put_customer(rows.customer("new")),
    "terms": locked_terms,
    "team": lambda tx: tx.put_team(rows.team()),
    "customer_user": lambda tx: tx.put_user(rows.user()),
    "source": lambda tx: tx.put_source(rows.source("new"), []),
    "secret": lambda tx: tx.put_secrets("p", [b"s"]),
    "api_key": lambda tx: tx.put_key(rows.key(tx), bytes(32)),
    "workspace": lambda tx: tx.set_clock(1_000_000, None),
    "keyset": lambda tx: tx.put_keyset(rows.keyset()),
    "version_move": lambda tx: tx.put_move(rows.move()),
    "version_move_customer": moved,
    "funding": funded,
    "delivery": received,
    "finding": lambda tx: tx.put_finding(rows.finding("f")),
    "payment_reference": lambda tx: tx.put_references("stripe", [Reference(reference="pi_1", invoice="in_1")]),
    "check_count": counted,
    "check_record": counted,
    "check_flush": counted,
    "said_use": counted,
    "catalog_preview": previewed,
    "catalog_preview_group": previewed,
    "catalog_preview_customer": previewed,
    "log_tile": lambda tx: tx.keep_tiles({TileName(0, 0): bytes(8192)}),
    "idempotency": lambda tx: tx.keep_answer("r", "k", bytes(32), 200, b""),
}
"""One write for each kind of row."""
POSTED = {
    "usage_tip", "usage_fact", "usage_key", "usage_refusal", "balance", "balance_checkpoint", "reservation",
    "usage_seal", "usage_hour", "usage_day", "usage_value", "quota_lease",
}  # fmt: skip
"""Tables that only postings and the sealing of what was posted write; tests of usage look at each."""


@pytest.mark.parametrize("table", WRITES)
async def test_a_change_without_an_event_is_refused(storage: PostgresStorage, world: World, table: str) -> None:
    """Whoever writes a row must say so in the log, or nothing is written; exempt are exactly those listed."""
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_customer(rows.customer())
        await tx.put_source(rows.source(), [])
        await tx.record(rows.note())
    conn = await world.database.connect()
    before = await conn.fetchval(f"SELECT array_agg(t::text ORDER BY t::text) FROM {table} t")
    refused = contextlib.nullcontext() if table in EXEMPT else pytest.raises(RuntimeError, match="without an event")
    with refused:
        async with storage.write("test", OPERATOR) as tx:
            await WRITES[table](tx)
    after = await conn.fetchval(f"SELECT array_agg(t::text ORDER BY t::text) FROM {table} t")
    await conn.close()
    assert (after != before) is (table in EXEMPT)
    async with storage.read("test") as view:
        assert await view.seq() == 2


def test_every_kind_of_write_is_tried() -> None:
    """No method that writes is left out above: each exempt table has its write, and each write method its table."""
    tried = {"put_catalog", "put_customer", "put_terms", "put_team", "put_user", "put_source", "put_secrets", "put_key"}
    tried |= {"set_clock", "put_delivery", "end_delivery", "put_references", "put_finding", "keep_answer"}
    tried |= {"keep_checks", "put_keyset"}
    tried |= {"begin_preview", "keep_preview"}
    tried |= {"put_move", "put_moved", "keep_tiles"}
    tried |= {"put_funding"}
    sealing = {"seal_usage", "forget_usage", "forget_balances"}
    changing = {"change_move", "finish_preview", "forget_previews"}
    changing |= {"forget_tiles"}
    changing |= {"drop_values", "drop_names", "drop_checks", "blank_deliveries", "blank_answers", "scrub_finding"}
    changing |= {"revoke_key", "rewrap_secrets", "change_finding", "forget_checks", "raise_epoch"}
    asking = {
        "kept_answers",
        "lock_customer",
        "lock_clock",
        "lock_epoch",
        "lock_tiles",
        "replay",
        "claim",
        "record",
        "flush",
    }
    methods = {name for name in dir(PostgresTx) if not name.startswith("_")} - set(dir(PostgresView))
    assert methods == tried | changing | asking | sealing
    assert set(WRITES) | POSTED >= set(EXEMPT)


async def test_flush_comes_last(storage: PostgresStorage) -> None:
    """After flush the sequence is known, an answer can hold it, and nothing more is recorded or changed."""
    async with storage.write("test", OPERATOR) as tx:
        await tx.record(rows.note())
        assert await tx.flush() == 2
        assert await tx.flush() == 2
        await tx.keep_answer("r", "k", bytes(32), 200, b'{"seq":2}')
        for late in (tx.record(rows.note()), tx.put_customer(rows.customer())):
            with pytest.raises(RuntimeError, match="flush comes last"):
                await late
    assert tx.committed_seq == 2
    async with storage.write("test", OPERATOR) as tx:
        assert await tx.flush() == 2


async def test_one_notification_for_each_transaction(storage: PostgresStorage, world: World) -> None:
    """However many events a transaction has, one notification carries its highest sequence; a failed one sends none."""
    heard: asyncio.Queue[object] = asyncio.Queue()
    conn = await connect(world.access.keys)
    await conn.add_listener(CHANNEL, lambda *args: heard.put_nowait(args[3]))
    async with storage.write("test", OPERATOR) as tx:
        for _ in range(5):
            await tx.record(rows.note())
    with contextlib.suppress(Refused):
        async with storage.write("test", OPERATOR) as tx:
            await tx.record(rows.note())
            await tx.flush()
            raise Refused
    async with storage.write("test", OPERATOR) as tx:
        await tx.record(rows.note())
    async with asyncio.timeout(5):
        assert [await heard.get(), await heard.get()] == ["test:6", "test:7"]
    await conn.close()


VICTIM = """
import asyncio, sys
from licet.services.rows import Actor, Draft
from licet.store.access import Access, Login
from licet.store.postgres import PostgresStorage
from tests.store import rows
from tests.store.worlds import KEYRING

async def main(dsn, where):
    logins = {part: Login(dsn=dsn, role=f"licet_{part}") for part in ("owner", "app", "reader", "keys")}
    async with PostgresStorage(Access(**logins), KEYRING, size=1) as storage:
        async with storage.write("test", Actor(id="system:victim")) as tx:
            await tx.put_customer(rows.customer("victim"))
            await tx.record(rows.note("victim"))
            if where == "flushed":
                await tx.flush()
            print("ready", flush=True)
            await asyncio.sleep(60)

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


@pytest.mark.parametrize("where", ["staged", "flushed"])
async def test_a_writer_killed_inside_its_transaction_leaves_nothing(world: World, where: str) -> None:
    """Killed -9 with rows written, or even holding the log's tip: nothing remains, no gap, the next writer goes on."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", VICTIM, world.database.dsn, where, stdout=asyncio.subprocess.PIPE,
        cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'src'}"},
    )  # fmt: skip
    assert child.stdout is not None
    assert await asyncio.wait_for(child.stdout.readline(), 20) == b"ready\n"
    child.send_signal(signal.SIGKILL)
    await child.wait()
    async with world.storage() as storage:
        async with asyncio.timeout(10), storage.write("test", OPERATOR) as tx:
            await tx.record(rows.note("survivor"))
        assert [event.subject for event in await everything(storage)] == ["workspace", "survivor"]
        async with storage.read("test") as view:
            assert await view.customer("victim") is None
        assert (await verify_log(storage, "test")).ok


async def test_concurrent_writers_of_one_customer_take_turns(world: World) -> None:
    """Terms are never lost: with the customer locked, each writer builds on the one before."""
    async with world.storage(size=8) as storage:
        async with storage.write("test", OPERATOR) as tx:
            await tx.put_customer(rows.customer())
            await tx.record(rows.note())

        async def add(number: int) -> None:
            async with storage.write("test", OPERATOR) as tx:
                newest = await tx.lock_customer("acme")
                assert newest is not None
                foreign = [sub.external_id or "" for sub in newest.terms.subscriptions]
                await tx.put_terms("acme", rows.terms("acme", *foreign, f"s{number}"))
                await tx.record(rows.note())

        await asyncio.gather(*(add(number) for number in range(20)))
        async with storage.read("test") as view:
            newest = await view.terms("acme")
    assert newest is not None
    assert newest.revision == 21
    assert {sub.external_id for sub in newest.terms.subscriptions} == {f"s{number}" for number in range(20)}
