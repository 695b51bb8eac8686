"""``licet leases``: which slices of balances programs own, what they told of them, what is charged for each."""

from typing import Annotated, Final

import typer

from licet.cli.amounts import known_word
from licet.cli.options import AsJson, Count, InWorkspace
from licet.cli.session import connected, output

STATES: Final = ("open", "settled", "escheated", "proven")


def leases(
    *,
    customer: Annotated[str | None, typer.Option("--customer", help="Only of this customer.")] = None,
    feature: Annotated[str | None, typer.Option("--feature", help="Only of this feature.")] = None,
    state: Annotated[
        str | None,
        typer.Option(
            metavar="open|settled|escheated|proven",
            help="Only these: out; over by the word of who owned them; charged in full without it; told of after all.",
        ),
    ] = None,
    limit: Count = 100,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """List quota leases: slices that programs own and use without asking, until they tell what became of them."""
    from licet.cli.lease_text import show_leases
    from licet.cli.unmatched import note_usage

    if state is not None:
        known_word("--state", state, STATES)
    query: dict[str, object] = {"customer": customer, "feature": feature, "state": state}
    with connected(workspace) as remote:
        rows = list(remote.pages("/v1/quota-leases", limit=limit, query=query))
        note_usage(remote, rows, customer, feature)
    out = output(as_json)
    out.document({"items": rows})
    show_leases(out, rows, limit)
