"""Bench ``check_http``: checks over HTTP on one core, hot and cold, beside a bare handler on the same core."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import Any, Final, NamedTuple

import msgspec

from licet.cli.bench.apart import apart
from licet.cli.bench.load import Load, Loaded
from licet.cli.bench.machine import Machine, cpu_seconds
from licet.cli.bench.result import Result, report
from licet.cli.companion import Companion
from licet.cli.demo.stage import WORKSPACE, catalog_path
from licet.cli.failure import Failure
from licet.cli.fresh import BENCH, clear, fresh_settings, sweep
from licet.cli.output import Output
from licet.cli.remote import Remote, problem_of

CONNECTIONS: Final = 32
ROUNDS: Final = 5
SECONDS: Final = 2.0
GOAL_PER_S: Final = 20_000.0
GOAL_RATIO: Final = 0.6
GOAL_P99_RATIO: Final = 2.0
FEATURES: Final = ("projects", "api_calls", "scenario_planning")
THROUGH: Final = "POST /v1/check on kept connections, one question each, no pipelining"
_WARM_UPS: Final = 5


class Turn(NamedTuple):
    """One round of one subject: what came, and the server's processor time per answer in µs."""

    loaded: Loaded
    cpu_us: float | None


class HotResult(Result, frozen=True, kw_only=True):
    """A figure that must reach its goal and a share of its baseline."""

    @property
    def ok(self) -> bool:
        """Whether both are met."""
        enough = self.value is not None and bool(self.baseline) and self.value / (self.baseline or 1) >= GOAL_RATIO
        return super().ok and enough


class Cores(NamedTuple):
    """Where the server runs and where the load: two different cores, or None where there is only one."""

    server: int | None
    load: int | None


def bench_check_http(
    out: Output, *, turns: int = ROUNDS, seconds: float = SECONDS, connections: int = CONNECTIONS
) -> None:
    """Measure on a server of its own and report; each subject runs ``turns`` times for ``seconds``."""
    machine = Machine()
    sweep(BENCH)
    cores = _cores()
    server = Companion(fresh_settings(BENCH))
    try:
        url = server.start()
        port, key = int(url.rpartition(":")[2]), server.home.keys()[WORKSPACE]
        questions = _set_up(url, key, connections)
        _pin(server.pid, cores.server)
        hot = tuple(_request("/v1/check", key, one) for one in questions)
        cold = tuple(_request("/v1/check?at_least=0", key, one) for one in questions)
        for _ in range(_WARM_UPS):
            _put(Load(port=port, requests=hot, seconds=0.2, core=cores.load))
        before = _hot_count(url)
        with _bare(url, key, questions) as (bare_port, bare_pid):
            _pin(bare_pid, cores.server)
            rounds: dict[str, list[Turn]] = {"bare": [], "hot": [], "cold": []}
            for _ in range(turns):
                for name, pid, load in (
                    ("bare", bare_pid, Load(port=bare_port, requests=hot, seconds=seconds, core=cores.load)),
                    ("hot", server.pid, Load(port=port, requests=hot, seconds=seconds, core=cores.load)),
                    ("cold", server.pid, Load(port=port, requests=cold, seconds=seconds / 2, core=cores.load)),
                ):
                    rounds[name].append(_turn(pid, load))
        share = (_hot_count(url) - before) / sum(one.loaded.answers for one in rounds["hot"])
        measured = machine.document(server.home.home)
    finally:
        server.stop()
        clear(server.home.home)
    if share < 0.9:
        raise Failure(f"only {share:.0%} of the answers were hot", code="not_hot")
    report(out, "check_http", measured, _results(rounds), through=THROUGH, notes=_notes(rounds, cores, share, seconds))


def _cores() -> Cores:
    own = sorted(os.sched_getaffinity(0))
    return Cores(own[0], own[1]) if len(own) > 1 else Cores(None, None)


