"""The clients against real sockets and real signatures: what they answer, and what they do when nobody is there."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from licet import Closed, Decision, Misconfigured, NotBelieved, NotEntitled, NotHeld, NoTruth, Unreachable, WrongKey
from licet.sdk.client import Client
from tests.evaluator.authority import OTHER, PUBLIC_ROOT, terms
from tests.sdk.office import LONG_AGO, Office, open_office, soon, until
from tests.sdk.premises import API_KEY

OURS = {"licet-follow", "licet-tell"}
"""What a client's threads and tasks are called; a server in the same process has others."""


@pytest.fixture
def office() -> Iterator[Office]:
    """A server of its own for one test."""
    with open_office() as opened:
        yield opened


def test_a_change_reaches_checks_at_once(office: Office) -> None:
    """What is sold while a client follows is permitted there without anybody asking the server again."""
    with office.client() as client:
        assert client.check("acme", "sso")
        assert not client.check("new", "sso")
        asked = len(office.asked)
        office.sold("new")
        until(lambda: client.check("new", "sso"))
        assert len(office.asked) == asked
        assert client.freshness.connected
        assert client.freshness.state == "fresh"


def test_polling_does_the_same(office: Office) -> None:
    """With follow=poll changes arrive too, and no stream is ever asked for."""
    office.streams = False
    with office.client(follow="poll") as client:
        office.sold("new")
        until(lambda: client.check("new", "sso"))


def test_a_server_that_is_gone_leaves_the_truth(office: Office) -> None:
    """While nobody is there answers go on from the last truth and freshness says why; back again, news arrive."""
    with office.client() as client:
        office.close()
        until(lambda: client.freshness.last_error is not None)
        assert not client.freshness.connected
        assert client.check("acme", "sso")
        # What of it is seen depends on the moment at which the connection ends.
        said = str(client.freshness.last_error)
        assert any(words in said for words in ("nobody listens", "broke off", "was cut")), said
        office.sold("new")
        office.open()
        until(lambda: client.check("new", "sso"))
        until(lambda: client.freshness.last_error is None)
        assert any("cursor=1:2" in path for path in office.asked)


def test_an_older_or_forged_feed_changes_nothing(office: Office) -> None:
    """A server that signs with a key of nobody's is not believed: the answers stay, and freshness says so."""
    with office.client(follow="poll") as client:
        office.authority.seed = OTHER
        office.sold("new")
        until(lambda: "not believed" in (client.freshness.last_error or ""))
        assert client.check("acme", "sso")
        assert not client.check("new", "sso")


def test_another_root_is_not_believed(office: Office) -> None:
    """With the right root pinned all is well; with another one nothing of the feed counts."""
    with office.client(root=PUBLIC_ROOT) as client:
        assert client.check("acme", "sso")
    other = PUBLIC_ROOT[:-6] + ("AAAAAA" if PUBLIC_ROOT[-6:] != "AAAAAA" else "BBBBBB")
    with office.client(root=other, start_timeout=1.0) as client, pytest.raises(NotBelieved):
        client.check("acme", "sso")


def test_a_clock_that_is_behind_gains_nothing(office: Office) -> None:
    """Where this machine's clock is two days behind the server's, what ended yesterday has ended."""
    office.ahead = timedelta(days=2)
    office.put(terms("gone", since=LONG_AGO, ends_at=datetime.now(UTC) + timedelta(days=1)))
    with office.client() as client:
        assert client.check("gone", "sso").reason == "ended"
        assert client.check("gone", "sso").age_seconds == 0
        assert not client.check("gone", "sso").stale


def test_a_clock_that_is_ahead_is_only_stale(office: Office) -> None:
    """Where this machine's clock is ten minutes ahead, everything verifies and counts, and is said to be stale."""
    office.ahead = timedelta(minutes=-10)
    with office.client() as client:
        decision = client.check("acme", "sso")
        assert decision
        assert decision.stale
        assert 590 <= decision.age_seconds <= 620
        assert client.freshness.state == "stale"


