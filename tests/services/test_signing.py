"""Who signs what evaluators believe, followed to the end by somebody who has nothing but the pinned root."""

import asyncio
import hashlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from licet.core.instant import DAY, HOUR, Instant, to_datetime, to_instant
from licet.seal.keyset import MAX_KEYS, Keyset, SealError, open_keyset, open_with
from licet.seal.paserk import public_of, write_public, write_secret
from licet.seal.rootfile import create_root, read_root
from licet.services.epochs import HIGHEST, raise_epoch, read_epoch
from licet.services.errors import Conflict, Invalid, NotFound
from licet.services.past import moment_of
from licet.services.published_keysets import KEPT_SECONDS, PublishedKeysets
from licet.services.rows import Page
from licet.services.signing import (
    EPOCH_STEP,
    FEED,
    RotateFeedKey,
    Signer,
    Signers,
    SigningView,
    make_keysets,
    read_signer,
    read_signing,
    replace_root,
    revoke_feed_key,
    rotate_feed_key,
)
from licet.store.audit import verify_log
from licet.store.postgres import PostgresStorage, PostgresTx, real_time
from tests.services.desk import OPERATOR
from tests.store.engines import CHECKOUT
from tests.store.worlds import KEYRING, World

ROOT = bytes([7] * 32)
OTHER = bytes([8] * 32)


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from licet.seal.rootfile import create_root
from licet.services.signing import make_keyset
from licet.store.setup import prepare
from licet.store.postgres import PostgresStorage
from tests.store.worlds import KEYRING, OPERATOR

dsn, path, place = sys.argv[1:]

def root(_):
    seed = create_root(Path(path))
    if place == "after the file":
        os.kill(os.getpid(), signal.SIGKILL)
    return seed

