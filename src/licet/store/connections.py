"""Pools of held connections, and what a lost one means to the caller.

Nothing outlives a transaction (settings and locks are local to it), so a connection is handed on without the reset
that costs more than most of our queries.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import asyncpg

from licet.services.errors import Invalid, ServiceError, Unavailable
from licet.store.access import Login

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

ACQUIRE_SECONDS: Final = 5
COMMAND_SECONDS: Final = 30
CONNECT_SECONDS: Final = 10
_SETTINGS: Final = {
    "application_name": "licet",
    "timezone": "UTC",
    "jit": "off",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}
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


async def open_pool(login: Login, size: int, *, ready: int = 1) -> Pool:
    """Open a pool of at most ``size`` connections, ``ready`` of them at once; raises Unavailable."""
    try:
        return await asyncpg.create_pool(
            login.dsn,
            min_size=ready,
            max_size=size,
            max_queries=2**31,
            max_inactive_connection_lifetime=0,
            timeout=CONNECT_SECONDS,
            command_timeout=COMMAND_SECONDS,
            server_settings=_settings(login),
            reset=_nothing_to_reset,
        )
    except (*_LOST, OSError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise unavailable(error) from error


@asynccontextmanager
async def held(pool: Pool, wait: float = ACQUIRE_SECONDS) -> AsyncIterator[Connection]:
    """Hold a connection; what goes wrong with it inside the block becomes Unavailable, all else passes unchanged.

    A connection that is left inside a transaction is closed rather than handed on. ``wait`` is in seconds.
    """
    try:
        conn: Connection = await pool.acquire(timeout=wait)
    except (*_LOST, OSError, asyncpg.InterfaceError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise unavailable(error) from error
    try:
        yield conn
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        meaning = meaning_of(error, lost=is_lost(conn))
        if meaning is None:
            raise
        raise meaning from error
    finally:
        if not is_lost(conn) and conn.is_in_transaction():
            conn.terminate()
        await pool.release(conn)


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
    said = str(error) or type(error).__name__
    return Unavailable(
        f"the database cannot be reached just now ({said})",
        advice="repeat the request in a moment, with the same idempotency key",
    )


def _settings(login: Login) -> dict[str, str]:
    return _SETTINGS if login.role is None else {**_SETTINGS, "role": login.role}


async def _nothing_to_reset(_conn: Connection) -> None:
    return