def test_past_its_end_each_feature_decides(office: Office) -> None:
    """Where nobody renews a truth until its end, each feature is answered by its own rule; renewed, all is well."""
    office.usable = timedelta(seconds=1)
    with office.client() as client:
        assert client.check("acme", "sso")
        office.close()
        until(lambda: client.freshness.state == "expired")
        told = {name: client.check("acme", name) for name in ("sso", "export", "help")}
        assert {name: (one.allowed, one.reason) for name, one in told.items()} == {
            "sso": (False, "snapshot_expired"),
            "export": (True, "last_known"),
            "help": (True, "not_enforced"),
        }
        office.usable = timedelta(days=30)
        office.open()
        until(lambda: client.check("acme", "sso"))
        assert client.check("acme", "export").reason == "entitled"


def test_before_any_truth_what_was_said_counts(office: Office) -> None:
    """Without a truth, features are allowed or refused as was said; where nothing was said, an error says why."""
    office.close()
    with office.client(unreachable={"sso": "allow"}, start_timeout=0.5) as client:
        assert client.check("acme", "sso").reason == "not_enforced"
        refused = client.check("acme", "export")
        assert (refused.allowed, refused.reason, refused.remedy) == (False, "snapshot_expired", None)
        assert refused.document()
        assert client.freshness.state == "empty"
    with office.client(start_timeout=0.5) as client:
        with pytest.raises(Unreachable, match="nobody listens"):
            client.check("acme", "sso")
        with pytest.raises(Unreachable, match="nobody listens"):
            client.wait_ready(0.2)
        office.open()
        client.wait_ready(10)
        assert client.check("acme", "sso")


def test_a_wrong_key_is_said_at_once(office: Office) -> None:
    """Waiting for a truth ends as soon as only a person can help, with words that say how."""
    office.refusal = (401, "application/problem+json", b'{"code":"unauthorized","detail":"no such key"}')
    with office.client() as client, pytest.raises(WrongKey, match="LICET_KEY"):
        client.wait_ready(30)


def test_a_truth_from_disk_needs_nobody(office: Office, tmp_path: Path) -> None:
    """A client that is made while the server is gone answers from what the one before kept, users and all."""
    office.authority.put_user("acme", "ann", "tester")
    with office.client(cache=tmp_path) as client:
        assert client.check("acme", "beta", user="ann")
        office.sold("new")
        until(lambda: client.check("new", "sso"))
    office.close()
    with office.client(cache=tmp_path, start_timeout=0.0) as client:
        assert client.check("acme", "sso")
        assert client.check("new", "sso")
        assert client.check("acme", "beta", user="ann")
        assert not client.check("acme", "beta", user="bob")
        office.open()
        until(lambda: client.freshness.connected)
        assert any("cursor=1:4" in path for path in office.asked)
    office.close()
    root = "k4.public." + "A" * 43
    with office.client(cache=tmp_path, root=root, start_timeout=0.2) as client, pytest.raises(NoTruth):
        client.check("acme", "sso")


def test_after_close_asking_is_an_error(office: Office) -> None:
    """A closed client says so, may be closed again, and leaves no thread behind."""
    before = {*threading.enumerate()}
    client = office.client(telemetry=True)
    assert {one.name for one in {*threading.enumerate()} - before} & OURS
    client.close()
    client.close()
    with pytest.raises(Closed):
        client.check("acme", "sso")
    with pytest.raises(Closed):
        client.wait_ready()
    until(lambda: OURS.isdisjoint(one.name for one in {*threading.enumerate()} - before))


