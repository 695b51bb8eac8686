"""Following commits: one notification per transaction, and a look at all logs each second as a safety net."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import asyncpg

from licet.services.errors import Unavailable
from licet.store import workspaces
from licet.store.access import Login
from licet.store.connections import Connection, connect
from licet.store.log import CHANNEL

POLL_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 10.0
"""After so long without an answer the connection is taken for dead."""


async def watch(login: Login) -> AsyncIterator[tuple[str, int]]:
    """Yield (workspace, newest sequence) after commits anywhere, and for every workspace once a second.

    A lost connection, or one that does not answer, is opened again until the database is back; nothing is yielded
    meanwhile.
    """
    conn: Connection | None = None
    notes: asyncio.Queue[str] = asyncio.Queue()

    def heard(_conn: object, _process: int, _channel: str, payload: object) -> None:
        notes.put_nowait(str(payload))

    try:
        while True:
            try:
                if conn is None or conn.is_closed():
                    conn = await connect(login)
                    async with asyncio.timeout(ANSWER_SECONDS):
                        await conn.add_listener(CHANNEL, heard)
                async with asyncio.timeout(ANSWER_SECONDS):
                    tips = [(row["id"], row["seq"]) for row in await conn.fetch(workspaces.ALL)]
            except TimeoutError:
                if conn is not None:
                    conn.terminate()
                continue
            except (Unavailable, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(POLL_SECONDS)
                continue
            for tip in tips:
                yield tip
            async for tip in _until_poll(notes):
                yield tip
    finally:
        if conn is not None:
            with contextlib.suppress(Exception):
                await conn.close(timeout=1)


async def _until_poll(notes: asyncio.Queue[str]) -> AsyncIterator[tuple[str, int]]:
    """Yield what is heard within one poll interval; of several for one workspace the highest."""
    loop = asyncio.get_running_loop()
    until = loop.time() + POLL_SECONDS
    while (left := until - loop.time()) > 0:
        try:
            # Not wait_for: where a note comes as the task is cancelled, it would lose the cancellation (Python 3.11).
            async with asyncio.timeout(left):
                payloads = [await notes.get()]
        except TimeoutError:
            return
        while not notes.empty():
            payloads.append(notes.get_nowait())
        newest: dict[str, int] = {}
        for payload in payloads:
            workspace, _, seq = payload.rpartition(":")
            newest[workspace] = max(newest.get(workspace, 0), int(seq))
        for tip in newest.items():
            yield tip
