"""Bench ``overshoot``: a hard cap, and processes that decide by themselves, are killed, stopped, cut off and misled.

At the end the hub's balance, which says what it charged, is compared with what the processes counted, which is what
was let in.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from msgspec import Struct, structs, to_builtins

from licet.cli.bench.adding_up import Counted, notes_of, results_of, sum_up
from licet.cli.bench.crew import Crew, Member, Where, balance_of, leases_of
from licet.cli.bench.cutter import Cutter, Trouble
from licet.cli.bench.machine import Machine
from licet.cli.bench.naive import Naive, overshoot_of_naive
from licet.cli.bench.result import report
from licet.cli.companion import Companion
from licet.cli.demo.stage import WORKSPACE
from licet.cli.failure import NO, Ended
from licet.cli.fresh import BENCH, clear, fresh_settings, sweep
from licet.cli.output import Output
from licet.cli.remote import Remote
from licet.settings import Settings

LIMIT: Final = 10_000
NAIVE_LIMIT: Final = 1_000
COUNTS: Final = (1, 2, 4, 8, 32)
PER_SECOND: Final = 500.0
FEATURE: Final = "calls"
EVENT: Final = "api.call"
THROUGH: Final = "Client.consume(customer, feature) of `decide: local` in real processes, through a line that is cut"
START_SECONDS: Final = 90.0
STALL_SECONDS: Final = 3.0
"""Nothing more was let in for so long: everybody is refused."""
STOPPED_SECONDS: Final = 3.0
"""Longer than a refill, which is asked for again after a second or so."""
GONE_SECONDS: Final = 1.5
HOUR: Final = 3600
ENOUGH: Final = 0.45
"""Of the limit, by when everybody should have been killed."""
LAPSE_SECONDS: Final = 170.0
"""The life of a lease, two minutes, and what the server takes to notice."""
RUN_SECONDS: Final = 150.0
CATALOG: Final = {
    "version": 1,
    "products": {"bench": {"name": "Bench"}},
    "meters": {FEATURE: {"event": EVENT, "aggregate": "sum"}},
    "features": {FEATURE: {"type": "metered", "meter": FEATURE, "per": "year", "at_limit": "block", "decide": "local"}},
}


class Dose(Struct, frozen=True, kw_only=True):
    """How much is done. Without ``lapse`` nobody waits until leases of processes that are gone are over."""

    counts: tuple[int, ...] = COUNTS
    limit: int = LIMIT
    naive_limit: int = NAIVE_LIMIT
    per_second: float = PER_SECOND
    lapse: bool = True
    trouble: Trouble = Trouble()
    stall: float = STALL_SECONDS
    stopped: float = STOPPED_SECONDS
    gone: float = GONE_SECONDS
    seed: int = 7


QUICK: Final = Dose(counts=(1, 2, 8), per_second=1_500.0, lapse=False)


class Site:
    """The server, which may be killed, and the line to it."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self._settings = settings
        self._server = Companion(settings)
        stack.callback(self.stop)
        self.url = self._server.start()
        self.port = settings.port
        self.home = self._server.home.home
        self.key = self._server.home.keys()[WORKSPACE]

    def kill(self) -> None:
        """Kill the server (SIGKILL) and start it again at the same port."""
        os.kill(self._server.pid, signal.SIGKILL)
        self._server.stop()
        self._server = Companion(self._settings)
        self._server.start()

    def stop(self) -> None:
        """Stop it."""
        self._server.stop()


def bench_overshoot(out: Output, *, quick: bool = False, dose: Dose | None = None) -> None:
    """Measure on a server of its own and report; raises Ended(1) where a unit too many was let in or one is missing."""
    machine, dose = Machine(), dose or (QUICK if quick else Dose())
    sweep(BENCH)
    settings = structs.replace(fresh_settings(BENCH), port=_free_port())
    try:
        with ExitStack() as stack:
            site = Site(settings, stack)
            _release(site, dose)
            runs = [stack.enter_context(_run(site, size, dose)) for size in dose.counts]
            for run in runs:
                run.spend()
            if dose.lapse:
                _wait_for_lapse(site, [run.customer for run in runs])
            for run in runs:
                run.finish()
            measured = machine.document(site.home)
            found = [run.counted for run in runs]
    finally:
        clear(Companion(settings).home.home)
    more = {"counts": to_builtins(found)}
    report(out, "overshoot", measured, results_of(found), through=THROUGH, notes=notes_of(found), more=more)
    if any(one.wrong for one in found):
        raise Ended(NO)