def _pin(pid: int, core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(pid, {core})


def _set_up(url: str, key: str, many: int) -> list[Mapping[str, str]]:
    """Sell a plan to as many customers as there are connections, and return one question about each."""
    with Remote(url, key) as remote:
        headers: dict[str, str | bytes] = {"Content-Type": "application/yaml"}
        answer = remote.raw("PUT", "/v1/catalog", query={"base": 0}, body=catalog_path().read_bytes(), headers=headers)
        if answer.status >= 400:
            raise problem_of(answer)
        for number in range(many):
            order = {
                "source": "crm",
                "external_id": f"deal-{number}",
                "customer": {"id": f"customer-{number}"},
                "occurred_at": "2026-08-01T00:00:00Z",
                "lines": [{"plan": "business", "quantity": 5}],
            }
            remote.call("POST", "/v1/orders", order)
    return [{"customer": f"customer-{number}", "feature": FEATURES[number % len(FEATURES)]} for number in range(many)]


def _request(path: str, key: str, question: Mapping[str, str]) -> bytes:
    body = msgspec.json.encode(question)
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


@contextmanager
def _bare(url: str, key: str, questions: list[Mapping[str, str]]) -> Iterator[tuple[int, int]]:
    """Run the bare handler with the decisions that the server gives; yields its port and process id."""
    decisions: list[Any] = []
    with Remote(url, key) as remote:
        decisions.extend(remote.call("POST", "/v1/check", one) for one in questions)
    command = [sys.executable, "-m", "licet.cli.bench.bare"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        if child.stdin is None or child.stdout is None:
            raise AssertionError("pipes were asked for")
        child.stdin.write(msgspec.json.encode(decisions) + b"\n")
        child.stdin.flush()
        try:
            yield int(child.stdout.readline()), child.pid
        finally:
            child.stdin.close()
            child.terminate()


def _put(load: Load) -> Loaded:
    """Let a process of its own put a load on a server."""
    return apart("load", load, Loaded, seconds=load.seconds)


def _turn(pid: int, load: Load) -> Turn:
    before = cpu_seconds(pid)
    loaded = _put(load)
    after = cpu_seconds(pid)
    cpu = None if before is None or after is None else (after - before) / loaded.answers * 1e6
    return Turn(loaded, cpu)


def _hot_count(url: str) -> int:
    with Remote(url, None) as remote:
        text = remote.raw("GET", "/metrics").body.decode()
    found = re.search(r"^licet_http_requests_hot_total (\S+)$", text, re.MULTILINE)
    return 0 if found is None else int(float(found[1]))


def _results(rounds: dict[str, list[Turn]]) -> list[Result]:
    bare = median(one.loaded.per_s for one in rounds["bare"])
    ratios = [hot.loaded.p99 / bare.loaded.p99 for hot, bare in zip(rounds["hot"], rounds["bare"], strict=True)]
    return [
        HotResult(**_speed(rounds["hot"], "hot", bare), goal=GOAL_PER_S, at_least=True),
        Result(
            name="hot_p99_ratio",
            value=round(median(ratios), 3),
            unit="×",
            spread=(round(min(ratios), 3), round(max(ratios), 3)),
            goal=GOAL_P99_RATIO,
        ),
        Result(**_speed(rounds["cold"], "cold", bare)),
    ]


def _speed(turns: list[Turn], name: str, bare: float) -> dict[str, Any]:
    speeds = [round(one.loaded.per_s, 1) for one in turns]
    cpus = [one.cpu_us for one in turns if one.cpu_us is not None]
    return {
        "name": name,
        "value": median(speeds),
        "unit": "req/s",
        "baseline": round(bare, 1),
        "spread": (min(speeds), max(speeds)),
        "cpu_us": round(median(cpus), 1) if cpus else None,
    }


def _notes(rounds: dict[str, list[Turn]], cores: Cores, share: float, seconds: float) -> list[str]:
    def middle(name: str) -> str:
        turns = rounds[name]
        p50, p99 = (median(getattr(one.loaded, part) for one in turns) for part in ("p50", "p99"))
        cpus = [one.cpu_us for one in turns if one.cpu_us is not None]
        return f"{name} {p50:.2f}/{p99:.2f} ms" + (f", {median(cpus):.1f} µs cpu" if cpus else "")

    where = (
        "servers on one core, the load on another" if cores.server is not None else "all on one core: not to be quoted"
    )
    return [
        f"{len(rounds['hot'])} rounds of {seconds:g} s, interleaved; {where}; hot must also reach {GOAL_RATIO} of bare",
        f"p50/p99: {'; '.join(middle(name) for name in rounds)}; {share:.2%} of the hot answers were hot",
        "no rate limit and no access lines (log level warning); checks are counted and metrics kept as always",
        "nobody writes meanwhile: each commit through the same process makes its workspace cold for some milliseconds",
    ]
