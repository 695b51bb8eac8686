"""``licet history``: what changed in a customer's rights, when, by whom and why."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer

from licet.cli.amounts import id_of
from licet.cli.failure import Failure
from licet.cli.options import AsJson, Count, Customer, InWorkspace
from licet.cli.remote import Remote, segment
from licet.cli.session import connected, output
from licet.cli.times import check_order, instant_text

_PAGE: Final = 50


def history(
    customer: Customer,
    *,
    feature: Annotated[str | None, typer.Option(help="Only what changed this feature.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="From then on: 2026-03-01, or P30D for the last 30 days.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only what was before then.")] = None,
    limit: Count = 20,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Show what changed in a customer's rights, newest first: orders, exceptions, payments, releases, passing time."""
    from licet.cli.history_text import entry_lines

    path = f"/v1/customers/{segment(id_of('customer', customer))}/history"
    with connected(workspace) as remote:
        begin, end = _since(remote, since), instant_text(until)
        check_order(begin, end)
        query = {"feature": None if feature is None else id_of("feature", feature), "from": begin, "to": end}
        found = _entries(remote, path, query, limit + 1)
    rows, more = found[:limit], len(found) > limit
    out = output(as_json)
    out.document({"items": rows, "more": more})
    if not rows:
        out.line("nothing changed" + (f" about {feature}" if feature else ""))
    for place, row in enumerate(rows):
        out.lines(([""] if place else []) + entry_lines(row, out.width))
    if more:
        out.line("\nthere is more before: --limit shows it")


def _entries(remote: Remote, path: str, query: dict[str, str | None], most: int) -> list[Any]:
    """Return the newest entries; a page may be empty although others follow."""
    found: list[Any] = []
    for page in _pages(remote, path, query):
        found += page
        if len(found) >= most:
            break
    return found


def _pages(remote: Remote, path: str, query: dict[str, str | None]) -> Iterator[Any]:
    cursor = None
    while True:
        page = remote.call("GET", path, query={**query, "limit": _PAGE, "cursor": cursor})
        yield page["items"]
        cursor = page["next"]
        if cursor is None:
            return


def _since(remote: Remote, text: str | None) -> str | None:
    """Return an instant; a duration counts back from the workspace's clock."""
    if text is None or not text.startswith("P"):
        return instant_text(text)
    from datetime import UTC

    from licet.core.instant import add_duration, format_instant, parse_duration, parse_instant

    try:
        span = parse_duration(text)
    except ValueError as error:
        raise Failure(str(error), code="usage") from None
    return format_instant(add_duration(parse_instant(remote.call("GET", "/v1/clock")["now"]), span, UTC, -1))