async def start():
    async with PostgresStorage(await prepare(dsn), KEYRING, size=1) as storage:
        async with storage.write("live", OPERATOR) as tx:
            await make_keyset(tx, root)
            await tx.flush()
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(start())
"""
"""A first start in a process of its own, killed at one of two places."""


class Interrupted(Exception):
    """Whatever ends a command in its middle."""


@pytest.fixture
async def storage(world: World) -> AsyncIterator[PostgresStorage]:
    """An open storage in which both workspaces have their first keyset."""
    async with world.storage() as opened:
        await make_keysets(opened, OPERATOR, lambda _: ROOT)
        yield opened


@asynccontextmanager
async def at(world: World, when: Instant) -> AsyncIterator[PostgresStorage]:
    """The same database on a machine whose clock shows another time."""
    async with PostgresStorage(world.access, KEYRING, size=2, wall=lambda: when) as opened:
        yield opened


async def rotate(storage: PostgresStorage, root: bytes = ROOT, **command: str) -> SigningView:
    """Rotate the feed key of the workspace test."""
    async with storage.write("test", OPERATOR) as tx:
        return await rotate_feed_key(tx, root, RotateFeedKey(**command))


async def revoke(storage: PostgresStorage, key: str, root: bytes = ROOT) -> SigningView:
    """Revoke a feed key of the workspace test."""
    async with storage.write("test", OPERATOR) as tx:
        return await revoke_feed_key(tx, root, key)


async def signer_of(storage: PostgresStorage, workspace: str = "test") -> Signer:
    """Who signs now."""
    async with storage.read(workspace) as view:
        return await read_signer(view)


def opened(signer: Signer, *, root: bytes = ROOT, newest: int = 0) -> Keyset:
    """The keyset that a signer shows, as a follower opens it."""
    return open_keyset(signer.keyset, [write_public(public_of(root))], "test", newest=newest)


def refused(token: str, keyset: Keyset, now: Instant) -> str:
    """Why a follower does not believe a message."""
    with pytest.raises(SealError) as caught:
        open_with(token, keyset, "feed", now)
    return caught.value.code


async def test_every_workspace_gets_a_keyset_once(storage: PostgresStorage) -> None:
    """Both workspaces have version 1 with one key for two years; a second start makes none, and one event says so."""
    before = real_time()
    assert await make_keysets(storage, OPERATOR, lambda _: OTHER) == []
    for name in ("live", "test"):
        async with storage.read(name) as view:
            found = await read_signing(view)
            events = await view.events(Page(), type="keyset.released")
        assert (found.workspace, found.version, found.root) == (name, 1, write_public(public_of(ROOT)))
        assert [(key.state, key.purposes) for key in found.keys] == [("signs", ("feed",))]
        assert timedelta(days=730) < found.keys[0].not_after - to_datetime(before) < timedelta(days=732)
        assert [event.after["version"] for event in events] == [1]
        assert [key["id"] for key in events[0].after["keys"]] == [found.keys[0].id]
    assert (await signer_of(storage, "live")).key != (await signer_of(storage)).key


async def test_a_message_is_believed_by_who_has_only_the_root(storage: PostgresStorage) -> None:
    """Signed by the process, opened with the pinned root and the keyset: also by a clock that is behind by minutes."""
    signer = await signer_of(storage)
    keyset, token = opened(signer), signer.sign(b"a head")
    now = real_time()
    for clock in (now, now - HOUR // 2, now + 700 * DAY):
        assert open_with(token, keyset, "feed", clock) == b"a head"
    assert refused(token, keyset, now + 732 * DAY) == "expired"
    assert refused(token, keyset, now - DAY) == "not_yet_valid"
    with pytest.raises(SealError, match="not a root that is pinned"):
        opened(signer, root=OTHER)


async def test_two_first_starts_make_one_root(world: World, tmp_path: Path) -> None:
    """Two servers with homes of their own: one keyset for each workspace, and only the winner's home has a root."""
    async with world.storage() as one, world.storage() as two:
        homes = [tmp_path / "one", tmp_path / "two"]

        def first(home: Path) -> Callable[[str], bytes]:
            home.mkdir()
            return lambda workspace: create_root(home / f"{workspace}.root")

        made = await asyncio.gather(
            *(make_keysets(storage, OPERATOR, first(home)) for storage, home in zip((one, two), homes, strict=True))
        )
        assert sorted(made[0] + made[1]) == ["live", "test"]
        for home, names in zip(homes, made, strict=True):
            assert sorted(path.stem for path in home.iterdir()) == sorted(names)
        for name in ("live", "test"):
            async with one.read(name) as view:
                assert len(await view.events(Page(), type="keyset.released")) == 1
                root = next(home / f"{name}.root" for home, names in zip(homes, made, strict=True) if name in names)
                assert write_public(public_of(create_root(root))) == (await read_signing(view)).root


async def test_a_start_that_broke_off_goes_on_with_the_same_root(world: World, tmp_path: Path) -> None:
    """The root's file comes first: cut off after it, the next start takes that root; no keyset is without one."""
    path, asked = tmp_path / "root", 0

    def cut(_: str) -> bytes:
        nonlocal asked
        asked += 1
        create_root(path)
        raise Interrupted

    async with world.storage() as storage:
        with pytest.raises(Interrupted):
            await make_keysets(storage, OPERATOR, cut)
        async with storage.read("live") as view:
            assert (asked, await view.keyset(), await view.secrets(FEED), await view.seq()) == (1, None, [], 1)
        kept = create_root(path)
        assert await make_keysets(storage, OPERATOR, lambda _: create_root(path)) == ["live", "test"]
        async with storage.read("live") as view:
            assert (await read_signing(view)).root == write_public(public_of(kept))


@pytest.mark.parametrize("place", ["after the file", "before the commit"])
def test_a_first_start_that_is_killed_leaves_all_or_nothing(world: World, tmp_path: Path, place: str) -> None:
    """Killed at either place, the file is whole and the database without keyset, seed and event; the next goes on."""
    path = tmp_path / "live.root"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, world.database.dsn, str(path), place], timeout=60, check=False, cwd=CHECKOUT
    )
    assert killed.returncode == -signal.SIGKILL
    assert sorted(tmp_path.iterdir()) == [path]
    held = read_root(path)

    async def next_start() -> None:
        async with world.storage(size=2) as storage:
            async with storage.read("live") as view:
                assert (await view.keyset(), await view.secrets(FEED), await view.seq()) == (None, [], 1)
            assert await make_keysets(storage, OPERATOR, lambda _: create_root(path)) == ["live", "test"]
            assert (await signer_of(storage, "live")).root == write_public(public_of(held))
            assert (await verify_log(storage, "live")).ok

    asyncio.run(next_start())


