"""``licet log`` and ``licet findings``: what happened, and what does not fit together."""

import json
from collections import deque
from typing import Annotated, Any, Final

import typer

from licet.cli.options import AsJson, Count, InWorkspace
from licet.cli.remote import Remote
from licet.cli.session import connected, output

_MOST: Final = 100_000


def log(
    *,
    after: Annotated[int | None, typer.Option(min=0, help="Only events after this sequence.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only events about this, such as customer/acme.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Only events of this type, such as order.applied.")] = None,
    limit: Count = 50,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Show the log's newest events (or those after a sequence), in the order in which they were committed."""
    from licet.cli.output import ACCENT, DIM, Line
    from licet.cli.words import day

    with connected(workspace) as remote:
        query: dict[str, object] = {"subject": subject, "type": kind}
        if after is None and not (subject or kind):
            after = max(0, newest_seq(remote) - limit)
        if after is not None:
            rows = list(remote.pages("/v1/events", limit=limit, query={**query, "after": after}))
        else:
            rows = list(deque(remote.pages("/v1/events", limit=_MOST, query=query), maxlen=limit))
    out = output(as_json)
    out.document({"items": rows})
    lines: list[list[Line]] = [
        [
            str(row["seq"]),
            day(row["recorded_at"]),
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


def newest_seq(remote: Remote) -> int:
    """Return the sequence of the log's last event by halving: some forty small requests at most."""
    known, beyond = 0, 1024
    while _later(remote, beyond):
        known, beyond = beyond, beyond * 2
    while beyond - known > 1:
        middle = (known + beyond) // 2
        known, beyond = (middle, beyond) if _later(remote, middle) else (known, middle)
    return beyond if _later(remote, known) else known


def _later(remote: Remote, seq: int) -> bool:
    return bool(remote.call("GET", "/v1/events", query={"after": seq, "limit": 1})["items"])


def findings(
    *,
    state: Annotated[str | None, typer.Option(help="open, resolved or dismissed.")] = None,
    limit: Count = 100,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """List findings: places where what was sold, said or stored does not fit together."""
    from licet.cli.amounts import known_word

    known_word("--state", state, ("open", "resolved", "dismissed"))
    with connected(workspace) as remote:
        rows: list[Any] = list(remote.pages("/v1/findings", limit=limit, query={"state": state}))
    out = output(as_json)
    out.document({"items": rows})
    if not rows:
        out.line("no findings: everything fits together")
        return
    for row in rows:
        out.lines(_finding_lines(row, out.width))
    still = sum(row["state"] == "open" for row in rows)
    out.line(f"{len(rows)} finding{'' if len(rows) == 1 else 's'}, {still} open")


def _finding_lines(row: dict[str, Any], width: int | None) -> list[Any]:
    """Return what is known of one finding: what, about what, how often and since when, and the facts to act on."""
    from licet.cli.output import ACCENT, BAD, BOLD, DIM, WARN
    from licet.cli.words import day, label, wrapped

    shade = {"high": BAD, "medium": WARN}.get(row["severity"], DIM)
    often = "once" if row["seen"] == 1 else f"{row['seen']} times, last {day(row['last_seen'])}"
    lines: list[Any] = [[(row["severity"], shade), "  ", (row["kind"], BOLD), "  ", (row["subject"], ACCENT)]]
    lines.extend(wrapped(row["words"], width, "  ", "  "))
    for name, value in (row.get("evidence") or {}).items():
        if value is None:
            continue
        lines.append(label(name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 14))
    lines.append(label("seen", f"{often}, first {day(row['first_seen'])}", 14))
    lines.append(label(row["state"], (row["id"], DIM), 14))
    return [*lines, ""]
