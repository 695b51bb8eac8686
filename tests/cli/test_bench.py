"""Benches: one format, honest about what was not measured and about machines that were disturbed."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from licet.cli.bench.checking import bench_check
from licet.cli.bench.explaining import bench_explain
from licet.cli.bench.machine import Machine, cpu_seconds, fsync_per_second
from licet.cli.bench.order_to_access import bench_order_to_access
from licet.cli.bench.previewing import bench_preview
from licet.cli.bench.result import Result, report
from licet.cli.output import Output

FIELDS = {"name", "value", "unit", "baseline", "ratio", "spread", "cpu_us", "goal", "ok"}


def document_of(text: str) -> dict[str, Any]:
    """Return the one object of a bench after checking what all benches share."""
    found: dict[str, Any] = json.loads(text)
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
    assert "core" in found["through"]
    assert [result["name"] for result in found["results"]] == ["on_off", "metered", "random_100k"]
    for result in found["results"]:
        assert result["unit"] == "µs"
        assert result["spread"][0] <= result["value"] <= result["spread"][1]
        assert result["ratio"] == pytest.approx(result["value"] / result["baseline"], rel=0.01)
        assert result["cpu_us"] > 0
    assert [result["goal"] for result in found["results"]] == [0.6, 1.5, 2.5]


@pytest.mark.slow
def test_order_to_access_is_measured_over_http() -> None:
    """Signed orders give access on a real server; what cannot be measured yet is null, with a note, and not ok."""
    stream = io.StringIO()
    bench_order_to_access(Output(as_json=True, stream=stream), turns=2, orders=5)
    found = document_of(stream.getvalue())
    http, sdk = found["results"]
    assert http["name"] == "http_p99"
    assert 0 < http["value"] < 1000
    assert http["ok"]
    assert (sdk["name"], sdk["value"], sdk["ok"]) == ("sdk_p99", None, False)
    assert "Client" in sdk["note"]


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
