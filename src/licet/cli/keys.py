"""``licet keys``: API keys, made where the database is; whoever may open the database may make them."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from licet.cli.failure import Failure
from licet.cli.options import AsJson, Count, InWorkspace, Note
from licet.cli.same_workspace import here
from licet.cli.session import output

app = typer.Typer(help="API keys: create, list, rotate, revoke (at the database).", no_args_is_help=True)

SCOPES = ("check", "usage", "orders", "catalog:read", "catalog:write", "admin")
KINDS = ("server", "site", "install")
SecretFile = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="FILE", help="Write the secret to a new file (mode 0600) instead of showing it."
    ),
]
KeyId = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, as `licet keys list` shows it.")]


@app.command()
def create(
    *,
    name: Annotated[str, typer.Option(help="What it is for.")],
    scope: Annotated[list[str], typer.Option(help=f"What it may do: {', '.join(SCOPES)}; repeatable.")],
    kind: Annotated[str, typer.Option(help="server, site or install.")] = "server",
    customer: Annotated[str | None, typer.Option(help="Bind it to one customer.")] = None,
    expires: Annotated[str | None, typer.Option(metavar="TIME", help="Until when (real time).")] = None,
    to: SecretFile = None,
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
    with _secret_file(to) as keep:
        made = change(workspace, lambda tx: create_key(tx, command), note=note)
        keep(made.secret)
    _shown(output(as_json), made, to)


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
        out.line(here("no keys yet: `licet keys create` makes one"))
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
    to: SecretFile = None,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Make a successor with the same rights; the old key ends after the overlap."""
    from licet.cli.local import change
    from licet.services.keys import RotateKey, rotate_key

    with _secret_file(to) as keep:
        made = change(workspace, lambda tx: rotate_key(tx, key, RotateKey(overlap=overlap)), note=note)
        keep(made.secret)
    out = output(as_json)
    _shown(out, made, to)
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


@contextmanager
def _secret_file(to: Path | None) -> Iterator[Callable[[str], object]]:
    """Make the file before there is a secret, which could not be told twice; nothing remains of it if that fails."""
    if to is None:
        yield lambda _secret: None
        return
    try:
        place = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Failure(
            f"{to} is there already", advice="name a new file: no secret is overwritten", code="file"
        ) from None
    except OSError as error:
        raise Failure(f"{to} cannot be written: {error.strerror}", advice="name another file", code="file") from None
    with os.fdopen(place, "w") as file:
        try:
            yield lambda secret: file.write(secret + "\n")
        except BaseException:
            to.unlink(missing_ok=True)
            raise


def _shown(out: Any, made: Any, to: Path | None) -> None:
    from licet.cli.local import whereabouts

    kept = {"secret": made.secret} if to is None else {"file": str(to)}
    out.document({"key": _document(made.key), **kept})
    out.line(f"at {whereabouts()}")
    about = f"created {made.key.id} for workspace {made.key.workspace}"
    if to is not None:
        out.line(f"{about}; its secret is in {to} and nowhere else")
        return
    out.line(f"{about}; this is shown once:")
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
