"""Features that a process decides about by itself: in a world they are exact, and answer as in production."""

import copy
import pickle
from decimal import Decimal
from typing import Any, Final

import pytest

from licet import NotEntitled, Unanswered
from licet.testing import World

CATALOG: Final[dict[str, Any]] = {
    "version": 1,
    "products": {"m": {"name": "M"}},
    "meters": {"minutes": {"event": "minute", "aggregate": "sum", "scale": 2}},
    "features": {"ai": {"type": "metered", "meter": "minutes", "decide": "local"}},
    "plans": {"team": {"product": "m", "versions": {"2026-01": {"includes": {"ai": 10}}}}},
}


def world() -> World:
    """A world in which acme has ten minutes a month."""
    made = World(CATALOG)
    made.subscribe("acme", "team")
    return made


def test_a_use() -> None:
    """A use has no id, names who decided, and says what is certain; the limit is exact, and a refusal the server's."""
    here = world()
    client = here.client()
    usage = client.consume("acme", "ai", "2.5", user="ann")
    assert (usage.decided, usage.id, usage.key, usage.taken) == ("local", None, "", Decimal("2.5"))
    assert usage.certain is not None
    assert usage.certain.at_least == usage.certain.at_most == usage.remaining == Decimal("7.5")
    assert pickle.loads(pickle.dumps(usage)).taken == Decimal("2.5")  # noqa: S301 what was dumped here
    refused = client.consume("acme", "ai", 8)
    assert (bool(refused), refused.decided, refused.reason) == (False, "hub", "limit_reached")
    assert client.consume("acme", "ai", 1, key="mine").decided == "hub"
    assert here.remaining("acme", "ai") == Decimal("6.5")
    assert client.quota.slices == 0


def test_a_reservation() -> None:
    """A block settles what it came to or gives it back; more than there is counts, and says so."""
    here = world()
    client = here.client()
    with client.reserve("acme", "ai", 4) as held:
        assert (held.id, held.usage.decided) == ("", "local")
        assert held.expires_at is not None
        assert here.remaining("acme", "ai") == 6
        settled = held.settle("1.25")
    assert (settled.used, settled.reservation) == (Decimal("1.25"), "")
    with client.reserve("acme", "ai", 4):
        pass
    assert here.remaining("acme", "ai") == Decimal("8.75")
    with pytest.raises(NotEntitled):
        client.reserve("acme", "ai", 9)
    assert client.reserve("acme", "ai", 1).settle(20).exceeded


async def test_in_a_loop() -> None:
    """The same for the client of an event loop."""
    here = world()
    async with here.async_client() as client:
        assert (await client.consume("acme", "ai", 2)).decided == "local"
        async with client.reserve("acme", "ai", 3) as held:
            await held.settle(1)
        async with client.reserve("acme", "ai", 3) as held:
            await held.release()
    assert here.remaining("acme", "ai") == 7


def test_cut_off() -> None:
    """A world that is cut off owns nothing: nobody can say."""
    here = world()
    here.offline()
    with pytest.raises(Unanswered):
        here.client().consume("acme", "ai")


def test_by_the_server() -> None:
    """Without ``decide: local`` the same use is the server's, with an id."""
    document = copy.deepcopy(CATALOG)
    del document["features"]["ai"]["decide"]
    here = World(document)
    here.subscribe("acme", "team")
    usage = here.client().consume("acme", "ai", 2)
    assert (usage.decided, bool(usage.id), usage.certain) == ("hub", True, None)
