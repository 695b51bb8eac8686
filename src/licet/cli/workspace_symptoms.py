"""What the doctor finds in each workspace, read under the role that cannot write: clock, keys, log, catalog."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from licet.cli.database_symptoms import CLOCK_TOLERANCE_SECONDS, span
from licet.cli.symptom import Symptom, broken, unseen, well
from licet.core.instant import format_instant, to_instant
from licet.seal.apikey import key_id_of
from licet.seal.audit import AuditReport, LogVerifier
from licet.services.catalogs import preview_catalog
from licet.services.rows import KeyRow, Page
from licet.store.audit import verify_log
from licet.store.postgres import PostgresStorage, PostgresView

SOON_DAYS: Final = 14
UNPROVEN_DAYS: Final = 7
"""How long a log may go on before somebody should have exported a checkpoint of it."""
WHOLE_ENTRIES: Final = 20_000
"""A log up to this length is verified whole, personal values included."""
VERIFY_SECONDS: Final = 5.0
"""A longer one from its beginning, for so long."""
_DAY: Final = 86_400_000_000
_LISTED: Final = 3


async def clock_symptom(view: PostgresView) -> Symptom:
    """Tell a workspace's business clock, and whether a live log reaches into the future."""
    name = view.workspace.id
    ahead = (view.time.business - view.time.wall) / 1_000_000
    if view.workspace.kind == "test":
        if view.workspace.clock_frozen_at is not None:
            return well("clock", f"{name}: business time stands at {format_instant(view.time.business)}")
        moved = f"{span(ahead)} ahead of real time" if ahead >= CLOCK_TOLERANCE_SECONDS else "real time"
        return well("clock", f"{name}: business time is {moved}")
    if ahead <= CLOCK_TOLERANCE_SECONDS:
        return well("clock", f"{name}: real time")
    return broken(
        "clock",
        f"{name}: the log's newest entry is of {format_instant(view.time.business)}, {span(ahead)} ahead of the clock",
        why="business time never goes back, so it stands still until then: trials and periods do not move",
        advice="set this machine's clock right: timedatectl set-ntp true (or wait, if it was ahead and is right now)",
    )


async def key_symptoms(view: PostgresView, kept: str | None) -> list[Symptom]:
    """Tell which keys have expired or will soon; ``kept`` is the key that this home keeps for the workspace."""
    name, now = view.workspace.id, view.time.wall
    rows = {row.id: row async for row in _keys(view)}
    found = [] if kept is None else _kept(name, kept, rows, now)
    told = (key_id_of(kept) or ("", ""))[1] if found and kept is not None else None
    ended = {row.id for row in rows.values() if row.revoked_at is not None and to_instant(row.revoked_at) <= now}
    alive = [row for row in rows.values() if row.id not in ended and row.id != told]
    expired = [row for row in alive if row.expires_at is not None and to_instant(row.expires_at) <= now]
    soon = [
        row
        for row in alive
        if row not in expired and row.expires_at and to_instant(row.expires_at) <= now + SOON_DAYS * _DAY
    ]
    if expired:
        why = "whoever still uses one is refused with 401"
        step = f"licet keys revoke {expired[0].id} -w {name} if nobody does; else licet keys create and hand that out"
        found.append(broken("keys", f"{name}: expired: {_named(expired)}", why=why, advice=step))
    if soon:
        step = f"licet keys rotate {soon[0].id} -w {name} --overlap P7D"
        words, why = f"{name}: expiring within {SOON_DAYS} days: {_named(soon)}", "from then on it opens nothing"
        found.append(Symptom(name="keys", state="note", words=words, why=why, advice=step))
    return found or [well("keys", f"{name}: {len(alive)} in use, none expires within {SOON_DAYS} days")]


def _kept(name: str, kept: str, rows: dict[str, KeyRow], now: int) -> list[Symptom]:
    about = key_id_of(kept)
    row = None if about is None else rows.get(about[1])
    if row is None:
        state = "is not known to this database"
    elif row.revoked_at is not None and to_instant(row.revoked_at) <= now:
        state = f"was revoked on {row.revoked_at:%Y-%m-%d}"
    elif row.expires_at is not None and to_instant(row.expires_at) <= now:
        state = f"expired on {row.expires_at:%Y-%m-%d}"
    else:
        return []
    return [
        broken(
            "keys",
            f"{name}: the key that this home keeps for commands {state}",
            why="every command on this machine without LICET_KEY is refused with 401",
            advice=f"licet keys create --name commands --scope admin -w {name}, then put it into keys.json of the home",
        )
    ]


