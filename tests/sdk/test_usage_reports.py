"""Reports: kept before `report` returns, told once, in batches, by whoever is there; nothing is lost by a kill."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from licet import BufferFull, Client, Invalid, WrongUrl
from licet.sdk.outbox import Outbox
from licet.sdk.shelf import Entry
from tests.sdk.office import until
from tests.sdk.premises import API_KEY
from tests.sdk.till import Till, open_till

BUSY = (503, "unavailable", {"Retry-After": "0"})


@pytest.fixture
def till() -> Iterator[Till]:
    """A server of its own for one test."""
    with open_till() as opened:
        yield opened


def files(cache: Path) -> list[str]:
    """The outboxes in a cache folder."""
    return sorted(path.name for path in cache.glob("*/outbox-*"))


def killed(till: Till, cache: Path, work: str) -> str:
    """What a process wrote that did some work with a client and then killed itself."""
    made = f"Client({till.url!r}, {API_KEY!r}, cache={str(cache)!r}, start_timeout=0, telemetry=False)"
    code = f"import os, signal\nfrom licet import Client\nclient = {made}\n{work}\nos.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout


def test_reports_are_told_in_batches(till: Till, tmp_path: Path) -> None:
    """What is reported arrives in few requests, with its customer, time, quantity and data; then nothing is left."""
    at = datetime(2026, 3, 1, 10, tzinfo=timezone(timedelta(hours=1)))
    with Client.of(structs.replace(till.options(cache=tmp_path), tempo=1.0)) as client:
        first = client.report("acme", "api.call", "2.50", data={"region": "eu"}, user="ann", team="core", at=at)
        for _ in range(40):
            client.report("acme", "api.call", 1)
        assert client.flush()
        assert client.reports.waiting == client.reports.bytes == 0
        assert client.reports.durable
    event = till.events["licet-python", str(first)]
    assert (event.subject, event.type, event.time) == ("acme", "api.call", datetime(2026, 3, 1, 9, tzinfo=UTC))
    assert event.data == {"region": "eu", "quantity": "2.5", "user": "ann", "team": "core"}
    assert len(till.events) == 41
    assert len(till.batches) <= 2
    assert files(tmp_path) == []


def test_told_without_flush(till: Till, tmp_path: Path) -> None:
    """The first report begins the telling; nobody has to ask for it."""
    with till.client(cache=tmp_path) as client:
        client.report("acme", "api.call")
        until(lambda: len(till.events) == 1)
        client.report("acme", "api.call")
        until(lambda: len(till.events) == 2)


def test_killed_before_anything_was_told(till: Till, tmp_path: Path) -> None:
    """Every report that returned before a kill -9 is told by the next process, once; also where two died."""
    till.down = BUSY
    work = "for _ in range(30): print(client.report('acme', 'api.call'), flush=True)"
    ids = [one for _ in range(2) for one in killed(till, tmp_path, work).split()]
    assert len(set(ids)) == 60
    assert till.events == {}
    till.down = None
    with till.client(cache=tmp_path) as client:
        until(lambda: len(till.events) == 60)
        assert {one for _, one in till.events} == set(ids)
        assert client.flush()
    assert files(tmp_path) == []


def test_killed_while_it_reports(till: Till, tmp_path: Path) -> None:
    """Killed in the middle, with the telling under way, nothing that returned is missing and nothing counts twice."""
    work = (
        "import threading, time\n"
        "def work():\n"
        "    while True: os.write(1, (client.report('acme', 'api.call') + '\\n').encode())\n"
        "for _ in range(3): threading.Thread(target=work, daemon=True).start()\n"
        "time.sleep(1.2)"
    )
    lines = killed(till, tmp_path, work).split("\n")
    ids = {one for one in lines[:-1] if len(one) == len("rep_") + 32}
    assert len(ids) > 20
    assert till.events
    with till.client(cache=tmp_path) as client:
        assert client.flush(20)
        assert ids <= {one for _, one in till.events}
        # One for each thread may have been kept without anybody hearing of it.
        assert len(till.events) <= len(ids) + 3


def test_a_captive_portal_takes_nothing(till: Till, tmp_path: Path) -> None:
    """Whoever answers 200 and is no Licet server takes no report and allows nothing; the reports say why they wait."""
    till.portal = b"<html>Please log in to the hotel wifi</html>"
    with till.client(cache=tmp_path, unreachable={"ai": "allow"}) as client:
        for _ in range(10):
            client.report("acme", "api.call")
        assert not client.flush(0.3)
        assert (client.reports.waiting, client.reports.refused) == (10, 0)
        assert "no Licet server" in str(client.reports.last_error)
        with pytest.raises(WrongUrl):
            client.consume("acme", "ai")
        with pytest.raises(WrongUrl):
            client.reserve("acme", "ai", 1)
        with pytest.raises(WrongUrl):
            client.settle("res_1", 1)
        till.portal = None
        until(lambda: client.flush(1))
        assert client.reports.last_error is None
    assert len(till.events) == 10


def test_lost_answers_count_once(till: Till) -> None:
    """A batch whose answer was lost is told again, under the same ids."""
    till.cut_after = 2
    with till.client() as client:
        for _ in range(5):
            client.report("acme", "api.call")
        assert client.flush()
    assert len(till.events) == 5
    assert sum(till.batches) > 5


def test_ids_of_ones_own(till: Till, tmp_path: Path) -> None:
    """The same source and id is one event, however often it is reported, waiting or told."""
    with till.client(cache=tmp_path) as client:
        for _ in range(2):
            for _ in range(3):
                assert client.report("acme", "api.call", id="7391", source="gateway") == "7391"
            client.report("acme", "api.call", id="7391", source="other")
            assert client.flush()
            assert client.reports.waiting == 0
    assert set(till.events) == {("gateway", "7391"), ("other", "7391")}


def test_what_is_never_taken_is_given_up_alone(till: Till, caplog: pytest.LogCaptureFixture) -> None:
    """Of a batch with two events that the server refuses, all others are told; the two are counted, and one logged."""
    till.poison = {"bad-1", "bad-2"}
    with till.client() as client:
        for number in range(60):
            client.report("acme", "api.call", id={7: "bad-1", 40: "bad-2"}.get(number, f"good-{number}"))
        assert client.flush()
        assert client.reports.refused == 2
        assert client.reports.waiting == 0
    assert len(till.events) == 58
    assert caplog.text.count("is given up") == 1


def test_a_full_buffer(till: Till, tmp_path: Path) -> None:
    """As many wait as may: an error by default, or a counted drop; once told there is room again."""
    till.down = BUSY
    with till.client(cache=tmp_path, report_most=3) as client:
        for _ in range(3):
            client.report("acme", "api.call")
        with pytest.raises(BufferFull, match="3 reports"):
            client.report("acme", "api.call")
        till.down = None
        until(lambda: client.flush(1))
        assert client.report("acme", "api.call")
    till.down = BUSY
    with till.client(report_most=3, report_full="drop") as client:
        assert [client.report("acme", "api.call") is None for _ in range(5)] == [False, False, False, True, True]
        assert client.reports.dropped == 2


def test_bounded_by_bytes() -> None:
    """Bytes are bounded too, and what was dropped from it makes room."""
    outbox = Outbox(None, most=100, most_bytes=1_000)
    for number in range(3):
        outbox.put(Entry(id=str(number), kind="event", body=b"x" * 200))
    with pytest.raises(BufferFull, match="903 bytes"):
        outbox.put(Entry(id="more", kind="event", body=b"x"))
    outbox.drop(outbox.take(1, 10_000))
    outbox.put(Entry(id="more", kind="event", body=b"x"))
    assert [one.entry.id for one in outbox.take(10, 10_000)] == ["1", "2", "more"]
    assert outbox.close() == 3


def test_memory_ends_with_the_process(till: Till, caplog: pytest.LogCaptureFixture) -> None:
    """Without a folder nothing is durable, closing tells what it can within its time, and the log has what was lost."""
    with till.client() as client:
        client.report("acme", "api.call")
        assert not client.reports.durable
    assert len(till.events) == 1
    till.down = BUSY
    with till.client() as client:
        client.report("acme", "api.call")
    assert "1 reports were not told" in caplog.text


def test_left_while_others_live(till: Till, tmp_path: Path) -> None:
    """What a process leaves behind is told by another one that began before, and has nothing to tell itself."""
    with till.client(cache=tmp_path) as client:
        client.report("acme", "api.call")
        assert client.flush()
        outbox = client._ways()[0].telling._outbox
        till.down = BUSY
        killed(till, tmp_path, "client.report('acme', 'api.call')")
        outbox.adopt()
        assert client.reports.waiting == 1
        till.down = None
        until(lambda: client.flush(1) and len(till.events) == 2)


def test_a_closed_client_leaves_them_to_the_next(till: Till, tmp_path: Path) -> None:
    """What could not be told before the end lies on the disk; the next client tells it, with another key."""
    till.down = BUSY
    with till.client(cache=tmp_path) as client:
        client.report("acme", "api.call")
        assert not client.flush(0.2)
    assert files(tmp_path)
    till.down = None
    with till.client(cache=tmp_path, key=API_KEY.replace("a" * 16, "c" * 16)):
        until(lambda: len(till.events) == 1)


def test_a_folder_that_cannot_be(till: Till, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where no folder can be made, or the file in it is broken, reports go on in memory, and the log says so."""
    (tmp_path / "taken").write_text("a file")
    with till.client(cache=tmp_path / "taken") as client:
        caplog.clear()
        assert client.report("acme", "api.call")
        assert client.flush()
        assert not client.reports.durable
    assert "memory only" in caplog.text
    assert len(till.events) == 1


