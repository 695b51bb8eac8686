"""A log as a file: one event a line, verified by whoever has it, without the database and without the server.

Every line is the canonical JSON of one event. The hashes cover each of its bytes but the personal values, which an
export does not have: of those it holds the commitments.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from licet.cli.documents import read_text
from licet.cli.failure import NO, Failure
from licet.cli.out_file import OutFile
from licet.seal.audit import AuditReport, Entry, LogVerifier
from licet.seal.canonical import NotCanonical, canonical
from licet.seal.chain import HASH_BYTES, genesis, leaf_hash, link_hash
from licet.seal.checkpoint import Checkpoint, open_checkpoint
from licet.store.postgres import PostgresStorage
from licet.wire.event import Event, content_of

ORIGIN: Final = "licet/"
_KNOWN: Final = ("live", "test")
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

    The workspace is the log's own: its first entry is bound to the name. Raises CheckpointError for a checkpoint that
    cannot be relied upon, and Failure where the log, the checkpoint and the named workspace are not of one another.
    """
    point = _checkpoint(checkpoint, verifier)
    lines = _lines(log)
    first = next(lines, None)
    if first is None:
        raise Failure(
            f"{log} is empty: there is no log in it",
            advice="give the file as `licet audit export` wrote it",
            code="file",
        )
    beginning = _entry(log, 1, first)
    named = {f"the workspace named by -w is {workspace}": workspace} if workspace is not None else {}
    if checkpoint is not None and point is not None:
        of = point.origin.removeprefix(ORIGIN)
        named[f"{checkpoint} is a checkpoint of workspace {of}"] = of
    check = LogVerifier(_workspace(log, beginning, named), point)
    check.add(beginning)
    for number, line in enumerate(lines, start=2):
        check.add(_entry(log, number, line))
    return check.report()


def _workspace(log: Path, entry: Entry, named: Mapping[str, str]) -> str:
    """Return the workspace whose log this is, "" where its beginning is gone; raises Failure for another's."""
    wanted = set(named.values())
    if len(wanted) > 1:
        raise _not_of_one_another(" and ".join(named))
    begins = entry.seq == 1 and entry.content is not None
    if not begins or link_hash(entry.prev, leaf_hash(entry.content or b"")) != entry.hash:
        # Its beginning was cut off or edited: that is for the report, under whatever name is known.
        return next(iter(wanted), "") or _bound(entry, _KNOWN) or ""
    own = _bound(entry, [*wanted, *_KNOWN]) or _bound(entry, _signers(log))
    if own is not None and wanted <= {own}:
        return own
    said = " and ".join(named)
    if own is not None:
        raise _not_of_one_another(f"{log} is the log of workspace {own}, and {said}")
    if said:
        raise _not_of_one_another(
            f"{said}, and {log} begins no log of that: it is another workspace's, or its first entry was rewritten"
        )
    raise Failure(
        f"{log} does not say of which workspace it is",
        advice="name the workspace with -w",
        code="workspace",
    )


def _bound(entry: Entry, names: Iterable[str]) -> str | None:
    """Return the one of these workspaces to whose name a log's first entry is bound."""
    return next((name for name in names if genesis(name) == entry.prev), None)


def _signers(log: Path) -> Iterator[str]:
    """Yield the workspaces under whose names keys were made, as a log tells; nothing of what can be read only once."""
    if not log.is_file():
        return
    for line in _lines(log):
        if b'"log.key_created"' in line:
            with suppress(msgspec.MsgspecError, UnicodeDecodeError, TypeError, KeyError, AttributeError):
                verifier = msgspec.json.decode(line)["after"]["verifier"]
                yield verifier.partition("+")[0].removeprefix(ORIGIN)


def _not_of_one_another(words: str) -> Failure:
    return Failure(words, advice="give what belongs together; nothing was verified", code="workspace")


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
