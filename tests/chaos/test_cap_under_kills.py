"""A hard cap under fire: many clients over HTTP, several workers, everybody killed again and again."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import Struct

from licet.cli.failure import Failure
from licet.cli.remote import Answer, Remote
from tests.cli.terminal import SCRIPT
from tests.dose import dose
from tests.store.bundled.lives import open_folder, postmaster_of
from tests.store.engines import engine_binaries

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

SEED: Final = int(os.environ.get("LICET_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
CAP: Final = dose(4_000, full=60_000)
CLIENTS: Final = 32
WORKERS: Final = 3
KILLS: Final = dose(8, full=60)
PATIENCE_SECONDS: Final = 90.0
PAUSE_SECONDS: Final = 0.04
"""Between two requests of one client, so that there is somebody to kill meanwhile."""
CATALOG: Final = {
    "version": 1,
    "products": {"app": {"name": "App"}},
    "meters": {"calls": {"event": "call"}},
    "features": {"calls": {"type": "metered", "meter": "calls", "per": "month", "at_limit": "block"}},
    "plans": {"team": {"product": "app", "versions": {"2026-01": {"includes": {"calls": CAP}}}}},
}


class Told(Struct, frozen=True):
    """One request with its first definite answer."""

    key: str
    quantity: int
    answer: dict[str, Any]
    tries: int


class Arena:
    """A server with workers on a bundled database, and whoever asks it."""

    def __init__(self, process: "subprocess.Popen[bytes]", home: Path) -> None:
        self.process, self.home = process, home
        self.url = str(json.loads((home / "server.json").read_text())["url"])
        self.secret = str(json.loads((home / "keys.json").read_text())["test"])
        self.told: list[Told] = []
        self.wrong: list[str] = []
        self.kills = {"worker": 0, "postgres": 0}
        self._lock = threading.Lock()
        self._done = threading.Event()

    def workers(self) -> list[int]:
        """The process ids of those that answer."""
        return [pid for pid in children_of(self.process.pid) if b"licet.cli.team" in command_of(pid)]

    def insist(self, remote: Remote, method: str, path: str, body: Any = None) -> tuple[Answer, int]:
        """Ask until there is a definite answer, the same each time; returns how often it was asked."""
        ends, tries, last = time.monotonic() + PATIENCE_SECONDS, 0, ""
        content = b"" if body is None else json.dumps(body).encode()
        while time.monotonic() < ends:
            tries += 1
            try:
                answer = remote.raw(method, path, body=content, headers={"Content-Type": "application/json"})
            except Failure as failure:
                last = str(failure)
            else:
                if answer.status not in (429, 503):
                    return answer, tries
                last = f"{answer.status} {answer.body!r}"
            time.sleep(0.02)
        self._complain(f"no definite answer to {method} {path} within {PATIENCE_SECONDS} s, at last {last}")
        raise AssertionError(last)

    def consume(self, number: int) -> None:
        """Consume until not even one more is admitted."""
        chance = random.Random(f"{SEED}/{number}")
        turn, most = 0, 4
        with Remote(self.url, self.secret) as remote:
            while most:
                time.sleep(PAUSE_SECONDS)
                turn += 1
                quantity = chance.randint(1, most)
                key = f"{number}-{turn}"
                asked = {"customer": "acme", "feature": "calls", "quantity": quantity, "key": key}
                answer, tries = self.insist(remote, "POST", "/v1/consume", asked)
                if answer.status != 200:
                    self._complain(f"{key}: {answer.status} {answer.body!r}")
                    return
                with self._lock:
                    self.told.append(Told(key, quantity, answer.json(), tries))
                if not answer.json()["allowed"]:
                    most = quantity - 1

    def kill(self) -> None:
        """Kill workers, and now and then PostgreSQL; who dies too soon is started again only after a pause."""
        chance = random.Random(f"{SEED}/killer")
        for turn in range(KILLS):
            if self._done.wait(0.3 + chance.random() * 0.4):
                return
            while len(workers := self.workers()) < 2 and not self._done.wait(0.1):
                pass
            kind = "postgres" if turn % 4 == 1 else "worker"
            with contextlib.suppress(ProcessLookupError, FileNotFoundError, IndexError):
                os.kill(postmaster_of(self.home) if kind == "postgres" else chance.choice(workers), signal.SIGKILL)
                self.kills[kind] += 1

    def run(self) -> None:
        """All clients at once, and the killer beside them."""
        clients = [threading.Thread(target=self.consume, args=(number,), daemon=True) for number in range(CLIENTS)]
        killer = threading.Thread(target=self.kill, daemon=True)
        for thread in (*clients, killer):
            thread.start()
        for client in clients:
            client.join(PATIENCE_SECONDS * 3)
        self._done.set()
        killer.join(PATIENCE_SECONDS)
        assert not [one for one in clients if one.is_alive()], "a client never came to its end"

    def _complain(self, words: str) -> None:
        with self._lock:
            self.wrong.append(words)


def children_of(parent: int) -> list[int]:
    """The living children of a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return sorted(found)


