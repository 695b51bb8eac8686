"""``licet dunning``: missed payments, and patience with them."""

from collections.abc import Callable
from typing import Annotated, Any, Final, NamedTuple

import typer

from licet.cli.failure import NO, Failure
from licet.cli.options import AsJson, Customer, InWorkspace, Note
from licet.cli.session import connected, output

app = typer.Typer(
    help="Missed payments: what is owed and what follows; invoices, payments, promises, ladders.", no_args_is_help=True
)

Which = Annotated[
    str | None,
    typer.Option("--subscription", "-s", metavar="ID", help="Which one, where the customer has several."),
]
Invoice = Annotated[str, typer.Argument(metavar="INVOICE", help="The invoice's id or number.", show_default=False)]
SumOfMoney = Annotated[str | None, typer.Option("--money", help="What it is about, as '4800.00 EUR'.")]
Accepted = Annotated[
    bool, typer.Option("--yes", "-y", help="Even where it lies so far back that it suspends or ends at once.")
]
PAYMENTS: Final = {
    "paid": "Record that an invoice was paid: what it had cost the customer is restored at that instant.",
    "failed": "Record that a payment failed: the invoice is owed from that instant on.",
    "disputed": "Record that the payer took a payment back: the invoice is owed again.",
    "uncollectible": "Record that an invoice was written off: it stays owed.",
    "voided": "Record that an invoice was taken back: nothing is owed for it.",
}
"""The kinds of payment facts, each a command."""


