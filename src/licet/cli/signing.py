"""``licet signing``: the keys that sign what evaluators believe, changed under the root, where the database is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from licet.cli.failure import COULD_NOT, Ended, Failure
from licet.cli.options import AsJson, InWorkspace, Note
from licet.cli.output import DIM, Output
from licet.cli.same_workspace import here
from licet.cli.session import output

if TYPE_CHECKING:
    from licet.services.signing import SigningKeyView, SigningView

app = typer.Typer(help="Signing keys: show, rotate, revoke, and the root (at the database).", no_args_is_help=True)
RootFile = Annotated[
    Path | None,
    typer.Option("--root", metavar="FILE", help="The file of the root, brought from where it is kept."),
]
NewFile = Annotated[Path, typer.Argument(metavar="FILE", help="Where the root is to be.", show_default=False)]


@app.command()
def show(*, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """Show the root to pin, and which keys sign, are believed or are not any more."""
    from licet.cli.local import look, whereabouts
    from licet.services.signing import read_signing

    found = look(workspace, read_signing)
    out = output(as_json)
    place = _kept(found.workspace)
    out.document({**_document(found), "root_file": None if place is None else str(place)})
    out.line((f"at {whereabouts()}", DIM))
    _told(out, found)
    if place is not None:
        out.line(f"the root's own file is still on this machine: {place}")
        out.line(here("  take it away: licet signing move-root FILE"))


@app.command()
def rotate(
    *,
    root: RootFile = None,
    overlap: Annotated[
        str, typer.Option(metavar="DURATION", help="How long what the old keys signed is believed (at most P1Y).")
    ] = "P30D",
    valid: Annotated[str, typer.Option(metavar="DURATION", help="How long the new key counts (P1D to P10Y).")] = "P2Y",
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Let a new key sign from now on; the old ones are believed until the overlap ends."""
    from licet.cli.local import change
    from licet.services.signing import RotateFeedKey, rotate_feed_key

    seed, command = _seed(root, workspace), RotateFeedKey(overlap=overlap, valid=valid)
    _changed(output(as_json), change(workspace, lambda tx: rotate_feed_key(tx, seed, command), note=note))


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id as `show` has it (k4.pid.…), or how that begins.")],
    *,
    root: RootFile = None,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Let nothing be believed that a key has signed. If it is the one that signs, a new one takes its place at once."""
    from licet.cli.local import change
    from licet.services.signing import revoke_feed_key

    seed = _seed(root, workspace)
    _changed(output(as_json), change(workspace, lambda tx: revoke_feed_key(tx, seed, key), note=note))


@app.command("move-root")
def move_root(
    to: NewFile,
    *,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Where it is now, if not in this home.")
    ] = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Take the root away from this machine: copy it to FILE (a stick, say), compare the copy, then remove it here."""
    from licet.cli.local import look
    from licet.services.signing import check_root, read_signing

    found = look(workspace, read_signing)
    place = source or _place(found.workspace)
    if source is None and not place.exists():
        raise Failure(
            f"the root of workspace {found.workspace} is not in this home: there is no file {place}",
            advice="it was taken away before; name where it is with --from FILE",
            code="no_root",
        )
    _moved(place, to, lambda seed: check_root(found.root, seed, found.workspace))
    out = output(as_json)
    out.document({"workspace": found.workspace, "root": found.root, "file": str(to), "removed": str(place)})
    out.line(f"moved the root of workspace {found.workspace} to {to}; here it is no more")
    out.line("  keep it offline, and a copy of it elsewhere: only who has it can rotate or revoke a signing key")


@app.command("new-root")
def new_root(
    to: NewFile,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Begin anew under another root, where the old one is lost or stolen: every follower must be pinned again.

    The root is written to FILE first; if FILE holds a root already, that one is taken.
    """
    from licet.cli.asking import confirm
    from licet.cli.local import change, chosen
    from licet.seal.rootfile import create_root
    from licet.services.signing import replace_root

    name = chosen(workspace)
    if not yes:
        question = f"nobody who pinned the old root of workspace {name} believes anything until pinned anew: go on?"
        if not confirm(question, instead="give --yes if the old root is lost or stolen"):
            raise Ended(COULD_NOT)
    # The file comes first: there never is a keyset whose root nobody has.
    found = change(name, lambda tx: replace_root(tx, create_root(to)), note=note)
    out = output(as_json)
    _changed(out, found)
    out.line(f"the new root is in {to}; pin {found.root} wherever the old one is pinned")


def _seed(root: Path | None, workspace: str | None) -> bytes:
    """Return the seed in a root's file: the one that is named, else the one that is still in this home."""
    from licet.cli.local import chosen
    from licet.seal.rootfile import read_root

    name = chosen(workspace)
    place = root or _kept(name)
    if place is None:
        raise Failure(
            f"the root of workspace {name} is not in this home, as it should be; this needs it",
            advice="bring it and name its file with --root FILE; if it is lost: licet signing new-root FILE",
            code="no_root",
        )
    return read_root(place)


def _moved(source: Path, to: Path, check: Any) -> None:
    """Move a root's file; the old one is removed only when the new one is on the disk and holds the same."""
    from licet.seal.rootfile import read_root, remove_root, write_root

    seed = read_root(source)
    check(seed)
    try:
        write_root(to, seed)
    except FileExistsError:
        if to.resolve() == source.resolve() or read_root(to) != seed:
            raise Failure(
                f"{to} is there already", advice="name a new file: no root is overwritten", code="file"
            ) from None
    if read_root(to) != seed:
        raise Failure(f"{to} does not hold what was written to it", advice="use another medium", code="file")
    remove_root(source)


def _place(workspace: str) -> Path:
    from licet.cli.homestead import Homestead
    from licet.wiring import root_path

    return root_path(Homestead.find().home, workspace)


def _kept(workspace: str) -> Path | None:
    place = _place(workspace)
    return place if place.exists() else None


def _changed(out: Output, found: "SigningView") -> None:
    from licet.cli.local import whereabouts

    out.document(_document(found))
    out.line((f"at {whereabouts()}", DIM))
    _told(out, found)


def _told(out: Output, found: "SigningView") -> None:
    out.line(f"workspace {found.workspace}, keyset version {found.version} of {found.issued_at:%Y-%m-%d %H:%M} UTC")
    out.line(f"  root to pin  {found.root}")
    out.line(f"  its id       {found.root_id}")
    out.table(["key", "for", "state", "from", "until"], [_row(key) for key in found.keys])


def _row(key: "SigningKeyView") -> list[str]:
    until = f"{key.not_after:%Y-%m-%d}" if key.revoked_at is None else f"revoked {key.revoked_at:%Y-%m-%d %H:%M}"
    return [key.id, " ".join(key.purposes), key.state, f"{key.not_before:%Y-%m-%d}", until]


def _document(found: "SigningView") -> dict[str, Any]:
    import msgspec

    shown: dict[str, Any] = msgspec.to_builtins(found)
    return shown
