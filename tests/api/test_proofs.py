"""Checkpoints and proofs over HTTP: what is answered verifies by itself, and what cannot be proven is a problem."""

import asyncio

import msgspec
import pytest

from licet.api.tiling import Tiling
from licet.seal.chain import leaf_hash
from licet.seal.checkpoint import Checkpoint, open_checkpoint
from licet.seal.proof import check_consistency, check_inclusion
from licet.wire.proof import ConsistencyProof, EntryProof
from tests.api.house import House, Visitor, problem
from tests.store.rows import note
from tests.store.worlds import OPERATOR

pytestmark = pytest.mark.postgres


async def checkpoint(visitor: Visitor) -> Checkpoint:
    """Ask for a checkpoint and open it with the workspace's own line."""
    answer = await visitor.ask("GET", "/v1/log/checkpoint")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    return open_checkpoint(answer.content.decode(), (await visitor.told("GET", "/v1/log/key"))["verifier"])


async def test_what_is_answered_verifies_by_itself(house: House) -> None:
    """Two checkpoints, a proof of each entry and one of growth, each verified from nothing but the answers."""
    admin = await house.holder("admin", workspace="live")
    made = await admin.told("POST", "/v1/log/key")
    assert made["verifier"].startswith("licet/live+")
    assert await admin.told("GET", "/v1/log/key") == {name: made[name] for name in ("origin", "verifier")}
    again = await admin.told("POST", "/v1/log/key")
    assert again == made
    old = await checkpoint(admin)
    await admin.told("POST", "/v1/customers", {"id": "acme", "name": "Acme"})
    new = await checkpoint(admin)
    assert new.size > old.size
    for point in (old, new):
        for seq in range(1, point.size + 1):
            answer = await admin.ask("GET", f"/v1/log/entries/{seq}/proof?size={point.size}")
            proof = msgspec.json.decode(answer.content, type=EntryProof)
            assert (proof.origin, proof.seq, proof.size) == (point.origin, seq, point.size)
            path = [bytes.fromhex(one) for one in proof.path]
            check_inclusion(leaf_hash(proof.entry.encode()), seq - 1, point.size, path, point.root)
            assert "Acme" not in proof.entry
    answer = await admin.ask("GET", f"/v1/log/consistency?from={old.size}&to={new.size}")
    grown = msgspec.json.decode(answer.content, type=ConsistencyProof)
    check_consistency(old.size, old.root, new.size, new.root, [bytes.fromhex(one) for one in grown.path])


async def test_reading_makes_no_key(house: House) -> None:
    """Without a key a checkpoint is refused, with the way to make one; asking leaves nothing in the log."""
    admin = await house.holder("admin", workspace="test")
    async with house.storage.read("test") as view:
        before = await view.seq()
    for path in ("/v1/log/checkpoint", "/v1/log/key"):
        assert "POST /v1/log/key" in problem(await admin.ask("GET", path), 404, "not_found")["advice"]
    async with house.storage.read("test") as view:
        assert await view.seq() == before


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/log/entries/0/proof", 404, "not_found"),
        ("/v1/log/entries/-1/proof", 404, "not_found"),
        ("/v1/log/entries/99999/proof", 404, "not_found"),
        ("/v1/log/entries/1e3/proof", 404, "not_found"),
        ("/v1/log/entries/٣/proof", 404, "not_found"),
        ("/v1/log/entries/9999999999999999999999/proof", 404, "not_found"),
        ("/v1/log/entries/1/proof?size=0", 400, "invalid"),
        ("/v1/log/entries/1/proof?size=-1", 400, "invalid"),
        ("/v1/log/entries/1/proof?size=99999", 400, "invalid"),
        ("/v1/log/entries/2/proof?size=1", 404, "not_found"),
        ("/v1/log/consistency", 400, "invalid"),
        ("/v1/log/consistency?from=0", 400, "invalid"),
        ("/v1/log/consistency?from=2&to=1", 400, "invalid"),
        ("/v1/log/consistency?from=1&to=99999", 400, "invalid"),
    ],
)
async def test_what_cannot_be_proven_is_a_problem(house: House, path: str, status: int, code: str) -> None:
    """Entries and sizes that the log does not have are refused before anything is computed."""
    admin = await house.holder("admin", workspace="live")
    problem(await admin.ask("GET", path), status, code)


async def test_tiles_are_derived_in_the_background(house: House) -> None:
    """A log's complete tiles are there soon after they could be, of every workspace, without anybody asking."""
    for workspace in ("live", "test"):
        async with house.storage.write(workspace, OPERATOR) as tx:
            for number in range(600):
                await tx.record(note(f"n/{number}"))
    async with Tiling(house.storage).follow(), asyncio.timeout(10):
        for workspace in ("live", "test"):
            count = 0
            while count < 2:
                await asyncio.sleep(0.02)
                async with house.storage.read(workspace) as view:
                    count = await view.tile_count()