def test_a_damaged_file_is_set_aside(till: Till, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that cannot be read harms nothing else, and stays for whoever wants to look at it."""
    till.down = BUSY
    killed(till, tmp_path, "client.report('acme', 'api.call')")
    (first,) = tmp_path.glob("*/outbox-*.db")
    first.with_name(f"{first.name}-wal").unlink()
    first.write_bytes(b"this is no database, and has never been one, whatever its name may say" * 20)
    till.down = None
    with till.client(cache=tmp_path) as client:
        client.report("acme", "api.call")
        assert client.flush()
        assert client.reports.durable
    assert len(till.events) == 1
    assert "set aside" in caplog.text
    assert files(tmp_path) == [f"{first.name}.damaged", f"{first.stem}.lock"]


def test_a_disk_that_fails_later(till: Till, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be refused any more is kept in memory where the disk takes no more, and everything is told."""
    outbox = Outbox(tmp_path, most=100)
    outbox.put(Entry(id="1", kind="event", body=b"x"))
    outcome = [outbox.durable]
    outbox._shelves[0]._base.execute("PRAGMA query_only = ON")
    with pytest.raises(BufferFull, match="cannot be written"):
        outbox.put(Entry(id="2", kind="event", body=b"x"))
    outbox.put(Entry(id="2", kind="event", body=b"x"), must=True)
    assert [*outcome, outbox.durable] == [True, False]
    assert "cannot be written" in caplog.text
    assert [one.entry.id for one in outbox.take(10, 10_000)] == ["1"]
    outbox._shelves[0]._base.execute("PRAGMA query_only = OFF")
    outbox.drop(outbox.take(10, 10_000))
    assert [one.entry.id for one in outbox.take(10, 10_000)] == ["2"]
    assert outbox.close() == 1


def test_a_full_disk(till: Till, tmp_path: Path) -> None:
    """A disk that is full keeps nothing: an error, or a counted drop; what was kept is told, and room is used again."""
    for full in ("error", "drop"):
        till.down = BUSY
        with till.client(cache=tmp_path / full, report_full=full) as client:
            assert client.report("acme", "api.call")
            base = client._ways()[0].telling._outbox._shelves[0]._base
            with client._ways()[0].telling._outbox._disk:
                base.execute("PRAGMA max_page_count = 1")
            kept, large = 1, {"text": "x" * 10_000}
            if full == "error":
                with pytest.raises(BufferFull, match="make room"):
                    client.report("acme", "api.call", data=large)
            else:
                assert client.report("acme", "api.call", data=large) is None
            assert (client.reports.waiting, client.reports.durable) == (1, True)
            assert client.reports.dropped == (full == "drop")
            with client._ways()[0].telling._outbox._disk:
                base.execute("PRAGMA max_page_count = 100000")
            assert client.report("acme", "api.call", data=large)
            till.down = None
            until(lambda: client.flush(1))
            assert (client.reports.waiting, client.reports.bytes) == (0, 0)
    assert len(till.events) == 2 * (kept + 1)


def test_one_id_with_other_content(till: Till, tmp_path: Path) -> None:
    """While an event waits, its id with other content is an error, and the first one counts; with the same, nothing."""
    till.down = BUSY
    at = datetime(2026, 3, 1, tzinfo=UTC)
    with till.client(cache=tmp_path) as client:
        client.report("acme", "api.call", 1, id="p3", at=at)
        client.report("acme", "api.call", 1, id="p3", at=at)
        client.report("acme", "api.call", 1, id="p3")
        for other in ({"quantity": 5, "at": at}, {"quantity": 1, "at": at + timedelta(1)}, {"user": "ann"}):
            with pytest.raises(Invalid, match="'p3' of 'licet-python' waits"):
                client.report("acme", "api.call", id="p3", **other)
        assert client.reports.waiting == 1
        till.down = None
        until(lambda: client.flush(1))
        assert client.reports.bytes == 0
    assert [one.data for one in till.events.values()] == [{"quantity": 1}]


def test_bytes_do_not_drift(till: Till, tmp_path: Path) -> None:
    """What was taken over from a process that was killed counts for as many bytes as when it was put."""
    till.down = BUSY
    killed(till, tmp_path, "for n in range(20): client.report('acme', 'api.call', id=f'é{n}', source='gateway')")
    with till.client(cache=tmp_path) as client:
        until(lambda: client.reports.waiting == 20)
        outbox = client._ways()[0].telling._outbox
        assert client.reports.bytes == sum(one.entry.size for one in outbox._shelves[0].first(100))
        till.down = None
        until(lambda: client.flush(1))
        assert (client.reports.waiting, client.reports.bytes) == (0, 0)


def in_child(work: Callable[[], object]) -> int:
    """Fork, work in the child, and return how it ended."""
    pid = os.fork()
    if pid == 0:  # pragma: no cover - runs in the child
        try:
            work()
        except BaseException:  # noqa: BLE001 the child ends here whatever happens
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("durable", [True, False])
def test_forks(till: Till, tmp_path: Path, durable: bool) -> None:
    """A child tells its own reports and none of its parent's; both go on, and each report counts once."""
    till.down = BUSY
    with till.client(cache=tmp_path if durable else False) as client:
        stop = threading.Event()

        def busy() -> None:
            while not stop.wait(0.001):
                client.report("acme", "parent")

        thread = threading.Thread(target=busy)
        thread.start()
        client.report("acme", "parent")
        till.down = None

        def child() -> None:
            client.report("acme", "child")
            assert client.flush()
            client.close()

        assert [in_child(child) for _ in range(3)] == [0, 0, 0]
        stop.set()
        thread.join()
        assert client.flush()
    kinds = [one.type for one in till.events.values()]
    assert kinds.count("child") == 3
    assert kinds.count("parent") == len(kinds) - 3 > 1
    assert files(tmp_path) == []


def test_a_child_does_not_hold_its_parents_file(till: Till, tmp_path: Path) -> None:
    """A child that outlives its parent does not keep anybody from taking over what the parent left."""
    till.down = BUSY
    work = (
        "client.report('acme', 'api.call')\n"
        "if os.fork() == 0:\n"
        "    import time; os.close(1); os.close(2); time.sleep(5); os._exit(0)\n"
    )
    killed(till, tmp_path, work)
    till.down = None
    with till.client(cache=tmp_path):
        until(lambda: len(till.events) == 1, 3.0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"at": datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001 that is what is wrong
        ({"data": {"size": float("nan")}}, "finite"),
        ({"quantity": 1.5}, "float"),
        ({"id": ""}, "no id"),
        ({"source": "a\nb"}, "no source"),
        ({"data": {"text": "x" * 70_000}}, "bytes"),
        ({"user": 7}, "user must be text"),
        ({"data": dict.fromkeys(map(str, range(101)), 1)}, "101 fields"),
    ],
)
def test_what_cannot_be_read(till: Till, wrong: dict[str, Any], words: str) -> None:
    """What no server would take is refused where it is reported, and not kept."""
    with till.client() as client:
        with pytest.raises(ValueError, match=words):
            client.report("acme", "api.call", **wrong)
        assert client.reports.waiting == 0


