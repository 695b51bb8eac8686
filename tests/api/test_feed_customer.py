"""What a key that is bound to one customer is told: all of that customer, and not one byte of anybody else."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial

import httpx
import pytest
import pytest_asyncio

from licet.api.channel import Rhythm
from licet.core.catalog import decode_catalog
from licet.seal.keyset import SealError
from licet.seal.paserk import public_of, write_public
from licet.services.feed import Whose
from tests.api.followers import Follower, held_now, open_feeds, poll, stream
from tests.api.house import ALL, MERIDIAN, House, Visitor, problem, root_of
from tests.api.tenants import CANARY, canary, settle
from tests.api.test_feed import YAML, until
from tests.store.worlds import World

pytestmark = [pytest.mark.postgres, pytest.mark.one_engine]

SECRETS = tuple(canary() for _ in range(5))
"""Of a policy for servers only (its id, title, condition and note), and words for support."""


class Hearer(Follower):
    """A follower that keeps every byte of what it was told, opened."""

    def __init__(self, workspace: str, name: str | None) -> None:
        super().__init__(workspace, write_public(public_of(root_of(workspace))), customer=name)
        self.heard = b""

    def opened(self, payload: bytes) -> None:
        """Keep what a token held."""
        self.heard += payload

    @property
    def canaries(self) -> set[str]:
        """Return the canaries in all that it heard."""
        return set(CANARY.findall(self.heard.decode()))


@pytest_asyncio.fixture(loop_scope="session")
async def feeds(world: World) -> AsyncIterator[House]:
    """A server whose feeds are quick."""
    async with open_feeds(world) as house:
        yield house


async def catalog_with_secrets(operator: Visitor) -> None:
    """Release the example vendor's catalog with a policy that only servers may see."""
    whole = MERIDIAN.read_text("utf-8")
    places = (
        ("  deny_list:\n", "  {}:\n"),
        ("title: Deny list", "title: {}"),
        ("shadow-trading", "{}"),
        ("Resellers that Legal has barred", "{}"),
        ("Counted by the program", "{}"),
    )
    for (old, new), secret in zip(places, SECRETS, strict=True):
        assert old in whole
        whole = whole.replace(old, new.format(secret))
    answer = await operator.ask("PUT", "/v1/catalog?base=0", body=whole.encode(), headers=YAML)
    assert answer.is_success, answer.text


async def test_nothing_of_others_and_nothing_internal_leaves(feeds: House) -> None:
    """Two customers, each with a key: what one is told holds no canary of the other, nor of a policy for servers;
    a server's own key is told all of it."""
    operator = await feeds.holder(*ALL)
    await catalog_with_secrets(operator)
    words = {name: [canary() for _ in range(3)] for name in ("one", "two")}
    for name, (user, role, value) in words.items():
        await operator.told("POST", "/v1/customers", {"id": name})
        facts = {"roles": [role], "attributes": {"desk": value}}
        await operator.told("PUT", f"/v1/customers/{name}/users/{user}", facts)
    server = Hearer("test", None)
    await poll(operator.http, server)
    assert server.canaries == {*words["one"], *words["two"], *SECRETS}
    for name in ("one", "two"):
        bound = await feeds.holder(*ALL, customer=name)
        hearer = Hearer("test", name)
        assert await poll(bound.http, hearer) == "full"
        streaming = asyncio.create_task(_listen(bound.http, hearer))
        await until(partial(_has_heard, hearer, b"", 2))
        for each, (user, role, value) in words.items():
            facts = {"roles": [role], "attributes": {"desk": value, "again": name}}
            await operator.told("PUT", f"/v1/customers/{each}/users/{user}", facts)
        await until(partial(_has_heard, hearer, f'"again":"{name}"'.encode(), 2))
        streaming.cancel()
        await asyncio.gather(streaming, return_exceptions=True)
        picked = await bound.ask("GET", f"/v1/feed/customers/{name}?{hearer.query}")
        hearer.hear(json.loads(picked.content)["frame"])
        assert hearer.canaries == set(words[name])
        terms, users = await held_now(feeds)
        assert hearer.terms == {name: terms[name]}
        assert hearer.users == {whose: facts for whose, facts in users.items() if whose[0] == name}
        other = {"one": "two", "two": "one"}[name]
        problem(await bound.ask("GET", f"/v1/feed/customers/{other}?{hearer.query}"), 403, "forbidden")