@app.command()
def show(customer: Customer, *, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """Show what a customer owes, on which ladder it stands and why, and what comes next."""
    from licet.cli.dunning_place import customer_path
    from licet.cli.dunning_text import show_dunning

    with connected(workspace) as remote:
        answer = remote.call("GET", f"{customer_path(customer)}/dunning")
    out = output(as_json)
    out.document(answer)
    show_dunning(out, answer)


@app.command()
def invoice(
    customer: Customer,
    invoice: Invoice,
    *,
    due: Annotated[str, typer.Option(metavar="TIME", help="When it must be paid: 2026-04-30, or P30D from now.")],
    money: SumOfMoney = None,
    yes: Accepted = False,
    subscription: Which = None,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """State when an invoice must be paid: from then on it is owed. Issued again, the new date counts."""
    from licet.cli.money_text import money_of

    body: dict[str, Any] = {"invoice": invoice, "due_at": due}
    if money is not None:
        body["money"] = money_of("--money", money)
    if yes:
        body["accept_consequences"] = True
    answer = _sent(customer, "invoices", body, _Aim(subscription, note, workspace, invoice))
    _payment_told(answer, as_json)


def _payment(kind: str, words: str) -> Callable[..., None]:
    """Return the command that records one kind of payment fact."""

    def record(
        customer: Customer,
        invoice: Invoice,
        *,
        at: Annotated[str | None, typer.Option(metavar="TIME", help="When it happened; now unless said.")] = None,
        money: SumOfMoney = None,
        yes: Accepted = False,
        subscription: Which = None,
        note: Note = None,
        workspace: InWorkspace = None,
        as_json: AsJson = False,
    ) -> None:
        from licet.cli.money_text import money_of

        body: dict[str, Any] = {"invoice": invoice, "kind": kind}
        if at is not None:
            body["at"] = at
        if money is not None:
            body["money"] = money_of("--money", money)
        if yes:
            body["accept_consequences"] = True
        answer = _sent(customer, "payments", body, _Aim(subscription, note, workspace, invoice))
        _payment_told(answer, as_json)

    record.__doc__ = words
    return record


for _kind, _words in PAYMENTS.items():
    app.command(_kind)(_payment(_kind, _words))


@app.command()
def promise(
    customer: Customer,
    *,
    until: Annotated[str, typer.Option(metavar="TIME", help="Until when: 2026-04-20, or P10D from now.")],
    subscription: Which = None,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Note a promise to pay: until then the ladder only warns. Not kept, it changes nothing afterwards."""
    body = {"until": until, "note": note or ""}
    _leniency_told(_sent(customer, "promises", body, _Aim(subscription, note, workspace)), as_json)


@app.command()
def withdraw(
    customer: Customer,
    *,
    subscription: Which = None,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """End the promise to pay that is running, now."""
    aim = _Aim(subscription, note, workspace)
    _leniency_told(_sent(customer, "promises/{promise}/withdraw", {"note": note or ""}, aim), as_json, ended=True)


@app.command()
def pause(
    customer: Customer,
    *,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Until when, such as P10D from now; until resumed unless said.")
    ] = None,
    subscription: Which = None,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Let the ladder's clock stand still: what it had reached stays, later stages come later by as much."""
    body = {"note": note or ""} if until is None else {"until": until, "note": note or ""}
    _leniency_told(_sent(customer, "dunning/pause", body, _Aim(subscription, note, workspace)), as_json)


@app.command()
def resume(
    customer: Customer,
    *,
    subscription: Which = None,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Let the ladder's clock go on, now."""
    body = {"note": note or ""}
    _leniency_told(_sent(customer, "dunning/resume", body, _Aim(subscription, note, workspace)), as_json, ended=True)


@app.command()
def ladder(
    customer: Customer,
    ladder: Annotated[str | None, typer.Argument(metavar="LADDER", help="A ladder of the catalog.")] = None,
    *,
    none: Annotated[bool, typer.Option("--none", help="No ladder at all: nothing follows from non-payment.")] = False,
    clear: Annotated[bool, typer.Option("--clear", help="End the choice: cohort and plan count again.")] = False,
    begins: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="For what is missed from then on; now unless said.")
    ] = None,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Choose the ladder of one customer, for what is missed from now on; what is owed already keeps its own."""
    from licet.cli.dunning_place import customer_path
    from licet.cli.times import moment_of

    if (ladder is not None) + none + clear != 1:
        raise Failure(
            "say one of: a LADDER, --none, --clear",
            advice="the ladders of the catalog: licet catalog pull",
            code="usage",
        )
    path = f"{customer_path(customer)}/ladder"
    with connected(workspace) as remote:
        if clear:
            answer = remote.call("POST", f"{path}/clear", {"note": note or ""}, note=note)
        else:
            body: dict[str, Any] = {"ladder": ladder, "note": note or ""}
            if begins is not None:
                body["from"] = moment_of(begins, remote.call("GET", "/v1/clock")["now"])
            answer = remote.call("PUT", path, body, note=note)
    _ladder_told(customer, answer, as_json)


class _Aim(NamedTuple):
    """Which subscription is meant, and how the command is sent."""

    subscription: str | None
    note: str | None
    workspace: str | None
    invoice: str | None = None


def _sent(customer: str, command: str, body: dict[str, Any], aim: _Aim) -> Any:
    """Send a command about one subscription; times in it may be spans from now on."""
    from licet.cli.dunning_place import place_of
    from licet.cli.remote import segment
    from licet.cli.times import moment_of

    with connected(aim.workspace) as remote:
        place = place_of(remote, customer, aim.subscription, aim.invoice)
        for name in ("due_at", "at", "until"):
            if name in body:
                body[name] = moment_of(body[name], place.now)
        if "{promise}" in command:
            running = next((one["id"] for one in place.known["leniencies"] if one["kind"] == "promise"), None)
            if running is None:
                raise Failure(
                    f"nothing is promised for subscription {place.subscription}",
                    advice="nothing needs to be done",
                    code="conflict",
                    exit_code=NO,
                )
            command = command.format(promise=segment(running))
        return remote.call("POST", f"{place.path}/{command}", body, note=aim.note)


def _payment_told(answer: Any, as_json: bool) -> None:
    """Print what was recorded of an invoice, and what is owed now."""
    from licet.cli.dunning_text import remark_lines
    from licet.cli.money_text import money_words
    from licet.cli.output import GOOD, WARN
    from licet.cli.words import day, label

    out, fact = output(as_json), answer["payment"]
    out.document(answer)
    money = f", {money_words(fact['money'])}" if fact.get("money") else ""
    known = " (known already, nothing was written)" if answer["outcome"] == "duplicate" else ""
    said = "due on" if fact["kind"] == "due" else fact["kind"]
    out.line(f"invoice {fact['invoice']} {said} {day(fact['at'])}{money}{known}")
    owed = answer["owed"]
    out.line(label("owed now", (", ".join(owed), WARN) if owed else ("nothing", GOOD)))
    out.lines(remark_lines(answer, out.width))


def _leniency_told(answer: Any, as_json: bool, *, ended: bool = False) -> None:
    """Print a promise or a pause as it stands now."""
    from licet.cli.dunning_text import leniency_words, remark_lines
    from licet.cli.output import DIM, GOOD, WARN
    from licet.cli.words import day, label

    out, leniency = output(as_json), answer["leniency"]
    out.document(answer)
    words = f"{leniency['kind']} ended {day(leniency['ends_at'])}" if ended else leniency_words(leniency)
    out.line([words, (f"  {leniency['id']}", DIM)])
    owed = answer["owed"]
    out.line(label("owed now", (", ".join(owed), WARN) if owed else ("nothing", GOOD)))
    out.lines(remark_lines(answer, out.width))


def _ladder_told(customer: str, answer: Any, as_json: bool) -> None:
    """Print which ladder counts for a customer from now on."""
    from licet.cli.dunning_text import choice_words, remark_lines

    out = output(as_json)
    out.document(answer)
    if not answer["ladders"]:
        out.line(f"no ladder is chosen for {customer}: its cohort's or its plan's counts")
    for choice in answer["ladders"]:
        out.line(f"chosen for {customer}: {choice_words(choice)}")
    out.lines(remark_lines(answer, out.width))
