"""``licet log`` and ``licet findings``: what happened, and what does not fit together."""

from typing import Annotated, Any

import typer

from licet.cli.options import AsJson, Count, InWorkspace
from licet.cli.session import connected, output


def log(
    *,
    after: Annotated[int | None, typer.Option(min=0, help="Only events after this sequence.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only events about this, such as customer/acme.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Only events of this type, such as order.applied.")] = None,
    limit: Count = 50,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Show the log: every change, in the order in which it was committed."""
    from licet.cli.output import ACCENT, DIM, Line
    from licet.cli.words import day

    with connected(workspace) as remote:
        query: dict[str, object] = {"after": after, "subject": subject, "type": kind}
        rows = list(remote.pages("/v1/events", limit=limit, query=query))
    out = output(as_json)
    out.document({"items": rows})
    lines: list[list[Line]] = [
        [
            str(row["seq"]),
            day(str(row["recorded_at"])[:19] + "Z"),
            (row["type"], ACCENT),
            row["subject"],
            row["actor"],
            (row.get("note") or "", DIM),
        ]
        for row in rows
    ]
    if not lines:
        out.line("no events match")
        return
    out.table(["seq", "recorded", "type", "about", "by", "note"], lines, right=[0])


def findings(
    *,
    state: Annotated[str | None, typer.Option(help="open, resolved or dismissed.")] = None,
    limit: Count = 100,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """List findings: places where what was sold, said or stored does not fit together."""
    from licet.cli.output import BAD, DIM, WARN, Line

    with connected(workspace) as remote:
        rows: list[Any] = list(remote.pages("/v1/findings", limit=limit, query={"state": state}))
    out = output(as_json)
    out.document({"items": rows})
    if not rows:
        out.line("no findings: everything fits together")
        return
    style = {"high": BAD, "error": BAD, "medium": WARN, "warning": WARN}
    lines: list[list[Line]] = [
        [
            (row["severity"], style.get(row["severity"], DIM)),
            row["kind"],
            row["subject"],
            str(row["seen"]),
            row["state"],
            row["words"],
        ]
        for row in rows
    ]
    out.table(["severity", "kind", "about", "seen", "state", "what"], lines, right=[3])