def test_require_and_gate(office: Office) -> None:
    """A refusal raises with the decision in it; a gated function is called only for those who may."""
    with office.client() as client:
        assert isinstance(client.require("acme", "sso"), Decision)
        with pytest.raises(NotEntitled) as refused:
            client.require("nobody", "sso")
        assert refused.value.decision.reason == "unknown_customer"
        assert str(refused.value) == refused.value.decision.message

        @client.gate("sso", customer="who")
        def export(what: str, who: str = "nobody") -> str:
            """Export."""
            return what

        @client.gate("sso", customer=lambda request: request["customer"])
        async def view(request: dict[str, str]) -> str:
            return request["customer"]

        assert export("all", "acme") == "all"
        assert export.__doc__ == "Export."
        with pytest.raises(NotEntitled):
            export("all")
        assert asyncio.run(view({"customer": "acme"})) == "acme"
        with pytest.raises(NotEntitled):
            asyncio.run(view({"customer": "nobody"}))
        with pytest.raises(Misconfigured, match="does not take"):
            client.gate("sso", customer="company")(export)


def test_only_some_customers(office: Office) -> None:
    """A client that was given its customers holds those, follows their changes, and has no answer about others."""
    office.sold("new")
    with office.client(customers=["acme", "later"]) as client:
        assert client.check("acme", "sso")
        assert client.check("later", "sso").reason == "unknown_customer"
        with pytest.raises(NotHeld, match="made for others"):
            client.check("new", "sso")
        office.sold("later")
        until(lambda: client.check("later", "sso"))


