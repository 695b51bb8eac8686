"""The last chapter: the log is verified, a row is edited by somebody who owns the database, and the edit is named."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import asyncpg

from licet.cli.demo.stage import WORKSPACE
from licet.cli.demo.teller import Teller, Watch
from licet.cli.failure import Failure
from licet.seal.audit import AuditReport
from licet.store.audit import verify_log
from licet.store.bundled import describe
from licet.telemetry import configure_logs

# Triggers refuse any change of the log; the owner of the database can switch them off, so they are no proof.
_FORGE: Final = """
    UPDATE event SET after = replace(after::text, '"price_team_monthly"', '"price_business_monthly"')::json
    WHERE workspace_id = $1 AND seq = $2
"""
_RESTORE: Final = "UPDATE event SET after = $3::json WHERE workspace_id = $1 AND seq = $2"
_PICK: Final = """
    SELECT seq, after::text AS after FROM event
    WHERE workspace_id = $1 AND type = 'order.applied' AND after::text LIKE '%"price_team_monthly"%'
    ORDER BY seq LIMIT 1
"""


def the_proof(home: Path, teller: Teller) -> None:
    """Verify, tamper as the database's owner, verify, restore, verify."""
    teller.chapter(
        "The log proves what happened",
        "Every event carries a hash over itself and the one before; an edited row is named.",
    )
    configure_logs("console", "error")
    asyncio.run(_the_proof(home, teller))


async def _the_proof(home: Path, teller: Teller) -> None:
    endpoint = describe(home).endpoint
    if endpoint is None:
        raise Failure("the database of the demo is not running", code="no_database")
    watch = Watch()
    report = await _verify(home)
    teller.step(f"licet audit verify, {report.size} events", "whole", _seen(report), ms=watch.ms)
    seq, genuine = await _as_owner(endpoint.dsn(), _pick)
    refused = await _as_owner(endpoint.dsn(), lambda owner: _honest_try(owner, seq))
    teller.step(f"edit event {seq} with SQL, as the database's owner", "refused by a trigger", refused)
    await _as_owner(endpoint.dsn(), lambda owner: _replace(owner, _FORGE, WORKSPACE, seq))
    teller.aside("so the owner switches the triggers off and makes it a Business order")
    watch = Watch()
    report = await _verify(home)
    teller.step("licet audit verify", f"event {seq} was edited", _seen(report), ms=watch.ms)
    await _as_owner(endpoint.dsn(), lambda owner: _replace(owner, _RESTORE, WORKSPACE, seq, genuine))
    report = await _verify(home)
    teller.step("the row is put back; licet audit verify", "whole", _seen(report))


async def _verify(home: Path) -> AuditReport:
    from licet.settings import Settings
    from licet.wiring import open_storage

    async with open_storage(Settings(home=home, pool_size=2)) as storage:
        return await verify_log(storage, WORKSPACE)


async def _as_owner(dsn: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
    owner = await asyncpg.connect(dsn)
    try:
        return await work(owner)
    finally:
        await owner.close()


async def _pick(owner: Any) -> tuple[int, str]:
    row = await owner.fetchrow(_PICK, WORKSPACE)
    if row is None:
        raise Failure("no order of the story is in the log", code="no_order")
    return int(row["seq"]), str(row["after"])


async def _honest_try(owner: Any, seq: int) -> str:
    try:
        await owner.execute(_FORGE, WORKSPACE, seq)
    except asyncpg.PostgresError:
        return "refused by a trigger"
    return "done"


async def _replace(owner: Any, statement: str, *values: Any) -> None:
    async with owner.transaction():
        await owner.execute("SET LOCAL session_replication_role = replica")
        await owner.execute(statement, *values)


def _seen(report: AuditReport) -> str:
    if report.ok:
        return "whole"
    if len(report.faults) == 1 and report.faults[0].kind == "edited":
        return f"event {report.faults[0].seqs[0]} was edited"
    return "; ".join(fault.words for fault in report.faults)
