"""``licet doctor``: where things are and whether they are well."""

from typing import Annotated

import typer

from licet.cli.options import AsJson
from licet.cli.session import output


def doctor(
    remove_home: Annotated[
        bool, typer.Option("--remove-home", help="Delete the home with the bundled database and all its data.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell where the home is, which PostgreSQL runs, what is missing. Exit code 1 when something is wrong."""
    out = output(as_json)
    if remove_home:
        from licet.cli.removal import remove_everything

        remove_everything(out, yes=yes)
        return
    from licet.cli.examination import examine

    examine(out)
