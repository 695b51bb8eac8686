"""How often somebody without a key may come: wrong keys by address, deliveries by address and source."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from msgspec import structs

from licet.api.app import create_app
from licet.api.serving import Manner, bound_socket, serving
from licet.door.gate import Gate
from licet.door.limits import FAILED_BURST, SENDER_BURST, SENDER_PER_SECOND, SOURCE_BURST, SOURCE_PER_SECOND
from licet.door.problems import Refusal
from licet.door.rate import Inflow, Rate, neighborhood
from licet.services.rows import KeyRow
from tests.api.house import House, Visitor, problem

pytestmark = pytest.mark.one_engine

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ROW = KeyRow(
    id="abcdefghij234567", workspace="test", kind="server", name="k", scopes=frozenset({"check"}), created_at=NOW
)
TOKEN = f"lct_test_{ROW.id}_{'a' * 32}"
WRONG = f"Bearer lct_test_zzzzzzzzzz234567_{'b' * 32}"


class Index:
    """A look-up of keys that holds one and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, key: str) -> tuple[KeyRow, bytes] | None:
        """Return the one key."""
        self.asked += 1
        return (ROW, hashlib.sha256(TOKEN.encode()).digest()) if key == ROW.id else None


async def code_of(gate: Gate, authorization: str, now: float, client: str) -> str:
    """Return the code with which the gate refuses, or "in"."""
    try:
        await gate.admit(authorization, now, NOW, client)
    except Refusal as refusal:
        timed = refusal.headers.get("Retry-After", "0") != "0"
        return refusal.code if timed == (refusal.code == "rate_limited") else f"{refusal.code}, wrongly timed"
    return "in"


async def test_wrong_keys_from_one_address() -> None:
    """Beyond the bound nothing is looked up for an address any more; a remembered key and other addresses go on."""
    index = Index()
    gate = Gate(index, seconds=100)
    assert await code_of(gate, f"Bearer {TOKEN}", 0.0, "10.0.0.1") == "in"
    codes = [await code_of(gate, WRONG, 0.0, "10.0.0.1") for _ in range(FAILED_BURST + 1)]
    assert codes == ["unauthenticated"] * FAILED_BURST + ["rate_limited"]
    asked = index.asked
    assert await code_of(gate, f"Bearer lct_test_yyyyyyyyyy234567_{'b' * 32}", 0.0, "10.0.0.1") == "rate_limited"
    assert index.asked == asked
    assert await code_of(gate, f"Bearer {TOKEN}", 0.0, "10.0.0.1") == "in"
    assert await code_of(gate, WRONG, 0.0, "10.0.0.2") == "unauthenticated"
    assert await code_of(gate, WRONG, 1.0, "10.0.0.1") == "unauthenticated"


async def test_what_is_no_key_costs_nothing() -> None:
    """A request without the shape of a key is never looked up, so it does not count against its address."""
    index = Index()
    gate = Gate(index)
    for _ in range(2 * FAILED_BURST):
        assert await code_of(gate, "Bearer x", 0.0, "10.0.0.1") == "unauthenticated"
    assert await code_of(gate, f"Bearer {TOKEN}", 0.0, "10.0.0.1") == "in"


def test_a_neighborhood_is_what_one_machine_can_take() -> None:
    """Addresses of one /64 count together, two IPv4 addresses do not, and a mapped one is the IPv4 address."""
    assert neighborhood("2001:db8::1") == neighborhood("2001:db8::ffff:0:0:2") != neighborhood("2001:db8:0:1::1")
    assert neighborhood("10.0.0.1") == neighborhood("::ffff:10.0.0.1") != neighborhood("10.0.0.2")
    assert neighborhood("fe80::1%eth0") == neighborhood("fe80::2")
    assert neighborhood("testclient") == "testclient"


def test_one_sender_cannot_keep_out_the_others() -> None:
    """An address is held back before the source is: whatever one sends, another still gets in at the same source."""
    inflow = Inflow(Rate(SENDER_PER_SECOND, SENDER_BURST), Rate(SOURCE_PER_SECOND, SOURCE_BURST))
    waits = [inflow.take("10.0.0.1", "live/stripe", 0.0) for _ in range(SOURCE_BURST * 2)]
    assert waits.count(0.0) == SENDER_BURST
    assert inflow.take("10.0.0.2", "live/stripe", 0.0) == 0


def test_asking_for_the_wait_takes_nothing() -> None:
    """Whoever only asks how long it would be leaves the bucket as it is."""
    rate = Rate(1, 1)
    assert [rate.wait("a", 0.0) for _ in range(3)] == [0, 0, 0]
    assert rate.take("a", 0.0) == 0
    assert rate.wait("a", 0.0) == pytest.approx(1)
    assert rate.wait("a", 1.0) == 0


@pytest.fixture
async def narrow(house: House) -> AsyncIterator[Visitor]:
    """Somebody at a server on the same database where a sender may deliver five, a source three messages at once."""
    parts = structs.replace(house.built.parts, inflow=Inflow(Rate(0.01, 5), Rate(0.01, 3)))
    with bound_socket("127.0.0.1", 0) as bound:
        async with serving(create_app(parts), bound, Manner(shutdown_seconds=5)) as port:
            visitor = Visitor(f"http://127.0.0.1:{port}", None)
            yield visitor
            await visitor.http.aclose()


@pytest.mark.postgres
async def test_deliveries_beyond_their_rate(narrow: Visitor, operator: Visitor) -> None:
    """A source's rate does not touch another source's; a sender's holds at all of them, known or not; both say when."""
    for name in ("one", "two"):
        await operator.told("PUT", f"/v1/sources/{name}", {"kind": "stripe", "secrets": ["whsec_0123456789"]})
    ways = ["test/one"] * 3 + ["test/on%65", "test/two", "nowhere/x"]
    answers = [await narrow.ask("POST", f"/v1/connectors/{way}", body=b"{}") for way in ways]
    assert [answer.status_code for answer in answers] == [400, 400, 400, 429, 400, 429]
    for answer in (answers[3], answers[5]):
        problem(answer, 429, "rate_limited")
        assert int(answer.headers["retry-after"]) > 1
