"""Pools of held connections, and what a lost one means to the caller.

Nothing outlives a transaction (settings and locks are local to it), so a connection is handed on without the reset
that costs more than most of our queries.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import asyncpg

from licet.services.errors import Invalid, ServiceError, Unavailable
from licet.store.access import Login

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

BEGIN_SECONDS: Final = 4
"""Within which a transaction has a connection and the database's first answer, or (a second later) is refused."""
COMMAND_SECONDS: Final = 30
"""Within which the database answers a statement."""
READ_SECONDS: Final = 5
"""The same for what a server reads in passing."""
_ANSWER_SECONDS: Final = 1.0
"""For so long at least the first answer is waited for, however long the connection took."""
_ROLLBACK_SECONDS: Final = 1.0
CONNECT_SECONDS: Final = 10
_SETTINGS: Final = {
    "application_name": "licet",
    "timezone": "UTC",
    "jit": "off",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}
# Statements that are sent again and again are planned once. Each looks rows up one by one in the order of a list, so
# that no plan made while tables were small is a bad one later, given that it does not read them whole. What is
# acknowledged is on the disk, whatever the database's own default says.
_BATCHES: Final = {"enable_seqscan": "off", "plan_cache_mode": "force_generic_plan", "synchronous_commit": "on"}
_LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
)
_CONTENDED: Final = (asyncpg.TransactionRollbackError, asyncpg.LockNotAvailableError)


async def connect(login: Login) -> Connection:
    """Open one connection outside of any pool; raises Unavailable."""
    try:
        return await asyncpg.connect(login.dsn, timeout=CONNECT_SECONDS, server_settings=_settings(login))
    except (*_LOST, OSError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise unavailable(error) from error


async def open_pool(
    login: Login, size: int, *, ready: int = 1, statement: float = COMMAND_SECONDS, batches: bool = False
) -> Pool:
    """Open a pool of at most ``size`` connections, ``ready`` of them at once; raises Unavailable.

    Each ``statement`` is answered within so many seconds, or it raises TimeoutError. ``batches``: for statements whose
    parameters are long lists.
    """
    try:
        return await asyncpg.create_pool(
            login.dsn,
            min_size=ready,
            max_size=size,
            max_queries=2**31,
            max_inactive_connection_lifetime=0,
            timeout=CONNECT_SECONDS,
            command_timeout=statement,
            server_settings={**_settings(login), **(_BATCHES if batches else {})},
            reset=_nothing_to_reset,
        )
    except (*_LOST, OSError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise unavailable(error) from error


@asynccontextmanager
async def held(pool: Pool, wait: float = BEGIN_SECONDS) -> AsyncIterator[Connection]:
    """Hold a connection; what goes wrong with it inside the block becomes Unavailable, all else passes unchanged.

    A connection that is left inside a transaction, or waiting for an answer, is closed rather than handed on. ``wait``
    is in seconds.
    """
    try:
        conn: Connection = await pool.acquire(timeout=wait)
    except (*_LOST, OSError, asyncpg.InterfaceError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise unavailable(error) from error
    try:
        yield conn
    except TimeoutError as error:
        end(conn)
        raise unavailable(error) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        meaning = meaning_of(error, lost=is_lost(conn))
        if meaning is None:
            raise
        raise meaning from error
    finally:
        if not is_lost(conn) and conn.is_in_transaction():
            conn.terminate()
        await pool.release(conn)


def first_answer(until: float) -> float:
    """Return how long to wait for a database's first answer, where a transaction is to have begun by ``until``.

    ``until`` is in seconds of the running loop's clock.
    """
    return max(_ANSWER_SECONDS, until - asyncio.get_running_loop().time())


async def roll_back(conn: Connection) -> None:
    """Leave a transaction behind; a connection that does not answer soon is closed instead."""
    if is_lost(conn):
        return
    try:
        async with asyncio.timeout(_ROLLBACK_SECONDS):
            await conn.execute("ROLLBACK")
    except TimeoutError:
        end(conn)


def end(conn: Connection) -> None:
    """Close a connection at once, without asking the database."""
    if not is_lost(conn):
        conn.terminate()


def is_lost(conn: Connection) -> bool:
    """Whether a connection is gone; the pool takes it back from its holder at that moment."""
    try:
        return bool(conn.is_closed())
    except asyncpg.InterfaceError:
        return True


def meaning_of(error: BaseException, *, lost: bool) -> ServiceError | None:
    """Return what a database error means to a caller; None for what is a mistake of our own."""
    if lost or isinstance(error, _LOST):
        return unavailable(error)
    if isinstance(error, _CONTENDED):
        return Unavailable(
            "the transaction collided with another one; nothing was written", advice="repeat the request"
        )
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        # The driver forgets what it had prepared; inside a transaction it cannot prepare it anew by itself.
        return Unavailable(
            "the database's schema was changed just now; nothing was written", advice="repeat the request"
        )
    # What got past a door: values the server refuses, and those the driver cannot even send (both a kind of misuse
    # and of wrong value).
    unsent = isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)
    if unsent or isinstance(error, asyncpg.DataError | asyncpg.CheckViolationError):
        return Invalid(f"the database cannot hold a value: {error}", advice="leave out NUL and over-long values")
    return None


def unavailable(error: BaseException) -> Unavailable:
    """Return the error for a database that cannot be reached."""
    said = "it did not answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return Unavailable(
        f"the database cannot be reached just now ({said})",
        advice="repeat the request in a moment, with the same idempotency key",
    )


def _settings(login: Login) -> dict[str, str]:
    return _SETTINGS if login.role is None else {**_SETTINGS, "role": login.role}


async def _nothing_to_reset(_conn: Connection) -> None:
    return
