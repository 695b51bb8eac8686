"""What a killed owner, a crashed machine or an interrupted initdb leave behind, and that the next start copes."""

import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from licet.store.bundled import Bundled, BundledError
from licet.store.bundled.account import choose_account
from licet.store.bundled.home import MARKER, Home
from licet.store.bundled.locate import locate
from licet.store.bundled.pidfile import clear_pid_file, read_pid_file, serves
from tests.store.bundled.lives import Life, alive, copy_home, postmaster_of, query, remember, remembered, wait_until

pytestmark = pytest.mark.postgres


def start_orphan(home: Path, binaries: Path, socket_dir: Path) -> "subprocess.Popen[bytes]":
    """A server in `home` that nobody owns, as an owner without the death signal would leave it."""
    account = choose_account()
    socket_dir.mkdir(mode=0o700)
    account.own(socket_dir)
    command = [str(binaries / "postgres"), "-D", str(home / "data"), "-k", str(socket_dir), "-c", "listen_addresses="]
    orphan = subprocess.Popen(
        account.command(command),
        env=locate(binaries).environment(home),
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        **account.switch(),
    )
    wait_until(lambda: (found := read_pid_file(home / "data")) is not None and found.ready)
    return orphan


def test_server_ends_with_its_killed_owner(home: Path, binaries: Path) -> None:
    """An owner killed with SIGKILL takes its server along within moments; the rows are there for the next owner."""
    with Life(home, binaries=binaries) as life:
        remember(life.endpoint())
        pid = postmaster_of(home)
        life.kill()
        wait_until(lambda: not alive(pid), 5.0)
    with Bundled(home, binaries=binaries) as bundled:
        assert remembered(bundled.endpoint)


def test_orphan_is_stopped_and_replaced(home: Path, place: Path, binaries: Path) -> None:
    """A living server without an owner is stopped cleanly, and one of our own takes over its rows."""
    with Bundled(home, binaries=binaries) as bundled:
        remember(bundled.endpoint)
    orphan = start_orphan(home, binaries, place / "sockets")
    try:
        with Bundled(home, binaries=binaries) as bundled:
            assert orphan.wait(5) == 0
            assert postmaster_of(home) != orphan.pid
            assert remembered(bundled.endpoint)
    finally:
        orphan.kill()
        orphan.wait()


@pytest.mark.parametrize("kind", ["another program", "another server", "a zombie", "nobody"])
def test_stale_pid_file_with_reused_number(home: Path, place: Path, made_home: Path, binaries: Path, kind: str) -> None:
    """A pid file whose number now belongs to somebody else stops neither our start nor that process."""
    account = choose_account()
    if kind == "another server":
        other = start_orphan(copy_home(made_home, place / "other"), binaries, place / "sockets")
    else:
        argument = "0" if kind in {"a zombie", "nobody"} else "60"
        other = subprocess.Popen(["sleep", argument], cwd="/", **account.switch())
    try:
        if kind == "a zombie":
            wait_until(lambda: not alive(other.pid))
        elif kind == "nobody":
            other.wait()
        lines = [str(other.pid), str(home / "data"), "1700000000", "5432", str(home / "run"), "127.0.0.1", "0", "ready"]
        (home / "data" / "postmaster.pid").write_text("\n".join(lines) + "\n")
        account.own(home / "data" / "postmaster.pid")
        with Bundled(home, binaries=binaries) as bundled:
            assert query(bundled.endpoint.admin_dsn(), "SELECT 1") == 1
            assert postmaster_of(home) != other.pid
            assert alive(other.pid) == (kind in {"another program", "another server"})
    finally:
        # Programs in the background may ignore SIGINT; only a server needs it, to shut down.
        other.send_signal(signal.SIGINT if kind == "another server" else signal.SIGKILL)
        other.wait()


def test_garbled_pid_file(home: Path, binaries: Path) -> None:
    """A pid file cut off by a crash is removed."""
    (home / "data" / "postmaster.pid").write_text("")
    with Bundled(home, binaries=binaries) as bundled:
        assert query(bundled.endpoint.admin_dsn(), "SELECT 1") == 1


