"""Uses that a client decides by itself: exactly as much as there is, asked for early, given back at the end."""

import copy
import pickle
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from licet import Client, Invalid, Misconfigured, Unanswered
from licet.evaluator.slices import Key
from licet.sdk.taps import Tap
from licet.wire.quota import BOUNDLESS
from tests.sdk.exchange import CATALOG, LIMIT, Exchange, open_exchange
from tests.sdk.office import until
from tests.simulation.books import Balance


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


def test_what_is_spent_between_two_looks_counts(client: Client) -> None:
    """The pace is known though no look took long enough to be measured: all that was spent before counts."""
    assert client.consume("acme", "api")
    told = client.consume("acme", "api").told
    assert isinstance(told, Tap)
    tap = Tap(told.owning, Key("acme", "api"), 0, None, "entitled")
    tap.looked = 100.0
    tap.aim(4)
    tap.budget -= 5
    tap.measure(100.0005)
    tap.aim(0)
    tap.budget -= 3
    tap.measure(100.008)
    assert tap.rate == pytest.approx(1000)


def test_a_close_gives_everything_back(exchange: Exchange, client: Client) -> None:
    """What was not used is in the pool again when close returns, and what was is told."""
    for _ in range(5):
        client.consume("acme", "api")
    assert exchange.left() < LIMIT - 5
    client.close()
    assert exchange.left() == LIMIT - 5
    assert [lease.state for lease in exchange.leases()] == ["settled"] * len(exchange.leases())


def test_a_refusal_is_the_servers(exchange: Exchange, client: Client) -> None:
    """Where neither this process nor the pool has as much, the server decides, explains and records it."""
    usage = client.consume("acme", "api", LIMIT + 1)
    assert not usage
    assert usage.decided == "hub"
    assert usage.decision is not None
    assert usage.decision.reason == "limit_reached"
    assert usage.certain is None
    assert [one.quantity for one in exchange.consumed] == [LIMIT + 1]
    assert client.quota.hub_decided == 1
    assert client.consume("acme", "api")


def test_the_last_units_together(exchange: Exchange, client: Client) -> None:
    """What is owned counts with what is asked for: a use as large as all there is left is let in."""
    assert client.consume("acme", "api", 4)
    usage = client.consume("acme", "api", LIMIT - 4)
    assert usage.decided == "local"
    assert usage.taken == LIMIT - 4
    client.close()
    assert exchange.left() == 0


def test_rights_are_asked_first(exchange: Exchange, client: Client) -> None:
    """Who may not use it takes nothing here: the server is asked, and hears of everybody who is refused."""
    exchange.authority.put_user("acme", "gus", "guest")
    exchange.authority.put_user("acme", "ann", "member")
    exchange.sold("other")  # tells those who follow
    until(lambda: client.check("acme", "chat", user="ann"))
    assert client.consume("acme", "chat", user="ann").decided == "local"
    before = len(exchange.consumed)
    client.consume("acme", "chat", user="gus")
    client.consume("acme", "chat", user="ann")
    assert [one.user for one in exchange.consumed[before:]] == ["gus"]
    assert not client.consume("nobody", "api", LIMIT + 1)
    assert exchange.consumed[-1].customer == "nobody"


def test_known_refusals_stand_while_the_server_is_away(exchange: Exchange) -> None:
    """Where the server cannot record it, a refusal by rights is the answer, whatever was to be assumed."""
    with exchange.client(telemetry=False, unreachable={"chat": "allow"}, timeout=0.5) as client:
        exchange.authority.put_user("acme", "gus", "guest")
        exchange.sold("other")
        until(lambda: client.check("other", "api"))
        exchange.down = True
        usage = client.consume("acme", "chat", user="gus")
        assert not usage
        assert usage.decided == "local"
        assert usage.decision is not None
        assert usage.decision.reason == "policy_denied"


def test_decimals(exchange: Exchange, client: Client) -> None:
    """Quantities are those of the meter: two decimals are owned as hundredths, and more than it has are refused."""
    usage = client.consume("acme", "ai", Decimal("12.25"))
    assert usage.taken == Decimal("12.25")
    assert usage.decided == "local"
    assert client.consume("acme", "ai", "0.5").remaining == Decimal("87.25")
    with pytest.raises(ValueError, match="float"):
        client.consume("acme", "ai", 0.5)  # type: ignore[arg-type]
    client.close()
    assert exchange.used("ai") == 1275


def test_several_features_at_once(exchange: Exchange, client: Client) -> None:
    """Local features are taken together or not at all; with one that is not, the server decides on all."""
    usage = client.consume("acme", "api", 2, also={"ai": "1.5"})
    assert (usage.decided, usage.taken) == ("local", 2)
    assert not client.consume("acme", "api", 2, also={"ai": 1000})
    mixed = client.consume("acme", "api", 2, also={"render": 1})
    assert mixed.decided == "hub"
    client.close()
    assert (exchange.used("api"), exchange.used("ai"), exchange.used("render")) == (4, 150, 1)


