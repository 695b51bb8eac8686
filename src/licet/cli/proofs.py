"""Makes proofs about a workspace's log, at the database: for an auditor, who verifies them elsewhere."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from licet.cli.documents import read_text
from licet.cli.failure import NO, Failure
from licet.cli.local import chosen, whereabouts, with_storage
from licet.cli.out_file import out_file
from licet.cli.output import Output
from licet.cli.words import INDENT, folded, label, labeled_command, number
from licet.seal.checkpoint import CheckpointError, open_checkpoint
from licet.services.errors import NotFound
from licet.services.ports import Storage, View
from licet.services.proofs import extend_tiles, prove_consistency, prove_entry, read_key, root_at
from licet.wire.proof import ConsistencyProof, EntryProof

P = TypeVar("P", EntryProof, ConsistencyProof)


class _Point(NamedTuple):
    """A checkpoint for which a proof was made: its file, or where only its size was given, a placeholder for it."""

    name: str
    is_file: bool
    size: int


def write_entry_proof(
    out: Output, workspace: str | None, entry: str, to: Path, *, checkpoint: Path | None, size: int | None
) -> None:
    """Write the proof that an entry (its sequence or ``evt_…``) stands in the log, and say how it is verified."""
    if checkpoint is not None and size is not None:
        raise Failure("--checkpoint and --size both say how long the log is", advice="give one of them", code="usage")
    name, text = chosen(workspace), None if checkpoint is None else read_text(checkpoint)

    async def prove(storage: Storage) -> EntryProof:
        await _derive(storage, name)
        async with storage.read(name) as view:
            whole = size if text is None else await _size_of(view, str(checkpoint), text)
            return await prove_entry(view, await _seq_of(view, entry), whole)

    proof, verifier = _written(out, name, to, prove)
    words = f"wrote {to}: entry {number(proof.seq)} in the log of {number(proof.size)} entries of workspace {name}"
    point = _Point("CHECKPOINT" if checkpoint is None else str(checkpoint), checkpoint is not None, proof.size)
    _tell(out, words, ["--proof", str(to), "--checkpoint", point.name], verifier, [point])


def write_consistency_proof(out: Output, workspace: str | None, old: str, new: str, to: Path) -> None:
    """Write the proof that the log of one checkpoint (file or size) continues that of an older one."""
    name = chosen(workspace)
    said = [(one, None if one.isdecimal() and one.isascii() else read_text(Path(one))) for one in (old, new)]

    async def prove(storage: Storage) -> ConsistencyProof:
        await _derive(storage, name)
        async with storage.read(name) as view:
            sizes = [int(one) if text is None else await _size_of(view, one, text) for one, text in said]
            return await prove_consistency(view, sizes[0], sizes[1])

    proof, verifier = _written(out, name, to, prove)
    words = f"wrote {to}: the log of workspace {name} from {number(proof.old)} to {number(proof.new)} entries"
    points = [
        _Point(name if text is None else file, text is not None, size)
        for name, (file, text), size in zip(("OLD", "NEW"), said, (proof.old, proof.new), strict=True)
    ]
    given = ["--checkpoint", points[0].name, "--against", points[1].name, "--consistency", str(to)]
    _tell(out, words, given, verifier, points)


async def _derive(storage: Storage, workspace: str) -> None:
    while await extend_tiles(storage, workspace):
        pass


async def _size_of(view: View, file: str, text: str) -> int:
    """Return a checkpoint's size if this is the log of which it was taken; raises Failure where it is not."""
    try:
        point = open_checkpoint(text, (await read_key(view)).verifier)
    except CheckpointError as error:
        raise Failure(
            f"{file}: {error}",
            advice="give a checkpoint of this workspace, as `licet audit checkpoint` wrote it",
            code="checkpoint",
            exit_code=NO,
        ) from None
    newest = await view.seq()
    if newest < point.size or await root_at(view, point.size) != point.root:
        what = f"has {newest} entries only" if newest < point.size else f"has other entries 1 to {point.size}"
        raise Failure(
            f"{file}: the log {what}: it was cut off, rewritten or restored from an older copy since the checkpoint",
            advice=f"look at `licet audit verify --checkpoint {file}`; there is no proof to be had",
            code="forked",
            exit_code=NO,
        )
    return point.size


async def _seq_of(view: View, entry: str) -> int:
    if entry.isascii() and entry.isdigit() and len(entry) < 19:
        return int(entry)
    found = await view.events_named([entry])
    if not found:
        raise NotFound(
            f"there is no entry {entry!r} in the log of workspace {view.workspace.id}",
            advice="name an entry by its sequence or its id (evt_…), as `licet log` and `licet history` show them",
        )
    return found[0].seq


def _written(out: Output, workspace: str, to: Path, prove: Callable[[Storage], Awaitable[P]]) -> tuple[P, str | None]:
    """Write a proof; return it and the workspace's verifier, None where no checkpoint was ever signed."""

    async def proven(storage: Storage) -> tuple[P, str | None]:
        proof = await prove(storage)
        async with storage.read(workspace) as view:
            with suppress(NotFound):
                return proof, (await read_key(view)).verifier
        return proof, None

    with out_file(to) as file:
        proof, verifier = with_storage(proven)
        file.write(msgspec.json.format(msgspec.json.encode(proof), indent=1) + b"\n")
    out.document({"file": str(to), "proof": msgspec.to_builtins(proof), "database": whereabouts()})
    return proof, verifier


def _tell(out: Output, words: str, given: Sequence[str], verifier: str | None, points: Sequence[_Point]) -> None:
    """Print what was written and the command that verifies it; placeholders in it are explained below."""
    out.lines(folded(words, out.width, 2))
    out.lines(folded(label("database", whereabouts()), out.width, INDENT))
    out.lines(labeled_command("verify", ["audit", "verify", *given, "--verifier", verifier or "LINE"], out.width))
    missing = [f"{one.name} is the checkpoint of {number(one.size)} entries" for one in points if not one.is_file]
    if verifier is None:
        missing.append("LINE is the verifier that comes with it")
    if missing:
        out.lines(folded(label("where", ", ".join(missing)), out.width, INDENT))
