"""``licet demo``: the main job, live, on a server and a database of its own."""

from pathlib import Path
from typing import Annotated

import typer

from licet.cli.options import AsJson
from licet.cli.session import output


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End after the story; exit code 1 if it went otherwise.")
    ] = False,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the story as a picture too.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 8080 if it is free, else any.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell the story of a vendor live: orders, access, reasons, time, tampering. Then stay up for you to try."""
    from licet.cli.demo.run import run_demo

    run_demo(output(as_json), once=once, svg=svg, port=port)