async def test_a_rotation_overlaps(storage: PostgresStorage) -> None:
    """The new key signs at once; what the old one signed is believed to the end of the overlap, then no more."""
    old = await signer_of(storage)
    token, first = old.sign(b"x"), opened(old)
    found = await rotate(storage, overlap="P3D")
    new = await signer_of(storage)
    keyset, now = opened(new, newest=1), real_time()
    assert [(key.state, key.id) for key in found.keys] == [("signs", new.key), ("believed", old.key)]
    assert (old.version, new.version, found.version) == (1, 2, 2)
    assert open_with(new.sign(b"y"), keyset, "feed", now) == b"y"
    assert open_with(token, keyset, "feed", now + 3 * DAY - HOUR) == b"x"
    assert refused(token, keyset, now + 3 * DAY) == "expired"
    assert refused(new.sign(b"y"), first, now) == "unknown_key"
    with pytest.raises(SealError) as caught:
        opened(old, newest=2)
    assert caught.value.code == "rolled_back"


async def test_without_an_overlap_the_old_key_ends_at_once(storage: PostgresStorage) -> None:
    """PT0S ends the old key at the instant of the rotation; the usual overlap is thirty days."""
    old = await signer_of(storage)
    found = await rotate(storage, overlap="PT0S")
    assert [key.state for key in found.keys] == ["signs", "ended"]
    assert refused(old.sign(b"x"), opened(await signer_of(storage)), real_time()) == "expired"
    keys = (await rotate(storage)).keys
    assert len(keys) == 2
    assert timedelta(days=29) < keys[1].not_after - to_datetime(real_time()) < timedelta(days=31)


