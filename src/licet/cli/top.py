"""``licet top``: who uses how much just now, what is left, who is refused."""

import time
from typing import Annotated, Any, Final

import typer

from licet.cli.options import AsJson, InWorkspace
from licet.cli.session import connected, output

EVERY_SECONDS: Final = 1.0


def top(
    *,
    seconds: Annotated[int, typer.Option("--seconds", min=1, max=600, help="Rates over so many seconds.")] = 10,
    customer: Annotated[str | None, typer.Option("--customer", help="Only of this customer.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="At most so many rows.")] = 20,
    once: Annotated[bool, typer.Option("--once", help="Show it once and end.")] = False,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Show live what is used most: how often, how much, what was refused, what is left.

    On a terminal it is drawn anew each second until Ctrl-C; piped, with --once or with --json it is shown once.
    """
    from licet.cli.top_text import screen

    query: dict[str, object] = {"seconds": seconds, "customer": customer, "limit": limit}
    out = output(as_json)
    with connected(workspace) as remote:

        def look() -> Any:
            return remote.call("GET", "/v1/usage/top", query=query)

        if once or not out.rich:
            answer = look()
            out.document(answer)
            out.lines(screen(answer, out.width))
            return
        from rich.console import Group
        from rich.live import Live
        from rich.text import Text

        from licet.cli.output import Line, styled

        def cropped(line: Line) -> Text:
            text = styled(line)
            text.no_wrap, text.overflow = True, "crop"
            return text

        with Live(console=out.console, screen=True, auto_refresh=False) as live:
            try:
                while True:
                    lines = screen(look(), out.console.width, out.console.height)
                    live.update(Group(*(cropped(line) for line in lines)), refresh=True)
                    time.sleep(EVERY_SECONDS)
            except KeyboardInterrupt:
                return
