"""``licet checks``: how often was asked what, and how it was answered; and the single checks that are on record."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from licet.cli.failure import Failure
from licet.cli.options import AsJson, Count, InWorkspace
from licet.cli.remote import Remote
from licet.cli.session import connected, output
from licet.cli.times import check_order, instant_back


def checks(
    *,
    by: Annotated[
        str | None,
        typer.Option(
            help="day, hour, feature (unless said), customer, user, reason, mode, some of them (day,feature) or total."
        ),
    ] = None,
    customer: Annotated[str | None, typer.Option(help="Only of this customer.")] = None,
    user: Annotated[str | None, typer.Option(help="Only of the user with this id.")] = None,
    feature: Annotated[str | None, typer.Option(help="Only about this feature.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only with this first reason.")] = None,
    denied: Annotated[bool, typer.Option("--denied", help="Only those that were denied.")] = False,
    would_deny: Annotated[bool, typer.Option("--would-deny", help="Only what observe mode would deny.")] = False,
    since: Annotated[str, typer.Option(metavar="TIME", help="From a time on, or a duration back: P7D, PT1H.")] = "P7D",
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before a time, or a duration back.")] = None,
    records: Annotated[bool, typer.Option("--records", help="Single checks of features with record: each.")] = False,
    limit: Count = 50,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Sum up how often was asked what, and how often it was denied. With --records: single checks, newest first."""
    from licet.cli.check_count_text import show_counts, show_records
    from licet.cli.unmatched import note_checks

    if records and by is not None:
        raise Failure(
            f"--by {by} sums checks up, --records lists them one by one",
            advice="leave one of the two out; --user, --feature, --customer and --reason narrow both",
            code="usage",
        )
    by = by or "feature"
    query: dict[str, object] = {"customer": customer, "user": user, "feature": feature, "reason": reason}
    outcome = query["outcome"] = _outcome(denied=denied, would_deny=would_deny)
    with connected(workspace) as remote:
        now = remote.call("GET", "/v1/clock")["now"]
        begin, end = instant_back("--since", since, now), instant_back("--until", until, now)
        check_order(begin, end)
        query |= {"from": begin, "to": end}
        if records:
            rows = list(remote.pages("/v1/checks/records", limit=limit, query=query))
            answer: dict[str, Any] = {"items": rows, "from": begin}
        else:
            answer = _counted(remote, query, by, limit)
        if not answer["items"]:
            note_checks(remote, query)
    out = output(as_json)
    out.document(answer)
    if records:
        show_records(out, answer, limit, workspace)
    else:
        show_counts(out, answer, by, outcome, limit)


def _counted(remote: Remote, query: Mapping[str, object], by: str, limit: int) -> dict[str, Any]:
    path, order = "/v1/checks/counts", "key" if {"day", "hour"} & set(by.split(",")) else "size"
    rows = list(remote.pages(path, limit=limit, query={**query, "by": by, "order": order}))
    whole = remote.call("GET", path, query={**query, "by": "total"})
    return {"items": rows, "from": query["from"], "total": next(iter(whole["items"]), None), "lost": whole["lost"]}


def _outcome(*, denied: bool, would_deny: bool) -> str | None:
    if denied and would_deny:
        raise Failure("--denied and --would-deny exclude each other", advice="ask for one of the two", code="usage")
    return "denied" if denied else "would_deny" if would_deny else None
