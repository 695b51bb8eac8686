"""``licet connector``: foreign systems whose signed messages are taken as orders."""

from pathlib import Path
from typing import Annotated

import typer

from licet.cli.failure import Failure
from licet.cli.options import AsJson, InWorkspace, Note
from licet.cli.pairs import pairs_of
from licet.cli.session import connected, output

app = typer.Typer(help="Connectors: configure a source of orders, list them.", no_args_is_help=True)

SHORTEST_SECRET = 8


@app.command()
def add(
    kind: Annotated[str, typer.Argument(help="The system: stripe.", show_default=False)],
    *,
    source: Annotated[str, typer.Option("--id", help="Your name for this source; part of its webhook address.")] = "",
    secret_file: Annotated[
        Path | None, typer.Option(help="File with the webhook signing secret; asked for where absent.")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--setting", metavar="KEY=VALUE", help="A setting of the connector; repeatable.")
    ] = None,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Configure a source; its secret is sealed before it is stored and never shown again."""
    from licet.cli.remote import segment

    if kind != "stripe":
        raise Failure(f"there is no connector {kind!r}", advice="allowed is: stripe", code="usage")
    source = source or kind
    body = {
        "kind": kind,
        "secrets": [_secret(secret_file)],
        "settings": pairs_of("--setting", setting or []),
    }
    with connected(workspace) as remote:
        made = remote.call("PUT", f"/v1/sources/{segment(source)}", body, note=note)
        url = remote.url
    address = f"{url}{made['path']}"
    out = output(as_json)
    out.document({**made, "address": address})
    out.line(f"configured {kind} as {source}")
    out.line(f"  let {kind} send its events to  {address}")


@app.command("list")
def list_connectors(workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """List configured sources."""
    with connected(workspace) as remote:
        answer = remote.call("GET", "/v1/sources")
    rows = answer["items"] if isinstance(answer, dict) else answer
    out = output(as_json)
    out.document({"items": rows})
    if not rows:
        out.line("no sources yet: `licet connector add stripe` configures one")
        return
    out.table(
        ["source", "kind", "state", "since"],
        [
            [row["id"], row["kind"], "disabled" if row.get("disabled") else "active", str(row["created_at"])[:10]]
            for row in rows
        ],
    )


def _secret(file: Path | None) -> str:
    if file is not None:
        from licet.cli.documents import read_text

        secret = read_text(file).strip()
    else:
        from licet.cli.asking import ask_secret

        secret = ask_secret("webhook signing secret (whsec_…)", instead="give --secret-file")
    if len(secret) < SHORTEST_SECRET:
        raise Failure(
            "the signing secret is too short to be one",
            advice="copy it whole from the webhook's page; it begins with whsec_",
            code="usage",
        )
    return secret