def _named(rows: list[KeyRow]) -> str:
    shown = [f"{row.id} ({row.name}, {row.expires_at:%Y-%m-%d})" for row in rows[:_LISTED]]
    return ", ".join(shown) + (f" and {len(rows) - _LISTED} more" if len(rows) > _LISTED else "")


async def _keys(view: PostgresView) -> AsyncIterator[KeyRow]:
    page = await view.keys(Page(limit=500))
    while page:
        for row in page:
            yield row
        page = await view.keys(Page(after=page[-1].id, limit=500))


async def log_symptoms(storage: PostgresStorage, workspace: str) -> list[Symptom]:
    """Verify a log, whole or (a long one) for a few seconds, and tell whether anybody could prove its end later."""
    async with storage.read(workspace) as view:
        entries = await view.seq()
        first = await view.events(Page(limit=1))
        exported = await view.events(Page(limit=1), type="log.key_created")
        now = view.time.wall
    report = await _verified(storage, workspace, entries)
    verify = f"licet audit verify -w {workspace}"
    if not report.ok:
        more = len(report.faults) + report.unlisted - 1
        words = f"{workspace}: {report.faults[0].words}" + (f", and {more} more" if more else "")
        why = "the log proves what happened; something was changed behind Licet's back, or the disk is failing"
        return [broken("log", words, why=why, advice=f"{verify}; then restore from a backup that verifies")]
    found = [well("log", f"{workspace}: {report.size} entries fit")]
    if report.size < entries:
        words = f"{workspace}: the first {report.size} of {entries} entries fit, the rest was not looked at"
        found = [Symptom(name="log", state="note", words=words, advice=f"{verify} looks at all")]
    age = (now - to_instant(first[0].wall_at)) / _DAY if first else 0
    if not exported and age >= UNPROVEN_DAYS:
        words = f"{workspace}: no checkpoint was exported in {age:.0f} days"
        why = "without one kept elsewhere nobody could tell if the end of the log were rewritten"
        step = f"licet audit checkpoint -w {workspace} --out FILE, and keep FILE off this machine"
        found.append(broken("log", words, why=why, advice=step))
    return found


async def _verified(storage: PostgresStorage, workspace: str, entries: int) -> AuditReport:
    if entries <= WHOLE_ENTRIES:
        return await verify_log(storage, workspace)
    check, after, ends = LogVerifier(workspace), 0, time.monotonic() + VERIFY_SECONDS
    async with storage.read(workspace) as view:
        while time.monotonic() < ends and (page := await view.log_page(after)):
            for _, entry in page:
                check.add(entry)
            after = page[-1][1].seq
    return check.report()


async def catalog_symptom(view: PostgresView, file: Path | None, text: str | None) -> Symptom:
    """Tell which catalog is released and, where a ``file`` was given, whether that is it."""
    name = view.workspace.id
    newest = await view.catalog()
    why = "nothing can be sold or permitted" if newest is None else "what you review is not what customers get"
    step = f"licet catalog apply {file or 'FILE'}" + (f" -w {name}" if name != "live" else "")
    if newest is None and file is None:
        return Symptom(name="catalog", state="note", words=f"{name}: none released", why=f"{why} yet", advice=step)
    if newest is None:
        return broken("catalog", f"{name}: none released, {file} was never applied", why=why, advice=step)
    words = f"{name}: revision {newest.revision}, released {newest.released_at:%Y-%m-%d %H:%M} UTC"
    if file is None or text is None:
        return well("catalog", words)
    seen = await preview_catalog(view, text.encode())
    if seen.problems:
        words = f"{file} cannot be released on top of revision {seen.base}: {seen.problems[0]}"
        return broken("catalog", words, why=why, advice=f"licet catalog preview {file} shows every problem")
    if not seen.changes:
        return well("catalog", f"{words}; {file} is what is released")
    count = f"{len(seen.changes)} change{'' if len(seen.changes) == 1 else 's'}"
    words = f"{words}; {file} differs by {count}: {seen.changes[0].sentence}"
    return broken("catalog", words, why=why, advice=f"{step}, or licet catalog pull -o {file} if the release is right")


def not_looked(why: str, advice: str) -> list[Symptom]:
    """Return that nothing inside the database could be looked at."""
    return [unseen(name, f"not looked at: {why}", advice) for name in ("keys", "log", "catalog")]
