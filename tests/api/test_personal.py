"""Where personal values stay after they were removed from the record: every table is read as its superuser sees it."""

import json
from uuid import uuid4

import pytest

from tests.api.house import House, Visitor
from tests.store.worlds import World

pytestmark = pytest.mark.postgres


async def tables_with(world: World, word: str) -> set[str]:
    """Return the tables in any of whose rows a word stands, as text or as the bytes of a binary column."""
    conn = await world.database.connect()
    names = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = set()
    for name in (row["tablename"] for row in names):
        rows = await conn.fetch(f'SELECT x::text AS shown FROM "{name}" AS x')
        if any(word in row["shown"] or word.encode().hex() in row["shown"] for row in rows):
            found.add(name)
    await conn.close()
    return found


async def test_null_leaves_the_side_table_alone(house: House, operator: Visitor, world: World) -> None:
    """A removed name or email stands in the log's side table and nowhere else, kept answers included; replays go on."""
    word = f"zq{uuid4().hex}"
    person = {"id": "pers", "name": f"Ann {word}", "email": f"{word}@mail.example"}
    user = {"name": f"Ann {word}", "email": f"{word}@mail.example"}
    asks = [
        ("POST", "/v1/customers", person, "made"),
        ("PATCH", "/v1/customers/pers", {"name": f"Anna {word}"}, "changed"),
        ("PUT", "/v1/customers/pers/users/ann", user, "user"),
    ]
    first = [await operator.ask(how, path, body, headers={"Idempotency-Key": key}) for how, path, body, key in asks]
    assert [answer.status_code for answer in first] == [201, 200, 200]
    assert await tables_with(world, word) == {"customer", "customer_user", "event_private"}
    await operator.told("PATCH", "/v1/customers/pers", {"name": None, "email": None})
    await operator.told("PUT", "/v1/customers/pers/users/ann", {})
    assert await tables_with(world, word) == {"event_private"}
    assert word not in json.dumps(await operator.told("GET", "/v1/customers/pers"))
    for (how, path, body, key), answer in zip(asks, first, strict=True):
        again = await operator.ask(how, path, body, headers={"Idempotency-Key": key})
        assert (again.content, again.headers["idempotency-replayed"]) == (answer.content, "true")
