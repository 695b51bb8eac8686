"""Events of usage as they come over HTTP: CloudEvents 1.0, structured, in batches, or in binary mode.

By the HTTP binding of CloudEvents (v1.0.2) ``application/cloudevents+json`` is one event, ``…-batch+json`` a list,
and headers ``ce-…`` make the body the data of one event. Plain JSON is read as one event or a list of them.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import unquote

import msgspec
from msgspec import Meta

from licet.api.contract import JSON, Document
from licet.api.refusals import from_decoding
from licet.door.limits import MAX_DIGITS
from licet.door.problems import Place, Refusal
from licet.door.scan import scan
from licet.wire.usage import MAX_EVENTS, CloudEvent

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
MEDIA_TYPES: Final = (JSON, STRUCTURED, BATCH)
LARGE: Final = 128 * 1024
"""Bytes from which a body is read beside the event loop, so that others get their turn meanwhile."""

Events = Annotated[tuple[CloudEvent, ...], Meta(min_length=1, max_length=MAX_EVENTS)]
_ATTRIBUTES: Final = ("specversion", "id", "source", "type", "subject", "time", "dataschema")
_PREFIX: Final = "ce-"
_BINARY: Final = ("ce-specversion", "ce-id", "ce-source", "ce-type")
"""Any of these headers makes a request one in binary mode."""
_MOST: Final = 2_000
"""Characters of an attribute in a header."""

_SHORT: Final = 10 ** (MAX_DIGITS - 1)
_encode: Final = msgspec.json.Encoder().encode
_one: Final = msgspec.json.Decoder(CloudEvent)
_many: Final = msgspec.json.Decoder(Events)


async def read_events(document: Document, headers: Mapping[str, str]) -> tuple[CloudEvent, ...]:
    """Return the events of a request; raises Refusal for whatever is not 1 to 10,000 whole ones."""
    if document.media_type == JSON and any(name in headers for name in _BINARY):
        return (binary(document.content, headers),)
    if len(document.content) < LARGE:
        return decode_events(document)
    return await asyncio.to_thread(decode_events, document)


def decode_events(document: Document) -> tuple[CloudEvent, ...]:
    """Return the events of a body in structured mode."""
    content = document.content
    single = document.media_type == STRUCTURED or (document.media_type == JSON and content.lstrip()[:1] == b"{")
    try:
        events = (_one.decode(content),) if single else _many.decode(content)
    except msgspec.ValidationError as error:
        scan(content)
        raise from_decoding(error, CloudEvent, "the event" if single else "the batch of events") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        scan(content)
        raise Refusal("bad_request", f"the body is not JSON: {error}") from None
    if not _is_all_told(content, events):
        scan(content)
    return events


def _is_all_told(content: bytes, events: tuple[CloudEvent, ...]) -> bool:
    """Whether events say all that their body does, in plain ASCII without escapes: then no scan would refuse it.

    What a decoder drops (the first of two equal keys, and keys it does not know) costs the body quotation marks.
    """
    if not content.isascii() or b"\\" in content:
        return False
    for event in events:
        for value in event.data.values():
            kind = type(value)
            if kind is float or (kind is int and not -_SHORT < value < _SHORT):
                return False
    return content.count(b'"') == _encode(events).count(b'"')


def binary(content: bytes, headers: Mapping[str, str]) -> CloudEvent:
    """Return the event of a request in binary mode: attributes in headers, the body its data (nothing: none)."""
    event: dict[str, Any] = {
        name: _attribute(name, headers[_PREFIX + name]) for name in _ATTRIBUTES if _PREFIX + name in headers
    }
    if content:
        scan(content)
    try:
        if content:
            event["data"] = msgspec.json.decode(content)
        return msgspec.convert(event, CloudEvent)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise from_decoding(error, CloudEvent, "the event in the headers ce-… and the body") from None


def _attribute(name: str, value: str) -> str:
    """Return an attribute as its header tells it: percent-encoded UTF-8."""
    try:
        text = unquote(value.encode("latin-1").decode(), errors="strict")
    except UnicodeError:
        text = "\0"
    if text.isprintable() and len(text) <= _MOST:
        return text
    message = f"the header {_PREFIX}{name} is not plain UTF-8 of at most {_MOST} characters"
    raise Refusal("bad_request", message, advice="Percent-encode UTF-8.", places=[Place(path=name, message=message)])
