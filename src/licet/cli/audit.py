"""``licet audit``: prove that the log is whole."""

from pathlib import Path
from typing import Annotated

import typer

from licet.cli.failure import Failure
from licet.cli.options import AsJson, InWorkspace
from licet.cli.output import Output
from licet.cli.session import output

app = typer.Typer(help="Prove the log: verify, checkpoint, proofs, export (at the database).", no_args_is_help=True)
OUT = typer.Option("--out", "-o", metavar="FILE", help="Where to write it.")


@app.command()
def verify(
    *,
    log: Annotated[
        Path | None, typer.Option("--log", metavar="FILE", help="An exported log instead of the database's.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A checkpoint exported earlier: finds a rewritten or cut tail.")
    ] = None,
    verifier: Annotated[
        str | None,
        typer.Option(metavar="LINE", help="The public line the checkpoint came with; else the stored key's."),
    ] = None,
    proof: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Verify only that one entry stands in the checkpoint's log.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Verify only that the log has grown from --checkpoint to this one."),
    ] = None,
    consistency: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The proof of that, as `audit consistency` wrote it.")
    ] = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Recompute every hash of the log, compare what stands beside it, and name what does not fit.

    Beside the log are terms, catalogs, customers and users; exit code 1 when something does not fit. With --log,
    --proof or --against it needs neither database nor server: an outsider verifies files against a checkpoint.
    """
    if proof is not None or against is not None or consistency is not None:
        _verify_proof(
            output(as_json),
            log=log,
            proof=proof,
            checkpoint=checkpoint,
            against=against,
            consistency=consistency,
            verifier=verifier,
        )
        return
    from licet.cli.audit_report import verify_log

    verify_log(output(as_json), workspace, checkpoint, verifier, log)


@app.command()
def export(
    *,
    to: Annotated[Path, OUT],
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Write the whole log to a file, one event a line as JSON, to be verified elsewhere. No personal values."""
    from licet.cli.audit_report import write_log
    from licet.cli.out_file import words_beside

    write_log(words_beside(to, as_json), workspace, to)


@app.command("checkpoint")
def export_checkpoint(
    *,
    to: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write it; keep it elsewhere.")],
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Export a signed checkpoint of the log, against which it can be verified later."""
    from licet.cli.audit_report import write_checkpoint
    from licet.cli.out_file import words_beside

    write_checkpoint(words_beside(to, as_json), workspace, to)


@app.command()
def prove(
    *,
    entry: Annotated[
        str, typer.Argument(metavar="ENTRY", help="The entry's sequence, or its id (evt_…).", show_default=False)
    ],
    to: Annotated[Path, OUT],
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The checkpoint against which the proof is to count.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="The size of that checkpoint instead; else all entries.")
    ] = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Write the proof that one entry stands in the log, for somebody who has a checkpoint. No personal values."""
    from licet.cli.out_file import words_beside
    from licet.cli.proofs import write_entry_proof

    write_entry_proof(words_beside(to, as_json), workspace, entry, to, checkpoint=checkpoint, size=size)


@app.command()
def consistency(
    *,
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="The older checkpoint: its file, or its size.", show_default=False)
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The newer one.", show_default=False)],
    to: Annotated[Path, OUT],
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Write the proof that the log has only grown between two checkpoints, for somebody who has both."""
    from licet.cli.out_file import words_beside
    from licet.cli.proofs import write_consistency_proof

    write_consistency_proof(words_beside(to, as_json), workspace, old, new, to)


def _verify_proof(
    out: Output,
    *,
    log: Path | None,
    proof: Path | None,
    checkpoint: Path | None,
    against: Path | None,
    consistency: Path | None,
    verifier: str | None,
) -> None:
    """Verify one proof from files; imports nothing that knows a database."""
    from licet.cli.proof_check import check_entry, check_growth

    growth = against is not None or consistency is not None
    if log is not None or (proof is not None and growth):
        raise Failure(
            "--log, --proof and --against with --consistency are three things to verify",
            advice="give one of them at a time",
            code="usage",
        )
    if proof is not None:
        check_entry(out, proof, checkpoint, verifier)
    else:
        check_growth(out, checkpoint, against, consistency, verifier)
