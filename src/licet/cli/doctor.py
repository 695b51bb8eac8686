"""``licet doctor``: where things are and whether they are well."""

from pathlib import Path
from typing import Annotated

import typer

from licet.cli.options import AsJson, InWorkspace
from licet.cli.session import output
from licet.cli.target import DEFAULT_WORKSPACE


def doctor(
    *,
    catalog: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare what is released with this catalog (-w says where).")
    ] = None,
    min_free: Annotated[
        int, typer.Option("--min-free", metavar="MIB", min=0, help="How much free disk counts as enough.")
    ] = 1024,
    workspace: InWorkspace = None,
    remove_home: Annotated[
        bool, typer.Option("--remove-home", help="Delete the home with the bundled database and all its data.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find what is broken and say why it matters and what mends it. Changes and starts nothing.

    Exit code 0: all is well, 1: something is broken, 2: something could not be looked at.
    """
    out = output(as_json)
    if remove_home:
        from licet.cli.removal import remove_everything

        remove_everything(out, yes=yes)
        return
    from licet.cli.examination import Scope, examine

    examine(out, Scope(catalog=catalog, workspace=workspace or DEFAULT_WORKSPACE, least_mib=min_free))