async def test_the_catalog_of_a_customer_is_one(feeds: House) -> None:
    """What is cut for customers is a catalog all the same, of the same revision, with another hash."""
    operator = await feeds.holder(*ALL)
    server = Hearer("test", None)
    await poll(operator.http, server)
    bound = await feeds.holder(*ALL, customer="one")
    hearer = Hearer("test", "one")
    await poll(bound.http, hearer)
    assert hearer.catalog is not None
    assert server.catalog is not None
    cut = decode_catalog(json.dumps(hearer.catalog).encode())
    whole = decode_catalog(json.dumps(server.catalog).encode())
    assert set(whole.policies) - set(cut.policies) == {one for one, rule in whole.policies.items() if rule.server_only}
    assert cut.plans.keys() == whole.plans.keys()
    assert hearer.catalog_hash != server.catalog_hash


async def test_only_what_is_about_a_customer_wakes_its_follower(feeds: House) -> None:
    """What happens to others keeps a customer's follower waiting; what happens to itself ends that at once."""
    operator = await feeds.holder(*ALL)
    for name in ("mine", "others"):
        await operator.told("POST", "/v1/customers", {"id": name})
    bound = await feeds.holder(*ALL, customer="mine")
    hearer = Hearer("test", "mine")
    assert await poll(bound.http, hearer) == "full"
    waiting = asyncio.create_task(poll(bound.http, hearer, wait=20))
    await asyncio.sleep(0.2)
    await operator.told("PUT", "/v1/customers/others/users/u", {"roles": ["a"]})
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await operator.told("PUT", "/v1/customers/mine/users/u", {"roles": ["a"]})
    async with asyncio.timeout(5):
        assert await waiting == "changes"
    assert set(hearer.users) == {("mine", "u")}


async def test_a_great_deal_at_once_leaves_customers_awake(world: World) -> None:
    """Where so much happens at once that the workspace's channel begins anew, a customer's follower hears of its own
    as soon as before, although nobody follows the workspace."""
    async with open_feeds(world, Rhythm(coalesce=0.3, head=30, changes=5)) as house:
        operator = await house.holder(*ALL)
        for name in ("calm", "busy"):
            await operator.told("POST", "/v1/customers", {"id": name})
        bound = await house.holder(*ALL, customer="calm")
        hearer = Hearer("test", "calm")
        streaming = asyncio.create_task(_listen(bound.http, hearer))
        await until(partial(_has_heard, hearer, b"", 1))
        leading = house.built.parts.feeds._channels[Whose("test")]
        users = [f"/v1/customers/busy/users/u{number}" for number in range(16)]
        await asyncio.gather(*(operator.told("PUT", path, {"roles": ["a"]}) for path in users))
        await until(lambda: leading.ended)
        for role in ("one", "two"):
            async with asyncio.timeout(5):
                await operator.told("PUT", "/v1/customers/calm/users/u", {"roles": [role]})
                await until(partial(_has_heard, hearer, f'"{role}"'.encode(), 2))
        streaming.cancel()
        await asyncio.gather(streaming, return_exceptions=True)


async def test_one_workspace_hears_nothing_of_another(feeds: House) -> None:
    """Two workspaces with the same names: no feed holds a word of the other's, and nobody believes the other's."""
    here, there = await settle(feeds), await settle(feeds)
    hearer, other = Hearer(here.workspace, None), Hearer(there.workspace, None)
    await poll(here.owner.http, hearer)
    await poll(there.owner.http, other)
    assert hearer.canaries
    assert other.canaries
    assert not hearer.canaries & other.canaries
    answer = await there.owner.ask("GET", "/v1/feed")
    mistaken = Hearer(here.workspace, None)
    mistaken.root = other.root
    with pytest.raises(SealError):
        mistaken.take(json.loads(answer.content.splitlines()[0]))


def _has_heard(hearer: Hearer, what: bytes, heads: int) -> bool:
    return what in hearer.heard and hearer.heads >= heads


async def _listen(http: httpx.AsyncClient, hearer: Hearer) -> None:
    async for _ in stream(http, hearer):
        pass
