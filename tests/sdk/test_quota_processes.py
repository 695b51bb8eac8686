"""Owned quota and processes: forks own nothing of their parent's, and what a killed one left is told by the next."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from licet import Client, ReservationEnded
from licet.evaluator.slices import Kept
from licet.sdk.own_file import files_of
from licet.sdk.quota_journal import QuotaJournal
from licet.sdk.shelf import Entry, adopt, fresh
from tests.sdk.exchange import LIMIT, Exchange, open_exchange
from tests.sdk.office import until
from tests.sdk.premises import API_KEY
from tests.sdk.test_forks import forked


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    """A server of its own for one test."""
    with open_exchange() as opened:
        yield opened


def client_of(exchange: Exchange, cache: Path | bool) -> Client:
    """A client that gives back after a minute only."""
    return exchange.client(telemetry=False, quota_idle=3000.0, cache=cache)


def killed(exchange: Exchange, cache: Path | None, work: str) -> int:
    """What a process printed last that did some work with a client and then killed itself."""
    made = f"Client({exchange.url!r}, {API_KEY!r}, cache={str(cache) if cache else False!r}, telemetry=False)"
    code = f"import os, signal\nfrom licet import Client\nclient = {made}\n{work}\nos.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return int(done.stdout.split()[-1])


WORK = "for number in range(1, 501):\n    assert client.consume('acme', 'api')\n    print(number, flush=True)\n"


def test_the_next_process_tells_what_a_killed_one_left(exchange: Exchange, tmp_path: Path) -> None:
    """After kill -9 the next client of the folder tells what was used; at most an eighth of a slice is in doubt."""
    used = killed(exchange, tmp_path, WORK)
    assert used == 500
    open_before = [one for one in exchange.leases() if one.state == "open"]
    assert open_before
    with client_of(exchange, tmp_path) as client:
        until(lambda: all(one.state == "settled" for one in exchange.leases()))
        # What the server had heard before is not in doubt there.
        assert client.quota.lost >= exchange.written_off()
    assert exchange.left() + exchange.used() + exchange.written_off() == LIMIT
    doubt = sum(-(-one.amount // 8) for one in open_before)
    assert exchange.used() <= used <= exchange.used() + exchange.written_off()
    assert exchange.written_off() <= doubt
    assert not list(tmp_path.glob("*/quota-*"))


WRITES = """
import os, signal, sys
from pathlib import Path
from licet.evaluator.slices import Kept
from licet.sdk.quota_journal import QuotaJournal
from licet.sdk.shelf import Entry, fresh

folder = Path(sys.argv[1])
journal, shelf = QuotaJournal(folder), fresh(folder)
def write(number):
    journal.write(Kept(id=f"{number:032x}", customer="acme", feature="api", spent=0, burned=number))
    shelf.put([Entry(id=str(number), kind="event", body=b"{}")])
write(1)
if os.fork() == 0:
    journal.abandon()
    shelf.abandon()
    sys.exit()
