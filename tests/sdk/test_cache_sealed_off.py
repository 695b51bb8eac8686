"""A cache that cannot be written is read all the same; what is in its way is told with what to do about it."""

import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from licet.sdk.cache import Cache, Kept
from licet.wire.feed import Cursor
from tests.sdk.kept import Ticks, cached, doc, mark, state, terms, write

NOBODY = 65534


@contextmanager
def powerless(base: Path) -> Iterator[None]:
    """Be somebody whom modes of files hold back, and who owns all of a folder."""
    if os.geteuid() != 0:
        yield
        return
    for path in [base, *base.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder with a cache of one customer, that any user of this machine can reach."""
    with tempfile.TemporaryDirectory() as made:
        with cached(Path(made)) as cache:
            cache.open()
            write(cache, None, mark(3), [terms("acme")])
        yield Path(made)
        for path in [Path(made), *Path(made).rglob("*")]:
            if path.is_dir():
                path.chmod(0o700)


def take_writing(paths: list[Path]) -> None:
    """Let nobody write some files and folders, as on a disk that is mounted read-only."""
    for path in paths:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o555)


def warned(caplog: pytest.LogCaptureFixture) -> str:
    """Return the one warning there was."""
    (one,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    return one.getMessage()


@pytest.mark.parametrize("what", ["**/*", "*/truth", "*/lock"])
def test_what_cannot_be_written_is_read(base: Path, what: str, caplog: pytest.LogCaptureFixture) -> None:
    """On a disk that takes nothing a client starts from what it kept; the log says once that it is not written."""
    take_writing([base, *base.glob(what)] if what == "**/*" else list(base.glob(what)))
    ticks = Ticks()
    with powerless(base), cached(base, clock=ticks) as cache:
        kept = cache.open()
        assert (kept.floors, kept.root) == (mark(3).floors, mark(3).root)
        assert state(kept) == {"acme": doc("acme")}
        assert not write(cache, Cursor(1, 3), mark(4), [terms("acme", 2)])
        ticks.now += 301
        assert not write(cache, Cursor(1, 3), mark(4), [terms("acme", 2)])
    assert "is not written" in warned(caplog)
    assert "Permission denied" in warned(caplog)


def test_a_disk_that_takes_again_is_written_again(base: Path) -> None:
    """Five minutes later it is tried again, and goes on from where the file stands."""
    (lock,) = base.glob("*/lock")
    lock.chmod(0o400)
    ticks = Ticks()
    with powerless(base), cached(base, clock=ticks) as cache:
        assert state(cache.open()) == {"acme": doc("acme")}
        assert not write(cache, Cursor(1, 3), mark(4), [terms("acme", 2)])
        lock.chmod(0o600)
        ticks.now += 301
        assert write(cache, Cursor(1, 3), mark(4), [terms("acme", 2)])


def gone_without(cache: Cache) -> None:
    """Open a cache that cannot be used: nothing is found, nothing raised."""
    assert cache.open() == Kept()
    assert not write(cache, None, mark(1), [terms("acme")])


def test_a_file_in_the_place_of_the_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where ``cache=`` names a file, the log says that it is one and what to do."""
    (tmp_path / "file").write_text("")
    with cached(tmp_path / "file") as cache:
        gone_without(cache)
    assert f"{tmp_path / 'file'} is no folder" in warned(caplog)
    assert "cache=" in warned(caplog)


def test_a_folder_of_somebody_else(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What another user owns is not believed; the log says whose it is and what to do."""
    if os.geteuid() == 0:
        os.chown(base, NOBODY, NOBODY)
        place = base
    else:
        place = Path("/")
    with cached(place) as cache:
        gone_without(cache)
    assert "belongs to user" in warned(caplog)
    assert "chown" in warned(caplog)
    assert "cache=" in warned(caplog)


def test_a_folder_that_may_not_be_made(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where this user may not make the folder, the log says which one and what to do."""
    base.chmod(0o500)
    with powerless(base), cached(base / "below" / "it") as cache:
        gone_without(cache)
    assert "cannot be made" in warned(caplog)
    assert "cache=" in warned(caplog)
