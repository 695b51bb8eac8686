"""One server and its owner: start, share, refuse strangers, survive a killed server, stop."""

import os
import socket
import stat
import threading
from pathlib import Path

import asyncpg
import pytest

from licet.store.bundled import Bundled, BundledError, Endpoint
from licet.store.bundled.account import choose_account
from licet.store.bundled.endpoint import read_endpoint
from tests.store.bundled.lives import (
    Life,
    alive,
    copy_home,
    postmaster_of,
    query,
    remember,
    remembered,
    wait_until,
)

pytestmark = pytest.mark.postgres


def kill_server(bundled: Bundled, home: Path) -> None:
    """SIGKILL the postmaster and wait until its owner has started another."""
    before = bundled.restarts
    os.kill(postmaster_of(home), 9)
    wait_until(lambda: bundled.restarts > before)


def test_start_stop_start_keeps_rows_password_and_port(home: Path, binaries: Path) -> None:
    """A second start finds the data of the first, on the same port with the same password; stop leaves no process."""
    with Bundled(home, binaries=binaries) as bundled:
        first = bundled.endpoint
        remember(first)
        pid = postmaster_of(home)
        assert alive(pid)
    assert not alive(pid)
    assert not (home / "endpoint.json").exists()
    assert not (home / "data" / "postmaster.pid").exists()
    with Bundled(home, binaries=binaries) as bundled:
        assert remembered(bundled.endpoint)
        assert (bundled.endpoint.port, bundled.endpoint.password) == (first.port, first.password)


