"""``licet findings`` and ``licet finding``: the inbox of what does not fit together, and working through it."""

from typing import Annotated, Any

import typer

from licet.cli.amounts import id_of, known_word
from licet.cli.options import AsJson, Count, InWorkspace, Note
from licet.cli.remote import Remote, segment
from licet.cli.session import connected, output

app = typer.Typer(help="Findings: show one, assign it, settle it.", no_args_is_help=True)

FindingId = Annotated[str, typer.Argument(metavar="ID", help="The finding's id, such as fnd_…", show_default=False)]


def findings(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Settled ones, too.")] = False,
    state: Annotated[str | None, typer.Option(help="open (unless said), resolved or dismissed.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind, such as unknown_price.")] = None,
    severity: Annotated[str | None, typer.Option(help="Only low, medium or high.")] = None,
    customer: Annotated[str | None, typer.Option(help="Only about this customer.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only those of this owner, written exactly so.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only open ones whose due date has passed.")] = False,
    limit: Count = 100,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """List findings: places where what was sold, said or stored does not fit together. The earliest due stand first."""
    from licet.cli.finding_text import at_stake, by_due_date, finding_lines, total_line

    query: dict[str, object] = {
        "state": None if everything else known_word("--state", state, ("open", "resolved", "dismissed")) or "open",
        "kind": kind,
        "severity": known_word("--severity", severity, ("low", "medium", "high")),
        "customer": customer,
        "owner": owner,
        "overdue": "true" if overdue else None,
    }
    with connected(workspace) as remote:
        rows: list[Any] = list(remote.pages("/v1/findings", limit=limit, query=query))
        now = _now(remote)
    out = output(as_json)
    out.document({"items": rows, "at_stake": at_stake(rows)})
    if not rows:
        narrowed = any(value for name, value in query.items() if name != "state") or state
        out.line("no findings match" if narrowed else "no findings: everything fits together")
        return
    for row in sorted(rows, key=by_due_date):
        out.lines(finding_lines(row, now, out.width))
    out.line(total_line(rows, now))
    if len(rows) == limit:
        out.line(f"these are the first {limit} opened; --limit shows more")


@app.command()
def show(finding: FindingId, *, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """Show one finding: what it means, why it matters, what to do, and the facts behind it."""
    from licet.cli.finding_text import whole_lines

    with connected(workspace) as remote:
        row = remote.call("GET", _path(finding))
        now = _now(remote)
    out = output(as_json)
    out.document(row)
    out.lines(whole_lines(row, now, out.width))


@app.command()
def assign(
    finding: FindingId,
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="Who settles it: a role or a short name.")],
    *,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Give a finding an owner."""
    row = _change(finding, {"owner": owner}, note, workspace, as_json)
    output(as_json).line(f"{row['owner']} settles {finding}")


@app.command()
def due(
    finding: FindingId,
    when: Annotated[str, typer.Argument(metavar="TIME", help="By when: 2026-03-01, or P2D from now.")],
    *,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Say by when a finding is to be settled."""
    from licet.cli.times import moment_from
    from licet.cli.words import day

    with connected(workspace) as remote:
        due_at = moment_from(when, lambda: str(remote.call("GET", "/v1/clock")["now"]))
    row = _change(finding, {"due_at": due_at}, note, workspace, as_json)
    output(as_json).line(f"{finding} is due {day(row['due_at'])}")


@app.command()
def resolve(finding: FindingId, *, note: Note = None, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """Settle a finding whose cause is gone. Seen again, it is a new finding."""
    _change(finding, {"state": "resolved"}, note, workspace, as_json)
    output(as_json).line(f"resolved {finding}")


@app.command()
def dismiss(
    finding: FindingId,
    *,
    note: Annotated[str, typer.Option(help="Why it may stay as it is; kept in the log.", show_default=False)],
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Settle a finding that may stay as it is. The very same again is only counted."""
    _change(finding, {"state": "dismissed"}, note, workspace, as_json)
    output(as_json).line(f"dismissed {finding}: {note}")


@app.command()
def reopen(finding: FindingId, *, note: Note = None, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """Open a settled finding again."""
    _change(finding, {"state": "open"}, note, workspace, as_json)
    output(as_json).line(f"reopened {finding}")


def _change(finding: str, body: dict[str, Any], note: str | None, workspace: str | None, as_json: bool) -> Any:
    """Change a finding and return it as it is then; with ``--json`` it is printed."""
    with connected(workspace) as remote:
        row = remote.call("PATCH", _path(finding), body | ({"note": note} if note else {}), note=note)
    output(as_json).document(row)
    return row


def _path(finding: str) -> str:
    return f"/v1/findings/{segment(id_of('finding', finding))}"


def _now(remote: Remote) -> int:
    """Return the workspace's business time in microseconds: what is due is due by that clock."""
    from licet.core.instant import parse_instant

    return parse_instant(remote.call("GET", "/v1/clock")["now"])
