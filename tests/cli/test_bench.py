"""Benches: one format, honest about what was not measured and about machines that were disturbed."""

import io
import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from licet.cli.bench import consume_local, overshooting
from licet.cli.bench.adding_up import Counted, sum_up
from licet.cli.bench.check_http import bench_check_http
from licet.cli.bench.checking import bench_check
from licet.cli.bench.consume_http import Dose, bench_consume_http
from licet.cli.bench.counters import Count, Counters
from licet.cli.bench.crew import MOST_STARTS, Crew, Where
from licet.cli.bench.events import bench_events
from licet.cli.bench.explaining import bench_explain
from licet.cli.bench.machine import Machine, cpu_seconds, fsync_per_second
from licet.cli.bench.order_to_access import bench_order_to_access
from licet.cli.bench.previewing import bench_preview
from licet.cli.bench.propagating import Load, bench_propagation
from licet.cli.bench.result import Result, report
from licet.cli.bench.scaling import bench_scale
from licet.cli.bench.stranding import Stranding
from licet.cli.benches import MODULES, Bench
from licet.cli.output import Output
from tests.tidy.source import ROOT

PAGE = ROOT / "docs" / "operating" / "benches.md"
ROW = re.compile(r"^\| (?:`(\w+)`)? ?\| `(\w+)` \| (\S+) \| (?:[≤≥] ([\d.,]+) )?\|", re.MULTILINE)
LIMIT = 500
FIELDS = {"name", "value", "unit", "baseline", "ratio", "spread", "cpu_us", "goal", "ok"}


def documented() -> dict[str, list[tuple[str, str, float | None]]]:
    """Return what the page about benches says: of each its results, with unit and goal."""
    said: dict[str, list[tuple[str, str, float | None]]] = {}
    bench = ""
    for named, result, unit, goal in ROW.findall(PAGE.read_text("utf-8")):
        bench = named or bench
        said.setdefault(bench, []).append((result, unit, float(goal.replace(",", "")) if goal else None))
    return said


def document_of(text: str) -> dict[str, Any]:
    """Return the one object of a bench after checking what all benches share, and that the page says the same."""
    found: dict[str, Any] = json.loads(text)
    told = [(result["name"], result["unit"], result["goal"]) for result in found["results"]]
    assert documented()[found["bench"]] == told
    assert set(found["machine"]) == {"cpu", "steal_pct", "fsync_per_s"}
    for result in found["results"]:
        assert set(result) - {"note"} == FIELDS
        assert isinstance(result["ok"], bool)
    return found


def test_check_is_measured_beside_its_baseline() -> None:
    """The three results of `check` come with value, spread around it, baseline, ratio and processor time."""
    stream = io.StringIO()
    bench_check(Output(as_json=True, stream=stream), turns=2, many=2000)
    found = document_of(stream.getvalue())
    assert found["bench"] == "check"
    assert "Client.check" in found["through"]
    assert [result["name"] for result in found["results"]] == ["on_off", "metered", "random_100k"]
    for result in found["results"]:
        assert result["unit"] == "µs"
        assert result["spread"][0] <= result["value"] <= result["spread"][1]
        assert result["ratio"] == pytest.approx(result["value"] / result["baseline"], rel=0.01)
        assert result["cpu_us"] > 0
    assert [result["goal"] for result in found["results"]] == [0.6, 1.5, 2.5]


@pytest.mark.slow
def test_check_http_is_measured_beside_a_bare_handler() -> None:
    """Hot and cold checks on a real server, and a bare handler on the same core: speeds, ratio, processor time."""
    stream = io.StringIO()
    bench_check_http(Output(as_json=True, stream=stream), turns=2, seconds=0.3, connections=4)
    found = document_of(stream.getvalue())
    assert found["bench"] == "check_http"
    hot, tail, cold = found["results"]
    assert [(one["name"], one["goal"]) for one in found["results"]] == [
        ("hot", 20_000), ("hot_p99_ratio", 2), ("cold", None),
    ]  # fmt: skip
    assert hot["value"] > cold["value"] > 0
    assert hot["baseline"] == cold["baseline"] > hot["value"]
    assert hot["cpu_us"] > 0
    assert hot["ok"] == (hot["value"] >= 20_000 and hot["ratio"] >= 0.6)
    assert tail["spread"][0] <= tail["value"] <= tail["spread"][1]


