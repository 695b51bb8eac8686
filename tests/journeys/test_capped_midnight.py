"""A cap that is raised, cut below what is out, and renewed in a night of summer time, while eight evaluators use it."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from licet import Client
from licet.cli.bench.counters import Count, Counters, Row
from licet.cli.bench.crew import Crew, Where
from licet.cli.bench.spender import Spending
from licet.cli.remote import Remote
from tests.cli.terminal import Shop
from tests.dose import dose

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

BERLIN: Final = ZoneInfo("Europe/Berlin")
FEATURE: Final = "calls"
EACH_DAY: Final = {"team": 600, "small": 200}
GIVEN: Final = 100
REPORTED: Final = 100
"""Used elsewhere, beyond what there is then."""
PROCESSES: Final = dose(2, full=8)
"""Real ones; the others are clients of their own in this process."""
EVALUATORS: Final = 8
PER_SECOND: Final = 400.0
PATIENCE: Final = 60.0
IN_FLIGHT: Final = 1.0
"""What was being decided while a limit was cut is decided by then, and shown as a deficit where it was too much."""
CATALOG: Final[dict[str, Any]] = {
    "version": 1,
    "products": {"suite": {"name": "Suite"}},
    "meters": {FEATURE: {"event": "api.call", "aggregate": "sum"}},
    "features": {FEATURE: {"type": "metered", "meter": FEATURE, "per": "day", "decide": "local"}},
    "plans": {
        plan: {"product": "suite", "versions": {"2026-01": {"includes": {FEATURE: amount}}}}
        for plan, amount in EACH_DAY.items()
    },
}


class Night:
    """A customer in Berlin, the clock of its workspace, and what is known of its balance."""

    def __init__(self, remote: Remote, name: str, sunday: date) -> None:
        self.remote = remote
        self.customer = name
        self.sunday = sunday
        self.path = f"/v1/customers/{name}"
        remote.call("POST", "/v1/customers", {"id": name, "profile": {"zone": "Europe/Berlin"}})
        self.go_to(-1, 20, 0, 0)
        remote.call("POST", f"{self.path}/subscriptions", {"items": [{"plan": "team"}]})
        (sold,) = remote.call("GET", f"{self.path}/subscriptions")["items"]
        self.subscription = sold["id"]

    def go_to(self, day: int, hour: int, minute: int, second: int) -> None:
        """Move the clock to a time of day in Berlin, so many days from the Sunday on; it runs on from there."""
        there = datetime(self.sunday.year, self.sunday.month, self.sunday.day, hour, minute, second, tzinfo=BERLIN)
        self.remote.call("POST", "/v1/clock", {"to": (there + timedelta(days=day)).astimezone(UTC).isoformat()})

    def balance(self) -> dict[str, Any]:
        """How the balance stands."""
        found: dict[str, Any] = self.remote.call("GET", f"{self.path}/balances/{FEATURE}")
        return found

    def change(self, plan: str) -> None:
        """Let it have another plan from now on."""
        self.remote.call("POST", f"{self.path}/subscriptions/{self.subscription}/change", {"plan": plan})

    def report(self, quantity: int) -> None:
        """Report use that happened elsewhere: it counts, whatever is left."""
        event = {
            "specversion": "1.0",
            "id": self.customer,
            "source": "elsewhere",
            "type": "api.call",
            "subject": self.customer,
        }
        self.remote.call("POST", "/v1/events", event | {"data": {"quantity": quantity}})

    def facts(self) -> list[dict[str, Any]]:
        """Everything that was recorded of its use."""
        found: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            query = {"customer": self.customer, "limit": 500, **({"cursor": after} if after else {})}
            page = self.remote.call("GET", "/v1/usage/facts", query=query)
            found += page["items"]
            after = page["next"]
            if after is None:
                return found

    def wait(self, met: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first balance of which something is true."""
        ends = time.monotonic() + PATIENCE
        while not met(found := self.balance()):
            assert time.monotonic() < ends, found
            time.sleep(0.05)
        return found


class Period(Counter[str]):
    """What facts of one day come to, by what they are: ``used``, ``issued``, ``back``."""


def by_day(facts: list[dict[str, Any]]) -> dict[date, Period]:
    """Return what each day in Berlin comes to; what is told of a lease belongs to the day that it was issued on.

    What is given back once that day is over is nobody's any more: then ``back`` lacks it.
    """
    days: dict[date, Period] = defaultdict(Period)
    issued: dict[str, date] = {}
    for fact in facts:
        day = datetime.fromisoformat(fact["at"]).astimezone(BERLIN).date()
        if fact["kind"] == "lease":
            issued[fact["id"]] = day
            days[day]["issued"] += fact["asked"][FEATURE]
        elif fact["kind"] in ("return", "recovery"):
            found = days[issued[fact["of"]]]
            told = fact.get("metered", {}).get(FEATURE, 0) if fact["kind"] == "return" else 0
            found["used"] += told
            found["told"] += told
            found["back"] += fact.get("back", {}).get(FEATURE, 0)
        else:
            assert fact["kind"] in ("consume", "report"), fact
            days[day]["used"] += fact["metered"][FEATURE]
    return days


