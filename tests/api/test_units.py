"""The door's parts by themselves: scanning JSON, rates, listening, the gate's memory."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.door.gate import Caller, Gate
from licet.door.limits import MAX_DEPTH
from licet.door.listen import OpenToAll, check_listen
from licet.door.problems import Refusal
from licet.door.rate import Rate
from licet.door.scan import scan
from licet.services.rows import KeyRow

pytestmark = pytest.mark.one_engine

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def key_id(number: int) -> str:
    """An id of the right form for a number."""
    return f"{number:016}".translate(str.maketrans("0123456789", "abcdefghij"))


TOKEN = "lct_test_abcdefghij234567_" + "q" * 32
VALUES: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_plain_json_passes(value: object, ascii_only: bool) -> None:
    """Whatever the standard library writes, escaped or not, passes the scan, unless NUL is in it."""
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    if b"\\u0000" in body:
        with pytest.raises(Refusal, match="NUL"):
            scan(body)
    else:
        scan(body)


@given(st.binary(max_size=60))
def test_any_bytes_are_answered(body: bytes) -> None:
    """Whatever comes is either JSON for the standard library too, or refused: no other error leaves the scan."""
    refused = False
    try:
        scan(body)
    except Refusal:
        refused = True
    assert refused or json.loads(body) is not ...


def test_depth_is_counted_outside_of_texts() -> None:
    """Exactly the allowed depth passes, one more does not, and brackets inside texts do not count."""
    scan(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    with pytest.raises(Refusal, match="deeper than 64"):
        scan(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))
    scan(json.dumps({"a": '[{"' * 200, 'b": [': 1}).encode())


def test_duplicate_keys_are_found_everywhere() -> None:
    """Two keys that are the same after unescaping are one key twice; the same key in two objects is not."""
    scan(b'[{"a":1},{"a":2},{"b":{"a":1}}]')
    same_letter = rb'{"\u00e9":1,"' + "é".encode() + b'":2}'
    for body in (b'{"a":1,"a":1}', b'[[{"x":{"a":1,"b":2,"a":3}}]]', same_letter):
        with pytest.raises(Refusal, match="occurs twice"):
            scan(body)


@pytest.mark.parametrize(
    "body",
    [
        b'"' + b'\\"' * 500_000,
        b"[" * 1_000_000,
        b"[]," * 330_000,
        b'{"a":' * 160_000,
        b"1" * 1_000_000,
        b'"\\u' * 300_000,
    ],
    ids=["quotes", "depth", "brackets", "objects", "digits", "escapes"],
)
def test_hostile_bodies_are_refused(body: bytes) -> None:
    """A body of the largest size that is made to be slow or deep is refused, not followed into recursion."""
    with pytest.raises(Refusal):
        scan(body)


def test_a_bucket_fills_by_time() -> None:
    """A burst is allowed at once, then one request per interval; waiting fills up to the burst and no further."""
    rate = Rate(10, 3)
    assert [rate.take("k", 0.0) for _ in range(3)] == [0, 0, 0]
    assert rate.take("k", 0.0) == pytest.approx(0.1)
    assert rate.take("other", 0.0) == 0
    assert rate.take("k", 0.1) == 0
    assert rate.take("k", 0.15) == pytest.approx(0.05)
    assert [rate.take("k", 100.0) for _ in range(4)] == [0, 0, 0, pytest.approx(0.1)]
    assert rate.take("k", 50.0) == pytest.approx(0.1)


def test_no_rate_is_no_limit() -> None:
    """Zero per second means that nobody is held back."""
    assert not any(Rate(0, 1).take("k", 0.0) for _ in range(100))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1"])
def test_loopback_needs_nothing(host: str) -> None:
    """On loopback the server may listen as it is."""
    check_listen(host, tls=False, insecure=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "licet.example.com"])  # noqa: S104 refused
def test_elsewhere_needs_tls_or_a_word(host: str) -> None:
    """Beyond loopback the server refuses and says what to do, unless TLS is on or somebody takes it on himself."""
    with pytest.raises(OpenToAll, match="--insecure-listen"):
        check_listen(host, tls=False, insecure=False)
    check_listen(host, tls=True, insecure=False)
    check_listen(host, tls=False, insecure=True)


def key_row(workspace: str = "test") -> KeyRow:
    """Return a stored key."""
    return KeyRow(
        id="abcdefghij234567", workspace=workspace, kind="server", name="k", scopes=frozenset({"check"}), created_at=NOW
    )


Found = tuple[KeyRow, bytes] | None


def index(found: Found, asked: list[str]) -> Callable[[str], Awaitable[Found]]:
    """Return a look-up that notes what it was asked."""

    async def look_up(key: str) -> Found:
        asked.append(key)
        return found

    return look_up


async def test_the_gate_remembers_for_a_while() -> None:
    """A key is looked up once within its time, again afterwards, and again after a notice of its workspace."""
    asked: list[str] = []
    gate = Gate(index((key_row(), hashlib.sha256(TOKEN.encode()).digest()), asked), seconds=5)
    for now in (0.0, 4.9):
        assert await gate.admit(f"Bearer {TOKEN}", now, NOW) == Caller(
            "abcdefghij234567", "test", frozenset({"check"}), None
        )
    assert len(asked) == 1
    await gate.admit(f"Bearer {TOKEN}", 5.1, NOW)
    gate.forget("live")
    await gate.admit(f"bearer {TOKEN}", 5.2, NOW)
    assert len(asked) == 2
    gate.forget("test")
    await gate.admit(f"Bearer {TOKEN}", 5.3, NOW)
    assert len(asked) == 3


async def test_the_gate_forgets_what_it_reads_during_a_notice() -> None:
    """What was being read when a commit came may be older than it, and is not remembered."""
    asked: list[str] = []

    async def look_up(key: str) -> Found:
        asked.append(key)
        gate.forget("test")
        return key_row(), hashlib.sha256(TOKEN.encode()).digest()

    gate = Gate(look_up)
    await gate.admit(f"Bearer {TOKEN}", 0.0, NOW)
    await gate.admit(f"Bearer {TOKEN}", 0.1, NOW)
    assert len(asked) == 2


async def test_the_gate_remembers_little() -> None:
    """Guessing ids does not fill the memory, and a guessed id is not asked for again and again."""
    asked: list[str] = []
    gate = Gate(index(None, asked), most=10)
    for number in range(100):
        with pytest.raises(Refusal):
            await gate.admit(f"Bearer lct_test_{key_id(number)}_{'q' * 32}", 0.0, NOW)
    with pytest.raises(Refusal):
        await gate.admit(f"Bearer lct_test_{key_id(99)}_{'q' * 32}", 0.1, NOW)
    assert len(asked) == 100
    assert len(gate._known) == 10
