"""``licet order``: commercial facts sent by hand or by a script."""

from pathlib import Path
from typing import Annotated, Final

import typer

from licet.cli.failure import NO, Ended
from licet.cli.options import AsJson, InWorkspace, Note
from licet.cli.session import connected, output

app = typer.Typer(help="Orders: send a generic one.", no_args_is_help=True)

NOT_TAKEN: Final = frozenset({"refused", "conflict"})


@app.command()
def send(
    file: Annotated[Path, typer.Argument(help="The order, as JSON or YAML; - reads standard input.")],
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Send an order document: the whole desired state of one foreign subscription. Sending it twice changes nothing.

    Exit code 0: applied, or known already (duplicate, stale), 1: refused or in conflict, 2: could not be sent.
    """
    from licet.cli.documents import read_document
    from licet.cli.output import ACCENT, WARN
    from licet.cli.words import label

    order = read_document(file)
    with connected(workspace) as remote:
        answer = remote.call("POST", "/v1/orders", order, note=note)
    out = output(as_json)
    out.document(answer)
    out.line([(answer["outcome"], ACCENT), f"  {answer.get('order') or ''}"])
    out.line(label("customer", str(answer.get("customer") or "—"), 14))
    out.line(label("subscription", str(answer.get("subscription") or "—"), 14))
    for finding in answer.get("findings") or ():
        words = finding if isinstance(finding, str) else finding.get("words", "")
        out.line(label("finding", (words, WARN), 14))
    if answer["outcome"] in NOT_TAKEN:
        raise Ended(NO)
