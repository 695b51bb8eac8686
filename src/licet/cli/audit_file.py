"""A log as a file: one event a line, verified by whoever has it, without the database and without the server.

Every line is the canonical JSON of one event. The hashes cover each of its bytes but the personal values, which an
export does not have: of those it holds the commitments.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from licet.cli.documents import read_text
from licet.cli.failure import NO, Failure
from licet.cli.local import chosen
from licet.cli.out_file import OutFile
from licet.seal.audit import AuditReport, Entry, LogVerifier
from licet.seal.canonical import NotCanonical, canonical
from licet.seal.chain import HASH_BYTES
from licet.seal.checkpoint import Checkpoint, open_checkpoint
from licet.store.postgres import PostgresStorage
from licet.wire.event import Event, content_of

ORIGIN: Final = "licet/"
LONGEST_LINE: Final = 32 * 1024 * 1024


async def export_log(storage: PostgresStorage, workspace: str, to: OutFile) -> int:
    """Write a workspace's whole log in one consistent view and return how many events it has.

    A damaged log is written as it is: what is wrong with it is for a verifier.
    """
    count, after = 0, 0
    async with storage.read(workspace) as view:
        while page := await view.log_page(after):
            for event, _ in page:
                to.write(_line(event))
            count += len(page)
            after = page[-1][1].seq
    return count


def verify_file(log: Path, workspace: str | None, checkpoint: Path | None, verifier: str | None) -> AuditReport:
    """Verify an exported log; with a checkpoint its verifier is needed, since no stored key is at hand.

    The workspace is the one named, else the checkpoint's, else the usual one. Raises CheckpointError.
    """
    point = _checkpoint(checkpoint, verifier)
    name = workspace
    if name is None:
        name = point.origin.removeprefix(ORIGIN) if point is not None else chosen(None)
    check = LogVerifier(name, point)
    for number, line in enumerate(_lines(log), start=1):
        check.add(_entry(log, number, line))
    return check.report()


def _checkpoint(file: Path | None, verifier: str | None) -> Checkpoint | None:
    if file is None:
        return None
    if verifier is None:
        raise Failure(
            "a file can be verified against a checkpoint only with the verifier it came with",
            advice="give --verifier 'LINE', as `licet audit checkpoint` printed it",
            code="usage",
        )
    return open_checkpoint(read_text(file), verifier)


def _lines(log: Path) -> Iterator[bytes]:
    if log.is_dir():
        raise Failure(f"{log} is a directory, not a file", advice="name the file in it", code="file")
    with log.open("rb") as source:
        while line := source.readline(LONGEST_LINE + 1):
            if len(line) > LONGEST_LINE:
                raise Failure(f"{log} has a line of more than {LONGEST_LINE} bytes: it is no exported log", code="file")
            yield line


def _entry(log: Path, number: int, line: bytes) -> Entry:
    try:
        event = msgspec.json.decode(line, type=Event)
        prev, own = bytes.fromhex(event.prev), bytes.fromhex(event.hash)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise _no_event(log, number, str(error)) from None
    if len(prev) != HASH_BYTES or len(own) != HASH_BYTES:
        raise _no_event(log, number, f"its hashes have not {HASH_BYTES} bytes")
    try:
        # Byte for byte: a field of no event, a key given twice or a time written otherwise is an edit as well.
        content = canonical(content_of(event)) if canonical(event) == line.rstrip(b"\n") else None
    except NotCanonical:
        content = None
    return Entry(seq=event.seq, content=content, prev=prev, hash=own)


def _no_event(log: Path, number: int, why: str) -> Failure:
    return Failure(
        f"{log}:{number}: this is no event of a log: {why}",
        advice="give the file as `licet audit export` wrote it",
        code="file",
        exit_code=NO,
    )


def _line(event: Event) -> bytes:
    try:
        return canonical(event) + b"\n"
    except NotCanonical:
        return msgspec.json.encode(event) + b"\n"