class Users:
    """Eight evaluators that use it: some are processes, the others threads with a client of their own each."""

    def __init__(self, shop: Shop, customer: str, folder: Path, stack: ExitStack) -> None:
        where = Where(
            url=shop.url,
            key=shop.keys["test"],
            customer=customer,
            feature=FEATURE,
            per_second=PER_SECOND * PROCESSES / EVALUATORS,
            folder=folder / "crew",
        )
        self._crew = stack.enter_context(Crew(PROCESSES, where))
        self._here = EVALUATORS - PROCESSES
        self._counters = Counters(folder / "here", EVALUATORS)
        self._clients: list[Client] = []
        self._threads: list[threading.Thread] = []
        stack.callback(self._end)
        for row in range(self._here):
            cache = folder / f"disk-{row}" if row % 2 else False
            made = Client(shop.url, shop.keys["test"], cache=cache, telemetry=False, quota_idle=1.0, close_timeout=20.0)
            task = {"row": row, "customer": customer, "feature": FEATURE, "per_second": PER_SECOND / EVALUATORS}
            self._clients.append(made)
            self._threads.append(threading.Thread(target=Spending(made, self._counters, task).run))

    def start(self) -> None:
        """Begin to use it, all of them."""
        self._crew.start(PATIENCE)
        for client in self._clients:
            client.wait_ready(PATIENCE)
        for thread in self._threads:
            thread.start()

    def leave(self) -> None:
        """Stop and give everything back; each has told all that it knows."""
        assert self._crew.leave(self._crew.members) == PROCESSES, self._crew.last_words()
        self._end()
        assert not any(client.quota.unsaid for client in self._clients)

    def _end(self) -> None:
        for row in range(self._here):
            self._counters.put(row, Count.LEAVE, 1)
        for thread in self._threads:
            if thread.is_alive():
                thread.join(PATIENCE)
        for client in self._clients:
            client.close()

    def rows(self) -> list[Row]:
        """What each of them has counted."""
        return [*self._crew.rows(), *(self._counters.row(row) for row in range(self._here))]


def sundays(count: int) -> list[date]:
    """Return the Sundays to come on which clocks in Berlin change."""
    found: list[date] = []
    day = datetime.now(UTC).astimezone(BERLIN).date() + timedelta(days=2)
    while len(found) < count:
        day += timedelta(days=1)
        noons = [datetime(one.year, one.month, one.day, 12, tzinfo=BERLIN) for one in (day - timedelta(days=1), day)]
        if noons[0].utcoffset() != noons[1].utcoffset():
            found.append(day)
    return found


@pytest.fixture
def remote(shop: Shop) -> Iterator[Remote]:
    """A connection of whoever operates the workspace."""
    with Remote(shop.url, shop.keys["test"], timeout=30.0) as opened:
        yield opened


def test_every_unit_of_a_night_in_which_clocks_change(shop: Shop, remote: Remote, tmp_path: Path) -> None:
    """Raised, cut below what is out, renewed at midnight and not at the hour that is missing or comes twice.

    What was let in is what is recorded, each day by itself, and never beyond what that day had.
    """
    remote.call("PUT", "/v1/catalog", CATALOG, query={"base": 0})
    for sunday in sundays(dose(1, full=2)):
        with ExitStack() as stack:
            night = Night(remote, f"berlin-{sunday}", sunday)
            users = Users(shop, night.customer, tmp_path / str(sunday), stack)
            users.start()
            live_through(night)
            users.leave()
            add_up(night, users.rows())


def live_through(night: Night) -> None:
    """Let the night happen, from eight in the evening until the midnight after next."""
    grant = {"feature": FEATURE, "amount": GIVEN, "note": "raised"}
    night.wait(lambda found: found["used"] >= 100)
    given = night.remote.call("POST", f"{night.path}/grants", grant)
    assert night.balance()["granted"] == EACH_DAY["team"] + GIVEN
    night.wait(lambda found: found["used"] >= 300)
    night.go_to(-1, 23, 59, 58)
    night.wait(lambda found: 0 < found["used"] < 250)
    night.wait(lambda found: found["used"] >= 350)
    night.remote.call("POST", f"{night.path}/grants/{given['id']}/void", {})
    night.change("small")
    time.sleep(IN_FLIGHT)
    cut = night.balance()
    assert cut["used"] > EACH_DAY["small"], cut
    night.report(REPORTED)
    assert night.balance()["deficit"] > 0
    left = night.wait(lambda found: found["leased"] == 0)
    assert left["used"] <= cut["used"] + REPORTED, (cut, left)
    night.go_to(0, 1, 59, 59)
    time.sleep(2)
    night.go_to(0, 4, 0, 0)
    time.sleep(0.5)
    assert night.balance()["used"] == left["used"]
    night.change("team")
    full = night.wait(lambda found: found["remaining"] == found["leased"] == 0)
    assert full["used"] == EACH_DAY["team"]
    night.go_to(0, 23, 59, 58)
    night.wait(lambda found: 0 < found["used"] < EACH_DAY["team"])
    night.wait(lambda found: found["used"] >= 200)


def add_up(night: Night, rows: list[Row]) -> None:
    """Compare what was let in with what is recorded, of each day and altogether."""
    days = by_day(night.facts())
    assert list(days) == [night.sunday + timedelta(days=day) for day in (-1, 0, 1)]
    *over, today = days.values()
    assert today["issued"] == today["told"] + today["back"] > 0
    assert all(day["issued"] >= day["told"] + day["back"] > 0 for day in over)
    used = [day["used"] for day in days.values()]
    admitted, unanswered = sum(row.admitted for row in rows), sum(row.unanswered for row in rows)
    assert admitted <= sum(used) - REPORTED <= admitted + unanswered
    assert used[0] <= EACH_DAY["team"] + GIVEN
    assert used[1] == EACH_DAY["team"]
    last = night.balance()
    assert (last["used"], last["leased"], last["written_off"], last["deficit"]) == (used[2], 0, 0, 0)
    assert last["granted"] - last["remaining"] == used[2] <= EACH_DAY["team"]
    assert sum(row.local for row in rows) == sum(day["told"] for day in days.values())
