"""``licet audit``: prove that the log is whole."""

from pathlib import Path
from typing import Annotated

import typer

from licet.cli.options import AsJson, InWorkspace
from licet.cli.session import output

app = typer.Typer(help="Prove the log: verify, checkpoint (at the database).", no_args_is_help=True)


@app.command()
def verify(
    *,
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
    """Recompute every hash of the log and name what does not fit. Exit code 1 when something does not."""
    from licet.cli.audit_report import verify_log

    verify_log(output(as_json), workspace, checkpoint, verifier)


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
