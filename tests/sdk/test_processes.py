"""Clients and processes: forks, threads at once, the end of an interpreter, and what importing costs."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.sdk.office import Office, open_office, until
from tests.sdk.premises import API_KEY

SERVER = {
    "litestar",
    "asyncpg",
    "uvicorn",
    "structlog",
    "yaml",
    "jinja2",
    "httpx",
    "prometheus_client",
    "typer",
    "rich",
}
HEAVY = {"asyncio", "ssl", "http", "socket", "email", "cryptography", "logging", "random", "multiprocessing", "sqlite3"}
MOST_MODULES = 190
"""Modules that the import of the client may load beyond those of a bare interpreter; 166 when this was written."""


@pytest.fixture
def office() -> Iterator[Office]:
    """A server of its own for one test."""
    with open_office() as opened:
        yield opened


def loaded(code: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after some code."""
    told = [sys.executable, "-c", f"{code}\nimport sys\nprint(' '.join(sys.modules))"]
    return set(subprocess.run(told, capture_output=True, text=True, check=True, timeout=30).stdout.split())


def test_importing_is_light() -> None:
    """`import licet` loads nothing but itself; the client no server library, and no sockets, TLS or cryptography."""
    bare = loaded("pass")
    assert loaded("import licet") - bare <= {"licet"}
    client = loaded("from licet import Client, Decision, NotEntitled")
    assert {name.partition(".")[0] for name in client} & (SERVER | HEAVY) == set()
    assert len(client - bare) <= MOST_MODULES
    adrift = {name for name in loaded("from licet import AsyncClient") if name.partition(".")[0] in SERVER}
    assert adrift == set()


def test_everything_that_is_exported_is_there() -> None:
    """Each name of the package can be imported, and a wrong one is an AttributeError like any other."""
    import licet

    for name in licet.__all__:
        assert getattr(licet, name).__doc__
    assert set(licet.__all__) <= set(dir(licet))
    with pytest.raises(AttributeError, match="no attribute 'Klient'"):
        licet.Klient  # noqa: B018


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "office"])
def test_an_interpreter_ends_at_once_and_silently(office: Office, address: str) -> None:
    """A program that never closes its client ends without a word and without delay, connected or not."""
    url = office.url if address == "office" else address
    made = f"Client({url!r}, {API_KEY!r}, cache=False, start_timeout=0.5)"
    code = f"from licet import Client\nclient = {made}\nprint('done')"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
    assert time.monotonic() - began < 6


def test_a_forked_child_follows_by_itself(office: Office) -> None:
    """A child answers from the truth it was born with and then hears of changes itself, as its parent goes on to do."""
    with office.client(telemetry=True) as client:
        assert client.check("acme", "sso")
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:  # pragma: no cover - runs in the child
            try:
                os.write(writing, b"1" if client.check("acme", "sso") else b"0")
                until(lambda: client.check("new", "sso"))
                client.close()
                os.write(writing, b"2")
            finally:
                os._exit(0)
        os.close(writing)
        assert os.read(reading, 1) == b"1"
        office.sold("new")
        until(lambda: client.check("new", "sso"))
        assert os.read(reading, 1) == b"2"
        os.close(reading)
        os.waitpid(child, 0)
        office.sold("newer")
        until(lambda: client.check("newer", "sso"))


def test_forks_while_sets_are_taken(office: Office) -> None:
    """Twenty forks in the middle of changes: no child hangs, and each has a truth that is whole."""
    with office.client() as client:
        stop = threading.Event()
        writer = threading.Thread(target=_sell, args=(office, stop))
        writer.start()
        try:
            for _ in range(20):
                child = os.fork()
                if child == 0:  # pragma: no cover - runs in the child
                    basis = client.check("acme", "sso").basis
                    os._exit(0 if basis == client.freshness.cursor else 1)
                assert os.waitpid(child, 0)[1] == 0
        finally:
            stop.set()
            writer.join()


def test_threads_ask_while_truths_are_exchanged(office: Office) -> None:
    """Two threads ask without pause while set after set comes: nobody fails, what was sold stays sold, and the
    basis that a decision names never goes back for one thread.
    """
    with office.client() as client:
        stop, failures = threading.Event(), list[str]()

        def ask() -> None:
            newest = 0
            while not stop.is_set():
                decision = client.check("acme", "sso")
                at = int((decision.basis or "1:0").partition(":")[2])
                if not decision or at < newest:
                    failures.append(f"{decision!r} at {at} after {newest}")
                    return
                newest = at

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(40):
            office.sold(f"customer-{number}")
            time.sleep(0.002)
        until(lambda: client.check("customer-39", "sso"))
        stop.set()
        for thread in threads:
            thread.join()
        assert failures == []


def _sell(office: Office, stop: threading.Event) -> None:
    number = 0
    while not stop.is_set():
        number += 1
        office.sold(f"customer-{number % 50}")
        time.sleep(0.002)