def test_backends_of_a_killed_postmaster_are_ended_first(home: Path, place: Path, binaries: Path) -> None:
    """Processes that outlive their killed postmaster are gone before the data directory is opened again."""
    orphan = start_orphan(home, binaries, place / "sockets")
    children = [int(pid) for pid in Path(f"/proc/{orphan.pid}/task/{orphan.pid}/children").read_text().split()]
    assert len(children) >= 3
    # A stopped process cannot notice that its postmaster died.
    os.kill(children[0], signal.SIGSTOP)
    orphan.kill()
    orphan.wait()
    assert serves(children[0], home / "data")
    assert clear_pid_file(home / "data") is True
    assert not any(serves(pid, home / "data") for pid in children)
    assert not (home / "data" / "postmaster.pid").exists()
    with Bundled(home, binaries=binaries) as bundled:
        assert query(bundled.endpoint.admin_dsn(), "SELECT 1") == 1


def test_interrupted_initdb_is_done_again(new_home: Path, binaries: Path) -> None:
    """An owner killed in the middle of initdb leaves a half that the next start removes."""
    with Life(new_home, binaries=binaries) as life:
        wait_until(lambda: any(new_home.glob(".init-*/data/base")))
        life.kill()
    assert not (new_home / "data").exists()
    assert any(new_home.glob(".init-*"))
    with Bundled(new_home, binaries=binaries) as bundled:
        assert query(bundled.endpoint.admin_dsn(), "SELECT 1") == 1
        assert not any(new_home.glob(".init-*"))


def test_data_of_another_major_version_is_refused(home: Path, binaries: Path) -> None:
    """Programs of one major version refuse data of another, name both and say what to do; the data stay untouched."""
    ours = (home / "data" / "PG_VERSION").read_text().strip()
    (home / "data" / "PG_VERSION").write_text("16\n")
    with pytest.raises(BundledError, match=rf"made by PostgreSQL 16, but .*{ours}.*LICET_PG_BIN"):
        Bundled(home, binaries=binaries).start()
    (home / "data" / "PG_VERSION").write_text(f"{ours}\n")
    with Bundled(home, binaries=binaries) as bundled:
        assert query(bundled.endpoint.admin_dsn(), "SELECT 1") == 1


def test_damaged_homes_are_named_not_overwritten(home: Path, place: Path, binaries: Path) -> None:
    """A lost secret, data without a version, and a folder with foreign files are refused; nothing in them changes."""
    secret = (home / "secret").read_text()
    (home / "secret").unlink()
    with pytest.raises(BundledError, match=r"secret is missing.*backup"):
        Bundled(home, binaries=binaries).start()
    (home / "secret").write_text(secret)
    version = (home / "data" / "PG_VERSION").rename(home / "aside")
    with pytest.raises(BundledError, match="has no PG_VERSION"):
        Bundled(home, binaries=binaries).start()
    shutil.move(version, home / "data" / "PG_VERSION")
    with Bundled(home, binaries=binaries) as bundled:
        assert query(bundled.endpoint.admin_dsn(), "SELECT 1") == 1
    (place / "mine").mkdir()
    (place / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(BundledError, match=r"not empty and not a home"):
        Bundled(place / "mine", binaries=binaries).start()
    assert [entry.name for entry in (place / "mine").iterdir()] == ["letter.txt"]


def test_two_processes_may_make_one_home(place: Path) -> None:
    """Starters that meet in a home still being made all go on: none takes what another has just written for foreign."""
    account = choose_account()
    with ThreadPoolExecutor(4) as pool:
        for turn in range(150):
            path = place / f"made-{turn}"
            meet = Barrier(4)

            def make(path: Path = path, meet: Barrier = meet) -> None:
                meet.wait()
                Home(path).prepare(account)

            for made in [pool.submit(make) for _ in range(4)]:
                made.result()
            assert [entry.name for entry in path.iterdir()] == [MARKER]
