"""Three attackers with a superuser's rights against `verify_log` and an exported checkpoint."""

import asyncpg
import pytest

from licet.seal.audit import AuditReport
from licet.seal.canonical import canonical
from licet.seal.chain import leaf_hash, link_hash
from licet.seal.checkpoint import CheckpointError, new_seed, origin_of, verifier_of
from licet.services.errors import Conflict
from licet.store.audit import export_checkpoint, verify_log
from licet.store.evidence import PAGE
from licet.store.log import event_of
from licet.store.postgres import PostgresStorage
from licet.wire.event import content_of
from tests.store import rows
from tests.store.worlds import OPERATOR, World


class Attacker:
    """A superuser who has switched the triggers off for himself."""

    def __init__(self, conn: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.conn = conn

    async def edit(self, seq: int, note: str = "forged") -> None:
        """Change an entry and nothing else."""
        await self.conn.execute("UPDATE event SET note = $2 WHERE workspace_id = 'test' AND seq = $1", seq, note)

    async def recompute(self, first: int, last: int) -> None:
        """Recompute the hashes of entries so that they are consistent among themselves."""
        for seq in range(first, last + 1):
            prev = await self.conn.fetchval("SELECT hash FROM event WHERE workspace_id = 'test' AND seq = $1", seq - 1)
            row = await self.conn.fetchrow("SELECT * FROM event WHERE workspace_id = 'test' AND seq = $1", seq)
            assert row is not None
            columns = {name: row[name] for name in row.keys() if name != "workspace_id"}  # noqa: SIM118 a record
            link = link_hash(prev, leaf_hash(canonical(content_of(event_of(columns)))))
            await self.conn.execute(
                "UPDATE event SET prev = $2, hash = $3 WHERE workspace_id = 'test' AND seq = $1", seq, prev, link
            )

    async def move_tip(self, seq: int) -> None:
        """Let the stored end of the log be what the last entry says."""
        await self.conn.execute(
            "UPDATE log_tip SET seq = $1, hash = (SELECT hash FROM event WHERE workspace_id = 'test' AND seq = $1) "
            "WHERE workspace_id = 'test'",
            seq,
        )


async def a_log(storage: PostgresStorage, size: int = 9) -> None:
    """Write entries until the log of ``test`` has a size."""
    async with storage.write("test", OPERATOR) as tx:
        for number in range(2, size + 1):
            await tx.record(rows.note(f"n/{number}", after={"number": number}))


async def attack(world: World) -> Attacker:
    """Log in as the attacker."""
    conn = await world.database.connect()
    await conn.execute("SET session_replication_role = replica")
    return Attacker(conn)


def found(report: AuditReport) -> list[tuple[str, tuple[int, ...]]]:
    """The faults by kind and place."""
    return [(fault.kind, fault.seqs) for fault in report.faults]


async def test_a_naive_edit_names_the_row(storage: PostgresStorage, world: World) -> None:
    """The first attacker edits a row: it is named, also when it is the first or the last."""
    await a_log(storage)
    attacker = await attack(world)
    for seq in (5, 1, 9):
        await attacker.edit(seq)
    await attacker.conn.close()
    assert found(await verify_log(storage, "test")) == [("edited", (1,)), ("edited", (5,)), ("edited", (9,))]
    assert (await verify_log(storage, "live")).ok


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'key:other'", "recorded_at = recorded_at + interval '1 microsecond'", "after = '{\"number\": 1.0}'",
        "after = '\"\\ud800\"'", "before = 'null'", "cause = 'x'", "revision = 1", "subject = 'n/0'",
        "effective_at = 'infinity'",
    ],
)  # fmt: skip
async def test_every_column_is_covered(storage: PostgresStorage, world: World, change: str) -> None:
    """Whatever is edited, also into something no event can hold, is named (a null for no value is no change)."""
    await a_log(storage)
    attacker = await attack(world)
    await attacker.conn.execute(f"UPDATE event SET {change} WHERE workspace_id = 'test' AND seq = 4")
    await attacker.conn.close()
    expected = [] if change == "before = 'null'" else [("edited", (4,))]
    assert found(await verify_log(storage, "test")) == expected


async def test_an_edit_with_its_hash_recomputed_names_the_pair(storage: PostgresStorage, world: World) -> None:
    """The second attacker recomputes the row's own hash: the row and its successor are named as a pair."""
    await a_log(storage)
    attacker = await attack(world)
    await attacker.edit(5)
    await attacker.recompute(5, 5)
    await attacker.conn.close()
    assert found(await verify_log(storage, "test")) == [("broken_link", (5, 6))]


