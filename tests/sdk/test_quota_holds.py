"""Reservations of owned quota: made and settled in the process, exact whatever they come to."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from licet import Client, Invalid, NotEntitled, ReservationEnded
from tests.sdk.exchange import LIMIT, Exchange, open_exchange
from tests.sdk.office import until


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    """A server of its own for one test."""
    with open_exchange() as opened:
        yield opened


@pytest.fixture
def client(exchange: Exchange) -> Iterator[Client]:
    """A client of it that gives back after a minute only."""
    with exchange.client(telemetry=False, quota_idle=3000.0) as made:
        yield made


def test_what_is_not_used_can_be_taken_again(exchange: Exchange, client: Client) -> None:
    """A reservation is made without the server, ends in a quarter of an hour, and gives back what was not used."""
    with client.reserve("acme", "api", 40) as held:
        assert (held.id, held.usage.decided, held.usage.taken) == ("", "local", 40)
        ends = held.expires_at
        assert ends is not None
        assert timedelta(minutes=14) < ends - datetime.now(UTC) < timedelta(minutes=16)
        assert client.quota.held == 40
        settled = held.settle(15)
    assert (settled.used, settled.exceeded, settled.later) == (15, False, False)
    assert client.quota.held == 0
    client.close()
    assert exchange.left() == LIMIT - 15
    assert exchange.used() == 15


def test_more_than_was_reserved(exchange: Exchange, client: Client) -> None:
    """More than was reserved is taken of what is owned, or of a slice that is asked for."""
    held = client.reserve("acme", "api", 5)
    settled = held.settle(3_000)
    assert (settled.used, settled.exceeded) == (3_000, False)
    client.close()
    assert exchange.used() == 3_000


def test_more_than_there_is(exchange: Exchange, client: Client) -> None:
    """What was used and is nowhere to be had is told all the same: it has happened, and the balance shows it."""
    held = client.reserve("acme", "api", 5)
    settled = held.settle(LIMIT + 200)
    assert settled.exceeded
    client.close()
    assert exchange.used() == LIMIT + 200
    assert exchange.left() == -200


def test_a_block_that_does_not_settle_releases(exchange: Exchange, client: Client) -> None:
    """What a block did not settle is released at its end; a reservation ends once."""
    with client.reserve("acme", "api", 5) as held:
        pass
    with pytest.raises(ReservationEnded):
        held.settle(1)
    client.close()
    assert exchange.left() == LIMIT


def test_a_refusal(exchange: Exchange, client: Client) -> None:
    """What is nowhere to be had is refused by the server."""
    with pytest.raises(NotEntitled):
        client.reserve("acme", "api", LIMIT + 1)
    assert not client.try_reserve("acme", "api", LIMIT + 1)
    assert len(exchange.consumed) == 2


def test_several_features(exchange: Exchange, client: Client) -> None:
    """Several are reserved together, and each comes to what is said of it; what is not named to what was reserved."""
    held = client.reserve("acme", "api", 5, also={"ai": "2.5", "render": 1})
    assert held.usage.decided == "hub"  # one of them is the server's
    held = client.reserve("acme", "api", 5, also={"ai": "2.5"})
    assert held.usage.decided == "local"
    with pytest.raises(Invalid, match="was not reserved"):
        held.settle(1, also={"chat": 1})
    with pytest.raises(Invalid, match="does not fit"):
        held.settle("1.5")
    held.settle(1, also={"ai": "0.25"})
    client.close()
    assert exchange.used("ai") - 250 == 25
    assert exchange.used("api") - 5 == 1


def test_the_figures_of_a_model(exchange: Exchange, client: Client) -> None:
    """A block around calls of a model works on owned quota as on the server's."""
    with client.ai_call("acme", "api", estimate=100) as call:
        call.used({"input_tokens": 30, "output_tokens": 12})
    assert call.settled is not None
    assert call.settled.used == 42
    client.close()
    assert exchange.used() == 42


def test_one_that_nobody_settles(exchange: Exchange) -> None:
    """A reservation ends by itself at its time; what it comes to after that still counts."""
    with exchange.client(telemetry=False) as client:
        held = client.reserve("acme", "api", 5, lasts=timedelta(seconds=1))
        assert client.quota.held == 5
        until(lambda: client.quota.held == 0)
        held.settle(3)
    assert exchange.used() == 3
    assert exchange.left() == LIMIT - 3


def test_open_ones_end_with_the_client(exchange: Exchange, client: Client) -> None:
    """What is reserved while the client closes goes back."""
    client.reserve("acme", "api", 5)
    client.close()
    assert exchange.left() == LIMIT
