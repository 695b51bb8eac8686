"""Verifying a workspace's log and exporting checkpoints of it, to be kept outside of the database."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from licet.core.instant import format_instant
from licet.seal.audit import AuditReport, LogVerifier
from licet.seal.checkpoint import (
    KEY_PURPOSE,
    Checkpoint,
    open_checkpoint,
    origin_of,
    sign_checkpoint,
    verifier_of,
)
from licet.seal.commitment import opens
from licet.services.errors import Conflict
from licet.services.proofs import extend_tiles, forget_tiles, make_key
from licet.services.rows import Actor
from licet.store.audit_documents import DocumentCheck
from licet.store.log import PRIVATE, Hidden
from licet.store.postgres import PostgresStorage, PostgresView
from licet.store.tile_check import TileCheck
from licet.store.usage.audit import UsageCheck
from licet.wire.event import Event

FACTS: Final = "facts "
"""Before the number of facts of usage in a checkpoint's further lines."""


async def verify_log(
    storage: PostgresStorage, workspace: str, checkpoint: str | None = None, verifier: str | None = None
) -> AuditReport:
    """Verify a whole log, the documents beside it and the usage it sealed, in one consistent view, page by page.

    ``checkpoint`` is a signed text exported earlier; ``verifier`` the public line it was exported with (without it the
    workspace's own key, which the master key protects, is used). Raises CheckpointError for one that was not signed so.
    """
    async with storage.read(workspace) as view:
        point = None
        if checkpoint is not None:
            point = open_checkpoint(checkpoint, verifier or await _own_verifier(view, workspace))
        check = LogVerifier(workspace, point)
        for seq in await view.entries_below():
            check.fault("order", (seq,), f"entry {seq} stands before the first entry of the log")
        beside, usage = DocumentCheck(view, check), UsageCheck(view, check, workspace)
        after = 0
        while page := await view.log_page(after):
            for _, entry in page:
                check.add(entry)
            events = [event for event, _ in page]
            await beside.page(events, await _check_values(view, check, events))
            await usage.page(events)
            after = page[-1][1].seq
        await beside.end()
        await usage.end(None if point is None else facts_of(point))
        return check.report(await view.log_tip())


async def export_checkpoint(storage: PostgresStorage, workspace: str, actor: Actor) -> tuple[str, str]:
    """Return a signed checkpoint of the log as it is now, and the public line (verifier) that proves its signature.

    The workspace's signing key is made at the first export, which leaves ``log.key_created``. The log's tiles are
    compared with it and brought up to date. Raises Conflict if the log is damaged: what is wrong must not be signed.
    """
    async with storage.write(workspace, actor) as tx:
        await make_key(tx)
    async with storage.read(workspace) as view:
        seed = (await view.secrets(KEY_PURPOSE))[0]
        check, tiles = LogVerifier(workspace), TileCheck(view, await view.tile_count())
        after = 0
        while page := await view.log_page(after):
            entries = [entry for _, entry in page]
            for entry in entries:
                check.add(entry)
            await tiles.page(entries)
            after = entries[-1].seq
        tiles_fit = await tiles.fits()
        report = check.report(await view.log_tip())
        exported_at = format_instant(view.time.wall)
        facts = (await view.usage_state()).tip
    if not report.ok:
        raise Conflict(
            f"the log of {workspace} is damaged: {report.faults[0].words}",
            advice="look at `licet audit verify`; a damaged log is not signed",
        )
    if not tiles_fit:
        await forget_tiles(storage, workspace)
    while await extend_tiles(storage, workspace):
        pass
    origin = origin_of(workspace)
    extra = (f"hash {report.hash}", f"exported {exported_at}", f"{FACTS}{facts}")
    point = Checkpoint(origin=origin, size=report.size, root=bytes.fromhex(report.root), extra=extra)
    return sign_checkpoint(point, seed), verifier_of(origin, seed)


def facts_of(point: Checkpoint) -> int | None:
    """Return how many facts of usage there were when a checkpoint was exported; None where it does not say."""
    said = [line.removeprefix(FACTS) for line in point.extra if line.startswith(FACTS)]
    return int(said[0]) if len(said) == 1 and said[0].isascii() and said[0].isdigit() else None


async def _own_verifier(view: PostgresView, workspace: str) -> str:
    seeds = await view.secrets(KEY_PURPOSE)
    if not seeds:
        raise Conflict(
            f"workspace {workspace!r} has never exported a checkpoint, so it has no key to verify one with",
            advice="give the verifier line that came with the checkpoint",
        )
    return verifier_of(origin_of(workspace), seeds[0])


async def _check_values(
    view: PostgresView, check: LogVerifier, events: Sequence[Event]
) -> Mapping[tuple[str, str], str]:
    """Compare the personal values that are still there with the commitments; return them by event and field."""
    promised = {event.id: (event.seq, _commitments(event.after)) for event in events}
    promised = {event_id: found for event_id, found in promised.items() if found[1]}
    values = await view.personal_values(list(promised)) if promised else ()
    for value in values:
        seq, commitments = promised[value.event_id]
        commitment = commitments.pop(value.field, None)
        check.value(seq, value.field, fits=_fits(commitment, value))
    check.erased(sum(len(commitments) for _, commitments in promised.values()))
    return {(value.event_id, value.field): value.value for value in values}


def _fits(commitment: str | None, value: Hidden) -> bool:
    return commitment is not None and opens(commitment, value.salt, value.event_id, value.field, value.value)


def _commitments(after: Any) -> dict[str, str]:
    found = after.get(PRIVATE) if isinstance(after, dict) else None
    return dict(found) if isinstance(found, dict) else {}
