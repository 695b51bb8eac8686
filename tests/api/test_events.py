"""Events of usage in each form of the HTTP binding of CloudEvents: one event comes of each, nothing of what is none."""

import asyncio
import json
from typing import Any

import pytest

from licet.api.cloud_events import BATCH, LARGE, STRUCTURED, read_events
from licet.api.contract import JSON, Document
from licet.door.problems import Refusal
from licet.door.scan import scan
from licet.wire.usage import MAX_EVENTS, CloudEvent

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "7",
    "source": "/gateway/ü 1",
    "type": "api.call",
    "subject": "acme",
    "time": "2026-03-01T09:00:00Z",
    "data": {"quantity": "2.5", "user": "ann", "tags": ["a", "b"]},
}
HEADERS = {
    "ce-specversion": "1.0",
    "ce-id": "7",
    "ce-source": "/gateway/%C3%BC%201",
    "ce-type": "api.call",
    "ce-subject": "acme",
    "ce-time": "2026-03-01T09:00:00Z",
    "ce-traceparent": "00-1-1-00",
}


def read(value: Any, media: str = JSON, headers: dict[str, str] | None = None) -> tuple[CloudEvent, ...]:
    """Read a body; ``value`` as JSON unless it is bytes already."""
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return asyncio.run(read_events(Document(content, media), headers or {}))


def test_each_form_is_the_same_event() -> None:
    """Structured, batch, plain JSON of either kind, and binary mode with percent-encoded headers give one event."""
    expected = read(EVENT, STRUCTURED)
    assert expected[0].source == "/gateway/ü 1"
    assert read([EVENT], BATCH) == read([EVENT]) == read(EVENT) == read(b" \n" + json.dumps(EVENT).encode()) == expected
    assert read(EVENT["data"], JSON, HEADERS) == expected
    raw = HEADERS | {"ce-source": "/gateway/ü 1".encode().decode("latin-1")}
    assert read(EVENT["data"], JSON, raw) == expected


def test_extensions_and_absent_data() -> None:
    """Extension attributes are ignored; data, time and subject's kin may be absent where the form lets them."""
    bare = {name: EVENT[name] for name in ("specversion", "id", "source", "type", "subject")}
    assert read(bare | {"traceparent": "00", "datacontenttype": "application/json"})[0].data == {}
    assert read(b"", JSON, HEADERS)[0].data == {}


def test_a_large_batch_is_the_same() -> None:
    """A batch that is read beside the event loop is the same as a small one, up to 10,000 events and no more."""
    events = [EVENT | {"id": str(number)} for number in range(MAX_EVENTS)]
    found = read(events, BATCH)
    assert len(json.dumps(events)) > LARGE
    assert [one.id for one in found] == [str(number) for number in range(MAX_EVENTS)]
    with pytest.raises(Refusal, match="batch of events"):
        read([*events, EVENT], BATCH)


@pytest.mark.parametrize(
    ("value", "media"),
    [
        ([EVENT], STRUCTURED),
        (EVENT, BATCH),
        ([], BATCH),
        ([], JSON),
        ([[EVENT]], JSON),
        ("x", JSON),
        (None, JSON),
        (EVENT | {"specversion": "0.3"}, JSON),
        (EVENT | {"time": "2026-03-01T09:00:00"}, JSON),
        (EVENT | {"id": ""}, JSON),
        (EVENT | {"data": "text"}, JSON),
        (EVENT | {"data": {"quantity": {"deep": 1}}}, JSON),
        ({name: value for name, value in EVENT.items() if name != "subject"}, JSON),
        (b'[{"id":"1","id":"2"}]', JSON),
        (b"[" * 100_000, BATCH),
        (b'[{"id":NaN}]', BATCH),
        (b"", JSON),
    ],
)
def test_what_is_no_event(value: Any, media: str) -> None:
    """The other form than announced, empty batches, other versions, wrong fields and broken JSON are refused."""
    with pytest.raises(Refusal) as refused:
        read(value, media)
    assert refused.value.code in {"bad_request", "invalid"}


@pytest.mark.parametrize(
    "odd",
    [
        {"ce-id": "%ff"},
        {"ce-id": "\xff"},
        {"ce-id": "a%00"},
        {"ce-source": "x" * 3000},
        {"ce-specversion": "2.0"},
        {"ce-time": "yesterday"},
        {"ce-subject": ""},
    ],
)
def test_odd_headers(odd: dict[str, str]) -> None:
    """Headers that are not UTF-8, hold what cannot be printed, are too long or do not fit are refused."""
    with pytest.raises(Refusal):
        read(EVENT["data"], JSON, HEADERS | odd)


@pytest.mark.parametrize("body", [b"[1]", b'"x"', b"{", b'{"a":1,"a":2}', b'{"quantity":1e400}'])
def test_odd_data_in_binary_mode(body: bytes) -> None:
    """The data of an event in binary mode is one plain JSON object, as everywhere."""
    with pytest.raises(Refusal):
        read(body, JSON, HEADERS)


WHOLE = json.dumps([EVENT | {"source": "/gateway"}], separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"id":"7"', b'"id":"6","id":"7"'),
        (b'"id":"7"', b'"id":"7","extension":1,"extension":2'),
        (b'"id":"7"', b'"id":"7","extension":' + b"[" * 70 + b"]" * 70),
        (b'"id":"7"', b'"id":"7\x00"'),
        (b'"id":"7"', b'"id":"7\\u0000"'),
        (b'"id":"7"', b'"id":"7\\ud800"'),
        (b'"id":"7"', b'"id":"7\xff"'),
        (b'"user":"ann"', b'"user":"bob","user":"ann"'),
        (b'"user":"ann"', b'"user":1,"user":"ann"'),
        (b'"user":"ann"', b'"us\\u0065r":1,"user":"ann"'),
        (b'"user":"ann"', b'"user":NaN'),
        (b'"user":"ann"', b'"user":' + b"1" * 41),
        (b'"user":"ann"', b'"user":-' + b"1" * 40),
        (b'"user":"ann"', b'"user":0.' + b"1" * 40),
        (b'"user":"ann"', b'"user":"ann",'),
    ],
)
def test_what_a_decoder_lets_through_is_refused(before: bytes, after: bytes) -> None:
    """Whatever the scan of a body refuses is refused in its words, also where reading it would not notice."""
    body = WHOLE.replace(before, after)
    assert body != WHOLE
    with pytest.raises(Refusal) as expected:
        scan(body)
    with pytest.raises(Refusal) as refused:
        read(body, BATCH)
    assert refused.value.detail == expected.value.detail


@pytest.mark.parametrize("number", [b"-0", b"9" * 40, b"-" + b"9" * 39, b"1.5", b"1e3", b"true", b"null", b"[]"])
def test_odd_plain_data_is_read(number: bytes) -> None:
    """Numbers up to the bound, and everything plain, are read; what may be counted is the meter's matter."""
    assert read(WHOLE.replace(b'"ann"', number), BATCH)[0].data["tags"] == ["a", "b"]
