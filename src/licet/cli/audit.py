"""``licet audit``: prove that the log is whole."""

from pathlib import Path
from typing import Annotated

import typer

from licet.cli.options import AsJson, InWorkspace
from licet.cli.session import output

app = typer.Typer(help="Prove the log: verify, checkpoint, export (at the database).", no_args_is_help=True)


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
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Recompute every hash of the log, compare what stands beside it, and name what does not fit.

    Beside the log are terms, catalogs, customers and users; exit code 1 when something does not fit. With --log it
    needs neither database nor server: an outsider verifies an exported log against a checkpoint.
    """
    from licet.cli.audit_report import verify_log

    verify_log(output(as_json), workspace, checkpoint, verifier, log)


@app.command()
def export(
    *,
    to: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write it.")],
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Write the whole log to a file, one event a line as JSON, to be verified elsewhere. No personal values."""
    from licet.cli.audit_report import write_log

    write_log(output(as_json), workspace, to)


@app.command("checkpoint")
def export_checkpoint(
    *,
    to: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write it; keep it elsewhere.")],
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Export a signed checkpoint of the log, against which it can be verified later."""
    from licet.cli.audit_report import write_checkpoint

    write_checkpoint(output(as_json), workspace, to)
