"""``licet usage``: what was used, what was refused, and the record itself, as a file."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from licet.cli.amounts import amount_of, id_of, known_word, use_of
from licet.cli.consuming import use_call
from licet.cli.default_command import DefaultsToOne
from licet.cli.failure import Failure
from licet.cli.options import AsJson, Count, InWorkspace, Note
from licet.cli.remote import Remote, segment
from licet.cli.session import connected, output
from licet.cli.times import check_order, instant_back
from licet.cli.unmatched import note_usage

PATIENCE: Final = 600.0
OnlyCustomer = Annotated[str | None, typer.Option("--customer", help="Only of this customer.")]
Meter = Annotated[str | None, typer.Option("--meter", help="Only what this meter counted.")]
Since = Annotated[str | None, typer.Option("--since", metavar="TIME", help="From a time on, or a duration back: P7D.")]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Before a time, or a duration back.")]


class ShowsByDefault(DefaultsToOne):
    """``usage`` alone is short for ``usage show``."""

    stands_alone = True


app = typer.Typer(
    cls=ShowsByDefault,
    help="What was used: `usage [CUSTOMER]` is short for `usage show`; refusals, the single facts, an export.",
    no_args_is_help=False,
)


@app.command()
def show(
    customer: Annotated[
        str | None, typer.Argument(metavar="[CUSTOMER]", help="One customer; all of them unless said.")
    ] = None,
    *,
    meter: Meter = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="From a time on, or a duration back; unless said 30 whole days and today, with --by hour 48 hours,"
            " with --by month 12 months.",
        ),
    ] = None,
    until: Until = None,
    by: Annotated[str, typer.Option(metavar="hour|day|month", help="What is summed up to one number, in UTC.")] = "day",
    dimension: Annotated[
        list[str] | None, typer.Option("--dimension", metavar="NAME", help="Told apart by this; repeatable.")
    ] = None,
    limit: Count = 100,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Sum up what was used, meter by meter, by whole hours, days or months of UTC; what was recorded just now is in it.

    A --since or --until within an hour, day or month means all of it.
    """
    from licet.cli.usage_span import say_span, whole_span
    from licet.cli.usage_text import show_sums

    known_word("--by", by, ("hour", "day", "month"))
    path = "/v1/usage" if customer is None else f"/v1/customers/{segment(id_of('customer', customer))}/usage"
    with connected(workspace) as remote:
        span = whole_span(remote.call("GET", "/v1/clock")["now"], since, until, by)
        query: dict[str, object] = {"meter": meter, "by": by, "since": span.since, "until": span.until}
        if dimension:
            query["dimensions"] = ",".join(dimension)
        rows = list(remote.pages(path, limit=limit, query=query))
        note_usage(remote, rows, customer)
    out = output(as_json)
    out.document({"items": rows, "by": by, "since": span.since, "until": span.until})
    show_sums(out, rows, by, dimension or [], limit, of_one=customer is not None)
    say_span(out, span, by)


@app.command()
def refusals(
    *,
    customer: OnlyCustomer = None,
    feature: Annotated[str | None, typer.Option(help="Only of this feature.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Count = 50,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """List what was refused, the newest first: who, what, how much, why. The same request again counts once."""
    from licet.cli.usage_text import show_refusals

    with connected(workspace) as remote:
        query = {"customer": customer, "feature": feature, **span_of(remote, since, until)}
        rows = list(remote.pages("/v1/usage/refusals", limit=limit, query=query))
        note_usage(remote, rows, customer, feature)
    out = output(as_json)
    out.document({"items": rows})
    show_refusals(out, rows, limit)


@app.command()
def facts(
    *,
    customer: OnlyCustomer = None,
    meter: Meter = None,
    since: Since = None,
    until: Until = None,
    limit: Count = 50,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """List the single facts in the order in which they were recorded: consumed, reported, settled, given back."""
    from licet.cli.usage_text import show_facts

    with connected(workspace) as remote:
        query = {"customer": customer, "meter": meter, **span_of(remote, since, until)}
        rows = list(remote.pages("/v1/usage/facts", limit=limit, query=query))
        note_usage(remote, rows, customer)
    out = output(as_json)
    out.document({"items": rows})
    show_facts(out, rows, limit)


@app.command()
def export(
    to: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; - is standard output.")],
    *,
    customer: OnlyCustomer = None,
    meter: Meter = None,
    since: Since = None,
    until: Until = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Write every fact to a file, one JSON object a line, from one state of the database: whole or not at all."""
    import json

    from licet.cli.out_file import out_file, words_beside

    end: dict[str, Any] | None = None
    with connected(workspace, timeout=PATIENCE) as remote, out_file(to, private=True) as file:
        query = {"customer": customer, "meter": meter, **span_of(remote, since, until)}
        for line in remote.lines("GET", "/v1/usage/facts/export", b"", media_type="application/json", query=query):
            if "fact" in line:
                file.write(json.dumps(line["fact"], ensure_ascii=False) + "\n")
            else:
                end = line
        if end is None or "end" not in end:
            raise Failure("the export ended too early", advice="try again; nothing was written", code="cut_off")
    out = words_beside(to, as_json)
    count = end.get("facts", 0)
    out.document({"file": str(to), "facts": count})
    out.line(f"wrote {count:,} facts to {to}")


@app.command()
def correct(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.", show_default=False)],
    used: Annotated[
        str, typer.Argument(metavar="ID", help="What was used: use_…, or an event's id.", show_default=False)
    ],
    quantity: Annotated[
        str | None, typer.Argument(metavar="[QUANTITY]", help="How much of it was wrong; all of it unless said.")
    ] = None,
    *,
    source: Annotated[str | None, typer.Option(help="The event's source, where ID is that of an event.")] = None,
    note: Note = None,
    key: Annotated[str | None, typer.Option("--key", help="The same correction with the same key counts once.")] = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Give back what was counted wrongly, to the grants it was drawn from: one more fact, nothing is edited.

    A report of a level (latest, max) or of a value (unique) is taken back as a whole: the rest tells the level then.
    """
    from licet.cli.consume_text import narrowed, take_lines

    named = {"id": use_of(used)} if source is None else {"event": {"source": source, "id": used}}
    said = {"quantity": amount_of("QUANTITY", quantity), "note": note, "key": key}
    body: dict[str, Any] = {"customer": id_of("customer", customer), **named}
    body |= {name: value for name, value in said.items() if value is not None}
    with connected(workspace) as remote:
        answer = use_call(remote, "/v1/usage/corrections", body, note=note)
    out = output(as_json)
    out.document(answer)
    out.line(f"corrected {used} of {customer}")
    out.lines(narrowed(take_lines(answer.get("takes", ())), out.width))


def span_of(remote: Remote, since: str | None, until: str | None) -> dict[str, str | None]:
    """Return the period that two options mean, as the service reads it; raises Failure for one that is none."""
    if since is None and until is None:
        return {}
    now = remote.call("GET", "/v1/clock")["now"]
    begin, end = instant_back("--since", since, now), instant_back("--until", until, now)
    check_order(begin, end)
    return {"since": begin, "until": end}