class Run:
    """One number of processes: what is done to them, and what comes of it."""

    def __init__(self, site: Site, crew: Crew, line: Cutter, customer: str, dose: Dose) -> None:
        self.customer = customer
        self.counted = Counted(processes=len(crew.members), limit=dose.limit, naive_limit=dose.naive_limit)
        self._site = site
        self._crew = crew
        self._line = line
        self._dose = dose
        self._sleeper: Member | None = None
        self._killed: set[Member] = set()
        self._held_back: list[Member] = []
        self._resume: list[tuple[float, Member]] = []
        self._seconds = 0.0

    def spend(self) -> None:
        """Let all of them use what there is, with everything that happens to them."""
        counted, crew = self.counted, self._crew
        counted.naive_overshoot = overshoot_of_naive(
            Naive(
                url=self._site.url,
                key=self._site.key,
                customer=f"naive-{counted.processes}",
                feature=FEATURE,
                event=EVENT,
                limit=self._dose.naive_limit,
                processes=counted.processes,
                per_second=self._dose.per_second,
            )
        )
        crew.start(START_SECONDS)
        began = time.monotonic()
        self._go(self._plan(), began + RUN_SECONDS)
        self._seconds = time.monotonic() - began - self._dose.stall
        counted.per_s = round(crew.admitted / self._seconds, 1)
        self._line.be(Trouble(cut=0, late=0))
        leaving = [member for member in crew.members if member is not self._sleeper]
        counted.closed_cleanly += crew.leave(leaving)

    def finish(self) -> None:
        """Let the one that slept go on and use what came back; when it has left as well, all is summed up."""
        counted, crew = self.counted, self._crew
        sleeper = self._sleeper
        if sleeper is not None:
            with Remote(self._site.url, self._site.key) as remote:
                lapsed = [one for one in leases_of(remote, self.customer) if one["state"] == "escheated"]
            counted.slept_past_lease = int(self._dose.lapse and bool(lapsed))
            sleeper.go_on()
            self._go([], time.monotonic() + RUN_SECONDS / 3)
            counted.closed_cleanly += crew.leave([sleeper])
        slept = sleeper is not None and counted.slept_past_lease > 0
        counted.cuts, counted.late = self._line.cuts, self._line.late
        counted.seconds = round(self._seconds, 1)
        with Remote(self._site.url, self._site.key) as remote:
            told, leases = balance_of(remote, self.customer, FEATURE), leases_of(remote, self.customer)
        counted.last_words = crew.last_words()
        sum_up(counted, crew.rows(), told, leases)
        if self._dose.lapse and not slept:
            counted.wrong.append("no process was stopped for longer than its lease lasted")

    def _go(self, plan: list[tuple[float, Callable[[], bool]]], until: float) -> None:
        """Do what is planned as more and more is used, until nobody is let in any more."""
        crew, limit = self._crew, self._dose.limit
        before, moved = crew.admitted, time.monotonic()
        while (now := time.monotonic()) < until and (now - moved < self._dose.stall or self._resume):
            if crew.admitted != before:
                before, moved = crew.admitted, now
            self._wait_for_kills(before)
            due = [one for one in plan if before >= one[0] * limit]
            for one in due:
                if one[1]():
                    plan.remove(one)
                    moved = time.monotonic()
            for at, member in [one for one in self._resume if one[0] <= now]:
                member.go_on()
                self._resume.remove((at, member))
                moved = now
            time.sleep(0.02)
        for member in [*(one for _, one in self._resume), *self._held_back]:
            member.go_on()
        self._resume.clear()
        self._held_back.clear()

    def _wait_for_kills(self, admitted: int) -> None:
        """Once much is used, let those alone go on that were not killed yet: there has to be something to own."""
        waits = len(self._killed) < len(self._crew.members) and admitted >= ENOUGH * self._dose.limit
        if not waits:
            for member in self._held_back:
                member.go_on()
            self._held_back.clear()
            return
        for member in self._killed:
            if not member.stopped and member.ready:
                member.stop()
                self._held_back.append(member)

    def _plan(self) -> list[tuple[float, Callable[[], bool]]]:
        """Return what happens, each at its part of the limit; what could not be done then is tried again."""
        members = self._crew.members
        kills = [
            (0.04 + 0.4 * member.place / len(members), lambda member=member: self._kill(member)) for member in members
        ]
        stops = [
            (0.06 + 0.4 * member.place / len(members), lambda member=member: self._stop(member))
            for member in members[::-1][::2]
        ]
        clocks = [(0.08 + 0.1 * turn, lambda turn=turn: self._turn_clocks(turn)) for turn in range(7)]
        gone = [(part, self._be_gone) for part in (0.6, 0.8)]
        rest: list[tuple[float, Callable[[], bool]]] = [(0.68, self._kill_server), (0.55, self._lay_down)]
        return sorted([*kills, *stops, *clocks, *gone, *rest], key=lambda one: one[0])

    def _kill(self, member: Member) -> bool:
        if not member.kill_holding():
            return False
        self._killed.add(member)
        self.counted.kills += 1
        member.start()
        return True

    def _stop(self, member: Member) -> bool:
        if not self._may_stop(member):
            return False
        self.counted.stops += 1
        self._resume.append((time.monotonic() + self._dose.stopped, member))
        return True

    def _turn_clocks(self, turn: int) -> bool:
        """Step the wall clocks by an hour or two: some are ahead of the machine's, some behind, some right."""
        for member in self._crew.members:
            member.turn_clock((0, HOUR, -HOUR)[(member.place + turn) % 3])
            self.counted.clock_steps += 1
        return True

    def _be_gone(self) -> bool:
        self._line.be_gone(True)
        time.sleep(self._dose.gone)
        self._line.be_gone(False)
        return True

    def _kill_server(self) -> bool:
        self._site.kill()
        self.counted.server_kills += 1
        return True

    def _lay_down(self) -> bool:
        """Stop one for longer than what it owns lasts; it goes on at the very end."""
        member = self._crew.members[-1]
        if not self._may_stop(member):
            return False
        self.counted.stops += 1
        self._sleeper = member
        return True

    def _may_stop(self, member: Member) -> bool:
        """Stop one that was killed before, so that nothing keeps anybody from being killed."""
        return member in self._killed and not member.stopped and member.stop_holding()


