"""Hostile quantities in every field that takes one, at every door: refused with a clear problem, nothing is written."""

import gzip
import io
import json
import resource
import zipfile
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, get_args

import httpx
import msgspec
import pytest
import pytest_asyncio

from licet.api.app import OPERATIONS
from licet.core.catalog import Amount
from tests.api.house import ALL, House, Visitor
from tests.door.wire import Told, hot_count, request, wire
from tests.store.worlds import World

pytestmark = [pytest.mark.postgres, pytest.mark.one_engine]

SLOT: Final = "#slot#"
CATALOG: Final[dict[str, Any]] = {
    "version": 1,
    "products": {"p": {"name": "P"}},
    "meters": {
        "calls": {"event": "call"},
        "tokens": {"event": "tokens"},
        "peak": {"event": "load", "aggregate": "max"},
    },
    "features": {
        "calls": {"type": "metered", "meter": "calls"},
        "tokens": {"type": "metered", "meter": "tokens"},
    },
    "plans": {"a": {"product": "p", "versions": {"2026-01": {"includes": {"calls": 1000, "tokens": 1000}}}}},
}
ALWAYS: Final = {
    "NaN": "NaN",
    "infinity": "Infinity",
    "minus infinity": "-Infinity",
    "1e400": "1e400",
    "an exponent": "1e3",
    "a fraction": "1.5",
    "a whole one written as a fraction": "1.0",
    "minus one": "-1",
    "2^63": str(2**63),
    "2^64": str(2**64),
    "endless": "1" * 5000,
    "true": "true",
    "a list": "[1]",
    "an object": "{}",
    "spaces": '" 7 "',
    "Arabic digits": '"\u0667"',
    "full-width digits": '"\uff17"',
    "too many decimals": '"1.5"',
    "2^63 as text": f'"{2**63}"',
    "an exponent as text": '"1e3"',
    "a sign": '"+1"',
    "minus one as text": '"-1"',
    "no text": '""',
    "hexadecimal": '"0x10"',
    "grouped": '"1_000"',
    "unlimited": '"unlimited"',
    "not a number as text": '"NaN"',
    "a lone surrogate": r'"\ud800"',
    "NUL": r'"\u0000"',
}
TABLES: Final = ("usage_fact", "usage_key", "usage_refusal", "reservation", "funding", "event", "balance_checkpoint")


class Field(NamedTuple):
    """A field that takes a quantity: where it is sent, in which body, and whether 0 is refused there."""

    operation: str
    path: str
    body: dict[str, Any]
    zero_is_refused: bool = False


def fields(reservation: str, use: str) -> dict[str, Field]:
    """Return every field that takes a quantity."""
    use_body = {"customer": "acme", "feature": "calls"}
    event = {"specversion": "1.0", "id": "hostile", "source": "s", "type": "call", "subject": "acme"}
    grants, balance = "/v1/customers/acme/grants", "/v1/customers/acme/balances/calls"
    rule = {"below": 1, "amount": 1, "most": 5, "consented_by": "ann"}
    also = [{"feature": "tokens", "quantity": SLOT}]
    settle = f"/v1/reservations/{reservation}/settle"
    return {
        "consume.quantity": Field("consume", "/v1/consume", use_body | {"quantity": SLOT}, True),
        "consume.also": Field("consume", "/v1/consume", use_body | {"also": also}, True),
        "reserve.quantity": Field("reserve", "/v1/reservations", use_body | {"quantity": SLOT}, True),
        "reserve.also": Field("reserve", "/v1/reservations", use_body | {"also": also}, True),
        "settle.used": Field("settle", settle, {"used": SLOT}),
        "settle.also": Field("settle", settle, {"used": 1, "also": also}),
        "events.data": Field("report_events", "/v1/events", event | {"data": {"quantity": SLOT}}),
        "events.data of a maximum": Field(
            "report_events", "/v1/events", event | {"type": "load", "data": {"quantity": SLOT}}
        ),
        "correct.quantity": Field(
            "correct_usage", "/v1/usage/corrections", {"customer": "acme", "id": use, "quantity": SLOT}, True
        ),
        "grant.amount": Field("give_grant", grants, {"feature": "calls", "amount": SLOT}, True),
        "grant.rollover.min": Field(
            "give_grant", grants, {"feature": "calls", "amount": 1, "every": "P1M", "rollover": {"min": SLOT}}
        ),
        "grant.rollover.max": Field(
            "give_grant", grants, {"feature": "calls", "amount": 1, "every": "P1M", "rollover": {"max": SLOT}}
        ),
        "spend_limit.amount": Field("limit_spend", f"{balance}/spend-limit", {"amount": SLOT}),
        **{
            f"top_up.{name}": Field("rule_top_up", f"{balance}/top-up", rule | {name: SLOT})
            for name in ("below", "amount", "most")
        },
    }