@pytest.mark.slow
def test_order_to_access_is_measured_over_http_and_in_the_sdk() -> None:
    """Signed orders give access on a real server, asked over HTTP, and in another process that follows it."""
    stream = io.StringIO()
    bench_order_to_access(Output(as_json=True, stream=stream), turns=2, orders=5)
    found = document_of(stream.getvalue())
    assert [result["name"] for result in found["results"]] == ["http_p99", "sdk_p99"]
    for result in found["results"]:
        assert 0 < result["value"] < 1000
        assert result["spread"][0] <= result["spread"][1]
        assert result["ok"]


@pytest.mark.slow
def test_propagation_is_measured_from_commit_to_decision() -> None:
    """Changes on a real server are seen by processes with the SDK while others write; beside a bare notification."""
    stream = io.StringIO()
    load = Load(customers=60, processes=2, turns=2, changes=3, per_second=10)
    bench_propagation(Output(as_json=True, stream=stream), load=load)
    found = document_of(stream.getvalue())
    assert found["bench"] == "propagation"
    assert [(result["name"], result["unit"], result["goal"]) for result in found["results"]] == [
        ("p50", "ms", None), ("p99", "ms", 100.0),
    ]  # fmt: skip
    for result in found["results"]:
        assert 0 < result["baseline"] < result["value"]
        assert result["spread"][0] <= result["value"] <= result["spread"][1]


def test_scale_is_measured_beside_few_customers() -> None:
    """Many customers beside few: the ratio of their checks with that of a dict, and memory for a million of them."""
    stream = io.StringIO()
    bench_scale(Output(as_json=True, stream=stream), turns=2, few=100, many=4000)
    found = document_of(stream.getvalue())
    slowdown, memory = found["results"]
    assert (slowdown["name"], slowdown["unit"], slowdown["goal"]) == ("slowdown_1m", "×", 1.3)
    assert slowdown["spread"][0] <= slowdown["spread"][1]
    assert slowdown["value"] > 0
    assert (memory["name"], memory["unit"], memory["goal"]) == ("mib_per_1m", "MiB", 500.0)
    # What so few take drowns in what the test process takes for other things.
    assert memory["baseline"] > 100
    assert "4,000 customers beside 100" in found["notes"][0]


@pytest.mark.slow
def test_explain_is_measured_in_a_log_of_its_own() -> None:
    """Past instants are explained on a real server; both percentiles come with spread, baseline and processor time."""
    stream = io.StringIO()
    bench_explain(Output(as_json=True, stream=stream), events=4000, customers=3, turns=2, asked=10)
    found = document_of(stream.getvalue())
    assert found["bench"] == "explain"
    assert [(result["name"], result["unit"], result["goal"]) for result in found["results"]] == [
        ("p50", "ms", None), ("p99", "ms", None),
    ]  # fmt: skip
    median, last = found["results"]
    assert 0 < median["value"] <= last["value"]
    assert last["spread"][0] <= last["spread"][1]
    assert "4,000 events" in found["notes"][0]


@pytest.mark.slow
def test_a_preview_is_measured_on_customers_of_its_own() -> None:
    """Customers are judged on a real server; speed and memory come with spread, and speed beside plain reading."""
    stream = io.StringIO()
    bench_preview(Output(as_json=True, stream=stream), customers=250, turns=2)
    found = document_of(stream.getvalue())
    assert found["bench"] == "preview"
    speed, memory = found["results"]
    assert [(one["name"], one["unit"]) for one in (speed, memory)] == [("customers_per_s", "1/s"), ("mib", "MiB")]
    assert 0 < speed["value"] < speed["baseline"]
    assert speed["spread"][0] <= speed["value"] <= speed["spread"][1]
    assert memory["value"] is None or memory["value"] >= 0
    assert "by which 100 lose" in found["notes"][0]