def command_of(pid: int) -> bytes:
    """The command line of a process; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@contextlib.contextmanager
def arena(folder: Path, engine: str) -> Iterator[Arena]:
    """A running ``licet up`` with several workers and the bundled database, its catalog released and one plan sold."""
    home = folder / "home"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LICET_")}
    env = {**clean, "LICET_HOME": str(home), "LICET_PORT": "0", "LICET_RATE_PER_SECOND": "0"}
    binaries = engine_binaries(engine)
    if binaries is not None:
        env["LICET_PG_BIN"] = str(binaries)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(SCRIPT), "up", "--workers", str(WORKERS)],
            stdout=log,
            stderr=log,
            env={**env, "LICET_LOG_LEVEL": "error"},
        )
    try:
        ends = time.monotonic() + PATIENCE_SECONDS
        while not (home / "server.json").exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < ends, "the server does not begin"
            time.sleep(0.05)
        made = Arena(process, home)
        with Remote(made.url, made.secret) as remote:
            put, _ = made.insist(remote, "PUT", "/v1/catalog?base=0", CATALOG)
            assert put.status == 200, put.body
            order = {"source": "crm", "external_id": "1", "customer": {"id": "acme"}, "lines": [{"plan": "team"}]}
            sold, _ = made.insist(remote, "POST", "/v1/orders", {**order, "occurred_at": "2026-08-01T00:00:00Z"})
            assert sold.status == 200, sold.body
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)


def facts_of(made: Arena) -> list[dict[str, Any]]:
    """All recorded facts of usage, by serial."""
    found: list[dict[str, Any]] = []
    with Remote(made.url, made.secret) as remote:
        cursor = ""
        while True:
            page, _ = made.insist(remote, "GET", f"/v1/usage/facts?limit=500{cursor}")
            assert page.status == 200, page.body
            value = page.json()
            found += value["items"]
            if value["next"] is None:
                return found
            cursor = f"&cursor={value['next']}"


def test_a_cap_holds_exactly_while_everybody_is_killed(engine: str) -> None:
    """Admitted is the cap to the unit; what was acknowledged is recorded once, and nothing else is."""
    with open_folder() as folder, arena(folder, engine) as made:
        began = time.monotonic()
        made.run()
        seconds = time.monotonic() - began
        where = f"LICET_TEST_SEED={SEED}"
        assert made.wrong == [], where
        admitted = [one for one in made.told if one.answer["allowed"]]
        assert sum(one.quantity for one in admitted) == CAP, where
        facts = facts_of(made)
        assert sorted(fact["id"] for fact in facts) == sorted(one.answer["id"] for one in admitted), where
        assert [fact["serial"] for fact in facts] == [*range(1, len(facts) + 1)], where
        quantities = {one.answer["id"]: one.quantity for one in admitted}
        used = 0
        for fact in facts:  # one by one, in the order of commits: none would have been refused
            used += quantities[fact["id"]]
            assert used <= CAP, where
        with Remote(made.url, made.secret) as remote:
            balance, _ = made.insist(remote, "GET", "/v1/customers/acme/balances/calls")
            for one in made.told[:50]:  # repeated once more: the same answer, and nothing counts twice
                if one.answer["allowed"]:
                    asked = {"customer": "acme", "feature": "calls", "quantity": one.quantity, "key": one.key}
                    again, _ = made.insist(remote, "POST", "/v1/consume", asked)
                    assert again.json() == one.answer, where
            after, _ = made.insist(remote, "GET", "/v1/customers/acme/balances/calls")
        assert (balance.json()["used"], balance.json()["remaining"]) == (CAP, 0), where
        assert after.json()["used"] == CAP, where
        repeated = sum(one.tries > 1 for one in made.told)
        assert min(*made.kills.values(), repeated) > 0, f"{where}: the kills met nobody"
    sys.stdout.write(
        f"{where}: {CLIENTS} clients, {WORKERS} workers, {made.kills} killed in {seconds:.1f} s; admitted {CAP} "
        f"of {CAP} in {len(admitted)} requests, {repeated} of {len(made.told)} acknowledged after repeating\n"
    )