class Shop(NamedTuple):
    """What the fields are about."""

    secret: str
    fields: dict[str, Field]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(house: House) -> Shop:
    """Somebody who may do everything; acme has bought, consumed and reserved."""
    visitor = await house.holder(*ALL)
    assert visitor.secret is not None
    await visitor.told("PUT", "/v1/catalog?base=0", CATALOG)
    await visitor.told("POST", "/v1/customers", {"id": "acme"})
    await visitor.told("POST", "/v1/customers/acme/subscriptions", {"items": [{"plan": "a"}]})
    want = {"customer": "acme", "feature": "calls", "quantity": 10, "also": [{"feature": "tokens"}]}
    use = await visitor.told("POST", "/v1/consume", {"customer": "acme", "feature": "calls", "quantity": 10})
    held = await visitor.told("POST", "/v1/reservations", want | {"lasts": "P1D"})
    return Shop(visitor.secret, fields(held["id"], use["id"]))


async def rows(world: World) -> dict[str, int]:
    """Count the rows of everything that these routes write."""
    connection = await world.database.connect()
    try:
        counted = {name: await connection.fetchval(f"SELECT count(*) FROM {name}") for name in TABLES}
        # What was recorded before may be sealed meanwhile.
        sealed = await connection.fetchval("SELECT count(*) FROM event WHERE type = 'usage.sealed'")
        return counted | {"event": counted["event"] - sealed}
    finally:
        await connection.close()


def literals(field: Field) -> Iterator[tuple[str, str]]:
    """Yield what is not a quantity there, as JSON."""
    yield from ALWAYS.items()
    if field.zero_is_refused:
        yield from (("zero", "0"), ("zero as text", '"0"'), ("minus zero as text", '"-0"'))


def problem_of(told: Told) -> dict[str, Any]:
    """Assert that an answer is a clear problem of who asks; return it."""
    assert told.headers["content-type"] == "application/problem+json", told.body
    found: dict[str, Any] = told.value
    assert 400 <= told.status < 500, found
    assert found["code"] in {"bad_request", "invalid"}, found
    assert found["detail"]
    return found


async def test_every_field_refuses_what_is_no_quantity(house: House, world: World, shop: Shop) -> None:
    """Nothing but a whole number or a decimal at its scale is taken, hot or cold; no row comes of anything else."""
    before = await rows(world)
    tried = 0
    async with wire(house.url) as line:
        for name, field in shop.fields.items():
            method = OPERATIONS[field.operation].method
            for what, literal in literals(field):
                body = json.dumps(field.body).replace(json.dumps(SLOT), literal).encode()
                for path in (field.path, field.path.replace("v1", "v%31")):
                    told = await line.ask(request(shop.secret, body=body, method=method, path=path))
                    assert told.status == 400, (name, what, told.body)
                    problem_of(told)
                    tried += 1
    assert tried > 800
    assert await rows(world) == before


async def test_each_field_takes_a_quantity(house: House, world: World, shop: Shop) -> None:
    """The same bodies with a quantity in them are taken: what is refused is refused for the number alone."""
    before = await rows(world)
    async with wire(house.url) as line:
        for name, field in sorted(shop.fields.items(), key=lambda one: one[1].operation == "settle"):
            if name == "settle.also":
                continue  # the reservation is settled by then
            method = OPERATIONS[field.operation].method
            body = json.dumps(field.body).replace(json.dumps(SLOT), '"2"').replace("hostile", name).encode()
            told = await line.ask(request(shop.secret, body=body, method=method, path=field.path))
            assert told.status < 300, (name, told.body)
    after = await rows(world)
    assert all(after[name] > before[name] for name in ("usage_fact", "reservation", "funding", "event"))


def test_no_field_is_left_out() -> None:
    """Every field of a body of these routes that is typed as a quantity is in the table."""
    listed = {(field.operation, way) for field in fields("r", "u").values() for way in slots(field.body)}
    found = set()
    for one in OPERATIONS:
        if one.tag in {"Usage", "Grants and top-ups"} and one.body is not None and not one.raw:
            found |= {(one.id, way) for way in amounts(one.body)}
    assert {pair for pair in listed if pair[0] != "report_events"} == found


def slots(body: Any, way: str = "") -> Iterator[str]:
    """Yield where a body holds the slot."""
    if body == SLOT:
        yield way
    for name, value in body.items() if isinstance(body, dict) else ():
        yield from slots(value, f"{way}.{name}")
    for value in body if isinstance(body, list) else ():
        yield from slots(value, way)


def amounts(kind: Any, way: str = "") -> Iterator[str]:
    """Yield where a type takes an amount, however deep."""
    for field in msgspec.structs.fields(kind):
        here = f"{way}.{field.encode_name}"
        if field.type == Amount or field.type == (Amount | None):
            yield here
            continue
        for part in inner(field.type):
            yield from amounts(part, here)


