"""``licet top``: who uses how much just now, who is near a limit, who is refused."""

import time
from typing import Annotated, Final

import typer

from licet.cli.options import AsJson, InWorkspace
from licet.cli.session import connected, output

SECONDS: Final = 1.0


def top(
    *,
    once: Annotated[bool, typer.Option("--once", help="Show it once, of one second, and end.")] = False,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=50, help="So many of each.")] = 10,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Show live who uses what at which rate, which balances are nearest to their limit, and what was refused.

    On a terminal it is drawn anew each second until Ctrl-C; piped, with --once or with --json it is shown once.
    """
    from licet.cli.top_text import document, screen
    from licet.cli.top_view import look, seen_between

    out = output(as_json)
    with connected(workspace) as remote:
        before = look(remote)
        time.sleep(SECONDS)
        after = look(remote)
        view = seen_between(remote, before, after, rows)
        if once or not out.rich:
            out.document(document(view))
            out.lines(screen(view))
            return
        from rich.console import Group
        from rich.live import Live

        from licet.cli.output import styled

        with Live(console=out.console, screen=True, auto_refresh=False) as live:
            try:
                while True:
                    live.update(Group(*(styled(line) for line in screen(view))), refresh=True)
                    time.sleep(SECONDS)
                    before, after = after, look(remote)
                    view = seen_between(remote, before, after, rows)
            except KeyboardInterrupt:
                return
