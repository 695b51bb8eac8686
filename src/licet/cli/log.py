"""``licet log``: what happened, in the order of commit."""

from collections import deque
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from licet.cli.options import AsJson, Count, InWorkspace
from licet.cli.remote import Remote
from licet.cli.session import connected, output
from licet.cli.words import day, number

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
    from licet.cli.unmatched import note_events

    with connected(workspace) as remote:
        query: dict[str, object] = {"subject": subject, "type": kind}
        if after is None and not (subject or kind):
            after = max(0, newest_seq(remote) - limit)
        if after is not None:
            rows = list(remote.pages("/v1/events", limit=limit, query={**query, "after": after}))
        else:
            rows = list(deque(remote.pages("/v1/events", limit=_MOST, query=query), maxlen=limit))
        if not rows and (subject or kind):
            note_events(remote, newest_seq(remote), {"type": kind, "subject": subject})
    out = output(as_json)
    out.document({"items": rows})
    lines: list[list[Line]] = [
        [
            str(row["seq"]),
            day(row["recorded_at"]),
            (row["type"], ACCENT),
            row["subject"],
            row["actor"],
            (said_of(row), DIM),
        ]
        for row in rows
    ]
    if not lines:
        out.line("no events match")
        return
    out.table(["seq", "recorded", "type", "about", "by", "note"], lines, right=[0])


def said_of(row: Mapping[str, Any]) -> str:
    """Return the note of an event; of what befell a balance which one, how much was put on it, which threshold."""
    note, after = row.get("note") or "", row.get("after")
    if not row["type"].startswith("balance.") or not isinstance(after, Mapping) or not after.get("feature"):
        return note
    words = str(after["feature"]) + (f" of {after['holder']}" if after.get("holder") else "")
    if row["type"] == "balance.threshold_crossed":
        percents = " and ".join(f"{one}%" for one in after.get("percents", ()))
        words += f" reached {percents}: {number(after['used'])} of {number(after['granted'])} used"
    elif row["type"] in ("balance.granted", "balance.topped_up") and after.get("amount") is not None:
        words += f" +{number(after['amount'])}"
    return f"{words}; {note}" if note else words


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