@pytest.mark.slow
def test_consume_http_is_measured_beside_bare_updates() -> None:
    """Uses of one customer and of many on a real server, compared with the balance; beside PostgreSQL alone."""
    stream = io.StringIO()
    dose = Dose(turns=2, seconds=0.2, connections=4, customers=20)
    bench_consume_http(Output(as_json=True, stream=stream), dose=dose)
    found = document_of(stream.getvalue())
    assert found["bench"] == "consume_http"
    hot, tail, spread = found["results"]
    assert [(one["name"], one["unit"], one["goal"]) for one in found["results"]] == [
        ("hot_per_s", "1/s", 10_000), ("hot_p99", "ms", None), ("spread_per_s", "1/s", None),
    ]  # fmt: skip
    for result in (hot, tail, spread):
        assert result["spread"][0] <= result["value"] <= result["spread"][1]
        assert result["baseline"] > 0
    assert hot["cpu_us"] > 0
    assert "PostgreSQL" in found["notes"][0]


@pytest.mark.slow
def test_events_are_measured_beside_bare_inserts() -> None:
    """Batches of events on a real server, compared with the balances; processor time of the API and the database."""
    stream = io.StringIO()
    dose = Dose(turns=2, seconds=0.2, connections=2, customers=10)
    bench_events(Output(as_json=True, stream=stream), dose=dose, batch=50)
    found = document_of(stream.getvalue())
    assert found["bench"] == "events"
    speed, *parts = found["results"]
    assert (speed["name"], speed["unit"], speed["goal"]) == ("per_s", "1/s", 40_000)
    assert speed["spread"][0] <= speed["value"] <= speed["spread"][1]
    assert speed["baseline"] > 0
    assert [one["name"] for one in parts] == ["cpu_us", "cpu_us_api", "cpu_us_postgresql"]
    assert all(one["value"] > 0 for one in parts)


@pytest.mark.slow
def test_consume_local_is_measured_beside_a_dict_and_the_server() -> None:
    """Uses of owned quota in both clients, with a disk and without, new slices, and what lies unused near a limit."""
    stream = io.StringIO()
    stranding = Stranding(turns=1, processes=2, limit=300, per_second=300.0)
    dose = consume_local.Dose(turns=2, seconds=0.2, new=5, stranding=stranding)
    consume_local.bench_consume_local(Output(as_json=True, stream=stream), dose=dose)
    found = document_of(stream.getvalue())
    results = {one["name"]: one for one in found["results"]}
    for name, result in results.items():
        assert result["spread"][0] <= result["value"]
        assert name == "new_slice_p99" or result["value"] <= result["spread"][1]
    for name in ("per_s", "memory_per_s", "async_per_s"):
        assert 0 < results[name]["value"] < results[name]["baseline"]
        assert results[name]["cpu_us"] > 0
    assert results["decision"]["value"] < results["decision"]["baseline"]
    assert results["refills_per_s"]["value"] > 0
    assert 0 <= results["stranded"]["value"] < 10


@pytest.mark.slow
def test_overshoot_is_measured_against_what_processes_counted() -> None:
    """Two processes are killed, stopped and cut off: no unit too many is let in, and each one is accounted for."""
    stream = io.StringIO()
    dose = overshooting.Dose(
        counts=(2,), limit=LIMIT, naive_limit=50, per_second=300.0, lapse=False, stall=1.0, stopped=1.0, gone=0.3
    )
    overshooting.bench_overshoot(Output(as_json=True, stream=stream), dose=dose)
    found = document_of(stream.getvalue())
    assert [one["value"] for one in found["results"][:2]] == [0, 0]
    (counted,) = found["counts"]
    assert (counted["kills"], counted["server_kills"], counted["wrong"]) == (2, 1, [])
    assert 0 < counted["decided_locally"] <= counted["admitted"] <= counted["limit"] == counted["accounted"] == LIMIT
    assert counted["admitted"] + counted["remaining"] <= LIMIT
    assert counted["cuts"] > 0