@pytest.mark.parametrize("more", [{"key": "job-7"}, {"partial": True}, {"dimensions": {"region": "eu"}}])
def test_what_only_the_server_can_know(exchange: Exchange, client: Client, more: dict[str, Any]) -> None:
    """A key of the program's own, as much as there is, and dimensions: the server decides, though it is owned here."""
    assert client.consume("acme", "api").decided == "local"
    assert client.consume("acme", "api", **more).decided == "hub"
    assert len(exchange.consumed) == 1


def test_local_can_be_turned_off(exchange: Exchange) -> None:
    """With ``local=False`` the server decides every use."""
    with exchange.client(telemetry=False, local=False) as client:
        assert client.consume("acme", "api").decided == "hub"
        assert exchange.calls == []
        assert client.quota.slices == 0


def test_idle_quota_goes_back(exchange: Exchange) -> None:
    """What nothing is taken of for a while is in the pool again, without anybody asking."""
    with exchange.client(telemetry=False) as client:
        client.consume("acme", "api")
        assert exchange.left() < LIMIT - 1
        until(lambda: exchange.left() == LIMIT - 1)
        until(lambda: client.quota.owned == 0)
        assert client.quota.given_back == 7
        assert client.consume("acme", "api").decided == "local"


def test_refills_come_before_the_end(exchange: Exchange, client: Client) -> None:
    """Whoever takes at a steady pace waits for few slices: the next is there before the last is gone."""
    for _ in range(300):
        assert client.consume("acme", "api").decided == "local"
        time.sleep(0.0005)
    quota = client.quota
    assert quota.slices >= 2
    assert quota.refill_p99 is not None
    assert quota.denied == 0
    assert exchange.consumed == []


def test_what_is_owned_outlives_the_server(exchange: Exchange) -> None:
    """Owned quota is taken while the server is away; then it is what was to be assumed; back again, all is told."""
    with exchange.client(telemetry=False, quota_idle=3000.0, timeout=0.5) as client:
        client.consume("acme", "api", 10)  # a slice of 80
        exchange.down = True
        for _ in range(70):
            assert client.consume("acme", "api").decided == "local"
        with pytest.raises(Unanswered):
            client.consume("acme", "api")
        began = len(exchange.calls)
        exchange.down = False
        until(lambda: client.quota.last_error is None and bool(client.consume("acme", "api")), 15)
        assert len(exchange.calls) - began < 20
    assert exchange.left() + exchange.used() == LIMIT


def test_a_server_that_is_away_is_asked_seldom(exchange: Exchange) -> None:
    """However often a program asks while the server is away, the requests for quota come ever more slowly."""
    with exchange.client(telemetry=False, quota_idle=3000.0, unreachable={"api": "allow"}, timeout=0.5) as client:
        client.consume("acme", "api", 10)
        exchange.down = True
        end, uses = time.monotonic() + 1.0, 0
        while time.monotonic() < end:
            assert client.consume("tiny", "api")
            uses += 1
        assert uses >= 2
        # A second is as fifty here, and from the fourth try on they are at least ten apart.
        assert 2 <= exchange.asked_in_vain <= 12
        exchange.down = False


