"""``licet keys``: API keys, made where the database is; whoever may open the database may make them."""

from typing import Annotated, Any

import typer

from licet.cli.failure import Failure
from licet.cli.options import AsJson, Count, InWorkspace, Note
from licet.cli.session import output

app = typer.Typer(help="API keys: create, list, rotate, revoke (at the database).", no_args_is_help=True)

SCOPES = ("check", "usage", "orders", "catalog:read", "catalog:write", "admin")
KINDS = ("server", "site", "install")
KeyId = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, as `licet keys list` shows it.")]


@app.command()
def create(
    *,
    name: Annotated[str, typer.Option(help="What it is for.")],
    scope: Annotated[list[str], typer.Option(help=f"What it may do: {', '.join(SCOPES)}; repeatable.")],
    kind: Annotated[str, typer.Option(help="server, site or install.")] = "server",
    customer: Annotated[str | None, typer.Option(help="Bind it to one customer.")] = None,
    expires: Annotated[str | None, typer.Option(metavar="TIME", help="Until when (real time).")] = None,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. Its secret is shown this once and kept nowhere."""
    from licet.cli.local import change
    from licet.services.keys import CreateKey, create_key

    _known("--kind", kind, KINDS)
    for each in scope:
        _known("--scope", each, SCOPES)
    command = CreateKey(
        name=name,
        scopes=frozenset(scope),  # type: ignore[arg-type]  # checked above
        kind=kind,  # type: ignore[arg-type]  # checked above
        customer=customer,
        expires_at=_instant(expires),
    )
    made = change(workspace, lambda tx: create_key(tx, command), note=note)
    _shown(output(as_json), made, "created")


@app.command("list")
def list_keys(*, limit: Count = 100, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """List keys, also those that have ended; secrets are not kept."""
    from licet.cli.local import look, whereabouts
    from licet.cli.output import DIM
    from licet.services.keys import list_keys as listed
    from licet.services.rows import Page

    rows = [_document(row) for row in look(workspace, lambda view: listed(view, Page(limit=limit)))]
    out = output(as_json)
    out.document({"items": rows})
    out.line((f"at {whereabouts()}", DIM))
    if not rows:
        out.line("no keys yet: `licet keys create` makes one")
        return
    out.table(
        ["key", "name", "kind", "scopes", "customer", "created", "ends"],
        [
            [
                row["id"],
                row["name"],
                row["kind"],
                " ".join(row["scopes"]),
                row["customer"] or "",
                row["created_at"][:10],
                _ends(row),
            ]
            for row in rows
        ],
    )


@app.command()
def rotate(
    key: KeyId,
    *,
    overlap: Annotated[
        str, typer.Option(metavar="DURATION", help="How long the old one goes on (at most P30D).")
    ] = "PT1H",
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Make a successor with the same rights; the old key ends after the overlap."""
    from licet.cli.local import change
    from licet.services.keys import RotateKey, rotate_key

    made = change(workspace, lambda tx: rotate_key(tx, key, RotateKey(overlap=overlap)), note=note)
    out = output(as_json)
    _shown(out, made, "created")
    out.line(f"  {key} goes on for {overlap}")


@app.command()
def revoke(key: KeyId, *, note: Note = None, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """End a key now."""
    from licet.cli.local import change, whereabouts
    from licet.services.keys import revoke_key

    row = change(workspace, lambda tx: revoke_key(tx, key), note=note)
    out = output(as_json)
    out.document({"key": _document(row)})
    out.line(f"revoked {key} at {whereabouts()}")


def _shown(out: Any, made: Any, verb: str) -> None:
    from licet.cli.local import whereabouts

    out.document({"key": _document(made.key), "secret": made.secret})
    out.line(f"at {whereabouts()}")
    out.line(f"{verb} {made.key.id} for workspace {made.key.workspace}; this is shown once:")
    out.line(f"  {made.secret}")


def _document(row: Any) -> dict[str, Any]:
    import msgspec

    shown: dict[str, Any] = msgspec.to_builtins(row)
    return shown | {"scopes": sorted(row.scopes)}


def _ends(row: dict[str, Any]) -> str:
    if row.get("revoked_at"):
        return f"revoked {row['revoked_at'][:16].replace('T', ' ')}"
    return (row.get("expires_at") or "")[:16].replace("T", " ")


def _known(option: str, word: str, allowed: tuple[str, ...]) -> None:
    if word not in allowed:
        raise Failure(f"{option} {word!r} is not known", advice=f"allowed are {', '.join(allowed)}", code="usage")


def _instant(text: str | None) -> Any:
    from licet.cli.times import instant_of
    from licet.core.instant import to_datetime

    return None if text is None else to_datetime(instant_of(text))