def inner(kind: Any) -> Iterator[Any]:
    """Yield the structs within a type."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for part in get_args(kind):
        yield from inner(part)


ROUTES: Final = ("/v1/consume", "/v1/events", "/v1/reservations")


def packed() -> dict[str, bytes]:
    """Return compressed bodies, one of which would be very large."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("body.json", b"0" * 10_000_000)
    return {"gzip": gzip.compress(b"0" * 10_000_000), "zip": archive.getvalue(), "deflate": b"x\x9c", "br": b"\x0b"}


async def test_compressed_bodies(house: House, world: World, shop: Shop) -> None:
    """A body that says it is compressed is refused unread, with 415; one that does not say so is no JSON."""
    before = await rows(world)
    for path in ROUTES:
        for coding, body in packed().items():
            async with wire(house.url) as line:
                told = await line.ask(request(shop.secret, body=body, path=path, more={"Content-Encoding": coding}))
                assert (told.status, told.value["code"]) == (415, "unsupported_media_type"), coding
                assert coding in told.value["detail"]
            async with wire(house.url) as line:
                told = await line.ask(request(shop.secret, body=body, path=path))
                assert told.status == 400, told.body
    assert await rows(world) == before


async def test_bodies_without_end(house: House, world: World, shop: Shop) -> None:
    """100 MB, announced or not, are refused before they are held: memory stays flat, and nothing is written."""
    visitor = house.visitor(shop.secret)
    before, piece = await rows(world), b" " * 65536
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async def endless() -> Any:
        for _ in range(1600):
            yield piece

    for path in ROUTES:
        for headers in ({}, {"Content-Length": str(1600 * len(piece))}):
            try:
                answer = await visitor.http.post(
                    path, content=endless(), headers={"Content-Type": "application/json", **headers}
                )
            except (httpx.WriteError, httpx.ReadError):
                continue  # the server has answered and closed while this was still sending
            assert answer.status_code == 413, answer.text
    assert await rows(world) == before
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 64 * 1024, "KiB"


async def test_hot_and_cold_refuse_alike(house: House, shop: Shop) -> None:
    """What the hot door takes it refuses by itself only once the lane has said so; the problem is the cold one's."""
    before = hot_count(house)
    async with wire(house.url) as line:
        for literal in ("0", '"1.5"'):
            body = b'{"customer":"acme","feature":"calls","quantity":%b}' % literal.encode()
            hot = await line.ask(request(shop.secret, body=body, path="/v1/consume"))
            cold = await line.ask(request(shop.secret, body=body, path="/v%31/consume"))
            said = [{name: part for name, part in told.value.items() if name != "request_id"} for told in (hot, cold)]
            assert said[0] == said[1]
    assert hot_count(house) == before + 2


async def test_two_keys_and_another_coding(house: House, world: World, shop: Shop) -> None:
    """Two idempotency keys are refused with 400, a body in another coding than UTF-8 with 415; nothing is written."""
    asked = {"customer": "acme", "feature": "calls", "quantity": 1}
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "call", "subject": "acme"}
    visitor: Visitor = house.visitor((await house.key("admin", "usage"))[1])
    before = await rows(world)
    bodies: dict[str, Any] = {
        "/v1/consume": asked,
        "/v1/reservations": asked,
        "/v1/events": event | {"data": {"quantity": 1}},
        "/v1/customers": {"id": "twice"},
    }
    typed = ("Content-Type", "application/json")
    for path, body in bodies.items():
        keys = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
        answer = await visitor.http.post(path, json=body, headers=[typed, *keys])
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request"), path
        for coding in ("latin-1", '"ISO-8859-1"', "utf-16", ""):
            headers = {"Content-Type": f"application/json; charset={coding}"}
            answer = await visitor.http.post(path, json=body, headers=headers)
            assert answer.status_code == 415, (path, coding)
    assert await rows(world) == before
    headers = {"Content-Type": 'Application/JSON; charset="UTF-8"'}
    assert (await visitor.http.post("/v1/consume", json=asked, headers=headers)).status_code == 200


async def test_a_batch_with_one_wrong_event(house: House, world: World, shop: Shop) -> None:
    """Of a batch with one event that cannot be counted nothing is recorded; the problem says which one it is."""
    event = {"specversion": "1.0", "source": "batch", "type": "call", "subject": "acme"}
    events = [event | {"id": str(number), "data": {"quantity": 1}} for number in range(50)]
    before = await rows(world)
    visitor: Visitor = house.visitor(shop.secret)
    odds: list[Any] = ["1.5", -1, 0, "0", 1e3, True, None, "", [], 2**64]
    for odd in odds:
        broken = [*events, event | {"id": "odd", "data": {"quantity": odd}}]
        answer = await visitor.ask("POST", "/v1/events", broken)
        assert answer.status_code == 400, (odd, answer.text)
        assert answer.json()["problems"][0]["path"].startswith("[50]"), answer.text
    lost = await visitor.ask(
        "POST", "/v1/events", [*events, event | {"id": "x", "subject": "nobody", "data": {"quantity": 1}}]
    )
    assert lost.json()["problems"][0]["path"] == "[50].subject"
    assert await rows(world) == before