def test_a_server_that_issues_no_quota(exchange: Exchange, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """A server of before decides every use, is asked for quota seldom, and the log says it once."""
    exchange.lacks = 404
    for _ in range(30):
        assert client.consume("acme", "api").decided == "hub"
    assert len(exchange.calls) <= 3
    assert len([one for one in caplog.messages if "no quota can be owned" in one]) == 1
    assert client.quota.last_error


def test_recalled(exchange: Exchange) -> None:
    """What the server asks back goes back with the next call, and is not taken any more."""
    with exchange.client(telemetry=False, quota_idle=3000.0) as client:
        client.consume("acme", "api")
        exchange.recall()
        client.consume("tiny", "api")  # any call learns of it
        until(lambda: client.quota.recalled == 1)
        until(lambda: exchange.left() == LIMIT - 1)
        assert client.consume("acme", "api").decided == "local"


def test_a_restored_server(exchange: Exchange) -> None:
    """Under a new epoch nothing of before is taken, new slices are, and late words bring back what was not used."""
    with exchange.client(telemetry=False, quota_idle=3000.0) as client:
        client.consume("acme", "api", 10)
        exchange.restore()
        assert exchange.written_off() > 0
        client.consume("tiny", "api")
        assert client.consume("acme", "api").decided == "local"
    assert exchange.left() == LIMIT - 11
    assert exchange.written_off() == 0


def test_answers_that_are_lost(exchange: Exchange, client: Client) -> None:
    """A request whose answer is lost comes again, and is answered with the same slice: nothing is taken twice."""
    client.consume("tiny", "api")
    exchange.cut_after = 1
    assert client.consume("acme", "api")
    client.close()
    assert exchange.left() == LIMIT - 1
    assert exchange.left("tiny") == LIMIT - 1


def test_the_server_disagrees(exchange: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    """Told what cannot be, the server keeps everything; the process begins anew, and says so."""

    def spoil(_: object) -> None:
        exchange.before = None
        exchange.database.primary.leases[lease.id] = structs.replace(lease, used=lease.amount)

    with exchange.client(telemetry=False) as client:
        client.consume("acme", "api")
        (lease,) = exchange.leases()
        exchange.before = spoil
        until(lambda: any("charged in full" in one for one in caplog.messages))
        until(lambda: client.consume("acme", "api").decided == "local")


def test_a_copy_says_what_was_certain(client: Client) -> None:
    """A use that goes to another process arrives with what it said when it left."""
    usage = client.consume("acme", "api")
    arrived = pickle.loads(pickle.dumps(usage))  # noqa: S301 what was dumped here
    assert arrived.certain.at_least == 7
    client.consume("acme", "api")
    assert (arrived.decided, arrived.taken, arrived.certain.at_least) == ("local", 1, 7)
    assert usage.certain is not None
    assert usage.certain.at_least == 6


def test_what_becomes_the_servers_goes_back(exchange: Exchange) -> None:
    """A feature that is decided by the server from now on is not taken here any more, and what was owned goes back."""
    with exchange.client(telemetry=False) as client:
        client.consume("acme", "api")
        catalog = copy.deepcopy(CATALOG)
        del catalog["features"]["api"]["decide"]
        exchange.authority.release(catalog)
        exchange.sold("other")
        until(lambda: client.consume("acme", "api").decided == "hub")
        until(lambda: client.quota.owned == 0)


def test_options_that_cannot_be_meant() -> None:
    """Patience is above nothing, and the time to close at least nothing."""
    with open_exchange() as exchange:
        for more in ({"quota_idle": 0}, {"close_timeout": -1}):
            with pytest.raises(Misconfigured, match="seconds"):
                exchange.options(**more)


def test_more_than_any_message_names(exchange: Exchange, client: Client) -> None:
    """A quantity that no lease can have is the server's to refuse, and spoils nothing of what is asked for next."""
    assert client.consume("acme", "api", 2**53).decided == "hub"
    assert client.consume("acme", "api").decided == "local"
    held = client.reserve("acme", "api", 1)
    with pytest.raises(Invalid, match="at most"):
        held.settle(2**53)


def test_a_signal_handler_in_the_middle(exchange: Exchange, client: Client) -> None:
    """Whoever interrupts its own thread while that takes some is decided by the server: nothing is taken twice."""
    client.consume("acme", "api")
    own = client._own
    assert own is not None
    owning = own.opened()
    with owning._patiently():
        assert owning.quick("acme", "api", 1) is None
        with pytest.raises(OSError, match="signal handler"):
            owning.take([(owning.taps["acme", "api"], 1)])
    assert client.quota.spent == 1
    assert client.consume("acme", "api").decided == "local"


class Endless(Balance):
    """A balance that nothing bounds."""

    def left(self) -> int:
        """What a hub says then."""
        return BOUNDLESS


def test_what_nothing_bounds_is_infinite(exchange: Exchange, client: Client) -> None:
    """Where nothing bounds a feature its use says so, here as at the server, also after slices were taken."""
    balances = exchange.database.primary.balances
    balances[Key("acme", "api")] = Endless(balances[Key("acme", "api")].cap)
    for _ in range(3):
        usage = client.consume("acme", "api", 100)
        assert usage.decided == "local"
        assert usage.remaining == Decimal("Infinity")
        assert usage.certain is not None
        assert usage.certain.at_most == Decimal("Infinity")
        assert usage.certain.at_least < 10_000


def test_a_server_of_an_older_life_is_left_alone(exchange: Exchange, client: Client) -> None:
    """What answers under an epoch that is over can neither give nor hear anything: it is asked ever more seldom."""
    client.consume("acme", "api")
    exchange.restore()
    until(lambda: client.consume("acme", "api", 10) and exchange.calls[-1].epoch == 2)
    exchange.database.primary.epoch = 1
    assert client.consume("acme", "api", 500).decided == "hub"
    before = len(exchange.calls)
    time.sleep(0.5)
    assert len(exchange.calls) - before <= 10
    assert "epoch 1" in (client.quota.last_error or "")
    exchange.database.primary.epoch = 3
    until(lambda: client.consume("acme", "api").decided == "local")
