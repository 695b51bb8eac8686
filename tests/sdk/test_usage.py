"""Consume, reserve, settle and release through the clients: what is counted, and what a program is told."""

import asyncio
import pickle
import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from licet import Client, Invalid, Misconfigured, MissingScope, NotEntitled, ReservationEnded, ServerTooOld, Unanswered
from licet.sdk.errors import Closed, Unreachable
from tests.sdk.till import Till, open_till


@pytest.fixture
def till() -> Iterator[Till]:
    """A server of its own for one test."""
    with open_till() as opened:
        yield opened


@pytest.fixture
def client(till: Till) -> Iterator[Client]:
    """A client of it."""
    with till.client() as made:
        yield made


def carried(value: Any) -> Any:
    """What arrives in another process."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 our own bytes


def fail(error: Exception) -> None:
    """Raise."""
    raise error


def test_what_is_allowed_is_taken(till: Till, client: Client) -> None:
    """The answer is truthy, and tells what was taken, what is left and under which id, as numbers to count with."""
    till.limits["api_calls"] = 10
    usage = client.consume("acme", "api_calls", 4, user="ann", dimensions={"region": "eu"})
    assert usage
    assert (usage.taken, usage.remaining, usage.decision) == (4, 6, None)
    assert str(usage.id).startswith("use_")
    assert till.counted("acme", "api_calls") == 4
    assert client.consume("acme", "storage").remaining == Decimal("Infinity")
    (told, _) = till.told("/consume")
    assert (told["user"], told["dimensions"]) == ("ann", {"region": "eu"})


def test_a_refusal_is_a_value(till: Till, client: Client) -> None:
    """A refusal takes nothing of any feature and carries the decision; `require` raises with it, and it travels."""
    till.limits["api_calls"] = 10
    usage = client.consume("acme", "api_calls", 11, also={"storage": 3})
    assert not usage
    assert (usage.taken, usage.remaining, usage.reason) == (0, 10, "limit_reached")
    assert usage.decision is not None
    assert usage.decision.basis == "1:42"
    assert usage.decision.limit is not None
    assert till.used == {}
    with pytest.raises(NotEntitled) as caught:
        usage.require()
    assert carried(caught.value).decision.message == "api_calls: all used."
    assert client.consume("acme", "api_calls", 11, partial=True).require().taken == 10


def test_quantities_are_exact(till: Till, client: Client) -> None:
    """Integers, decimals and decimal texts are told as they are; what is not exact, or nothing, is refused here."""
    for told, sent in ((Decimal("12.50"), "12.5"), ("0.001", "0.001"), (2**60, str(2**60)), (Decimal("1E+3"), "1000")):
        till.refuse.append((400, "invalid", {}))
        with pytest.raises(Invalid):
            client.consume("acme", "ai", told)
        assert till.told("/consume")[-1]["quantity"] == sent
    wrong: Any
    for wrong in (1.5, 0, "0.00", -1, "-1", "1e3", True, Decimal("NaN"), None, "٣", 2**63):
        with pytest.raises(ValueError, match=r"quantity|float|too large"):
            client.consume("acme", "ai", wrong)
    assert len(till.told("/consume")) == 4


def test_an_answer_that_was_lost_counts_once(till: Till, client: Client) -> None:
    """A call whose connection is cut after it was done is made again with the same key, and counts once."""
    till.cut_after = 2
    assert client.consume("acme", "api_calls", 3).taken == 3
    keys = {one["key"] for one in till.told("/consume")}
    assert len(till.told("/consume")) >= 3
    assert len(keys) == 1
    assert till.counted("acme", "api_calls") == 3
    assert client.consume("acme", "api_calls", 3).key not in keys


def test_a_key_of_ones_own(till: Till, client: Client) -> None:
    """The same key counts once, from any client."""
    for _ in range(2):
        assert client.consume("acme", "api_calls", 5, key="job-7").taken == 5
    with till.client() as other:
        other.consume("acme", "api_calls", 5, key="job-7")
    assert till.counted("acme", "api_calls") == 5


@pytest.mark.parametrize(
    "refusal", [(503, "unavailable", {"Retry-After": "0"}), (409, "idempotency_key_busy", {}), (500, "internal", {})]
)
def test_what_passes_is_tried_again(till: Till, client: Client, refusal: tuple[int, str, dict[str, str]]) -> None:
    """What may pass by itself is asked again with the same key."""
    till.refuse = [refusal, refusal]
    assert client.consume("acme", "api_calls")
    assert len(till.told("/consume")) == 3


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        ((400, "invalid", {}), Invalid),
        ((422, "idempotency_key_reused", {}), Invalid),
        ((403, "forbidden", {}), MissingScope),
        ((404, "not_found", {}), ServerTooOld),
    ],
)
def test_what_stays_is_not(till: Till, client: Client, refusal: Any, error: type[Exception]) -> None:
    """What will not pass is an error of its kind, after one request."""
    till.refuse = [refusal]
    with pytest.raises(error, match=r"the till says|counts no use"):
        client.consume("acme", "api_calls")
    assert len(till.asked) == 1


def test_nobody_there(till: Till) -> None:
    """Where nobody answers a call is an error that carries its key, soon; after some nothing is asked for a while."""
    with till.client() as client:
        till.close()
        with pytest.raises(Unanswered, match="could not say: nobody listens") as caught:
            client.consume("acme", "api_calls")
        assert caught.value.key.startswith("key_")
        assert isinstance(caught.value, Unreachable)
        assert carried(caught.value).key == caught.value.key
        with pytest.raises(Unanswered):
            client.consume("acme", "api_calls")
        with pytest.raises(Unanswered, match="a moment ago"):
            client.consume("acme", "api_calls")


def test_a_server_that_asks_for_patience(till: Till) -> None:
    """A Retry-After beyond what the caller waits is an error at once; the client comes no sooner."""
    with till.client(timeout=1.0) as client:
        till.refuse = [(429, "rate_limited", {"Retry-After": "30"})]
        with pytest.raises(Unanswered, match="asked once"):
            client.consume("acme", "api_calls")
        assert len(till.asked) == 1


def test_a_reservation_is_settled(till: Till, client: Client) -> None:
    """What was set aside is taken meanwhile; what it came to stays, the rest goes back."""
    till.limits["ai"] = 100
    with client.reserve("acme", "ai", 40, lasts=timedelta(minutes=2)) as held:
        assert till.counted("acme", "ai") == 40
        assert held.expires_at is not None
        assert held.settle(25).used == 25
    assert till.counted("acme", "ai") == 25
    assert till.told("/reservations")[0]["lasts"] == "PT120S"
    assert till.told("/release") == []
    with pytest.raises(ReservationEnded):
        held.settle(26)


def test_a_block_that_does_not_settle_releases(till: Till, client: Client) -> None:
    """All of it goes back at the end of the block, and where the block fails; its error is told as it is."""
    with client.reserve("acme", "ai", 40):
        pass
    with pytest.raises(KeyError, match="mine"), client.reserve("acme", "ai", 40):
        fail(KeyError("mine"))
    assert till.counted("acme", "ai") == 0
    assert len(till.told("/release")) == 2


def test_a_refused_reservation_runs_no_block(till: Till, client: Client) -> None:
    """`reserve` raises with the decision, `try_reserve` returns what is falsy and cannot be entered."""
    till.limits["ai"] = 10
    ran = False
    with pytest.raises(NotEntitled), client.reserve("acme", "ai", 11):
        ran = True
    held = client.try_reserve("acme", "ai", 11)
    assert not held
    assert held.decision is not None
    with pytest.raises(NotEntitled), held:
        ran = True
    with pytest.raises(NotEntitled):
        held.settle(1)
    assert not ran


def test_a_release_that_fails_hides_nothing(till: Till, caplog: pytest.LogCaptureFixture) -> None:
    """Where the server is gone at the end of a block its own error comes out, and the log has the rest."""
    with till.client(timeout=0.5) as client:
        held = client.reserve("acme", "ai", 1)
        till.close()
        with pytest.raises(KeyError, match="mine"), held:
            fail(KeyError("mine"))
        assert "was not released, it ends by itself at 2030" in caplog.text


def test_settled_from_another_process(till: Till, client: Client) -> None:
    """A reservation is settled by its id from anywhere; the same settling again is the same, another one is refused."""
    held = client.reserve("acme", "ai", 40)
    with till.client() as other:
        for _ in range(2):
            assert other.settle(held.id, 50).exceeded
        with pytest.raises(ReservationEnded) as caught:
            other.settle(held.id, 49)
        assert caught.value.code == "reservation_closed"
        with pytest.raises(ReservationEnded):
            other.release(held.id)
    assert till.counted("acme", "ai") == 50


def test_several_features_at_once(till: Till, client: Client) -> None:
    """A reservation of several features is settled for each; those that are not named, as they were reserved."""
    with client.reserve("acme", "input", 10, also={"output": 20, "images": 2}) as held:
        held.settle(7, also={"output": 5})
    assert [till.counted("acme", one) for one in ("input", "output", "images")] == [7, 5, 2]


def test_many_threads_share_a_client(till: Till, client: Client) -> None:
    """At a hard cap exactly as much is allowed as there is, over connections that are kept."""
    till.limits["api_calls"] = 50
    allowed: list[bool] = []

    def work() -> None:
        allowed.extend(bool(client.consume("acme", "api_calls")) for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (allowed.count(True), allowed.count(False)) == (50, 30)


def test_metered_functions(till: Till, client: Client) -> None:
    """A decorated function is called once its use was taken, by its arguments; refused, it is not called."""
    till.limits["api_calls"] = 5
    called: list[int] = []

    @client.metered("api_calls", customer="account", quantity=lambda account, many: many)
    def work(account: str, many: int) -> int:
        called.append(many)
        return many

    assert work("acme", 3) == 3
    with pytest.raises(NotEntitled):
        work("acme", many=3)
    assert called == [3]
    with pytest.raises(Misconfigured, match="AsyncClient"):

        @client.metered("api_calls", customer="account")
        async def later(account: str) -> None:
            """Never called."""

    with pytest.raises(Misconfigured, match="does not take"):
        client.metered("api_calls", customer="nobody")(work)


def test_a_closed_client_counts_nothing(till: Till) -> None:
    """After close() everything raises Closed, whether something was counted before or not."""
    used, unused = till.client(), till.client()
    used.consume("acme", "ai")
    for one in (used, unused):
        one.close()
        with pytest.raises(Closed):
            one.consume("acme", "ai")
        with pytest.raises(Closed):
            one.report("acme", "api.call")


async def test_the_async_twin(till: Till) -> None:
    """An AsyncClient counts the same way: consume, blocks, awaited reservations, decorators, many tasks at once."""
    till.limits |= {"api_calls": 20, "ai": 100}
    async with till.async_client() as client:
        usages = await asyncio.gather(*(client.consume("acme", "api_calls") for _ in range(30)))
        assert sum(map(bool, usages)) == 20
        async with client.reserve("acme", "ai", 40) as held:
            await held.settle(30)
        async with client.reserve("acme", "ai", 40):
            pass
        held = await client.reserve("acme", "ai", 10)
        await held.release()
        assert till.counted("acme", "ai") == 30
        with pytest.raises(NotEntitled):
            async with client.reserve("acme", "ai", 71):
                till.limits.clear()
        assert not await client.try_reserve("acme", "ai", 71)

        @client.metered("ai", customer="account")
        async def work(account: str) -> str:
            return account

        assert await work("acme") == "acme"
        assert till.counted("acme", "ai") == 31
        with pytest.raises(Misconfigured, match="async def"):
            client.metered("ai", customer="account")(lambda account: account)


async def test_connections_are_kept(till: Till) -> None:
    """Calls one after the other share a connection; one that was closed meanwhile costs no try and no error."""
    async with till.async_client() as client:
        for _ in range(5):
            await client.consume("acme", "ai")
        before = len(till.open_desks)
        assert before <= 3
        till.close()
        till.open()
        assert await client.consume("acme", "ai")
        assert till.counted("acme", "ai") == 6


def test_a_connection_is_kept(till: Till, client: Client) -> None:
    """The same in threads."""
    for _ in range(5):
        client.consume("acme", "ai")
    assert len(till.open_desks) <= 3
    till.close()
    till.open()
    assert client.consume("acme", "ai")
    assert till.counted("acme", "ai") == 6


async def test_the_async_twin_tries_again(till: Till) -> None:
    """A lost answer counts once; where nobody is, the error carries the key."""
    async with till.async_client() as client:
        till.cut_after = 1
        assert (await client.consume("acme", "ai", 3)).taken == 3
        assert till.counted("acme", "ai") == 3
        till.close()
        with pytest.raises(Unanswered) as caught:
            await client.consume("acme", "ai")
        assert caught.value.key