def test_customers_on_demand(office: Office) -> None:
    """On demand each customer is loaded once, however many threads ask; so is one that nobody knows."""
    office.sold("new")
    with office.client(on_demand=True) as client:
        found: list[bool] = []
        threads = [threading.Thread(target=lambda: found.append(bool(client.check("new", "sso")))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [True] * 8
        for _ in range(3):
            assert client.check("nobody", "sso").reason == "unknown_customer"
        picks = [path for path in office.asked if "/customers/" in path]
        assert sorted(path.partition("?")[0].rpartition("/")[2] for path in picks) == ["new", "nobody"]
        office.sold("nobody")
        until(lambda: client.check("nobody", "sso"))
        office.close()
        assert client.check("new", "sso")
        with pytest.raises(NoTruth, match="other"):
            client.check("other", "sso")
    with office.client(on_demand=True, start_timeout=0.2, unreachable={"sso": "allow"}) as client:
        assert client.check("other", "sso").reason == "not_enforced"


def test_a_pick_that_is_overtaken_is_caught_up_with(office: Office) -> None:
    """Where the truth moves on while a customer is on its way, what came of it since is laid over it."""
    office.sold("new")
    with office.client(on_demand=True) as client:

        def overtake() -> None:
            office.authority.put_user("new", "ann", "tester")
            office.sold("newer")
            until(lambda: client.freshness.cursor == f"1:{office.authority.seq}")

        office.before_pick = overtake
        assert client.check("new", "beta", user="ann")
        cursors = [path.partition("cursor=")[2] for path in office.asked if "/customers/new" in path]
        assert cursors == ["1:3"]
        office.put(terms("new", since=LONG_AGO, ends_at=LONG_AGO))
        until(lambda: not client.check("new", "sso"))


def test_on_demand_holds_no_more_than_it_may(office: Office) -> None:
    """Of fifty customers asked about in turn, a client that may hold five has about five, and answers for each."""
    for number in range(50):
        office.sold(f"customer-{number}")
    with office.client(on_demand=True, most_customers=5) as client:
        assert all(client.check(f"customer-{number}", "sso") for number in range(50))
        assert len(client._book.truth) <= 6
        assert client.check("customer-0", "sso")


async def test_the_async_client_is_the_same(office: Office) -> None:
    """In a loop: follows, answers at once, loads on demand before a check, and ends without a task left."""
    before = asyncio.all_tasks()
    async with office.async_client(telemetry=True) as client:
        assert client.check("acme", "sso")
        office.sold("new")
        await soon(lambda: client.check("new", "sso"))
        await client.wait_ready()
    with pytest.raises(Closed):
        client.check("acme", "sso")
    async with office.async_client(on_demand=True) as client:
        with pytest.raises(NotHeld, match="before asking"):
            client.check("acme", "sso")
        await asyncio.gather(*(client.load("acme") for _ in range(5)))
        assert client.check("acme", "sso")
        assert sum("/customers/acme" in path for path in office.asked) == 1
    assert OURS.isdisjoint(one.get_name() for one in asyncio.all_tasks() - before)


async def test_the_async_client_outlives_its_server(office: Office) -> None:
    """While nobody is there it answers; back again it goes on from where it stood."""
    async with office.async_client() as client:
        await asyncio.to_thread(office.close)
        assert client.check("acme", "sso")
        office.sold("new")
        office.open()
        await soon(lambda: client.check("new", "sso"))


async def test_waiting_in_a_loop_lets_others_run(office: Office) -> None:
    """While a truth is waited for and nobody is there, other tasks go on; the wait ends as the server comes."""
    office.close()
    async with office.async_client(start_timeout=0.2) as client:
        with pytest.raises(Unreachable):
            await client.wait_ready(0.2)
        waiting = asyncio.create_task(client.wait_ready(10))
        await asyncio.sleep(0.05)
        office.open()
        await waiting
        assert client.check("acme", "sso")


def test_counts_are_told(office: Office) -> None:
    """What was checked is told to the server in a numbered batch, the last of it when the client is closed."""
    with office.client(telemetry=True) as client:
        for _ in range(5):
            client.check("acme", "sso")
        client.check("nobody", "sso")
    counts = [one for upload in office.told for one in upload["counts"]]
    assert sum(one["checks"] for one in counts) == 6
    assert len({(upload["counter"], upload["number"]) for upload in office.told}) == len(office.told)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"url": "licet.example.com"}, "LICET_URL"),
        ({"url": "http://licet.example.com/?a=b"}, "LICET_URL"),
        ({"key": "secret"}, "LICET_KEY"),
        ({"root": "nonsense"}, "LICET_ROOT"),
        ({"root": "k4.public.AAAA"}, "14 characters"),
        ({"root": ""}, "root= is empty.*licet signing show"),
        ({"root": " "}, "root= is empty"),
        ({"customers": "acme"}, "list of ids"),
        ({"customers": {"acme": 1}}, "is a dict"),
        ({"customers": (one for one in ("acme",))}, "is a generator"),
        ({"customers": ["acme", 7]}, "item 1: the customer must be text.*7"),
        ({"customers": ["acme", None]}, "item 1: .*None"),
        ({"customers": [5]}, "item 0"),
        ({"customers": ["acme", ""]}, "item 1: the customer is empty"),
        ({"customers": ["acme", "a\x00b"]}, r"item 1: .*U\+0000"),
        ({"customers": ["x" * 5000]}, "5000 characters"),
        ({"follow": "sometimes"}, "'stream', 'poll'"),
        ({"unreachable": {"sso": "maybe"}}, "'allow' or 'deny'"),
        ({"timeout": 0}, "above 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(more: dict[str, object], words: str) -> None:
    """Wrong arguments are refused before anything starts, with words that say what is allowed; no secret is shown."""
    told: dict[str, object] = {"url": "http://127.0.0.1:9", "key": API_KEY, **more}
    with pytest.raises(Misconfigured, match=words) as refused:
        Client(**told)  # type: ignore[arg-type]
    assert "bbbbb" not in str(refused.value)


def test_a_workspace_without_a_catalog_is_said(office: Office) -> None:
    """Before the first release there is a feed and no truth: the error names what is missing, not the network."""
    office.bare = True
    with office.client() as client:
        assert client.freshness.connected
        with pytest.raises(NoTruth, match="no catalog yet"):
            client.check("acme", "sso")
        with pytest.raises(NoTruth, match="no catalog yet"):
            client.entitlements("acme")
