"""Kills the server with -9 in the middle of a move of some hundred customers, again and again, and looks at each."""

import asyncio
import io
import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import Struct

from licet.cli.companion import Companion
from licet.cli.failure import Failure
from licet.cli.moving import MOVES, finish, path_of
from licet.cli.output import Output
from licet.cli.remote import Remote
from licet.core.terms import Terms
from licet.services.deliveries import Inbox
from licet.services.move_views import MovedSubscription, list_moved
from licet.services.rows import Page
from licet.services.truth import Catalogs
from licet.settings import Settings
from licet.store.audit import verify_log
from licet.wire.event import Event
from licet.wiring import open_storage
from tests.dose import dose
from tests.services.relocation import CATALOG, Floor
from tests.store.databases import Database

pytestmark = pytest.mark.postgres

SEED: Final = int(os.environ.get("LICET_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
CUSTOMERS: Final = [f"c{number:03}" for number in range(350)]
KILLS: Final = dose(2, full=12)
LONGEST_SECONDS: Final = 60.0
COMMAND: Final = {"item": "team", "from_version": "2026-01", "to_version": "2026-02"}


class Found(Struct, frozen=True):
    """What the database holds of the move."""

    told: list[MovedSubscription]
    terms: list[Terms]
    events: list[Event]
    verified: bool


async def settle(settings: Settings) -> None:
    """Let everybody have the plan in its first version."""
    async with open_storage(settings) as storage:
        await Floor(storage, Inbox(storage, {}, Catalogs())).settle(*CUSTOMERS)


async def look(settings: Settings, move: str) -> Found:
    """Read everything about the move, and verify the log."""
    async with open_storage(settings) as storage:
        async with storage.read("test") as view:
            told: list[MovedSubscription] = []
            while more := await list_moved(view, move, Page(after=_after(told), limit=500), None):
                told += more
            rows = [await view.terms(customer) for customer in CUSTOMERS]
            events: list[Event] = []
            while page := await view.events(Page(after=str(events[-1].seq if events else 0), limit=500)):
                events += page
        report = await verify_log(storage, "test")
    return Found(told, [row.terms for row in rows if row is not None], events, report.ok)


def _after(told: list[MovedSubscription]) -> str:
    return f'["{told[-1].customer}","{told[-1].subscription}"]' if told else ""


class Office:
    """Somebody who moves customers over HTTP while the server dies."""

    def __init__(self, server: Companion, settings: Settings) -> None:
        self.server, self.settings = server, settings
        self.broken = 0

    def remote(self) -> Remote:
        """Connect to the server as it is now."""
        url = self.server.home.server_url()
        assert url is not None
        return Remote(url, self.server.home.keys()["test"], timeout=LONGEST_SECONDS)

    def prepare(self) -> str:
        """Release the catalog, let customers in, preview a move and begin it; returns its id."""
        with self.remote() as remote:
            headers = {"Content-Type": "application/yaml"}
            assert remote.raw("PUT", "/v1/catalog?base=0", body=CATALOG, headers=headers).status == 200
        asyncio.run(settle(self.settings))
        with self.remote() as remote:
            body = str(COMMAND).replace("'", '"').encode()
            lines = [*remote.lines("POST", f"{MOVES}/previews", body, media_type="application/json")]
            query = {"preview": lines[-1]["preview"]["id"], "max_losing": len(CUSTOMERS)}
            made: dict[str, Any] = remote.call("POST", MOVES, COMMAND, query=query)
        return str(made["id"])

    def break_off(self, move: str, pause: float) -> None:
        """Ask for a batch and kill the server while it is done, or just after."""
        client = threading.Thread(target=self._advance, args=(move,), daemon=True)
        client.start()
        time.sleep(pause)
        os.kill(self.server.pid, signal.SIGKILL)
        client.join(LONGEST_SECONDS)
        self.server.stop()
        self.server.start()

    def _advance(self, move: str) -> None:
        try:
            with self.remote() as remote:
                remote.call("POST", f"{path_of(move)}/advance")
        except Failure:
            self.broken += 1

    def resume(self, move: str) -> None:
        """Go on to the end, as the command does."""
        with self.remote() as remote:
            finish(remote, remote.call("GET", path_of(move)), Output(as_json=True, stream=io.StringIO()))


def test_a_move_that_is_killed_goes_on_and_moves_everybody_once(database: Database, tmp_path: Path) -> None:
    """Killed amid batches and resumed by two at once: nobody is lost, nobody moved twice; so is its way back."""
    chance = random.Random(SEED)
    settings = Settings(database_url=database.dsn, home=tmp_path / "home", port=0, log_level="error")
    with Companion(settings) as server:
        office = Office(server, settings)
        move = office.prepare()
        for _ in range(KILLS):
            office.break_off(move, 0.02 + chance.random() * 0.13)
            assert_once(asyncio.run(look(settings, move)))
        _together(office, move)
        whole = asyncio.run(look(settings, move))
        assert_once(whole)
        assert [one.customer for one in whole.told] == CUSTOMERS, f"LICET_TEST_SEED={SEED}"
        with office.remote() as remote:
            told = remote.call("GET", path_of(move))
            assert (told["state"], told["moved"], told["looked_at"]) == ("moved", 350, 350)
            lines = [*remote.lines("POST", f"{path_of(move)}/reverse/previews", b"", media_type="application/json")]
            query = {"preview": lines[-1]["preview"]["id"], "max_losing": len(CUSTOMERS)}
            remote.call("POST", f"{path_of(move)}/reverse", query=query)
        office.break_off(move, 0.1)
        _together(office, move)
    back = asyncio.run(look(settings, move))
    assert {one.state for one in back.told} == {"reversed"}
    assert all(one.moves[0].ends_at is not None for one in back.terms)
    ended = Counter(event.subject for event in back.events if event.type == "subscription.moved_back")
    assert ended == Counter(f"customer/{name}" for name in CUSTOMERS)
    assert office.broken > 0, f"no kill met a batch under way: LICET_TEST_SEED={SEED}"


def _together(office: Office, move: str) -> None:
    """Let two resume at once."""
    both = [threading.Thread(target=office.resume, args=(move,), daemon=True) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(LONGEST_SECONDS)
    assert not any(one.is_alive() for one in both)


def assert_once(found: Found) -> None:
    """Rows, facts in the terms and events are of the same customers, one of each; the log is whole."""
    where = f"LICET_TEST_SEED={SEED}"
    moved = [one.customer for one in found.told]
    assert Counter(moved) == Counter(set(moved)), where
    assert [one.customer for one in found.terms if one.moves] == moved, where
    assert all(len(one.moves) <= 1 for one in found.terms), where
    told = Counter(event.subject for event in found.events if event.type == "subscription.moved")
    assert told == Counter(f"customer/{name}" for name in moved), where
    assert found.verified, where