async def test_a_revoked_key_is_believed_by_nobody(storage: PostgresStorage) -> None:
    """Whatever it signed, whenever; where it was the one that signs, a new one takes its place in the same step."""
    first = await signer_of(storage)
    await rotate(storage)
    second = await signer_of(storage)
    found = await revoke(storage, first.key)
    assert [(key.id, key.state) for key in found.keys] == [(second.key, "signs"), (first.key, "revoked")]
    assert (await signer_of(storage)).key == second.key
    found = await revoke(storage, second.key[: len("k4.pid.") + 20])
    third = await signer_of(storage)
    assert [(key.id, key.state) for key in found.keys] == [
        (third.key, "signs"), (second.key, "revoked"), (first.key, "revoked"),
    ]  # fmt: skip
    keyset, now = opened(third, newest=4), real_time()
    assert open_with(third.sign(b"z"), keyset, "feed", now) == b"z"
    for signer in (first, second):
        for clock in (now, now - HOUR // 2, now + DAY):
            assert refused(signer.sign(b"x"), keyset, clock) == "revoked"
    with pytest.raises(Conflict, match="was revoked at"):
        await revoke(storage, first.key)
    for name in ("k4.pid.", "k4.pid.nobody", ""):
        with pytest.raises(NotFound, match=r"k4\.pid\."):
            await revoke(storage, name)


async def test_nothing_of_a_step_remains_that_broke_off(storage: PostgresStorage) -> None:
    """An error after the keyset, the seed and the event are written leaves all of them as they were."""
    before = await signer_of(storage)

    async def break_off(step: Callable[[PostgresTx], Awaitable[SigningView]]) -> None:
        async with storage.write("test", OPERATOR) as tx:
            await step(tx)
            await tx.flush()
            raise Interrupted

    for step in (
        lambda tx: rotate_feed_key(tx, ROOT, RotateFeedKey()),
        lambda tx: revoke_feed_key(tx, ROOT, before.key),
        lambda tx: replace_root(tx, OTHER),
    ):
        with pytest.raises(Interrupted):
            await break_off(step)
        after = await signer_of(storage)
        assert (after.keyset, after.key) == (before.keyset, before.key)
        async with storage.read("test") as view:
            assert await view.seq() == 2


async def test_two_rotations_at_once_are_two_versions(storage: PostgresStorage) -> None:
    """One waits for the other: no version is lost, and the one that signs is the newest."""
    await asyncio.gather(*(rotate(storage) for _ in range(3)))
    async with storage.read("test") as view:
        found = await read_signing(view)
        released = [event.after["version"] for event in await view.events(Page(), type="keyset.released")]
    assert (found.version, released) == (4, [1, 2, 3, 4])
    assert [key.state for key in found.keys] == ["signs", "believed", "believed", "believed"]
    assert (await signer_of(storage)).key == found.keys[0].id


async def test_only_the_root_changes_keys(storage: PostgresStorage) -> None:
    """Another root is refused by what it is and what would be right, and nothing is written; so are odd durations."""
    mine, theirs = write_public(public_of(ROOT)), write_public(public_of(OTHER))
    for attempt in (rotate(storage, OTHER), revoke(storage, (await signer_of(storage)).key, OTHER)):
        with pytest.raises(Invalid) as caught:
            await attempt
        assert theirs in caught.value.words
        assert mine in caught.value.words
        assert "new-root" in caught.value.advice
    for path, span in (("overlap", "P2Y"), ("overlap", "soon"), ("valid", "PT1H"), ("valid", "P11Y")):
        with pytest.raises(Invalid, match=path):
            await rotate(storage, ROOT, **{path: span})
    assert (await signer_of(storage)).version == 1


async def test_a_new_root_begins_anew(storage: PostgresStorage) -> None:
    """Under another root nothing of the old one is believed; the version goes on, and the old root changes no more."""
    old = await signer_of(storage)
    async with storage.write("test", OPERATOR) as tx:
        found = await replace_root(tx, OTHER)
    new = await signer_of(storage)
    assert (found.version, new.root, [key.id for key in found.keys]) == (2, write_public(public_of(OTHER)), [new.key])
    with pytest.raises(SealError, match="not a root that is pinned"):
        opened(new)
    keyset = opened(new, root=OTHER, newest=2)
    assert open_with(new.sign(b"x"), keyset, "feed", real_time()) == b"x"
    assert refused(old.sign(b"x"), keyset, real_time()) == "unknown_key"
    with pytest.raises(Conflict, match="already"):
        async with storage.write("test", OPERATOR) as tx:
            await replace_root(tx, OTHER)
    with pytest.raises(Invalid):
        await rotate(storage, ROOT)
    async with storage.read("live") as view:
        assert (await read_signing(view)).version == 1


async def test_no_seed_is_in_the_database(storage: PostgresStorage, world: World) -> None:
    """Neither root nor feed key stands in any column of any table, in any spelling, nor in a signer's repr."""
    await rotate(storage)
    async with storage.read("test") as view:
        seeds = [ROOT, *await view.secrets(FEED)]
        signer = await read_signer(view)
    assert len(seeds) == 2
    spellings = [each for seed in seeds for each in (seed.hex(), write_secret(seed)[10:50], repr(seed)[2:30])]
    conn = await world.database.connect()
    names = await conn.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    rows = [row[0] for name in names for row in await conn.fetch(f"SELECT x::text FROM {name['relname']} x")]
    await conn.close()
    assert any("k4.pid." in row for row in rows)
    assert [row for row in [*rows, repr(signer)] if any(each in row for each in spellings)] == []


async def test_keys_that_have_ended_leave_the_keyset(storage: PostgresStorage, world: World) -> None:
    """A year later what ended is not carried on; and there is a bound to how many overlap at once."""
    await rotate(storage, overlap="P3D")
    async with at(world, real_time() + 365 * DAY) as later:
        assert [key.state for key in (await rotate(later)).keys] == ["signs", "believed"]
        for _ in range(MAX_KEYS - 2):
            await rotate(later)
        with pytest.raises(Conflict, match=f"at most {MAX_KEYS}"):
            await rotate(later)


async def test_a_machine_whose_clock_is_behind_rotates_no_less(storage: PostgresStorage, world: World) -> None:
    """A clock years back makes no keyset that nobody would accept: its time is never before the newest keyset."""
    async with at(world, real_time() - 900 * DAY) as early:
        found = await rotate(early, overlap="PT0S")
    async with storage.read("test") as view:
        first = to_instant((await view.events(Page(limit=2)))[1].wall_at)
    assert abs(to_instant(found.issued_at) - first) < HOUR
    assert opened(await signer_of(storage), newest=2).version == 2


async def test_signers_are_read_when_they_change(storage: PostgresStorage) -> None:
    """One that is held is used until there is another keyset, also where nobody was told of it."""
    signers, seen = Signers(), []
    for step in range(4):
        if step == 1:
            async with storage.write("test", OPERATOR) as tx:
                await raise_epoch(tx)
        if step == 2:
            await rotate(storage)
        async with storage.read("test") as view:
            seen.append(await signers.of(view))
            assert await signers.of(view) is seen[-1]
    assert seen[0] is seen[1]
    assert seen[2] is seen[3]
    assert [one.version for one in seen] == [1, 1, EPOCH_STEP + 1, EPOCH_STEP + 1]
    signers.forget("test")
    async with storage.read("test") as view:
        assert (await signers.of(view)).key == seen[3].key
        assert await signers.of(view) is not seen[3]


async def test_nobody_signs_without_keyset_or_seed(storage: PostgresStorage, world: World) -> None:
    """A workspace without a keyset, and one whose seed is gone, say so and what to do."""
    async with world.storage() as empty:
        conn = await world.database.connect()
        await conn.execute("DELETE FROM secret WHERE workspace_id = 'test'")
        await conn.close()
        async with empty.read("test") as view:
            with pytest.raises(Conflict, match="no key is there") as caught:
                await Signers().of(view)
        assert "licet signing rotate" in caught.value.advice
    await rotate(storage)
    assert (
        open_with((await signer_of(storage)).sign(b"x"), opened(await signer_of(storage)), "feed", real_time()) == b"x"
    )


async def test_an_epoch_only_rises_and_the_log_stays_whole(storage: PostgresStorage) -> None:
    """By one, or to a higher number; a basis of an older epoch is refused with words; the next keyset is far newer."""
    async with storage.write("test", OPERATOR, note="restored last night's backup") as tx:
        assert (await raise_epoch(tx)).epoch == 2
    async with storage.write("test", OPERATOR) as tx:
        assert (await raise_epoch(tx, 7)).epoch == 7
    for wrong in (7, 1, 0, -1, HIGHEST + 1):
        with pytest.raises(Invalid, match="is not higher"):
            async with storage.write("test", OPERATOR) as tx:
                await raise_epoch(tx, wrong)
    async with storage.read("test") as view:
        assert (await read_epoch(view)).epoch == 7
        raised = await view.events(Page(), type="workspace.epoch_raised")
        with pytest.raises(Invalid, match="a backup was restored"):
            await moment_of(view, basis="1:2")
        assert (await moment_of(view, basis="7:2")).seq == 2
    assert [(event.before, event.after) for event in raised] == [
        ({"epoch": 1}, {"epoch": 2}), ({"epoch": 2}, {"epoch": 7}),
    ]  # fmt: skip
    assert raised[0].note == "restored last night's backup"
    assert (await verify_log(storage, "test")).ok
    assert (await rotate(storage)).version == 6 * EPOCH_STEP + 1
    assert (await rotate(storage)).version == 6 * EPOCH_STEP + 2
    async with storage.read("live") as view:
        assert (await read_epoch(view)).epoch == 1


async def test_what_is_published_is_kept_for_a_moment(storage: PostgresStorage) -> None:
    """A keyset is asked of the database every five seconds at most; a workspace that is not there never."""
    clock = [0.0]
    pages = PublishedKeysets(storage, lambda: clock[0])
    first = await pages.of("test")
    assert (first.workspace, first.root) == ("test", write_public(public_of(ROOT)))
    await rotate(storage)
    assert await pages.of("test") is first
    clock[0] = KEPT_SECONDS
    assert open_keyset((await pages.of("test")).keyset, [first.root], "test", newest=2).version == 2
    for name in ("nowhere", "x" * 100, hashlib.sha256(b"").hexdigest()):
        with pytest.raises(NotFound, match="there is no workspace"):
            await pages.of(name)