os.wait()
write(2)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_after_a_child_ended(tmp_path: Path) -> None:
    """A child whose interpreter ends takes nothing of its parent's files with it: what is written after is found."""
    done = subprocess.run([sys.executable, "-c", WRITES, str(tmp_path)], timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL
    journal, mine = QuotaJournal(tmp_path), fresh(tmp_path)
    assert [one.burned for one in journal.left()] == [1, 2]
    adopt(tmp_path, mine)
    assert mine.holds()[0] == 2
    for one in (journal, mine):
        one.close()


def test_without_a_disk_a_killed_one_is_charged_in_full(exchange: Exchange) -> None:
    """Nobody can tell what a process used that had no disk: all that it owned stays charged, and is not use."""
    used = killed(exchange, None, WORK)
    out = sum(one.amount - one.used for one in exchange.leases() if one.state == "open")
    assert exchange.left() + exchange.used() + out == LIMIT
    exchange.restore()
    assert exchange.left() + exchange.used() + exchange.written_off() == LIMIT
    assert exchange.left() <= LIMIT - used


def test_killed_while_threads_take(exchange: Exchange, tmp_path: Path) -> None:
    """Three processes are killed while eight threads of each take: never more than the limit is let in, all is told."""
    work = (
        "import threading, time\n"
        "taken = [0] * 8\n"
        "def work(place):\n"
        "    while client.consume('acme', 'api'): taken[place] += 1; time.sleep(0.0002)\n"
        "threads = [threading.Thread(target=work, args=(one,), daemon=True) for one in range(8)]\n"
        "for one in threads: one.start()\n"
        "time.sleep(0.25)\n"
        "print(sum(taken), flush=True)"
    )
    least = sum(killed(exchange, tmp_path, work) for _ in range(3))
    rest = 0
    with client_of(exchange, tmp_path) as client:
        until(lambda: client.quota.lost >= 0 and not [one for one in exchange.leases() if one.state == "open"])
        while client.consume("acme", "api"):
            rest += 1
    assert exchange.left() == 0
    assert exchange.used() + exchange.written_off() == LIMIT
    assert least + rest <= LIMIT


def test_a_child_owns_nothing(exchange: Exchange, tmp_path: Path) -> None:
    """A forked child asks for quota of its own, under a name of its own, and its parent goes on with its own."""
    with client_of(exchange, tmp_path) as client:
        assert client.consume("acme", "api")
        left = exchange.left()

        def child() -> int:  # pragma: no cover - runs in the child
            ok = client.quota.slices == 0 and client.consume("acme", "api", 3).decided == "local"
            client.close()
            return 0 if ok else 1

        assert forked(child) == 0
        assert exchange.left() == left - 3
        certain = client.consume("acme", "api").certain
        assert certain is not None
        assert certain.at_least == 6
        assert len({call.owner for call in exchange.calls}) == 2
    assert exchange.left() == LIMIT - 5
    assert exchange.used() == 5


def test_a_reservation_of_the_parent(exchange: Exchange) -> None:
    """A child cannot settle what its parent reserved: two would tell of the same."""
    with client_of(exchange, False) as client:
        held = client.reserve("acme", "api", 5)

        def child() -> int:  # pragma: no cover - runs in the child
            try:
                held.settle(5)
            except ReservationEnded:
                return 0
            return 1

        assert forked(child) == 0
        held.settle(2)
    assert exchange.used() == 2


def test_forks_while_threads_take(exchange: Exchange, tmp_path: Path) -> None:
    """Children are born while threads of their parent take: each takes of its own, and every unit is accounted for."""
    taken, stop = [0, 0], threading.Event()
    with client_of(exchange, tmp_path) as client:
        client.consume("acme", "api")

        def take(place: int) -> None:
            while not stop.is_set() and client.consume("acme", "api"):
                taken[place] += 1
                stop.wait(0.0005)

        threads = [threading.Thread(target=take, args=(place,)) for place in range(2)]
        for thread in threads:
            thread.start()

        def child() -> int:  # pragma: no cover - runs in the child
            done = sum(bool(client.consume("acme", "api")) for _ in range(20))
            client.close()
            return done

        born = [forked(child) for _ in range(5)]
        stop.set()
        for thread in threads:
            thread.join(10)
        assert born == [20] * 5
    assert exchange.used() == 1 + sum(taken) + 100
    assert exchange.left() == LIMIT - exchange.used()
    assert exchange.written_off() == 0


def test_an_interpreter_that_ends_gives_back(exchange: Exchange, tmp_path: Path) -> None:
    """A program that never closes its client gives everything back at its end, and says nothing."""
    made = f"Client({exchange.url!r}, {API_KEY!r}, cache={str(tmp_path)!r}, telemetry=False)"
    code = f"from licet import Client\nclient = {made}\nfor _ in range(30): assert client.consume('acme', 'api')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert exchange.left() == LIMIT - 30
    assert not list(tmp_path.glob("*/quota-*"))


def test_a_disk_that_takes_nothing(exchange: Exchange, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing can be written down nothing is spent here: the server decides, and the log says so once."""
    with client_of(exchange, tmp_path) as client:
        client.consume("acme", "api")
        journal = client._own._journal  # type: ignore[union-attr]
        assert journal is not None
        journal._base.execute("PRAGMA query_only = ON")
        decided = [client.consume("acme", "api").decided for _ in range(40)]
        assert decided.count("hub") > 30
        assert len([one for one in caplog.messages if "cannot be written" in one]) == 1
        journal._base.execute("PRAGMA query_only = OFF")
        until(lambda: client.consume("acme", "api").decided == "local")
    assert exchange.used() + exchange.left() == LIMIT


def test_a_server_that_is_away_at_the_end(exchange: Exchange, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What could not be given back in time lies on the disk, the log says so, and the next process tells it exactly."""
    with exchange.client(telemetry=False, quota_idle=3000.0, cache=tmp_path, close_timeout=0.2) as client:
        for _ in range(9):
            client.consume("acme", "api")
        exchange.down = True
    assert any("could be given back" in one for one in caplog.messages)
    exchange.down = False
    with client_of(exchange, tmp_path):
        until(lambda: exchange.left() == LIMIT - 9)
    assert exchange.written_off() == 0
    assert not list(tmp_path.glob("*/quota-*"))


def test_a_journal_is_taken_over_once(tmp_path: Path) -> None:
    """What lies in a file that nobody holds is taken over by one; a file that cannot be read is set aside."""
    first = QuotaJournal(tmp_path)
    kept = Kept(id="0" * 32, customer="acme", feature="api", spent=3, burned=5)
    first.write(kept)
    second = QuotaJournal(tmp_path)
    assert second.left() == []
    first._base.close()
    os.close(first._lock)
    third = QuotaJournal(tmp_path)
    assert third.left() == [kept]
    third.forget([kept.id])
    for one in (second, third):
        one.close()
    assert files_of(tmp_path, "quota-") == []
    (tmp_path / "quota-bad.db").write_bytes(b"no database" * 400)
    (tmp_path / "quota-bad.db").chmod(0o600)
    QuotaJournal(tmp_path).close()
    assert [one.name for one in tmp_path.iterdir() if one.suffix == ".damaged"] == ["quota-bad.db.damaged"]


def test_what_cannot_be_opened_now_waits(tmp_path: Path) -> None:
    """Trouble that passes, as of a full disk, sets no file aside: whoever comes later takes it over."""
    first, shelf = QuotaJournal(tmp_path), fresh(tmp_path)
    first.write(Kept(id="0" * 32, customer="acme", feature="api", spent=3, burned=5))
    first._base.close()
    os.close(first._lock)
    shelf.put([Entry(id="1", kind="event", body=b"{}")])
    shelf.close()
    in_their_way = [path.with_name(f"{path.name}-wal") for path in (first.path, shelf.path) if path is not None]
    for one in in_their_way:
        one.mkdir()
    second, mine = QuotaJournal(tmp_path), fresh(tmp_path)
    adopt(tmp_path, mine)
    assert (second.left(), mine.holds()[0]) == ([], 0)
    for one in in_their_way:
        one.rmdir()
    third = QuotaJournal(tmp_path)
    adopt(tmp_path, mine)
    assert ([one.spent for one in third.left()], mine.holds()[0]) == ([3], 1)
    for opened in (second, third, mine):
        opened.close()


def test_writing_waits_for_the_disk(tmp_path: Path) -> None:
    """A write is forced to the disk before it returns, and fails with an OSError."""
    journal = QuotaJournal(tmp_path)
    assert journal._base.execute("PRAGMA synchronous").fetchone() == (2,)
    journal._base.execute("PRAGMA query_only = ON")
    with pytest.raises(OSError, match="cannot be written"):
        journal.write(Kept(id="1" * 32, customer="acme", feature="api", spent=0, burned=5))
    journal._base.close()
    with pytest.raises(OSError, match="cannot be read"):
        journal.left()
    assert isinstance(journal._base, sqlite3.Connection)


def test_a_bound_key_takes_over_its_own_only(tmp_path: Path) -> None:
    """What a process left of another customer stays where it is, for somebody who may speak of it."""
    first = QuotaJournal(tmp_path)
    first.write(Kept(id="0" * 32, customer="acme", feature="api", spent=3, burned=5))
    first._base.close()
    os.close(first._lock)
    bound = QuotaJournal(tmp_path, "tiny")
    assert bound.left() == []
    bound.close()
    rightful = QuotaJournal(tmp_path, "acme")
    assert [one.customer for one in rightful.left()] == ["acme"]
    rightful.close()
