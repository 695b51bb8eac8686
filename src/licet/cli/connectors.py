"""``licet connector``: foreign systems whose signed messages are taken as orders."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from licet.cli.failure import NO, Ended, Failure
from licet.cli.options import AsJson, Count, InWorkspace, Note
from licet.cli.pairs import pairs_of
from licet.cli.remote import Remote
from licet.cli.same_workspace import here
from licet.cli.session import connected, output

app = typer.Typer(
    help="Connectors: configure a source of orders, see how it fares, try its messages again.", no_args_is_help=True
)

SHORTEST_SECRET = 8
BATCH: Final = 25
"""How many messages one request tries again."""
PATIENCE: Final = 60.0
"""Seconds that such a request may take."""
OUTCOMES: Final = ("applied", "stale", "duplicate", "ignored", "finding", "failed", "waiting", "discarded", "received")

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="The source's id.", show_default=False)]


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
        out.line(here("no sources yet: `licet connector add stripe` configures one"))
        return
    out.table(
        ["source", "kind", "state", "since"],
        [
            [row["id"], row["kind"], "disabled" if row.get("disabled") else "active", str(row["created_at"])[:10]]
            for row in rows
        ],
    )


@app.command()
def status(
    source: Annotated[
        str | None, typer.Argument(metavar="SOURCE", help="One source in full; all in a line each where absent.")
    ] = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Show how sources fare: the last day's messages, dead letters, what waits, and how late messages come.

    Exit code 0: nothing is left, 1: messages could not be applied (dead letters), 2: could not tell.
    """
    from licet.cli.connector_text import detail, overview
    from licet.cli.remote import segment

    with connected(workspace) as remote:
        listed = remote.call("GET", "/v1/sources")["items"]
        names = [row["id"] for row in listed] if source is None else [source]
        rows = [remote.call("GET", f"/v1/sources/{segment(name)}/status") for name in names]
    disabled = {row["id"] for row in listed if row["disabled"]}
    out = output(as_json)
    out.document(rows[0] if source is not None else {"items": rows})
    if source is not None:
        detail(out, rows[0], disabled=source in disabled)
    elif rows:
        overview(out, rows, disabled)
    else:
        out.line(here("no sources yet: `licet connector add stripe` configures one"))
    if any(row["failed"] for row in rows):
        raise Ended(NO)


@app.command()
def deliveries(
    source: Source,
    *,
    outcome: Annotated[str | None, typer.Option(help="Only messages that ended so, such as failed.")] = None,
    limit: Count = 20,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """List a source's messages, newest first, and how each ended."""
    from licet.cli.amounts import known_word
    from licet.cli.connector_text import messages
    from licet.cli.remote import segment

    known_word("--outcome", outcome, OUTCOMES)
    with connected(workspace) as remote:
        path = f"/v1/sources/{segment(source)}/deliveries"
        rows = list(remote.pages(path, limit=limit, query={"outcome": outcome}))
    out = output(as_json)
    out.document({"items": rows})
    if not rows:
        out.line("no such messages" if outcome else f"{source} has sent nothing yet")
    messages(out, rows)


@app.command()
def replay(
    source: Source,
    *,
    delivery: Annotated[str | None, typer.Option(metavar="ID", help="Only this message.")] = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Those that wait for another message, too.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many, the oldest.")] = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Try messages that could not be applied again, oldest first, once their cause is mended. A bad one stops no other.

    Exit code 0: none of them fails any more, 1: some still fail, or the one named had ended well, 2: not tried.
    """
    from licet.cli.connector_text import counted, failing
    from licet.cli.remote import segment

    path = f"/v1/sources/{segment(source)}"
    out = output(as_json)
    with connected(workspace, timeout=PATIENCE) as remote:
        if delivery is not None:
            told = _retried(remote, f"{path}/deliveries/{segment(delivery)}")
        else:
            told = {"tried": 0, "outcomes": {}, "failing": []}
            body: dict[str, Any] = {"outcomes": ["failed", "waiting"] if waiting else ["failed"]}
            for batch in _batches(remote, f"{path}/replay", body, limit):
                _add(told, batch)
                out.line(f"  {told['tried']} tried: {counted(told['outcomes'])}")
    out.document({"source": source, **told})
    if not told["tried"]:
        out.line("nothing to try again: no message of this source has failed" + (" or waits" if waiting else ""))
    elif delivery is not None:
        out.line(f"{delivery}: {counted(told['outcomes'])}")
    if told["failing"]:
        failing(out, told["failing"])
        raise Ended(NO)


@app.command()
def discard(
    source: Source,
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="The message's id.", show_default=False)],
    *,
    note: Annotated[str, typer.Option("--note", help="Why nothing is lost with it; kept with it.")],
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Give up a message that failed or waits: no dead letter any more. It is kept, and `replay --delivery` tries it."""
    from licet.cli.remote import segment

    with connected(workspace) as remote:
        path = f"/v1/sources/{segment(source)}/deliveries/{segment(delivery)}/discard"
        answer = remote.call("POST", path, {"note": note}, note=note)
    out = output(as_json)
    out.document(answer)
    out.line(f"given up: {delivery}; its finding is settled")


@app.command()
def disable(source: Source, note: Note = None, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """Refuse a source's messages from now on; its sender is told so and may send them again later."""
    _set_disabled(source, workspace, note, disabled=True, as_json=as_json)


@app.command()
def enable(source: Source, note: Note = None, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """Take a disabled source's messages again; what was refused meanwhile its sender must send again."""
    _set_disabled(source, workspace, note, disabled=False, as_json=as_json)


def _set_disabled(source: str, workspace: str | None, note: str | None, *, disabled: bool, as_json: bool) -> None:
    from licet.cli.remote import segment

    with connected(workspace) as remote:
        path = f"/v1/sources/{segment(source)}"
        known = remote.call("GET", path)
        body = {"kind": known["kind"], "settings": known["settings"], "disabled": disabled}
        made = remote.call("PUT", path, body, note=note)
    out = output(as_json)
    out.document(made)
    same = "already " if known["disabled"] == disabled else ""
    out.line(f"{source} is {same}{'disabled' if disabled else 'active'}")


def _batches(remote: Remote, path: str, body: dict[str, Any], limit: int | None) -> Iterator[dict[str, Any]]:
    """Yield what became of the messages, batch by batch, until none or ``limit`` are left."""
    left, after = limit, None
    while left is None or left > 0:
        size = BATCH if left is None else min(BATCH, left)
        batch = remote.call("POST", path, {**body, "limit": size, **({"after": after} if after else {})})
        if batch["tried"]:
            yield batch
        left = None if left is None else left - batch["tried"]
        after = batch["next"]
        if after is None:
            return


def _add(told: dict[str, Any], batch: dict[str, Any]) -> None:
    """Add one batch to what is told."""
    told["tried"] += batch["tried"]
    told["failing"] += batch["failing"]
    for outcome, count in batch["outcomes"].items():
        told["outcomes"][outcome] = told["outcomes"].get(outcome, 0) + count


def _retried(remote: Remote, path: str) -> dict[str, Any]:
    """Try one message again; return its ending as that of a replay of one."""
    result = remote.call("POST", f"{path}/retry")
    outcome, words = result["outcome"], result["words"]
    kind = remote.call("GET", path)["type"]
    stays = outcome in ("failed", "discarded")
    left = [{"delivery": result["delivery"], "type": kind, "words": words}] if stays else []
    return {"tried": 1, "outcomes": {outcome: 1}, "failing": left}


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
