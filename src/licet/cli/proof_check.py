"""Verifies proofs about a log from files alone: no server, no database, and none of the code that knows them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from licet.cli.documents import read_text
from licet.cli.failure import NO, Ended, Failure
from licet.cli.output import BAD, BOLD, DIM, GOOD, Line, Output
from licet.cli.words import INDENT, day, folded, label, number
from licet.seal.canonical import NotCanonical, canonical
from licet.seal.chain import leaf_hash
from licet.seal.checkpoint import Checkpoint, CheckpointError, open_checkpoint
from licet.seal.proof import ProofError, check_consistency, check_inclusion
from licet.wire.proof import ConsistencyProof, EntryProof

T = TypeVar("T")
_SHOWN: Final = {
    "type": "what",
    "subject": "about",
    "actor": "by",
    "recorded_at": "recorded",
    "note": "note",
    "id": "event",
}
_ENTRY_LIMITS: Final = (
    "the proof is about this entry only: whether it tells the truth, and what came after the checkpoint, "
    "it does not say"
)
_CONSISTENCY_LIMITS: Final = (
    "the proof is about what both checkpoints cover: what came after the newer one, it does not say"
)


def check_entry(out: Output, proof: Path, checkpoint: Path | None, verifier: str | None) -> None:
    """Print whether an entry stands in the log of a checkpoint; exit code 1 where the proof does not hold."""
    point = _checkpoint(checkpoint, verifier, "--checkpoint")
    given = _decoded(proof, EntryProof, "licet audit prove")
    event = _verdict(out, lambda: _entry(given, point))
    out.document(
        {
            "ok": True,
            "origin": given.origin,
            "seq": given.seq,
            "size": given.size,
            "entry": event,
            "limits": _ENTRY_LIMITS,
        }
    )
    lines: list[Line] = [
        [("✓ ", GOOD), (f"entry {number(given.seq)} stands in the log", BOLD), f" {given.origin} of {_size(point)}"]
    ]
    told = {name: day(str(value)) if name == "recorded_at" else str(value) for name, value in event.items()}
    lines.extend(label(title, told[name]) for name, title in _SHOWN.items() if event.get(name))
    lines.extend(_points(point))
    lines.append(label("limits", (_ENTRY_LIMITS, DIM)))
    _print(out, lines)


def check_growth(
    out: Output, checkpoint: Path | None, against: Path | None, consistency: Path | None, verifier: str | None
) -> None:
    """Print whether the log of a newer checkpoint continues that of an older one; exit code 1 where it does not."""
    old, new = _checkpoint(checkpoint, verifier, "--checkpoint"), _checkpoint(against, verifier, "--against")
    if consistency is None:
        raise _usage(
            "that a log has only grown is shown by a proof",
            "give --consistency FILE, as `licet audit consistency` wrote it",
        )
    given = _decoded(consistency, ConsistencyProof, "licet audit consistency")
    _verdict(out, lambda: _growth(given, old, new))
    out.document(
        {"ok": True, "origin": given.origin, "old": given.old, "new": given.new, "limits": _CONSISTENCY_LIMITS}
    )
    _print(
        out,
        [
            [
                ("✓ ", GOOD),
                ("the log has only grown", BOLD),
                f": the first {number(old.size)} of {_size(new)} of {given.origin} are as they were",
            ],
            *_points(old),
            *_points(new),
            label("limits", (_CONSISTENCY_LIMITS, DIM)),
        ],
    )


def _entry(given: EntryProof, point: Checkpoint) -> dict[str, Any]:
    _same_log(given.origin, point)
    if given.size != point.size:
        raise ProofError(
            f"the proof is one in the log of {given.size} entries, the checkpoint is of {point.size}: "
            "let it be made for this checkpoint"
        )
    content = given.entry.encode()
    path = [bytes.fromhex(one) for one in given.path]
    check_inclusion(leaf_hash(content), given.seq - 1, point.size, path, point.root)
    # What is shown must be what was hashed: nothing said twice, nothing that another reader would read otherwise.
    try:
        event = msgspec.json.decode(content)
        plain = isinstance(event, dict) and canonical(event) == content and event.get("seq") == given.seq
    except (msgspec.DecodeError, NotCanonical):
        plain = False
    if not plain:
        raise ProofError(f"what stands in the log at {given.seq} is no event of a log")
    return dict(event)


def _growth(given: ConsistencyProof, old: Checkpoint, new: Checkpoint) -> None:
    _same_log(given.origin, old)
    _same_log(given.origin, new)
    if (given.old, given.new) != (old.size, new.size):
        raise ProofError(
            f"the proof leads from {given.old} to {given.new} entries, the checkpoints from {old.size} to {new.size}: "
            "--checkpoint takes the older one, --against the newer"
        )
    path = [bytes.fromhex(one) for one in given.path]
    check_consistency(old.size, old.root, new.size, new.root, path)


def _same_log(origin: str, point: Checkpoint) -> None:
    if origin != point.origin:
        raise ProofError(f"the proof is about the log {origin!r}, the checkpoint about {point.origin!r}")


def _verdict(out: Output, check: Callable[[], T]) -> T:
    try:
        return check()
    except ProofError as error:
        out.document({"ok": False, "words": str(error)})
        _print(out, [[("✗ ", BAD), ("the proof does not hold", BOLD), f": {error}"]])
        raise Ended(NO) from None


def _checkpoint(file: Path | None, verifier: str | None, option: str) -> Checkpoint:
    if file is None:
        raise _usage("a proof counts against a checkpoint", f"give {option} FILE")
    if verifier is None:
        raise _usage(
            "a checkpoint counts if its signature is the log's",
            "give --verifier 'LINE', as `licet audit checkpoint` printed it; get it by another way than the checkpoint",
        )
    try:
        return open_checkpoint(read_text(file), verifier)
    except CheckpointError as error:
        raise Failure(
            f"{file}: {error}",
            advice="use the checkpoint as it was exported, with its verifier",
            code="checkpoint",
            exit_code=NO,
        ) from None


def _decoded(file: Path, kind: type[T], command: str) -> T:
    try:
        return msgspec.json.decode(read_text(file), type=kind)
    except msgspec.MsgspecError as error:
        raise Failure(
            f"{file} is no such proof: {error}",
            advice=f"give the file as `{command}` wrote it, or the answer of the server",
            code="file",
            exit_code=NO,
        ) from None


def _usage(words: str, advice: str) -> Failure:
    return Failure(words, advice=advice, code="usage")


def _size(point: Checkpoint) -> str:
    return f"{number(point.size)} {'entry' if point.size == 1 else 'entries'}"


def _print(out: Output, lines: Sequence[Line]) -> None:
    """Print a verdict and the labeled lines below it."""
    for place, line in enumerate(lines):
        out.lines(folded(line, out.width, INDENT if place else 2))


def _points(point: Checkpoint) -> list[Line]:
    said = [f"{_size(point)}, root {point.root.hex()}", *(line for line in point.extra if line.startswith("exported "))]
    return [label("against", (", ".join(said), DIM))]
