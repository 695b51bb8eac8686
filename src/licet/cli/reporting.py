"""``licet report``: tell of use that has happened, as one event."""

import uuid
from typing import Annotated, Any, Final

import typer

from licet.cli.amounts import amount_of, id_of
from licet.cli.checks import User
from licet.cli.consuming import Team, use_call
from licet.cli.failure import Failure
from licet.cli.options import AsJson, Customer, InWorkspace
from licet.cli.session import connected, output
from licet.cli.times import instant_text

SOURCE: Final = "urn:licet:cli"


def report(
    customer: Customer,
    kind: Annotated[
        str, typer.Argument(metavar="TYPE", help="The event's type, by which meters count it.", show_default=False)
    ],
    quantity: Annotated[
        str | None, typer.Argument(metavar="[QUANTITY]", help="How much, where the meter reads `quantity`.")
    ] = None,
    *,
    data: Annotated[
        list[str] | None, typer.Option("--data", "-d", metavar="FIELD=VALUE", help="A field of the event; repeatable.")
    ] = None,
    user: User = None,
    team: Team = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="When it was used; now unless said.")] = None,
    event_id: Annotated[
        str | None, typer.Option("--id", help="The event's id: the same again counts once. Random unless said.")
    ] = None,
    source: Annotated[str, typer.Option(help="Who tells it; ids are unique in it.")] = SOURCE,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Report one usage event after the fact: recorded whatever there is, counted once.

    A correction (`licet usage correct`) names it by its id and source.
    """
    from licet.cli.words import label

    said = {"quantity": amount_of("QUANTITY", quantity), "user": user, "team": team}
    fields = _fields(data or []) | {name: value for name, value in said.items() if value is not None}
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id or str(uuid.uuid4()),
        "source": source,
        "type": id_of("event's type", kind),
        "subject": id_of("customer", customer),
        "data": fields,
    }
    if at is not None:
        event["time"] = instant_text(at)
    with connected(workspace) as remote:
        answer = use_call(remote, "/v1/events", [event])
    out = output(as_json)
    out.document({"event": event, **answer})
    recorded, before, ignored = answer["recorded"], answer["duplicates"], answer["ignored"]
    out.line(f"recorded {recorded}, {before} seen before, {ignored} that no meter counts")
    if recorded:
        out.line(label("event", f"{event['id']}, source {source}"))


def _fields(given: list[str]) -> dict[str, Any]:
    """Return the fields of an event: whole numbers as numbers, everything else as text."""
    from licet.cli.pairs import pairs_of

    for text in given:
        if text.partition("=")[0] in ("user", "team"):
            raise Failure(f"--data {text!r} names who used it", advice="write --user or --team", code="usage")
    return {
        name: int(value) if value.isascii() and value.isdigit() and len(value) < 16 else value
        for name, value in pairs_of("--data", given).items()
    }
