"""Proofs out of a real database: at every size that matters, from tiles that nobody has to believe."""

import asyncio
from collections.abc import Sequence

import pytest

from licet.seal.chain import leaf_hash
from licet.seal.checkpoint import Checkpoint, open_checkpoint
from licet.seal.merkle import MerkleTree
from licet.seal.proof import ProofError, check_consistency, check_inclusion
from licet.services import proofs
from licet.services.errors import Conflict, Invalid, NotFound, Unavailable
from licet.services.proofs import (
    extend_tiles,
    forget_tiles,
    make_key,
    prove_consistency,
    prove_entry,
    read_key,
    root_at,
    sign_newest,
)
from licet.store.audit import export_checkpoint, verify_log
from licet.store.migrate import create_database
from licet.store.postgres import PostgresStorage
from licet.wire.proof import ConsistencyProof, EntryProof
from tests.store import rows
from tests.store.databases import Database, Server
from tests.store.test_attackers import Attacker, attack
from tests.store.worlds import OPERATOR, World, access_to


async def grow(storage: PostgresStorage, size: int) -> None:
    """Write entries until the log of ``test`` has a size."""
    async with storage.read("test") as view:
        have = await view.seq()
    for first in range(have + 1, size + 1, 400):
        async with storage.write("test", OPERATOR) as tx:
            for number in range(first, min(size, first + 399) + 1):
                await tx.record(rows.note(f"n/{number}", after={"number": number}))


async def leaves_of(storage: PostgresStorage) -> list[bytes]:
    """The leaf hashes of the whole log, from its entries."""
    found: list[bytes] = []
    async with storage.read("test") as view:
        while page := await view.log_page(len(found)):
            found += [leaf_hash(entry.content or b"") for _, entry in page]
    return found


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over leaves."""
    tree = MerkleTree()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def included(proof: EntryProof, root: bytes) -> None:
    """Accept a proof as an outsider does: from its own bytes."""
    path = [bytes.fromhex(one) for one in proof.path]
    check_inclusion(leaf_hash(proof.entry.encode()), proof.seq - 1, proof.size, path, root)


def continued(proof: ConsistencyProof, old: bytes, new: bytes) -> None:
    """Accept a proof as an outsider does."""
    check_consistency(proof.old, old, proof.new, new, [bytes.fromhex(one) for one in proof.path])


async def tiled(storage: PostgresStorage) -> int:
    """How many entries the tiles hold."""
    async with storage.read("test") as view:
        return await view.tile_count() * 256


async def opened(storage: PostgresStorage) -> Checkpoint:
    """A new checkpoint, opened with the workspace's own line."""
    async with storage.read("test") as view:
        return open_checkpoint(await sign_newest(view), (await read_key(view)).verifier)


