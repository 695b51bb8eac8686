"""``licet grant`` and ``licet grants``: amounts that are put on balances."""

from typing import Annotated, Any

import typer

from licet.cli.amounts import amount_of, id_of
from licet.cli.checks import User
from licet.cli.consuming import Team
from licet.cli.default_command import DefaultsToOne
from licet.cli.options import AsJson, Count, Customer, FeatureId, InWorkspace, Note
from licet.cli.session import connected, output
from licet.cli.times import instant_text


class GivesByDefault(DefaultsToOne):
    """``grant CUSTOMER FEATURE AMOUNT`` is short for ``grant give``."""

    default_command = "give"


app = typer.Typer(
    cls=GivesByDefault,
    help="Put an amount on a balance: `grant CUSTOMER FEATURE AMOUNT` is short for `grant give`; or void one.",
    no_args_is_help=True,
)


@app.command()
def give(
    customer: Customer,
    feature: FeatureId,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="How much.", show_default=False)],
    *,
    starts: Annotated[str | None, typer.Option(metavar="TIME", help="When it begins; now unless said.")] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME|SPAN", help="When it ends: an instant, or P90D after its beginning.")
    ] = None,
    every: Annotated[str | None, typer.Option(metavar="SPAN", help="Whole again so often: P1M.")] = None,
    rollover: Annotated[
        str | None, typer.Option(metavar="MOST", help="With --every: so much of what is left goes on.")
    ] = None,
    priority: Annotated[
        int | None, typer.Option(min=0, max=100, help="What has less burns first; 50 unless said.")
    ] = None,
    purchase: Annotated[bool, typer.Option("--purchase", help="It was bought.")] = False,
    user: User = None,
    team: Team = None,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Put an amount on a balance: a gift, a purchase. It gives no right: the plan, an add-on or an override does."""
    given = {
        "feature": id_of("feature", feature),
        "amount": amount_of("AMOUNT", amount),
        "effective_at": instant_text(starts),
        "expires_after" if (expires or "").startswith("P") else "expires_at": _end(expires),
        "every": every,
        "rollover": {"max": amount_of("--rollover", rollover)} if rollover else None,
        "priority": priority,
        "cause": "purchase" if purchase else None,
        "user": user,
        "team": team,
        "note": note,
    }
    body = {name: value for name, value in given.items() if value is not None}
    with connected(workspace) as remote:
        made = remote.call("POST", f"{_customer(customer)}/grants", body, note=note)
    out = output(as_json)
    out.document(made)
    out.lines(_given_lines(made))


@app.command()
def void(
    customer: Customer,
    grant: Annotated[str, typer.Argument(metavar="GRANT", help="The grant's id, grt_….", show_default=False)],
    *,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="From a later instant on; now unless said.")] = None,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Let a grant count no longer; what was drawn from it stays drawn."""
    from licet.cli.remote import segment

    body = {name: value for name, value in (("at", instant_text(at)), ("note", note)) if value is not None}
    with connected(workspace) as remote:
        made = remote.call(
            "POST", f"{_customer(customer)}/grants/{segment(id_of('grant', grant))}/void", body, note=note
        )
    out = output(as_json)
    out.document(made)
    out.line(f"voided {grant}: what is left of it counts no longer")


def grants(
    customer: Customer,
    feature: Annotated[
        str | None, typer.Argument(metavar="[FEATURE]", help="One feature; all of them unless said.")
    ] = None,
    *,
    limit: Count = 100,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """List what was put on a customer's balances, and said about them: grants, resets, spend limits, top-ups."""
    with connected(workspace) as remote:
        rows = list(remote.pages(f"{_customer(customer)}/grants", limit=limit, query={"feature": feature}))
    out = output(as_json)
    out.document({"items": rows})
    if not rows:
        out.line(f"nothing was put on the balances of {customer}; what its subscriptions include is not listed here")
        return
    from licet.cli.balance_text import minute, table

    table(
        out,
        ["what", "feature", "holder", "amount", "from", "until", "how", "note", "id"],
        [
            [
                _what(row),
                row["feature"],
                row["holder"],
                _amount(row),
                minute(row["effective_at"]),
                minute(ends) if (ends := row.get("voided_at") or row.get("expires_at")) else "",
                _how(row),
                row.get("note", ""),
                row["id"],
            ]
            for row in sorted(rows, key=lambda one: (one["effective_at"], one["id"]))
        ],
        right=(3,),
    )


def _end(expires: str | None) -> str | None:
    return expires if expires is None or expires.startswith("P") else instant_text(expires)


def _given_lines(made: dict[str, Any]) -> list[Any]:
    from licet.cli.output import DIM
    from licet.cli.words import day, number

    whose = f" of {made['holder']}" if made["holder"] else ""
    words = f"granted {number(made['amount'])} {made['feature']} to {made['customer']}{whose}"
    if made.get("every"):
        words += f", whole again every {made['every']}"
    if made.get("expires_at"):
        words += f", until {day(made['expires_at'])}"
    return [[words, (f"  {made['id']}", DIM)]]


def _what(row: dict[str, Any]) -> str:
    if row["kind"] == "grant":
        return "voided grant" if row.get("voided_at") else f"grant ({row.get('cause', 'manual').replace('_', '-')})"
    return {"spend_limit": "spend limit", "top_up": "top-up rule"}.get(row["kind"], str(row["kind"]))


def _amount(row: dict[str, Any]) -> str:
    from licet.cli.words import number

    if row.get("amount") is None:
        return "none" if row["kind"] == "spend_limit" else ""
    if row["kind"] == "top_up" and str(row["amount"]) == "0":
        return "off"
    return number(row["amount"])


def _how(row: dict[str, Any]) -> str:
    """How often a grant comes; below what, up to what and by whose consent a rule tops up."""
    from licet.cli.words import number

    if row["kind"] != "top_up":
        return f"every {row['every']}" if row.get("every") else ""
    if _amount(row) == "off":
        return ""
    words = f"below {number(row['below'])}, at most {number(row['most'])} a month"
    return f"{words}, agreed by {row['consented_by']}" if row.get("consented_by") else words


def _customer(customer: str) -> str:
    from licet.cli.remote import segment

    return f"/v1/customers/{segment(id_of('customer', customer))}"
