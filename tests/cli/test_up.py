"""`licet up` as a process: first keys, the address for commands, refusals, and a clean end by Ctrl-C."""

import json
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from licet.cli.homestead import Homestead
from licet.seal.keyset import open_keyset
from licet.seal.paserk import public_of, read_secret, write_public
from tests.cli.terminal import SCRIPT, licet
from tests.store.databases import Database

pytestmark = pytest.mark.postgres
PATIENCE = 30.0


class Told:
    """What a server printed and how it ended; known after its block."""

    out = ""
    err = ""
    code: int | None = None


@contextmanager
def up(home: Path, dsn: str, *arguments: str) -> Iterator[Told]:
    """Run `licet up` on a free port until the block ends, then Ctrl-C."""
    told = Told()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LICET_")}
    env = clean | {"LICET_HOME": str(home), "LICET_DATABASE_URL": dsn, "LICET_PORT": "0"}
    with subprocess.Popen(
        [str(SCRIPT), "up", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    ) as server:
        try:
            ends = time.monotonic() + PATIENCE
            while not (home / "server.json").exists() and server.poll() is None and time.monotonic() < ends:
                time.sleep(0.02)
            yield told
        finally:
            server.send_signal(signal.SIGINT)
            told.out, told.err = server.communicate(timeout=PATIENCE)
            told.code = server.returncode


def roots_of(home: Path) -> dict[str, str]:
    """The roots that a first start left, by workspace; each is its user's alone."""
    found = sorted((home / "roots").iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}
    return {path.stem: path.read_text().strip() for path in found}


def test_the_first_start_makes_a_key_for_each_workspace(database: Database, tmp_path: Path) -> None:
    """Keys and roots are made once, kept in 0600 files and, piped, not printed; a second start makes none, also where a
    root was taken away: it signs as before."""
    home = tmp_path / "home"
    with up(home, database.dsn) as told:
        keys = json.loads((home / "keys.json").read_text())
        roots = roots_of(home)
        assert set(keys) == set(roots) == {"live", "test"}
        assert stat.S_IMODE((home / "keys.json").stat().st_mode) == 0o600
        url = json.loads((home / "server.json").read_text())["url"]
        for workspace, key in keys.items():
            env = {"LICET_URL": url, "LICET_KEY": key}
            assert key.startswith(f"lct_{workspace}_")
            assert licet("customer", "list", env=env).code == 0
    assert url in told.out
    assert not [key for key in keys.values() if key in told.out + told.err]
    assert told.code == 0
    assert not (home / "server.json").exists()
    (home / "roots" / "live.root").unlink()
    with up(home, database.dsn):
        assert json.loads((home / "keys.json").read_text()) == keys
        assert roots_of(home) == {"test": roots["test"]}
        url = json.loads((home / "server.json").read_text())["url"]
        told = httpx.get(f"{url}/.well-known/licet-keyset", timeout=PATIENCE).json()
        root = write_public(public_of(read_secret(roots["live"])))
        assert open_keyset(told["keyset"], [root], "live").version == 1
        listed = licet("keys", "list", "--json", env={"LICET_HOME": str(home), "LICET_DATABASE_URL": database.dsn})
        assert len(listed.document["items"]) == 1


def test_json_logs_are_json_alone(database: Database, tmp_path: Path) -> None:
    """With --json-logs standard output has one object that says where it listens; no secret is in it or in the log."""
    home = tmp_path / "home"
    with up(home, database.dsn, "--json-logs") as told:
        keys = json.loads((home / "keys.json").read_text())
    said = json.loads(told.out)
    assert said["listening"].startswith("http://127.0.0.1:")
    assert said["keys"] == str(home / "keys.json")
    assert all(isinstance(json.loads(line), dict) for line in told.err.splitlines())
    assert not [key for key in [*keys.values(), *roots_of(home).values()] if key in told.out + told.err]
    assert "k4.secret" not in told.out + told.err


def test_listening_beyond_loopback_needs_tls_or_consent(tmp_path: Path) -> None:
    """Without TLS only loopback is listened on, and the refusal says what to do."""
    env = {"LICET_HOME": str(tmp_path / "home")}
    ran = licet("up", "--host", "0.0.0.0", "--port", "0", env=env)  # noqa: S104 - refused is what is tested
    assert ran.code == 2
    assert "LICET_TLS_CERT" in ran.err
    assert "--insecure-listen" in ran.err
    assert not (tmp_path / "home").exists()


def test_a_taken_port_is_named(database: Database, tmp_path: Path) -> None:
    """A port in use is told with its address and what to choose."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        env = {"LICET_HOME": str(tmp_path / "home"), "LICET_DATABASE_URL": database.dsn}
        ran = licet("up", "--port", str(port), env=env)
    assert ran.code == 2
    assert f"127.0.0.1:{port}" in ran.err
    assert "--port" in ran.err


def test_a_database_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A database address at which nothing answers ends with a sentence, for the server, its commands and the doctor."""
    env = {"LICET_HOME": str(tmp_path), "LICET_DATABASE_URL": "postgresql://licet:hunter2@127.0.0.1:9/licet"}
    for command in (["up", "--port", "0"], ["keys", "list"], ["audit", "verify"]):
        ran = licet(*command, env=env)
        assert ran.code == 2, ran
        assert ran.err.startswith("error: ")
        assert "Traceback" not in ran.err
        assert "unexpected" not in ran.err
        assert "hunter2" not in ran.err
    doctor = licet("doctor", env=env)
    assert doctor.code == 1
    assert "LICET_DATABASE_URL" in doctor.out
    assert "hunter2" not in doctor.out


def test_one_home_has_one_server(database: Database, tmp_path: Path) -> None:
    """A second `licet up` on a home is refused with the first one's address, and leaves that address where it is."""
    home = tmp_path / "home"
    with up(home, database.dsn):
        url = json.loads((home / "server.json").read_text())["url"]
        env = {"LICET_HOME": str(home), "LICET_DATABASE_URL": database.dsn}
        second = licet("up", "--port", "0", env=env)
        assert second.code == 2
        assert url in second.err
        assert "LICET_HOME" in second.err
        assert licet("customer", "list", env=env).code == 0


def test_a_server_takes_back_its_own_address_only(tmp_path: Path) -> None:
    """Withdrawing leaves an address that another process has published meanwhile."""
    home = Homestead(tmp_path)
    home.publish("http://127.0.0.1:1")
    assert home.server_path.exists()
    home.withdraw()
    assert not home.server_path.exists()
    home.server_path.write_text(json.dumps({"url": "http://127.0.0.1:2", "pid": os.getppid()}))
    home.withdraw()
    assert home.server_path.exists()


def test_an_address_left_by_a_killed_server_counts_for_nothing(tmp_path: Path) -> None:
    """A process id that lives, but with nothing that listens at the address, is no running server."""
    home = Homestead(tmp_path)
    home.publish("http://127.0.0.1:9")
    assert home.server_url() is None


def test_a_wrong_database_is_named_without_its_password(tmp_path: Path) -> None:
    """Host, port, database and user of LICET_DATABASE_URL are told with what to do; the password is not."""
    env = {"LICET_HOME": str(tmp_path), "LICET_DATABASE_URL": "postgresql://ann:hunter2@127.0.0.1:9/shop"}
    for command in (["up", "--port", "0"], ["keys", "list"], ["audit", "verify"]):
        ran = licet(*command, env=env)
        assert ran.code == 2, ran
        assert "database shop on host 127.0.0.1, port 9" in ran.err
        assert "LICET_DATABASE_URL" in ran.err
        assert "hunter2" not in ran.err
        assert "idempotency" not in ran.err


def test_a_verifier_never_makes_what_it_verifies(tmp_path: Path) -> None:
    """Where a home has no database yet, `audit` and `keys` say so, name the home, and leave nothing behind."""
    home = tmp_path / "home"
    for command in (["audit", "verify"], ["audit", "checkpoint", "--out", "x"], ["keys", "list"]):
        ran = licet(*command, env={"LICET_HOME": str(home)}, cwd=tmp_path)
        assert ran.code == 2, ran
        assert str(home) in ran.err
        assert "licet up" in ran.err
        assert "whole" not in ran.out
        assert list(tmp_path.iterdir()) == []


def test_a_database_without_licet_is_not_made_one_by_verifying(
    bare_database: Database, database: Database, tmp_path: Path
) -> None:
    """A database of yours without schema, or without workspaces, is refused, again and again: nothing was made."""
    for dsn in (bare_database.dsn, database.dsn) * 2:
        ran = licet("audit", "verify", env={"LICET_HOME": str(tmp_path / "home"), "LICET_DATABASE_URL": dsn})
        assert ran.code == 2, ran
        assert "no database of Licet's yet" in ran.err


def test_the_home_of_another_server_is_not_verified_instead(tmp_path: Path) -> None:
    """With LICET_URL of some other server, a command at the database is refused with the variables to set."""
    env = {"LICET_HOME": str(tmp_path / "home"), "LICET_URL": "http://127.0.0.1:9"}
    for command in (["audit", "verify"], ["keys", "list"]):
        ran = licet(*command, env=env)
        assert ran.code == 2
        assert "http://127.0.0.1:9" in ran.err
        assert "LICET_HOME" in ran.err
        assert "LICET_DATABASE_URL" in ran.err
    assert not (tmp_path / "home").exists()


def test_of_two_starts_at_once_one_serves_and_the_other_says_who_does(database: Database, tmp_path: Path) -> None:
    """Two processes that begin together on one home: exactly one serves, the other names it and ends."""
    home = tmp_path / "home"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LICET_")}
    env = clean | {"LICET_HOME": str(home), "LICET_DATABASE_URL": database.dsn, "LICET_PORT": "0"}
    both = [
        subprocess.Popen([str(SCRIPT), "up"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        for _ in range(2)
    ]
    ends = time.monotonic() + PATIENCE
    while all(one.poll() is None for one in both) and time.monotonic() < ends:
        time.sleep(0.02)
    (second,) = [one for one in both if one.poll() is not None]
    (first,) = [one for one in both if one is not second]
    said = second.communicate(timeout=PATIENCE)[1]
    assert second.returncode != 0
    assert f"a server of the home {home} runs already" in said
    assert "Traceback" not in said
    assert licet("customer", "list", env={"LICET_HOME": str(home)}).code == 0
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=PATIENCE)
    assert first.returncode == 0