async def test_proofs_at_the_edges_of_tiles(storage: PostgresStorage) -> None:
    """With none, some and all of the tiles derived, proofs around their edges are right, and small."""
    await grow(storage, 1030)
    leaves = await leaves_of(storage)
    sizes = [1, 2, 256, 257, 513, 1024, 1030]
    roots = {size: root_of(leaves[:size]) for size in sizes}
    for most in (0, 1, 8):
        more = await extend_tiles(storage, "test", most=most) if most else True
        assert more is (await tiled(storage) < 1024)
        async with storage.read("test") as view:
            for size in sizes:
                assert await root_at(view, size) == roots[size]
                for seq in {size, max(1, size // 2)}:
                    proof = await prove_entry(view, seq, size)
                    included(proof, roots[size])
                    assert len(proof.path) <= size.bit_length()
                for old in (one for one in sizes[::2] if one <= size):
                    continued(await prove_consistency(view, old, size), roots[old], roots[size])
    assert await tiled(storage) == 1024


async def test_two_who_derive_at_once_derive_the_same(storage: PostgresStorage) -> None:
    """Servers beside each other take turns; nothing is derived twice or left out, while the log goes on growing."""
    await grow(storage, 2300)
    for _ in range(3):
        await asyncio.gather(*(extend_tiles(storage, "test", most=2) for _ in range(2)), grow(storage, 2400))
    while await extend_tiles(storage, "test"):
        pass
    leaves = await leaves_of(storage)
    async with storage.read("test") as view:
        assert await view.tile_count() == 9
        assert await root_at(view, 2400) == root_of(leaves)
        assert await root_at(view, 700) == root_of(leaves[:700])


async def test_a_checkpoint_is_signed_with_the_one_key(storage: PostgresStorage) -> None:
    """Without a key it is said how to make one; made once, by whichever way, it signs what the log is."""
    async with storage.read("test") as view:
        with pytest.raises(NotFound, match="no key yet"):
            await sign_newest(view)
    async with storage.write("test", OPERATOR) as tx:
        first = await make_key(tx)
    async with storage.write("test", OPERATOR) as tx:
        assert await make_key(tx) == first
    text, verifier = await export_checkpoint(storage, "test", OPERATOR)
    assert verifier == first.verifier
    point = await opened(storage)
    assert (point.origin, point.size, point.root) == ("licet/test", 2, root_of(await leaves_of(storage)))
    exported = open_checkpoint(text, verifier)
    assert (exported.size, exported.root, exported.extra[0]) == (point.size, point.root, point.extra[0])
    assert (await verify_log(storage, "test", text, verifier)).ok


async def test_what_there_is_no_proof_of(storage: PostgresStorage) -> None:
    """Entries, sizes and orders of sizes that the log does not have are refused in words that say what it has."""
    await grow(storage, 5)
    async with storage.read("test") as view:
        for seq in (0, -1, 6):
            with pytest.raises(NotFound, match=f"no entry {seq}: the log has 1 to 5"):
                await prove_entry(view, seq)
        with pytest.raises(NotFound, match="entry 4 is not among the first 3: it came later"):
            await prove_entry(view, 4, 3)
        for size in (0, -1, 6):
            with pytest.raises(Invalid, match="must be 1 to 5"):
                await prove_entry(view, 1, size)
            with pytest.raises(Invalid, match="must be 1 to 5"):
                await prove_consistency(view, 1, size)
        for old in (0, -1, 4):
            with pytest.raises(Invalid, match="must be 1 to 3"):
                await prove_consistency(view, old, 3)


async def test_a_damaged_log_is_neither_tiled_nor_signed(storage: PostgresStorage, world: World) -> None:
    """An edited entry beyond the tiles stops proofs and checkpoints, and no tile is derived of it."""
    await grow(storage, 300)
    async with storage.write("test", OPERATOR) as tx:
        await make_key(tx)
    attacker = await attack(world)
    await attacker.edit(200)
    with pytest.raises(Conflict, match="damaged at entry 200"):
        await extend_tiles(storage, "test")
    async with storage.read("test") as view:
        with pytest.raises(Conflict, match="damaged at entry 200"):
            await sign_newest(view)
        with pytest.raises(Conflict, match="damaged at entry 200"):
            await prove_entry(view, 3)
    await attacker.conn.execute("DELETE FROM event WHERE workspace_id = 'test' AND seq = 200")
    async with storage.read("test") as view:
        with pytest.raises(Conflict, match="entry 200 is missing"):
            await sign_newest(view)
    await attacker.conn.close()
    assert await tiled(storage) == 0


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE log_tile SET hashes = set_byte(hashes, 77, 255 - get_byte(hashes, 77)) WHERE level = 0 AND place = 1",
        "UPDATE log_tile SET hashes = set_byte(hashes, 7, 255 - get_byte(hashes, 7)) WHERE level = 1",
        "DELETE FROM log_tile WHERE level = 0 AND place = 1",
        "DELETE FROM log_tile WHERE level = 1",
        "UPDATE log_tile SET hashes = substr(hashes, 1, 32) WHERE level = 1",
    ],
)
async def test_wrong_tiles_prove_nothing_and_are_derived_anew(storage: PostgresStorage, world: World, sql: str) -> None:
    """Whoever changes tiles gets no false proof accepted and nothing wrong signed; exporting a checkpoint sees it and
    derives them again."""
    await grow(storage, 800)
    text, verifier = await export_checkpoint(storage, "test", OPERATOR)
    point = open_checkpoint(text, verifier)
    conn = await world.database.connect()
    await conn.execute(sql)
    await conn.close()
    refused = 0
    async with storage.read("test") as view:
        for seq in (1, 259, 260, 700):
            try:
                included(await prove_entry(view, seq, point.size), point.root)
            except (Conflict, ProofError):
                refused += 1
        with pytest.raises(Conflict, match=r"tile [01] of level [01] is not") as told:
            await sign_newest(view)
    assert refused
    assert "licet audit checkpoint" in told.value.advice
    assert (await verify_log(storage, "test", text, verifier)).ok
    await export_checkpoint(storage, "test", OPERATOR)
    assert (await opened(storage)).root == point.root
    async with storage.read("test") as view:
        for seq in (1, 259, 260, 700):
            included(await prove_entry(view, seq, point.size), point.root)