@contextmanager
def _run(site: Site, size: int, dose: Dose) -> Iterator[Run]:
    customer = f"capped-{size}"
    with Cutter(site.port, dose.trouble, dose.seed + size) as line:
        where = Where(
            url=line.url,
            key=site.key,
            customer=customer,
            feature=FEATURE,
            per_second=dose.per_second,
            folder=site.home / "crews" / customer,
        )
        with Crew(size, where) as crew:
            yield Run(site, crew, line, customer, dose)


def _release(site: Site, dose: Dose) -> None:
    """Release the catalog and sell each number of processes two customers: one with the cap, one for the naive way."""
    versions = {"capped": dose.limit, "naive": dose.naive_limit}
    plans = {
        name: {"product": "bench", "versions": {"2026-01": {"includes": {FEATURE: amount}}}}
        for name, amount in versions.items()
    }
    with Remote(site.url, site.key) as remote:
        remote.call("PUT", "/v1/catalog", {**CATALOG, "plans": plans}, query={"base": 0})
        for size in dose.counts:
            for plan in versions:
                customer = f"{plan}-{size}"
                remote.call("POST", "/v1/customers", {"id": customer})
                remote.call("POST", f"/v1/customers/{customer}/subscriptions", {"items": [{"plan": plan}]})


def _wait_for_lapse(site: Site, customers: list[str]) -> None:
    """Wait until no lease is open any more: their owners are gone, or stopped."""
    ends = time.monotonic() + LAPSE_SECONDS
    with Remote(site.url, site.key) as remote:
        for customer in customers:
            while any(one["state"] == "open" for one in leases_of(remote, customer)) and time.monotonic() < ends:
                time.sleep(1)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