def test_settings_are_durable_and_closed(home: Path, binaries: Path) -> None:
    """Commits are flushed, pages are checksummed, text sorts by code point, and only loopback listens."""
    with Bundled(home, binaries=binaries, settings={"work_mem": "9MB"}) as bundled:
        dsn = bundled.endpoint.admin_dsn()
        shown = {
            name: query(dsn, f"SHOW {name}")
            for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums", "server_encoding")
        }
        assert shown == {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "server_encoding": "UTF8",
        }
        assert query(dsn, "SHOW listen_addresses") == "127.0.0.1"
        assert query(dsn, "SHOW work_mem") == "9MB"
        assert query(dsn, "SELECT string_agg(c, '' ORDER BY c) FROM unnest(ARRAY['a','B','ä','Z']) c") == "BZaä"
        assert query(dsn, "SELECT upper('ä')") == "Ä"
        assert query(dsn, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'") == 0


def test_files_are_closed_to_others(new_home: Path, binaries: Path) -> None:
    """Data and sockets are the server user's alone, secret and endpoint the owner's; repr hides the password."""
    with Bundled(new_home, binaries=binaries) as bundled:
        for name in ("data", "run"):
            assert stat.S_IMODE((new_home / name).stat().st_mode) == 0o700
            assert (new_home / name).stat().st_uid == choose_account().uid
        for name in ("secret", "endpoint.json", "lock", "postgres.log", "port"):
            assert stat.S_IMODE((new_home / name).stat().st_mode) == 0o600
            assert (new_home / name).stat().st_uid == os.geteuid()
        assert Path(f"/proc/{postmaster_of(new_home)}").stat().st_uid == choose_account().uid
        assert bundled.endpoint.password in bundled.endpoint.dsn()
        assert bundled.endpoint.password not in repr(bundled.endpoint)
        assert not [entry for entry in new_home.iterdir() if entry.name.startswith(".init-")]


@pytest.mark.parametrize("tcp", [True, False])
def test_wrong_password_is_refused(home: Path, binaries: Path, tcp: bool) -> None:
    """A wrong password is refused on the socket and on loopback, where the right one is accepted."""
    with Bundled(home, binaries=binaries) as bundled:
        right = bundled.endpoint.dsn("postgres", tcp=tcp)
        assert query(right, "SELECT 1") == 1
        for wrong in (right.replace(bundled.endpoint.password, "guess"), right.replace("postgres:", "root:")):
            with pytest.raises(asyncpg.InvalidPasswordError):
                query(wrong, "SELECT 1")


def test_two_homes_run_side_by_side(home: Path, place: Path, binaries: Path) -> None:
    """Two homes are two servers with separate ports, passwords and rows."""
    with Bundled(home, binaries=binaries) as one, Bundled(place / "two", binaries=binaries) as two:
        assert one.endpoint.port != two.endpoint.port
        assert one.endpoint.password != two.endpoint.password
        remember(one.endpoint)
        assert query(two.endpoint.admin_dsn(), "SELECT to_regclass('kept')") is None


def test_same_home_twice_shares_one_server(home: Path, binaries: Path) -> None:
    """The second process becomes a client of the first; leaving, it stops nothing; after the owner left, it can own."""
    with Life(home, binaries=binaries) as life:
        owner = life.endpoint()
        client = Bundled(home, binaries=binaries)
        assert client.start() == owner
        assert client.role == "client"
        remember(client.endpoint)
        client.stop()
        assert query(owner.admin_dsn(), "SELECT 1") == 1
        assert life.finish() == 0
    with Bundled(home, binaries=binaries) as heir:
        assert heir.role == "owner"
        assert remembered(heir.endpoint)


def test_client_takes_over(home: Path, binaries: Path) -> None:
    """When its owner is killed, a client starts the server again itself: same port, same password, same rows."""
    with Life(home, binaries=binaries) as life:
        owner = life.endpoint()
        remember(owner)
        client = Bundled(home, binaries=binaries)
        assert client.start() == owner
        life.kill()
        try:
            wait_until(lambda: client.role == "owner")
            assert remembered(client.endpoint)
            assert (client.endpoint.port, client.endpoint.password) == (owner.port, owner.password)
        finally:
            client.stop()


def test_many_start_at_once(new_home: Path, binaries: Path) -> None:
    """Six that start an unmade home together agree on one owner and one endpoint."""
    all_of_them = [Bundled(new_home, binaries=binaries) for _ in range(6)]
    found: list[Endpoint] = []
    threads = [threading.Thread(target=lambda one: found.append(one.start()), args=(one,)) for one in all_of_them]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert sorted(one.role or "" for one in all_of_them) == ["client"] * 5 + ["owner"]
        assert len(found) == 6
        assert len({one.token for one in found}) == 1
    finally:
        for one in all_of_them:
            one.stop()


def test_server_outlives_the_thread_that_asked_for_it(home: Path, binaries: Path) -> None:
    """Started from a worker thread that ends, the server stays: it is tied to the process, not to the caller."""
    bundled = Bundled(home, binaries=binaries)
    thread = threading.Thread(target=bundled.start)
    thread.start()
    thread.join()
    try:
        pid = postmaster_of(home)
        threading.Event().wait(0.3)
        assert alive(pid)
        assert query(bundled.endpoint.admin_dsn(), "SELECT 1") == 1
        assert bundled.restarts == 0
    finally:
        bundled.stop()


def test_taken_port_is_left_alone(home: Path, binaries: Path) -> None:
    """When another program holds the last port, another one is used and kept for the next start."""
    with Bundled(home, binaries=binaries) as bundled:
        before = bundled.endpoint.port
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", before))
        stranger.listen()
        with Bundled(home, binaries=binaries) as bundled:
            moved = bundled.endpoint.port
            assert moved != before
            assert query(bundled.endpoint.dsn("postgres", tcp=True), "SELECT 1") == 1
    with Bundled(home, binaries=binaries) as bundled:
        assert bundled.endpoint.port == moved


def test_killed_server_is_restarted(home: Path, binaries: Path) -> None:
    """A postmaster killed with SIGKILL is back within seconds with the committed rows, twice in a row."""
    with Bundled(home, binaries=binaries) as bundled:
        remember(bundled.endpoint)
        for count in (1, 2):
            killed = postmaster_of(home)
            kill_server(bundled, home)
            assert postmaster_of(home) != killed
            assert bundled.restarts == count
            assert remembered(bundled.endpoint)
            assert read_endpoint(home / "endpoint.json") == bundled.endpoint


def test_restart_keeps_trying_with_growing_pauses(home: Path, binaries: Path) -> None:
    """While the data cannot be opened the start is repeated, ever more slowly; once it can, the server is back."""
    with Bundled(home, binaries=binaries) as bundled:
        remember(bundled.endpoint)
        control = home / "data" / "global" / "pg_control"
        control.rename(control.with_name("aside"))
        os.kill(postmaster_of(home), 9)
        wait_until(lambda: "pg_control" in str(bundled.last_error))
        threading.Event().wait(1.5)
        assert not (home / "endpoint.json").exists()
        attempts = (home / "postgres.log").read_text().count("could not find the database system")
        assert 1 <= attempts <= 6
        control.with_name("aside").rename(control)
        wait_until(lambda: bundled.restarts == 1)
        assert remembered(bundled.endpoint)


def test_no_restart_when_not_wanted(home: Path, binaries: Path) -> None:
    """With restart off a killed server stays down and its home becomes free."""
    with Bundled(home, binaries=binaries, restart=False) as bundled:
        os.kill(postmaster_of(home), 9)
        wait_until(lambda: bundled.last_error is not None)
        with Bundled(home, binaries=binaries) as second:
            assert second.role == "owner"


def test_failing_start_shows_the_log(home: Path, binaries: Path) -> None:
    """A start that fails says what PostgreSQL said, and leaves the home free for the next attempt."""
    with pytest.raises(BundledError, match=r'postgres\.log.*(?s:.*)invalid value for parameter "work_mem"'):
        Bundled(home, binaries=binaries, settings={"work_mem": "plenty"}).start()
    with Bundled(home, binaries=binaries) as bundled:
        assert bundled.role == "owner"


def test_long_path_gets_a_short_socket(place: Path, made_home: Path, binaries: Path) -> None:
    """A home whose path exceeds a socket's 107 bytes works by a private folder elsewhere, which stop removes."""
    (place / ("x" * 120)).mkdir()
    home = copy_home(made_home, place / ("x" * 120) / "home")
    with Bundled(home, binaries=binaries) as bundled:
        folder = Path(bundled.endpoint.socket_dir)
        assert len(str(folder)) < 80
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert query(bundled.endpoint.admin_dsn(), "SELECT 1") == 1
    assert not folder.exists()


def test_endpoint_needs_a_start(new_home: Path) -> None:
    """Asking where the server is before starting it says to start it."""
    with pytest.raises(BundledError, match=r"call start\(\) first"):
        _ = Bundled(new_home).endpoint
