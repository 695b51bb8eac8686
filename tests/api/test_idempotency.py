"""Repeating a write under an idempotency key: one effect, one answer, also when both come at once."""

import asyncio
import json
from urllib.parse import quote

import pytest

from tests.api.house import House, Visitor, problem

pytestmark = pytest.mark.postgres


async def test_a_repeat_gets_the_first_answer(house: House, operator: Visitor) -> None:
    """The same request again has one effect and gets the first answer, byte for byte, marked as a replay."""
    headers = {"Idempotency-Key": "same"}
    first = await operator.ask("POST", "/v1/customers", {"name": "Once"}, headers=headers)
    seq = await house.seq()
    again = await operator.ask("POST", "/v1/customers", {"name": "Once"}, headers=headers)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["licet-seq"] == first.headers["licet-seq"] == str(json.loads(first.content)["seq"])
    assert await house.seq() == seq


async def test_the_same_key_with_another_body(house: House, operator: Visitor) -> None:
    """A key belongs to one request: another body, or another query, under it is refused and writes nothing."""
    headers = {"Idempotency-Key": "reused"}
    await operator.ask("POST", "/v1/customers", {"name": "A"}, headers=headers)
    seq = await house.seq()
    answer = await operator.ask("POST", "/v1/customers", {"name": "B"}, headers=headers)
    problem(answer, 422, "idempotency_key_reused")
    assert await house.seq() == seq


async def test_a_key_is_per_route_and_workspace(house: House, operator: Visitor) -> None:
    """The same key on another route, or in another workspace, is another key."""
    headers = {"Idempotency-Key": "shared"}
    one = await operator.ask("PUT", "/v1/customers/nobody/teams/x", {}, headers=headers)
    problem(one, 404, "not_found")
    assert (await operator.ask("POST", "/v1/customers", {}, headers=headers)).status_code == 201
    live = await house.holder("orders", workspace="live")
    other = await live.ask("POST", "/v1/customers", {}, headers=headers)
    assert (other.status_code, "idempotency-replayed" in other.headers) == (201, False)


async def test_a_refused_request_leaves_its_key_free(operator: Visitor) -> None:
    """A refusal wrote nothing, so the corrected situation may be tried again under the same key."""
    headers = {"Idempotency-Key": "later"}
    path = "/v1/customers/late/teams/x"
    problem(await operator.ask("PUT", path, {}, headers=headers), 404, "not_found")
    await operator.told("POST", "/v1/customers", {"id": "late"})
    assert (await operator.ask("PUT", path, {}, headers=headers)).status_code == 200


async def test_twenty_at_once_have_one_effect(house: House, operator: Visitor) -> None:
    """Of twenty requests at once under one key one is carried out; the others get its answer, or are told to wait."""
    headers = {"Idempotency-Key": "race"}
    seq = await house.seq()
    answers = await asyncio.gather(
        *(operator.ask("POST", "/v1/customers", {"name": "Race"}, headers=headers) for _ in range(20))
    )
    done = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.content for answer in done}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in done) == 1
    for answer in answers:
        if answer.status_code != 201:
            problem(answer, 409, "idempotency_key_busy")
            assert answer.headers["retry-after"] == "1"
    assert await house.seq() == seq + 1
    last = await operator.ask("POST", "/v1/customers", {"name": "Race"}, headers=headers)
    assert last.content == done[0].content


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
async def test_what_is_no_idempotency_key(operator: Visitor, key: str) -> None:
    """An empty, over-long or unprintable key is refused before anything is done."""
    answer = await operator.ask("POST", "/v1/customers", {}, headers={"Idempotency-Key": key})
    assert answer.status_code == 400
    assert json.loads(answer.content)["code"] in ("invalid", "bad_request")


async def test_note_and_cause_are_in_the_event(operator: Visitor) -> None:
    """Why, and what caused it, stand in the event of a write; more than its bound is refused."""
    headers = {"Licet-Note": "Größe: naïve ✓", "Licet-Cause": "ticket/42"}
    raw = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    answer = await operator.http.post(
        "/v1/customers",
        content=b"{}",
        headers=[(name.encode(), value.encode("latin-1")) for name, value in raw.items()],
    )
    made = json.loads(answer.content)
    page = await operator.told("GET", f"/v1/events?after={made['seq'] - 1}")
    assert [(event["note"], event["cause"]) for event in page["items"]] == [("Größe: naïve ✓", "ticket/42")]
    long = await operator.ask("POST", "/v1/customers", {}, headers={"Licet-Note": "x" * 2001})
    problem(long, 400, "invalid")


async def test_a_key_on_the_longest_route(operator: Visitor) -> None:
    """Ids of full length in letters that take many bytes leave room for a key, and a repeat gets the first answer."""
    customer, user = "é" * 128, "ü/" * 64
    await operator.told("POST", "/v1/customers", {"id": customer})
    path = f"/v1/customers/{quote(customer, safe='')}/users/{quote(user, safe='')}"
    answers = [await operator.ask("PUT", path, {}, headers={"Idempotency-Key": "long"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[1].headers["idempotency-replayed"] == "true"
