"""Kills the server and PostgreSQL again and again while orders come in, and looks after each crash."""

import asyncio
import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from licet.cli.companion import Companion
from licet.cli.demo.stage import catalog_path
from licet.cli.remote import Remote
from licet.seal.keyring import load_keyring
from licet.settings import Settings
from licet.store.audit import export_checkpoint, verify_log
from licet.store.bundled.endpoint import Endpoint, read_endpoint
from licet.wiring import local_actor, open_storage
from tests.chaos.ledger import Ledger
from tests.chaos.traffic import SECRET, SOURCE, WORKSPACE, Acknowledged, Town, deliver_as_stripe, order_by_hand
from tests.dose import dose
from tests.store.bundled.lives import open_folder, postmaster_of, wait_until
from tests.store.engines import engine_binaries

SEED: Final = int(os.environ.get("LICET_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
CYCLES: Final = int(os.environ.get("LICET_TEST_CYCLES", "0")) or dose(5)
VICTIMS: Final = ("server", "postgres", "both")
CLIENTS: Final = 3
START_SECONDS: Final = 60.0


@contextlib.contextmanager
def settled(home: Path, engine: str) -> Iterator[Settings]:
    """Settings of a server with a database of its own and the example vendor's catalog in workspace test."""
    settings = Settings(
        home=home, pg_bin=engine_binaries(engine), port=0, rate_per_second=0, rate_burst=1000, log_level="error"
    )
    with Companion(settings) as server:
        url = server.home.server_url()
        assert url is not None
        with Remote(url, server.home.keys()[WORKSPACE]) as remote:
            body = catalog_path().read_bytes()
            put = remote.raw("PUT", "/v1/catalog?base=0", body=body, headers={"Content-Type": "application/yaml"})
            assert put.status == 200, put.body
            source = {"kind": "stripe", "secrets": [SECRET], "settings": {"mapping": "stripe"}}
            remote.call("PUT", f"/v1/sources/{SOURCE}", source)
    yield settings


class Cycle:
    """One round: clients order, somebody is killed, the rest must come back, and everything is looked at."""

    def __init__(self, town: Town, server: Companion, number: int) -> None:
        self.town, self.server, self.number = town, server, number
        chance = random.Random(f"{town.seed}/{number}")
        self.victim = VICTIMS[number % len(VICTIMS)] if number < len(VICTIMS) else chance.choice(VICTIMS)
        self.before = chance.randrange(5, 25)
        self.pause = chance.random() * 0.05
        self.down = 0.0

    def run(self) -> None:
        """Order, kill after a number of answers, restart, and go on until as many more are acknowledged."""
        town = self.town
        town.closing.clear()
        clients = [
            threading.Thread(target=work, args=(town, number, self.number), daemon=True)
            for work in (order_by_hand, deliver_as_stripe)
            for number in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        self._wait_for(self.before)
        time.sleep(self.pause)
        killed_at = time.monotonic()
        self._kill()
        self._wait_for(1)
        self.down = time.monotonic() - killed_at
        self._wait_for(self.before)
        town.closing.set()
        for client in clients:
            client.join(START_SECONDS * 2)
        assert not [client for client in clients if client.is_alive()], "a client never came to its end"

    def _wait_for(self, more: int) -> None:
        """Wait until ``more`` requests were acknowledged, or something went wrong."""
        wanted = len(self.town.acknowledged) + more
        wait_until(lambda: bool(self.town.wrong) or len(self.town.acknowledged) >= wanted, START_SECONDS)

    def _kill(self) -> None:
        """SIGKILL to the victims, at once; a killed server is started again, PostgreSQL by its supervisor."""
        victims = []
        if self.victim != "server":
            victims.append(postmaster_of(self.server.home.home))
        if self.victim != "postgres":
            self.town.url = None
            victims.append(self.server.pid)
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        if self.victim != "postgres":
            self.server.stop()
            self.town.url = self.server.start()


async def look(settings: Settings, checkpoint: str | None) -> tuple[str, int]:
    """Verify the log, against the checkpoint of the cycle before; return a new one and how many entries there are."""
    async with open_storage(settings) as storage:
        report = await verify_log(storage, WORKSPACE, checkpoint)
        assert report.ok, report.faults
        assert (report.checked_against is None) is (checkpoint is None)
        newer, _ = await export_checkpoint(storage, WORKSPACE, local_actor())
        return newer, report.size


async def read_ledger(home: Path) -> Ledger:
    """Return what the bundled database of a home holds, its sealed answers opened."""
    return await Ledger.read(endpoint_of(home).dsn(), load_keyring(home / "master.keys"))


def endpoint_of(home: Path) -> Endpoint:
    """Where the bundled database is."""
    endpoint = read_endpoint(home / "endpoint.json")
    assert endpoint is not None
    return endpoint


def assert_seen(whole: Ledger, acknowledged: list[Acknowledged]) -> None:
    """A loss, a half and a repetition, made in a copy of what was read, are each seen: the checks above can fail."""
    order = next(event for event in reversed(whole.events) if event.subject.startswith("order/crm/"))
    for broken in (
        whole.altered(events=[event for event in whole.events if event is not order]),
        whole.altered(events=[*whole.events, order]),
        whole.altered(terms=whole.terms[:-1]),
        whole.altered(deliveries={}),
        whole.altered(answers={}),
        whole.altered(findings=Counter({"unknown_price": 10**6})),
    ):
        assert broken.faults(acknowledged)
    assert whole.altered().faults([one for one in acknowledged if one.name != order.cause])
    assert whole.altered().faults(acknowledged) == []


def say(words: str) -> None:
    """Print a line of the account; the seed in it replays a failure (`LICET_TEST_SEED=… LICET_TEST_CYCLES=…`)."""
    sys.stdout.write(words + "\n")


def test_no_crash_loses_halves_or_repeats_a_write(engine: str) -> None:
    """Whoever is killed with -9 while clients order: what was acknowledged stays, whole and once; the log verifies."""
    say(f"LICET_TEST_SEED={SEED} LICET_TEST_CYCLES={CYCLES}")
    town, checkpoint = Town(SEED), None
    with open_folder() as place, settled(place / "home", engine) as settings, Companion(settings) as server:
        town.url, town.key = server.home.server_url(), server.home.keys()[WORKSPACE]
        ledger = asyncio.run(read_ledger(server.home.home))
        for number in range(CYCLES):
            cycle = Cycle(town, server, number)
            cycle.run()
            where = f"seed {SEED}, cycle {number}, killed {cycle.victim}"
            assert town.wrong == [], where
            ledger = asyncio.run(read_ledger(server.home.home))
            assert ledger.faults(town.acknowledged) == [], where
            checkpoint, size = asyncio.run(look(settings, checkpoint))
            say(
                f"cycle {number:3} killed {cycle.victim:8} after {cycle.before:2} answers, next answer after "
                f"{cycle.down:5.2f} s; {len(town.acknowledged):5} acknowledged, {size:5} entries verified"
            )
        assert_seen(ledger, town.acknowledged)
        again = sum(one.tries > 1 for one in town.acknowledged)
    say(
        f"{CYCLES} cycles: {len(town.acknowledged)} acknowledged, {again} of them after repeating "
        f"({town.broken} requests without an answer, {town.refused} told to come back); lost 0, half 0, twice 0"
    )
    assert again >= CYCLES, "the kills met no request under way"
