"""Verifies the log and exports checkpoints, and says in plain words what that proves and what it cannot."""

from pathlib import Path

import msgspec

from licet.cli.audit_file import ORIGIN, export_log, verify_file
from licet.cli.documents import read_text
from licet.cli.failure import NO, Ended, Failure
from licet.cli.local import chosen, whereabouts, with_storage
from licet.cli.out_file import out_file
from licet.cli.output import BAD, BOLD, DIM, GOOD, Line, Output
from licet.cli.words import INDENT, folded, label, labeled_command, number
from licet.seal.audit import AuditReport
from licet.seal.checkpoint import CheckpointError, origin_of
from licet.store.audit import export_checkpoint
from licet.store.audit import verify_log as verified
from licet.wiring import local_actor


def verify_log(
    out: Output, workspace: str | None, checkpoint: Path | None, verifier: str | None, log: Path | None = None
) -> None:
    """Print the audit report of a workspace, or of an exported log; exit code 1 where something does not fit."""
    where = whereabouts() if log is None else f"none: the file {log}"
    try:
        report = (
            _report(workspace, checkpoint, verifier)
            if log is None
            else verify_file(log, workspace, checkpoint, verifier)
        )
    except CheckpointError as error:
        raise Failure(
            str(error),
            advice="use the checkpoint as it was exported, with its verifier",
            code="checkpoint",
            exit_code=NO,
        ) from None
    out.document({**msgspec.to_builtins(report), "database": where})
    out.lines(report_lines(report, out.width))
    out.lines(folded(label("database", where), out.width, INDENT))
    if not report.ok:
        raise Ended(NO)


def _report(workspace: str | None, checkpoint: Path | None, verifier: str | None) -> AuditReport:
    text, name = None if checkpoint is None else read_text(checkpoint), chosen(workspace)
    # Its first line is believed only where it leads to a refusal; what it is worth, the signature says.
    of = None if text is None else text.partition("\n")[0]
    if of is not None and of.startswith(ORIGIN) and of != origin_of(name):
        other = of.removeprefix(ORIGIN)
        raise Failure(
            f"{checkpoint} is a checkpoint of workspace {other}, this is the log of workspace {name}",
            advice=f"`licet audit verify -w {other}` verifies that one; nothing was verified",
            code="workspace",
        )
    try:
        return with_storage(lambda storage: verified(storage, name, text, verifier))
    except Failure as failure:
        if checkpoint is not None and failure.code in {"no_database", "other_server"}:
            failure.advice = (
                "to verify files without a database, add --log FILE, --proof FILE, or --against FILE with "
                f"--consistency FILE; where the database is to be, {failure.advice}"
            )
        raise


def write_log(out: Output, workspace: str | None, to: Path) -> None:
    """Export a workspace's log and say how an outsider verifies it."""
    name = chosen(workspace)
    with out_file(to) as file:
        count = with_storage(lambda storage: export_log(storage, name, file))
    out.document({"workspace": name, "file": str(to), "events": count, "database": whereabouts()})
    width = out.width
    out.line(f"wrote {number(count)} events of workspace {name} to {to}")
    out.lines(folded(label("database", whereabouts()), width, INDENT))
    out.lines(labeled_command("verify", ["audit", "verify", "--log", str(to)], width))
    against = "add --checkpoint FILE --verifier LINE for one that was kept, as `licet audit checkpoint` wrote them"
    out.lines(folded(label("against", against), width, INDENT))


def report_lines(report: AuditReport, width: int | None = None) -> list[Line]:
    """Return an audit report as lines: the verdict, each fault, what was covered, and what could not be told."""
    verdict, *found = _found(report)
    lines = folded(verdict, width, 2)
    for line in found:
        lines.extend(folded(line, width, 4))
    for line in _covered(report):
        lines.extend(folded(line, width, INDENT))
    return lines


def _found(report: AuditReport) -> list[Line]:
    entries = f"{number(report.size)} {'entry' if report.size == 1 else 'entries'}"
    of = f" of workspace {report.workspace}" if report.workspace else ", of which workspace cannot be told"
    if report.ok:
        verdict: Line = [("✓ ", GOOD), ("the log is whole", BOLD), f": {entries}{of}"]
    else:
        count = len(report.faults) + report.unlisted
        faults = f"{count} fault{'' if count == 1 else 's'}"
        what = "what stands beside the log" if _only_beside(report) else "the log"
        verdict = [("✗ ", BAD), (f"{what} was tampered with: {faults}", BOLD), f" in {entries}{of}"]
    lines: list[Line] = [verdict]
    lines.extend([("  ✗ ", BAD), fault.words] for fault in report.faults)
    if report.unlisted:
        lines.append(f"    and {report.unlisted} more")
    return lines


def _covered(report: AuditReport) -> list[Line]:
    lines: list[Line] = []
    if report.checked_against:
        lines.append(label("against", report.checked_against))
    lines.append(label("values", f"{report.values_checked} personal values fit, {report.values_erased} erased"))
    older = f", {number(report.documents_before)} too old to be compared" if report.documents_before else ""
    lines.append(label("documents", f"{number(report.documents_checked)} compared with the log{older}"))
    lines.append(label("root", (report.root or "—", DIM)))
    lines.append(label("limits", (report.limits, DIM)))
    return lines


def _only_beside(report: AuditReport) -> bool:
    return not report.unlisted and all(fault.kind == "document" for fault in report.faults)


def write_checkpoint(out: Output, workspace: str | None, to: Path) -> None:
    """Write a signed checkpoint and show the line that proves its signature."""
    name = chosen(workspace)
    with out_file(to) as file:
        text, verifier = with_storage(lambda storage: export_checkpoint(storage, name, local_actor()))
        file.write(text)
    out.document({"workspace": name, "file": str(to), "verifier": verifier, "database": whereabouts()})
    width = out.width
    out.lines(folded(f"wrote {to}; keep it where whoever can change the database cannot", width, 2))
    out.lines(folded(label("database", whereabouts()), width, INDENT))
    out.line(label("verifier", verifier))
    later = ["audit", "verify", "-w", name, "--checkpoint", str(to), "--verifier", verifier]
    out.lines(labeled_command("later", later, width))
