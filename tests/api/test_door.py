"""Who gets in over HTTP: keys, scopes, customers, rates; and how often a revoked key still works (not at all)."""

import asyncio
import base64
import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from licet.api.app import OPERATIONS
from licet.api.contract import Operation
from licet.services.rows import Scope
from licet.settings import Settings
from tests.api.house import ALL, House, Visitor, open_house, problem
from tests.store.worlds import World

pytestmark = [pytest.mark.postgres, pytest.mark.one_engine]

KEYED = [one for one in OPERATIONS if one.scopes]


def address(one: Operation, **names: str) -> str:
    """Return the example's address of an operation, with some names replaced."""
    path = one.path
    for name in one.path_names:
        path = path.replace(f"{{{name}}}", names.get(name, one.example_path[name]))
    query = "&".join(f"{name}={value}" for name, value in one.example_query.items())
    return f"{path}?{query}" if query else path


async def knock(visitor: Visitor, one: Operation, example: Any = None, **names: str) -> Any:
    """Send the example of an operation."""
    return await visitor.ask(one.method, address(one, **names), example or one.example)


@pytest.mark.parametrize("one", KEYED, ids=lambda one: one.id)
async def test_without_a_key_nobody_gets_in(house: House, one: Operation) -> None:
    """Every operation that asks for a key answers 401 without one, before it looks at anything else."""
    answer = await house.visitor().ask(one.method, address(one), body=b"{")
    problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("one", KEYED, ids=lambda one: one.id)
async def test_each_scope_opens_what_it_should(house: House, one: Operation) -> None:
    """A key with all other scopes is refused and told what is missing; one with just a named scope is not refused."""
    others: list[Scope] = [scope for scope in ALL if scope not in one.scopes and scope != "admin"]
    refused = problem(await knock(await house.holder(*others), one), 403, "forbidden")
    assert f"this needs the scope {' or '.join(one.scopes)}" in refused["detail"]
    for scope in one.scopes:
        answer = await knock(await house.holder(scope), one)
        assert answer.status_code not in (401, 403, 500), answer.text


@pytest.mark.parametrize("one", KEYED, ids=lambda one: one.id)
async def test_a_bound_key_sees_its_customer_only(house: House, operator: Visitor, one: Operation) -> None:
    """A key bound to one customer is refused everything about another one, and about several at once."""
    await operator.ask("POST", "/v1/customers", {"id": "bound"})
    visitor = await house.holder(*ALL, customer="bound")
    if one.binding == "own":
        await operator.ask("POST", "/v1/customers", {"id": "acme"})
        told = await knock(visitor, one)
        if one.path.startswith("/v1/feed"):
            assert told.status_code == 200
            assert '"bound"' in opened(told.text)
            assert "acme" not in opened(told.text)
        elif told.status_code == 403:
            assert "bound to the customer 'bound'" in problem(told, 403, "forbidden")["detail"]
        else:
            # What is another customer's is not there.
            assert told.status_code in (200, 400, 404), told.text
            assert "acme" not in told.text
        return
    refused = problem(await knock(visitor, one), 403, "forbidden")
    assert "bound to the customer 'bound'" in refused["detail"]
    if one.binding == "path":
        # How foreign systems call a customer is not a bound key's to say.
        example = {name: value for name, value in (one.example or {}).items() if name != "external_ids"}
        own = await knock(visitor, one, example or None, customer="bound")
        assert own.status_code != 403, own.text
    elif one.binding != "never":
        # A bound key orders from a source of its customer's own.
        example = json.loads(json.dumps(one.example).replace('"acme"', '"bound"').replace('"crm"', '"customer:bound"'))
        own = await knock(visitor, one, example)
        assert own.status_code != 403, own.text


def opened(text: str) -> str:
    """What stands in the signed messages of an answer, as text."""
    return " ".join(
        base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))[:-64].decode()
        for body in re.findall(r"v4\.public\.([\w-]+)", text)
    )


async def test_a_batch_with_one_foreign_customer_is_refused_whole(house: House, operator: Visitor) -> None:
    """A bound key cannot smuggle a question about another customer into a batch."""
    await operator.ask("POST", "/v1/customers", {"id": "bound"})
    visitor = await house.holder("check", customer="bound")
    questions = [{"customer": "bound", "feature": "sso"}, {"customer": "acme", "feature": "sso"}]
    problem(await visitor.ask("POST", "/v1/check/batch", {"questions": questions}), 403, "forbidden")


@pytest.mark.parametrize(
    "header",
    ["", "Basic YTpi", "Bearer", "Bearer x", "Bearer lct_live_abc", "Bearer lct_prod_abcdefghij234567_" + "a" * 32],
)
async def test_what_is_no_key(house: House, header: str) -> None:
    """Whatever is not the shape of a key is refused with advice, without asking the database."""
    answer = await house.visitor().ask("GET", "/v1/keys", headers={"Authorization": header})
    assert "licet keys create" in problem(answer, 401, "unauthenticated")["advice"]


