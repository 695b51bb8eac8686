"""``licet catalog move``: brings customers from one version of a plan or add-on to another, and back."""

from typing import Annotated, Any, Final

import typer

from licet.cli.default_command import DefaultsToOne
from licet.cli.failure import Failure
from licet.cli.options import AsJson, Count, InWorkspace, Note
from licet.cli.session import connected, output

BEGIN: Final = "begin"
"""What is meant where none of the other commands is named."""
SECONDS: Final = 60.0
"""How long one batch may take to be answered."""


class BeginsByDefault(DefaultsToOne):
    """``move FROM TO`` is short for ``move begin FROM TO``."""

    default_command = BEGIN


app = typer.Typer(
    cls=BeginsByDefault,
    help="Bring customers from one version to another: `move FROM TO` is short for `move begin FROM TO`.",
    no_args_is_help=True,
)
Move = Annotated[str, typer.Argument(metavar="MOVE", help="The move's id, mov_….", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show who would gain and lose what.")]
MaxLosing = Annotated[
    int, typer.Option("--max-losing", metavar="N", min=0, help="So many customers may lose something (none).")
]


@app.command(BEGIN)
def begin(
    from_version: Annotated[
        str, typer.Argument(metavar="FROM", help="What is held now, as team@2026-01.", show_default=False)
    ],
    to_version: Annotated[
        str, typer.Argument(metavar="TO", help="What it becomes, as team@2026-04.", show_default=False)
    ],
    *,
    addon: Annotated[bool, typer.Option("--addon", help="It is an add-on, not a plan.")] = False,
    cohort: Annotated[str | None, typer.Option(metavar="COHORT", help="Only members of this cohort.")] = None,
    customer: Annotated[
        list[str] | None, typer.Option("--customer", metavar="ID", help="Only this customer; repeatable.")
    ] = None,
    at: Annotated[
        str, typer.Option(metavar="TIME", help="From when on: now, period_end (of each subscription), or an instant.")
    ] = "now",
    notice: Annotated[
        str | None, typer.Option(metavar="SPAN", help="Announced so long before at least, as P30D.")
    ] = None,
    dry_run: DryRun = False,
    max_losing: MaxLosing = 0,
    yes: Yes = False,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Move customers: shows who gains and loses what, asks, announces it to each and does it in batches.

    Refused where more lose than you allow. Broken off, it is gone on with by `move resume`; `move reverse` takes it
    back.
    """
    from licet.cli.moving import Wanted, move_customers

    wanted = Wanted(
        from_version, to_version, addon, cohort, tuple(customer or ()), at, notice, max_losing, note, workspace
    )
    with connected(workspace, timeout=SECONDS) as remote:
        move_customers(remote, wanted, output(as_json), dry_run=dry_run, yes=yes)


@app.command()
def show(move: Move, *, limit: Count = 20, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """Show how far a move has come, and who was left out or kept, with the reason."""
    from licet.cli.move_text import move_lines, moved_lines
    from licet.cli.moving import path_of
    from licet.cli.output import WARN

    told: dict[str, list[Any]] = {}
    unseen = ""
    with connected(workspace) as remote:
        answer = remote.call("GET", path_of(move))
        try:
            for state in ("left_out", "kept"):
                if answer[state]:
                    told[state] = [*remote.pages(f"{path_of(move)}/customers", limit=limit, query={"state": state})]
        except Failure as failure:
            if failure.code != "forbidden":
                raise
            unseen = failure.words
    out = output(as_json)
    listed = {} if unseen else {f"customers_{state}": told.get(state, []) for state in ("left_out", "kept")}
    out.document({**answer, **listed})
    out.lines(move_lines(answer, workspace))
    if unseen:
        out.line((f"who they are is not shown: {unseen}", WARN))
    for state, rows in told.items():
        out.lines(moved_lines(state, rows, answer[state], out.width))


@app.command()
def resume(
    move: Move,
    *,
    max_losing: Annotated[
        int | None,
        typer.Option("--max-losing", metavar="N", min=0, help="So many customers may lose something by all of it."),
    ] = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a move, or with taking one back, where it was broken off. Each customer is moved once.

    Where more would lose than you allowed (some came after the preview), it is refused until --max-losing says more.
    """
    from licet.cli.moving import finish, path_of

    out = output(as_json)
    with connected(workspace, timeout=SECONDS) as remote:
        finish(remote, remote.call("GET", path_of(move)), out, workspace, max_losing=max_losing)


@app.command()
def reverse(
    move: Move,
    *,
    dry_run: DryRun = False,
    max_losing: MaxLosing = 0,
    preview: Annotated[
        str | None, typer.Option(metavar="ID", help="By this preview of the way back, prv_…, instead of a new one.")
    ] = None,
    yes: Yes = False,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Take a move back: where it has not begun it never was, where it has it ends now.

    Shows first who gains and loses what by that, and is refused where more lose than you allow. Whoever has something
    else by now keeps it.
    """
    from licet.cli.moving import Return, take_back

    with connected(workspace, timeout=SECONDS) as remote:
        take_back(remote, Return(move, preview, max_losing, note, workspace), output(as_json), dry_run=dry_run, yes=yes)


def moves(limit: Count = 20, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """List the moves of customers between versions, newest first."""
    from licet.cli.move_text import STATES, what_words
    from licet.cli.words import day, number

    with connected(workspace) as remote:
        rows = [*remote.pages("/v1/catalog/moves", limit=limit)]
    out = output(as_json)
    out.document({"items": rows})
    if not rows:
        out.line("nobody was ever moved from one version to another")
        return
    cells = [
        [day(one["created_at"]), what_words(one), (one["state"], STATES[one["state"]]), number(one["moved"]), one["id"]]
        for one in rows
    ]
    out.table(["begun", "what", "state", "moved", "id"], cells, right=[3])


def versions_of(source: str, target: str) -> tuple[str, str, str]:
    """Return (item, from, to) of ``team@2026-01`` and ``team@2026-04``; raises Failure with what is allowed."""
    item, at, old = source.rpartition("@")
    other, _, new = target.rpartition("@")
    if not item or not at or not old or not new or other not in ("", item):
        raise Failure(
            f"{source} and {target} do not name two versions of one plan or add-on",
            advice="write them as team@2026-01 team@2026-04",
            code="usage",
        )
    return item, old, new
