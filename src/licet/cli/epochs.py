"""``licet epoch``: which life of the database this is. Raised after every restore of a backup."""

from typing import Annotated

import typer

from licet.cli.failure import COULD_NOT, Ended
from licet.cli.options import AsJson, InWorkspace, Note
from licet.cli.session import output

app = typer.Typer(help="The epoch: raised after a backup was restored (at the database).", no_args_is_help=True)


@app.command()
def show(*, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """Show the epoch in force and the newest sequence."""
    import msgspec

    from licet.cli.local import look, whereabouts
    from licet.cli.output import DIM
    from licet.services.epochs import read_epoch

    found = look(workspace, read_epoch)
    out = output(as_json)
    out.document(msgspec.to_builtins(found))
    out.line((f"at {whereabouts()}", DIM))
    out.line(f"workspace {found.workspace} is in epoch {found.epoch}; the log ends at {found.seq}")


@app.command("raise")
def raise_epoch(
    *,
    to: Annotated[
        int | None,
        typer.Option(min=2, help="A higher number than the next: where the epoch was raised before, after the backup."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Say that a backup was restored.")] = False,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Begin a new epoch after a restore: every follower fetches all anew, and never goes back to an older one."""
    import msgspec

    from licet.cli.asking import confirm
    from licet.cli.local import change, whereabouts
    from licet.services.epochs import raise_epoch as raised

    if not yes:
        question = "every follower fetches everything anew, and there is no way back: was a backup restored?"
        if not confirm(question, instead="give --yes after a backup was restored; otherwise there is no need for it"):
            raise Ended(COULD_NOT)
    found = change(workspace, lambda tx: raised(tx, to), note=note)
    out = output(as_json)
    out.document(msgspec.to_builtins(found))
    out.line(f"workspace {found.workspace} is in epoch {found.epoch} from sequence {found.seq} on, at {whereabouts()}")