async def test_unknown_and_wrong_look_the_same(house: House) -> None:
    """An unknown id and a wrong secret get the same words: nobody can probe for ids."""
    key, secret = await house.key("check")
    wrong = secret[:-32] + "b" * 32
    unknown = f"lct_test_{'z' * len(key)}_{'b' * 32}"
    answers = [await house.visitor(one).ask("GET", "/v1/clock") for one in (wrong, unknown)]
    first, second = (problem(answer, 401, "unauthenticated")["detail"] for answer in answers)
    assert first == second


async def test_a_revoked_key_ends_at_once(house: House, operator: Visitor) -> None:
    """A key that has just been used, and is remembered, is refused within a second of being revoked."""
    key, secret = await house.key("check")
    visitor = house.visitor(secret)
    await visitor.told("GET", "/v1/clock")
    await operator.told("POST", f"/v1/keys/{key}/revoke")
    ends = time.monotonic() + 1
    answer = await visitor.ask("GET", "/v1/clock")
    while answer.status_code == 200 and time.monotonic() < ends:
        answer = await visitor.ask("GET", "/v1/clock")
    assert "revoked" in problem(answer, 401, "unauthenticated")["detail"]


async def test_a_rotated_key_overlaps(house: House, operator: Visitor) -> None:
    """After a rotation both keys work; without overlap only the new one does."""
    key, secret = await house.key("check")
    made = await operator.told("POST", f"/v1/keys/{key}/rotate", {"overlap": "PT1H"})
    assert made["key"]["scopes"] == ["check"]
    for one in (secret, made["secret"]):
        await house.visitor(one).told("GET", "/v1/clock")
    last = await operator.told("POST", f"/v1/keys/{made['key']['id']}/rotate", {"overlap": "PT0S"})
    await asyncio.sleep(0.3)
    problem(await house.visitor(made["secret"]).ask("GET", "/v1/clock"), 401, "unauthenticated")
    await house.visitor(last["secret"]).told("GET", "/v1/clock")


async def test_an_expired_key_is_refused(house: House) -> None:
    """A key ends at its expiry, real time, without anybody doing anything."""
    ends = datetime.now(UTC) + timedelta(seconds=0.3)
    _, secret = await house.key("check", expires_at=ends)
    visitor = house.visitor(secret)
    await visitor.told("GET", "/v1/clock")
    await asyncio.sleep(0.4)
    assert "expired" in problem(await visitor.ask("GET", "/v1/clock"), 401, "unauthenticated")["detail"]


async def test_a_key_opens_its_own_workspace(house: House, operator: Visitor) -> None:
    """The same id in two workspaces is two customers: a key of the other workspace does not find ours."""
    await operator.told("POST", "/v1/customers", {"id": "only-in-test"})
    stranger = await house.holder(*ALL, workspace="live")
    problem(await stranger.ask("GET", "/v1/customers/only-in-test"), 404, "not_found")
    assert (await stranger.told("GET", "/v1/clock"))["workspace"] == "live"


async def test_secrets_are_told_once(house: House, operator: Visitor) -> None:
    """A new key's secret is in its first answer and nowhere else: not in a replay, a list, the log or the database."""
    headers = {"Idempotency-Key": "make-a-key"}
    made = await operator.ask("POST", "/v1/keys", {"name": "web", "scopes": ["check"]}, headers=headers)
    secret = json.loads(made.content)["secret"]
    await house.visitor(secret).told("GET", "/v1/clock")
    again = await operator.ask("POST", "/v1/keys", {"name": "web", "scopes": ["check"]}, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert json.loads(again.content) == json.loads(made.content) | {"secret": None}
    shown = (await operator.ask("GET", "/v1/keys?limit=500")).text + (await operator.ask("GET", "/v1/events")).text
    assert secret.rsplit("_", 1)[1] not in shown


async def test_the_rate_of_a_key(world: World) -> None:
    """Beyond its rate a key is told how long to wait; another key is not slowed, and after waiting it goes on."""
    async with open_house(world, Settings(rate_per_second=2, rate_burst=5)) as slow:
        hasty, calm = await slow.holder("check"), await slow.holder("check")
        answers = [await hasty.ask("GET", "/v1/clock") for _ in range(7)]
        assert [answer.status_code for answer in answers].count(200) in (5, 6)
        refused = answers[-1]
        problem(refused, 429, "rate_limited")
        assert int(refused.headers["retry-after"]) == 1
        await calm.told("GET", "/v1/clock")
        await asyncio.sleep(1)
        await hasty.told("GET", "/v1/clock")


async def test_reads_wait_for_a_write(house: House, operator: Visitor) -> None:
    """A read that names a sequence waits until it is there, and says so after a second if it does not come."""
    seq = await house.seq()
    waiting = asyncio.create_task(operator.ask("GET", f"/v1/clock?at_least={seq + 1}"))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await operator.told("POST", "/v1/customers", {})
    assert (await waiting).status_code == 200
    late = await operator.ask("GET", f"/v1/clock?at_least={seq + 1000}")
    problem(late, 503, "behind")
    assert late.headers["retry-after"] == "1"
