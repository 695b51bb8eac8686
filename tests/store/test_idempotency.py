"""Idempotency keys: one request at a time, its answer for whoever repeats it, never another's."""

import asyncio
import contextlib

import pytest

from licet.services.errors import KeyBusy, KeyReused
from licet.services.rows import Page
from licet.store.postgres import PostgresStorage
from tests.store import rows
from tests.store.worlds import OPERATOR, World

BODY, OTHER = b"b" * 32, b"o" * 32
ROUTE = "POST /v1/orders"


async def first_request(storage: PostgresStorage, key: str = "k", workspace: str = "test") -> None:
    """Carry out a request and keep its answer."""
    async with storage.write(workspace, OPERATOR) as tx:
        assert await tx.replay(ROUTE, key, BODY) is None
        await tx.record(rows.note())
        await tx.keep_answer(ROUTE, key, BODY, 201, b'{"ok":true}')


async def test_a_repeated_request_gets_the_first_answer(storage: PostgresStorage) -> None:
    """Status and body come back byte for byte; another route, key or workspace is another request."""
    await first_request(storage)
    async with storage.write("test", OPERATOR) as tx:
        assert await tx.replay(ROUTE, "k", BODY) == (201, b'{"ok":true}')
        assert await tx.replay("POST /v1/keys", "k", BODY) is None
        assert await tx.replay(ROUTE, "K", BODY) is None
    await first_request(storage, workspace="live")


async def test_the_same_key_with_another_body_is_refused(storage: PostgresStorage) -> None:
    """A key that came with another body is a mistake of the caller's, said as such."""
    await first_request(storage)
    with pytest.raises(KeyReused, match="another body"):
        async with storage.write("test", OPERATOR) as tx:
            await tx.replay(ROUTE, "k", OTHER)


async def test_a_request_under_way_makes_the_next_wait(storage: PostgresStorage) -> None:
    """While the first has not ended the second is told to wait; afterwards it gets the answer."""
    async with storage.write("test", OPERATOR) as first:
        assert await first.replay(ROUTE, "k", BODY) is None
        with pytest.raises(KeyBusy):
            async with storage.write("test", OPERATOR) as second:
                await second.replay(ROUTE, "k", BODY)
        await first.record(rows.note())
        await first.keep_answer(ROUTE, "k", BODY, 200, b"")
    async with storage.write("test", OPERATOR) as third:
        assert await third.replay(ROUTE, "k", BODY) == (200, b"")


async def test_a_failed_request_frees_its_key(storage: PostgresStorage) -> None:
    """Nothing is kept of a request that failed: the repetition is carried out."""
    with contextlib.suppress(ZeroDivisionError):
        async with storage.write("test", OPERATOR) as tx:
            await tx.replay(ROUTE, "k", BODY)
            await tx.keep_answer(ROUTE, "k", BODY, 200, b"")
            raise ZeroDivisionError
    await first_request(storage)


async def test_many_at_once_are_carried_out_once(world: World) -> None:
    """30 copies of one request, each repeated until answered: one event, one answer for all."""
    answers: list[tuple[int, bytes]] = []

    async def send(storage: PostgresStorage, number: int) -> None:
        while True:
            try:
                async with storage.write("test", OPERATOR) as tx:
                    answer = await tx.replay(ROUTE, "k", BODY)
                    if answer is None:
                        await tx.record(rows.note())
                        answer = (200, str(number).encode())
                        await tx.keep_answer(ROUTE, "k", BODY, *answer)
            except KeyBusy:
                await asyncio.sleep(0.005)
            else:
                answers.append(answer)
                return

    async with world.storage(size=10) as storage:
        await asyncio.gather(*(send(storage, number) for number in range(30)))
        async with storage.read("test") as view:
            assert len(await view.events(Page())) == 2
    assert len(answers) == 30
    assert len(set(answers)) == 1