async def test_a_rewritten_tail_is_found_only_against_a_checkpoint(storage: PostgresStorage, world: World) -> None:
    """The third attacker rewrites everything from a row on, and the end: only the exported checkpoint shows it."""
    await a_log(storage)
    checkpoint, verifier = await export_checkpoint(storage, "test", OPERATOR)
    size = 10
    assert (await verify_log(storage, "test", checkpoint)).ok
    attacker = await attack(world)
    await attacker.edit(5)
    await attacker.recompute(5, size)
    await attacker.move_tip(size)
    await attacker.conn.close()
    alone = await verify_log(storage, "test")
    assert alone.ok
    assert alone.limits.startswith("no checkpoint was given")
    against = await verify_log(storage, "test", checkpoint, verifier)
    assert found(against) == [("rewritten", (1, size))]
    assert against.checked_against == f"licet/test at size {size}"


async def test_removed_rows_and_a_cut_end_are_found(storage: PostgresStorage, world: World) -> None:
    """A gap is named; a cut end is seen by the stored end, and with that moved too by a checkpoint only."""
    await a_log(storage)
    checkpoint, _ = await export_checkpoint(storage, "test", OPERATOR)
    attacker = await attack(world)
    await attacker.conn.execute("DELETE FROM event WHERE workspace_id = 'test' AND seq > 7")
    assert found(await verify_log(storage, "test")) == [("cut_off", (8, 10))]
    await attacker.move_tip(7)
    assert (await verify_log(storage, "test")).ok
    assert found(await verify_log(storage, "test", checkpoint)) == [("cut_off", (8, 10))]
    await attacker.conn.execute("DELETE FROM event WHERE workspace_id = 'test' AND seq IN (3, 4)")
    await attacker.conn.close()
    assert found(await verify_log(storage, "test")) == [("missing", (3, 4))]


async def test_another_personal_value_is_found(storage: PostgresStorage, world: World) -> None:
    """A personal value that was exchanged, or added where none was committed to, is named by its entry."""
    async with storage.write("test", OPERATOR) as tx:
        await tx.record(rows.note(private={"name": "Ann"}))
    attacker = await attack(world)
    await attacker.conn.execute("UPDATE event_private SET value = 'Bob'")
    await attacker.conn.execute(
        "INSERT INTO event_private SELECT workspace_id, event_id, 'phone', salt, '1' FROM event_private"
    )
    await attacker.conn.close()
    assert found(await verify_log(storage, "test")) == [("private_value", (2,)), ("private_value", (2,))]


async def test_a_log_longer_than_a_page_is_verified_whole(storage: PostgresStorage, world: World) -> None:
    """Verification goes on over page borders: the last entry of a long log is covered too."""
    await a_log(storage, 2 * PAGE + 3)
    report = await verify_log(storage, "test")
    assert (report.ok, report.size) == (True, 2 * PAGE + 3)
    attacker = await attack(world)
    for seq in (PAGE, PAGE + 1, 2 * PAGE + 3):
        await attacker.edit(seq)
    await attacker.conn.close()
    seqs = [fault.seqs for fault in (await verify_log(storage, "test")).faults]
    assert seqs == [(PAGE,), (PAGE + 1,), (2 * PAGE + 3,)]


async def test_a_damaged_log_is_not_signed_and_foreign_checkpoints_are_refused(
    storage: PostgresStorage, world: World
) -> None:
    """What is wrong gets no checkpoint; one signed with another key, or of another workspace, proves nothing."""
    with pytest.raises(Conflict, match="never exported"):
        await verify_log(storage, "test", "x")
    checkpoint, verifier = await export_checkpoint(storage, "test", OPERATOR)
    again, same = await export_checkpoint(storage, "test", OPERATOR)
    assert same == verifier
    assert again.splitlines()[:3] == checkpoint.splitlines()[:3]
    with pytest.raises(CheckpointError):
        await verify_log(storage, "test", checkpoint, verifier_of(origin_of("test"), new_seed()))
    with pytest.raises(CheckpointError):
        await verify_log(storage, "live", checkpoint, verifier_of(origin_of("live"), new_seed()))
    attacker = await attack(world)
    await attacker.edit(1)
    await attacker.conn.close()
    with pytest.raises(Conflict, match="entry 1 was edited"):
        await export_checkpoint(storage, "test", OPERATOR)
