"""What earlier API keys left in the cache's folder goes once nobody used it for long; nothing else does."""

import os
import shutil
import time
from pathlib import Path

import msgspec

from licet.sdk.cache import Identity
from licet.wire.feed import Cursor
from tests.sdk.kept import IDENTITY, Ticks, cached, doc, mark, state, terms, write

DAY = 86_400


def keep(base: Path, identity: Identity, customer: str) -> Path:
    """Let a client of that identity have run, and return its folder."""
    before = set(base.iterdir()) if base.exists() else set()
    with cached(base, identity) as cache:
        cache.open()
        write(cache, None, mark(3), [terms(customer)])
    (made,) = [one for one in base.iterdir() if one not in before and one.is_dir()]
    return made


def age(folder: Path, days: float) -> None:
    """Let everything in a folder be that old."""
    then = time.time() - days * DAY
    for path in folder.iterdir():
        os.utime(path, (then, then))


def started(base: Path) -> set[Path]:
    """The folders below a base once a client has started there."""
    with cached(base) as cache:
        cache.open()
    return {one for one in base.iterdir() if one.is_dir()}


def test_folders_of_earlier_keys_go(tmp_path: Path) -> None:
    """One of the same server that nobody wrote for 60 days is removed, a younger one is not, nor is the own."""
    own = keep(tmp_path, IDENTITY, "acme")
    old = keep(tmp_path, msgspec.structs.replace(IDENTITY, key="older"), "globex")
    young = keep(tmp_path, msgspec.structs.replace(IDENTITY, key="young"), "initech")
    for folder, days in ((own, 90), (old, 61), (young, 59)):
        age(folder, days)
    assert started(tmp_path) == {own, young}
    with cached(tmp_path) as cache:
        assert state(cache.open()) == {"acme": doc("acme")}


def test_what_is_not_left_over_stays(tmp_path: Path) -> None:
    """Another server's folder, one that is written now, one with files of others, and one that says nothing stay."""
    elsewhere = keep(tmp_path, msgspec.structs.replace(IDENTITY, url="https://other.example.com"), "a")
    mixed = keep(tmp_path, msgspec.structs.replace(IDENTITY, key="mixed"), "b")
    (mixed / "notes.txt").write_text("mine")
    silent = keep(tmp_path, msgspec.structs.replace(IDENTITY, key="silent"), "c")
    (silent / "server").unlink()
    other = msgspec.structs.replace(IDENTITY, key="written")
    written = keep(tmp_path, other, "d")
    for folder in (elsewhere, mixed, silent, written):
        age(folder, 365)
    with cached(tmp_path, other) as writer:
        writer.open()
        age(written, 365)
        assert {elsewhere, mixed, silent, written} <= started(tmp_path)
        assert (mixed / "notes.txt").read_text() == "mine"
        assert (elsewhere / "truth").exists()
        assert (written / "truth").exists()


def test_a_folder_that_was_deleted_is_made_anew(tmp_path: Path) -> None:
    """Who deletes the folder of a client that runs costs it five minutes of keeping, no more."""
    ticks = Ticks()
    with cached(tmp_path, clock=ticks) as cache:
        cache.open()
        write(cache, None, mark(1), [terms("acme")])
        (folder,) = [one for one in tmp_path.iterdir() if one.is_dir()]
        shutil.rmtree(folder)
        ticks.now += 61
        assert not write(cache, Cursor(1, 1), mark(2), [terms("acme", 2)])
        ticks.now += 301
        assert not cache.begin(Cursor(1, 2))
        assert cache.wants_full
        assert write(cache, None, mark(3), [terms("acme", 3)])
    with cached(tmp_path) as again:
        assert state(again.open()) == {"acme": doc("acme", 3)}