async def test_the_async_twin_reports(till: Till, tmp_path: Path) -> None:
    """An AsyncClient keeps and tells in the same way; what it leaves, the next one tells."""
    till.down = BUSY
    async with till.async_client(cache=tmp_path) as client:
        for _ in range(5):
            assert await client.report("acme", "api.call")
        assert not await client.flush(0.1)
    till.down = None
    async with till.async_client(cache=tmp_path) as client:
        await client.report("acme", "api.call")
        assert await client.flush()
        assert client.reports.durable
    assert len(till.events) == 6


def test_what_was_assumed_is_told_later(till: Till, tmp_path: Path) -> None:
    """What a client allows without its server is consumed under the same key once the server is back: counted once."""
    with till.client(cache=tmp_path, unreachable={"ai": "allow"}, timeout=1.0) as client:
        till.cut_after = 100
        usage = client.consume("acme", "ai", 3)
        assert usage
        assert (usage.assumed, usage.id, usage.taken) == (True, None, 3)
        refused = client.consume("acme", "other")
        assert (bool(refused), refused.assumed, refused.reason) == (False, True, "snapshot_expired")
        till.cut_after = 0
        assert client.flush()
        assert till.counted("acme", "ai") == 3
        assert {one["key"] for one in till.told("/consume") if one["feature"] == "ai"} == {usage.key}