async def test_a_log_far_beyond_its_tiles_asks_for_patience(storage: PostgresStorage) -> None:
    """A proof hashes a bounded number of entries itself; with more beyond the tiles it says what to do."""
    await grow(storage, proofs.MOST_BEYOND + 1)
    async with storage.read("test") as view:
        with pytest.raises(Unavailable, match="derived up to entry 0 of 4097 only"):
            await prove_entry(view, 1)
        await prove_entry(view, 1, 4000)
    assert await extend_tiles(storage, "test", most=1)
    async with storage.read("test") as view:
        await prove_entry(view, 1)


async def forked(world: World, name: str) -> Database:
    """A copy of the database as it is now, as a restored backup is one."""
    endpoint = world.database.endpoint
    await create_database(endpoint.admin_dsn(), name, template=world.database.name)
    return Database(name, endpoint.dsn(name), endpoint)


async def test_a_log_forked_after_a_restore_is_detected(world: World, pg_server: Server) -> None:
    """The copy goes on differently from the original: it has no proof that fits the checkpoint taken before, and the
    same older one fits both. Neither side can be shown to continue the other."""
    async with world.storage() as storage:
        await grow(storage, 400)
        before, verifier = await export_checkpoint(storage, "test", OPERATOR)
    copy = await forked(world, f"{world.database.name}_fork")
    try:
        async with world.storage() as storage:
            await grow(storage, 900)
            after, _ = await export_checkpoint(storage, "test", OPERATOR)
            genuine = open_checkpoint(after, verifier)
            old = open_checkpoint(before, verifier)
            async with storage.read("test") as view:
                continued(await prove_consistency(view, old.size), old.root, genuine.root)
        async with World(copy, access_to(copy.dsn)).storage() as restored:
            async with restored.write("test", OPERATOR) as tx:
                await tx.record(rows.note("another", after={"turn": "another"}))
            await grow(restored, 1000)
            report = await verify_log(restored, "test", after, verifier)
            assert [fault.kind for fault in report.faults] == ["rewritten"]
            assert (await verify_log(restored, "test", before, verifier)).ok
            fork = open_checkpoint((await export_checkpoint(restored, "test", OPERATOR))[0], verifier)
            async with restored.read("test") as view:
                continued(await prove_consistency(view, old.size), old.root, fork.root)
                proof = await prove_consistency(view, genuine.size)
                with pytest.raises(ProofError, match="the 900 entries were not these"):
                    continued(proof, genuine.root, fork.root)
                with pytest.raises(ProofError):
                    included(await prove_entry(view, 500, genuine.size), genuine.root)
                included(await prove_entry(view, 300, old.size), old.root)
    finally:
        pg_server.drop(copy)


async def test_a_rewritten_log_keeps_no_proof(storage: PostgresStorage, world: World) -> None:
    """Who rewrites the log from an entry on, hashes and tiles included, cannot get past the checkpoint of before."""
    await grow(storage, 600)
    before, verifier = await export_checkpoint(storage, "test", OPERATOR)
    point = open_checkpoint(before, verifier)
    attacker: Attacker = await attack(world)
    await attacker.edit(590)
    await attacker.recompute(590, point.size)
    await attacker.move_tip(point.size)
    await attacker.conn.close()
    await forget_tiles(storage, "test")
    while await extend_tiles(storage, "test"):
        pass
    async with storage.read("test") as view:
        with pytest.raises(ProofError):
            included(await prove_entry(view, 10, point.size), point.root)
        with pytest.raises(ProofError, match="different roots"):
            continued(await prove_consistency(view, point.size), point.root, await root_at(view, point.size))
