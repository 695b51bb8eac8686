"""``licet customer``: the organizations that buy."""

from typing import Annotated, Any

import typer

from licet.cli.amounts import id_of
from licet.cli.erasure import erase, export
from licet.cli.options import AsJson, Count, Customer, InWorkspace, Note
from licet.cli.same_workspace import here
from licet.cli.session import connected, output

app = typer.Typer(
    help="Customers: create one, show one, list them; suspend one, put one into a cohort, erase what is personal.",
    no_args_is_help=True,
)
Cohort = Annotated[str, typer.Argument(metavar="COHORT", help="A cohort of the catalog.", show_default=False)]


@app.command()
def create(
    customer: Customer,
    *,
    name: Annotated[str | None, typer.Option(help="The organization's name.")] = None,
    email: Annotated[str | None, typer.Option(help="Where to reach it.")] = None,
    external_id: Annotated[
        list[str] | None,
        typer.Option("--external-id", metavar="SOURCE=ID", help="What another system calls it; repeatable."),
    ] = None,
    region: Annotated[str | None, typer.Option(help="Region of its profile.")] = None,
    country: Annotated[str | None, typer.Option(help="Country of its profile, two letters.")] = None,
    zone: Annotated[str | None, typer.Option(help="IANA time zone of its billing calendar.")] = None,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Create a customer; orders for an unknown one do it by themselves."""
    from licet.cli.pairs import pairs_of

    profile = {key: value for key, value in (("region", region), ("country", country), ("zone", zone)) if value}
    body: dict[str, Any] = {"id": id_of("customer", customer)}
    for key, value in (
        ("name", name),
        ("email", email),
        ("external_ids", pairs_of("--external-id", external_id or [])),
        ("profile", profile),
    ):
        if value:
            body[key] = value
    with connected(workspace) as remote:
        made = remote.call("POST", "/v1/customers", body, note=note)
    out = output(as_json)
    out.document(made)
    out.line(f"created customer {customer}")


@app.command()
def show(customer: Customer, *, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """Show a customer with everything it agreed on."""
    from licet.cli.customer_text import customer_lines
    from licet.cli.remote import segment

    with connected(workspace) as remote:
        path = f"/v1/customers/{segment(id_of('customer', customer))}"
        row = remote.call("GET", path)
        terms = remote.call("GET", f"{path}/terms")
    out = output(as_json)
    out.document({"customer": row, "terms": terms})
    out.lines(customer_lines(row, terms))


@app.command("list")
def list_customers(*, limit: Count = 100, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """List customers by id."""
    with connected(workspace) as remote:
        rows = list(remote.pages("/v1/customers", limit=limit))
    out = output(as_json)
    out.document({"items": rows})
    if not rows:
        out.line(here("no customers yet: an order or `licet customer create` makes one"))
        return
    out.table(
        ["customer", "name", "known as", "since"],
        [
            [
                row["id"],
                row.get("name") or ("(erased)" if row.get("erased_at") else ""),
                _known_as(row.get("external_ids")),
                str(row["created_at"])[:10],
            ]
            for row in rows
        ],
    )


@app.command()
def suspend(customer: Customer, *, note: Note = None, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """Permit nothing at all to a customer from now on, whatever it bought, until it is resumed."""
    answer = _changed(customer, "suspend", note, workspace)
    out = output(as_json)
    out.document(answer)
    out.line(f"suspended {customer}: nothing at all is permitted until " + here(f"`licet customer resume {customer}`"))


@app.command()
def resume(customer: Customer, *, note: Note = None, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """End a customer's suspension now: what it bought counts again, as far as it is paid."""
    answer = _changed(customer, "resume", note, workspace)
    out = output(as_json)
    out.document(answer)
    out.line(f"resumed {customer}")


@app.command()
def join(
    customer: Customer,
    cohort: Cohort,
    *,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Put a customer into a cohort from now on; its ladder counts for what is missed from then."""
    from licet.cli.remote import segment

    _cohorts_told(customer, _changed(customer, f"cohorts/{segment(cohort)}/join", note, workspace), as_json)


@app.command()
def leave(
    customer: Customer,
    cohort: Cohort,
    *,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Take a customer out of a cohort now."""
    from licet.cli.remote import segment

    _cohorts_told(customer, _changed(customer, f"cohorts/{segment(cohort)}/leave", note, workspace), as_json)


app.command()(export)
app.command()(erase)


def _changed(customer: str, command: str, note: str | None, workspace: str | None) -> Any:
    """Send a command about a whole customer."""
    from licet.cli.remote import segment

    body = {"note": note or ""} if command in ("suspend", "resume") else None
    with connected(workspace) as remote:
        return remote.call("POST", f"/v1/customers/{segment(id_of('customer', customer))}/{command}", body, note=note)


def _cohorts_told(customer: str, answer: Any, as_json: bool) -> None:
    from licet.cli.dunning_text import remark_lines

    out = output(as_json)
    out.document(answer)
    names = ", ".join(one["cohort"] for one in answer["cohorts"])
    out.line(f"{customer} belongs to {names}" if names else f"{customer} belongs to no cohort")
    out.lines(remark_lines(answer, out.width))


def _known_as(external_ids: dict[str, str] | None) -> str:
    return ", ".join(f"{source}:{foreign}" for source, foreign in (external_ids or {}).items())