def test_an_assumed_reservation(till: Till) -> None:
    """A block runs on what was assumed; what it came to is told later, and nothing where it came to nothing."""
    with till.client(unreachable={"ai": "allow"}, timeout=0.3) as client:
        till.down = BUSY
        with client.reserve("acme", "ai", 40, also={"images": 2}) as held:
            assert held.settle(25).later
        with client.reserve("acme", "ai", 40):
            pass
        till.down = None
        assert client.flush()
    assert (till.counted("acme", "ai"), till.counted("acme", "images")) == (25, 2)


def test_a_settle_that_cannot_be_told(till: Till, tmp_path: Path) -> None:
    """What a reservation came to is kept where the server is gone, and settled by the next process if need be."""
    with till.client(cache=tmp_path, timeout=0.3) as client:
        with client.reserve("acme", "ai", 40) as held:
            till.down = BUSY
            assert held.settle(25).later
        assert till.told("/release") == []
    till.down = None
    with till.client(cache=tmp_path):
        until(lambda: till.counted("acme", "ai") == 25)


def test_a_consume_that_is_wrong_is_given_up(till: Till, caplog: pytest.LogCaptureFixture) -> None:
    """What was assumed and is refused when it is told is counted as refused; it does not hold up what follows."""
    till.limits["ai"] = 0
    with till.client(unreachable={"ai": "allow"}, timeout=0.3) as client:
        till.down = BUSY
        client.consume("acme", "ai")
        client.report("acme", "api.call")
        till.down = None
        assert client.flush()
        assert client.reports.refused == 1
    assert len(till.events) == 1
    assert "refused when the server could be asked" in caplog.text


def test_nothing_is_assumed_unless_said(till: Till) -> None:
    """What the server cannot take is no reason to assume anything."""
    with till.client(unreachable={"ai": "allow"}) as client:
        till.refuse = [(400, "invalid", {})]
        with pytest.raises(Invalid):
            client.consume("acme", "ai")
        assert client.reports.waiting == 0
