"""Uses that a client decides by itself: exactly as much as there is, asked for early, given back at the end."""

import threading
from collections.abc import Iterator

import pytest

from licet import Client
from tests.sdk.exchange import LIMIT, Exchange, open_exchange


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    """A server of its own for one test."""
    with open_exchange() as opened:
        yield opened


@pytest.fixture
def client(exchange: Exchange) -> Iterator[Client]:
    """A client of it without a disk, that gives back after a minute only."""
    with exchange.client(telemetry=False, quota_idle=60.0 / 0.02) as made:
        yield made


def test_the_first_use_asks_and_the_next_do_not(exchange: Exchange, client: Client) -> None:
    """A slice is asked for once, and the next uses take of it without a request; each says what is certain."""
    usage = client.consume("acme", "api")
    assert (usage.decided, usage.id, usage.key, usage.taken, usage.reason) == ("local", None, "", 1, "within_limit")
    certain = usage.certain
    assert certain is not None
    assert certain.at_least == 7
    assert certain.at_most == usage.remaining == LIMIT - 1
    assert 0 <= (certain.age_seconds or 0) < 5
    asked = sum(len(call.asks) for call in exchange.calls)
    assert client.consume("acme", "api", 2).taken == 2
    assert asked == sum(len(call.asks) for call in exchange.calls) == 1
    assert exchange.consumed == []


def test_everything_there_is_and_not_one_more(exchange: Exchange, client: Client) -> None:
    """Eight threads take until they are refused: as many are let in as the limit has, and nothing is left."""
    taken, stopped = [0] * 8, threading.Barrier(8)

    def hammer(place: int) -> None:
        stopped.wait(5)
        while client.consume("acme", "api"):
            taken[place] += 1

    threads = [threading.Thread(target=hammer, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(taken) == LIMIT
    client.close()
    assert exchange.left() + sum(taken) == LIMIT
    assert exchange.used() == LIMIT
    assert exchange.written_off() == 0
    assert len(exchange.calls) < LIMIT / 10


def test_a_close_gives_everything_back(exchange: Exchange, client: Client) -> None:
    """What was not used is in the pool again when close returns, and what was is told."""
    for _ in range(5):
        client.consume("acme", "api")
    assert exchange.left() < LIMIT - 5
    client.close()
    assert exchange.left() == LIMIT - 5
    assert [lease.state for lease in exchange.leases()] == ["settled"] * len(exchange.leases())
