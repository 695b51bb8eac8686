"""Options that many commands share."""

from typing import Annotated

import typer

from licet.cli.same_workspace import remembered

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
InWorkspace = Annotated[
    str | None,
    typer.Option(
        "--workspace",
        "-w",
        callback=remembered,
        help="The local server's workspace (live unless said); a LICET_KEY has its own.",
    ),
]
Note = Annotated[str | None, typer.Option("--note", help="Why; kept in the log.")]
Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.", show_default=False)]
FeatureId = Annotated[str, typer.Argument(metavar="FEATURE", help="The feature's id.", show_default=False)]
At = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="At another instant: 2026-03-01 or 2026-03-01T09:00:00Z.")
]
Count = Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="At most so many rows.")]