def test_what_does_not_add_up_is_said(tmp_path: Path) -> None:
    """One unit too many, one that nobody let in, one that nobody charged: each is found, and nothing else is."""
    with Crew(1, Where(url="", key="", customer="", feature="", per_second=1, folder=tmp_path)) as crew:
        counters = Counters(tmp_path / "counters", MOST_STARTS)
        counters.put(0, Count.ASKED, 9)
        counters.put(0, Count.ADMITTED, 8)

        def wrong(**told: int) -> list[str]:
            counted = Counted(processes=1, limit=10, kills=1, closed_cleanly=1)
            leases = [{"used": 0, "outstanding": 0, "written_off": told.get("written_off", 0), "state": "escheated"}]
            sum_up(counted, crew.rows(), {"remaining": 0, "leased": 0, "written_off": 0, "deficit": 0, **told}, leases)
            return counted.wrong

        assert wrong(used=8, remaining=2) == []
        assert wrong(used=10, written_off=3) == []
        assert wrong(used=9, remaining=1) == []
        assert "were let in and not told of" in wrong(used=7, remaining=3)[0]
        assert "are recorded as used" in wrong(used=10, remaining=0)[0]
        assert "9 of 10 are accounted for" in wrong(used=8, remaining=1)[0]
        counters.put(0, Count.ADMITTED, 11)
        assert "1 units too many" in wrong(used=11, remaining=0)[0]
        counters.close()


def test_every_bench_has_its_place() -> None:
    """The command, its modules and the page name the same benches; those that were designed keep names and goals."""
    assert set(documented()) == {bench.value for bench in Bench} == {bench.value for bench in MODULES}
    for bench, module in MODULES.items():
        assert callable(getattr(import_module(f"licet.cli.bench.{module}"), f"bench_{bench.value}"))
    designed: dict[str, dict[str, float | None]] = {
        "check": {"on_off": 0.6, "metered": 1.5, "random_100k": 2.5},
        "check_http": {"hot": 20_000, "hot_p99_ratio": 2, "cold": None},
        "scale": {"slowdown_1m": 1.3, "mib_per_1m": 500},
        "propagation": {"p50": None, "p99": 100},
        "order_to_access": {"http_p99": 1000, "sdk_p99": 1000},
        "consume_http": {"hot_per_s": 10_000, "hot_p99": None, "spread_per_s": None},
        "consume_local": {
            "per_s": 300_000,
            "memory_per_s": None,
            "async_per_s": None,
            "decision": None,
            "new_slice_p99": None,
            "refills_per_s": None,
            "stranded": 1,
        },
        "overshoot": {"overshoot": 0, "unaccounted": 0, "admitted_least": 90, "lost_most": None},
        "events": {"per_s": 40_000, "cpu_us": None, "cpu_us_api": None, "cpu_us_postgresql": None},
    }
    for name, results in designed.items():
        assert {result: goal for result, _, goal in documented()[name]} == results


@pytest.mark.parametrize(
    ("value", "goal", "at_least", "ok"),
    [
        (1.0, 1.0, False, True),
        (1.1, 1.0, False, False),
        (9.0, 10.0, True, False),
        (10.0, 10.0, True, True),
        (5.0, None, False, True),
    ],
)
def test_goals_are_bounds(value: float, goal: float | None, at_least: bool, ok: bool) -> None:
    """A goal is an upper bound, or a lower one where more is better; exactly the goal meets it."""
    assert Result(name="x", value=value, unit="ms", goal=goal, at_least=at_least).ok is ok


def test_a_disturbed_run_says_so() -> None:
    """A run with more than 4 % stolen time tells that it is not to be quoted, as text and as JSON."""
    result = Result(name="x", value=1.0, unit="ms", goal=2.0)
    for as_json in (True, False):
        stream = io.StringIO()
        machine = {"cpu": "c", "steal_pct": 4.2, "fsync_per_s": None}
        report(Output(as_json=as_json, stream=stream), "x", machine, [result], through="t", notes=[])
        assert "not to be quoted" in stream.getvalue()
    stream = io.StringIO()
    report(Output(stream=stream), "x", {**machine, "steal_pct": 4.0}, [result], through="t", notes=[])
    assert "not to be quoted" not in stream.getvalue()
    assert "≤ 2" in stream.getvalue()


def test_the_machine_is_described(tmp_path: Path) -> None:
    """Durable writes are measured where asked, stolen time over the run; what cannot be measured is null."""
    machine = Machine().document(tmp_path)
    assert machine["cpu"].split("×")[1].strip().isdigit()
    assert machine["fsync_per_s"] > 0
    assert machine["steal_pct"] is None or 0 <= machine["steal_pct"] <= 100
    assert fsync_per_second(tmp_path / "absent") is None
    assert cpu_seconds(2**22 + 5) is None
