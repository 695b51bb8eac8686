"""``licet clock``: the business clock of a test workspace."""

from typing import Annotated, Any

import typer

from licet.cli.amounts import forward_span
from licet.cli.options import AsJson, Note
from licet.cli.output import Output
from licet.cli.same_workspace import remembered
from licet.cli.session import connected, output
from licet.cli.target import said_key
from licet.cli.times import instant_text

app = typer.Typer(help="The business clock of a test workspace: show, move.", no_args_is_help=True)

TEST = "test"


def _remembered(workspace: str | None) -> str | None:
    """Keep where the command runs; a key's workspace needs no word."""
    remembered(workspace or (None if said_key() else TEST))
    return workspace


ClockWorkspace = Annotated[
    str | None,
    typer.Option(
        "--workspace",
        "-w",
        callback=_remembered,
        help="The local server's workspace (test unless said); a LICET_KEY has its own.",
    ),
]


@app.command()
def show(workspace: ClockWorkspace = None, as_json: AsJson = False) -> None:
    """Show what time it is in the workspace."""
    with connected(workspace, otherwise=TEST) as remote:
        answer = remote.call("GET", "/v1/clock")
    _told(output(as_json), answer)


@app.command()
def advance(
    span: Annotated[str, typer.Argument(metavar="DURATION", help="How far: P14D, P1M, PT12H.", show_default=False)],
    note: Note = None,
    workspace: ClockWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Move the clock forward by a duration. It never goes back."""
    _move({"advance": forward_span(span)}, note, workspace, as_json)


@app.command("set")
def set_clock(
    at: Annotated[str, typer.Argument(metavar="TIME", help="To when: 2026-03-01T09:00:00Z.", show_default=False)],
    note: Note = None,
    workspace: ClockWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Move the clock forward to an instant; it goes on from there."""
    _move({"to": instant_text(at) or at}, note, workspace, as_json)


def _move(change: dict[str, str], note: str | None, workspace: str | None, as_json: bool) -> None:
    with connected(workspace, otherwise=TEST) as remote:
        answer = remote.call("POST", "/v1/clock", change, note=note)
    _told(output(as_json), answer)


def _told(out: Output, answer: Any) -> None:
    from licet.cli.words import day

    out.document(answer)
    stands = ", and the clock stands still" if answer.get("frozen_at") else ""
    moved = f" (real time {day(answer['wall'])})" if answer["now"][:16] != answer["wall"][:16] else ""
    out.line(f"it is {day(answer['now'])} in {answer['workspace']}{stands}{moved}")
