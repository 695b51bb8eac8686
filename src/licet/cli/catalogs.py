"""``licet catalog``: what the vendor sells, as a file under version control."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from licet.cli.catalog_rollback import rollback
from licet.cli.failure import COULD_NOT, NO, Ended, Failure
from licet.cli.moves import app as move_app
from licet.cli.moves import moves
from licet.cli.options import AsJson, At, InWorkspace, Note
from licet.cli.rehearsals import rehearse
from licet.cli.remote import problem_of
from licet.cli.same_workspace import here
from licet.cli.session import connected, output
from licet.cli.times import instant_text

app = typer.Typer(help="The catalog as code: validate, preview, apply, roll back, pull, compare.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The catalog, YAML or JSON.", show_default=False)]


class Form(StrEnum):
    """How the matrix is written."""

    TABLE = "table"
    MD = "md"


class Effect(StrEnum):
    """What a preview found for a customer."""

    GAINING = "gaining"
    LOSING = "losing"
    EXCEEDING = "exceeding"
    BREAKING = "breaking"


class Audience(StrEnum):
    """Whose words the matrix uses."""

    CUSTOMER = "customer"
    SUPPORT = "support"


@app.command()
def validate(file: File, *, as_json: AsJson = False) -> None:
    """Check a catalog file without any server. Exit code 1 when something is wrong with it."""
    from licet.cli.catalog_file import load_catalog

    catalog = load_catalog(file, output(as_json))
    out = output(as_json)
    out.document({"file": str(file), "problems": []})
    out.line(
        f"{file} is a valid catalog: {len(catalog.features)} features, {len(catalog.plans)} plans, "
        f"{len(catalog.addons)} add-ons"
    )


@app.command()
def preview(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="The catalog, YAML or JSON.")] = None,
    *,
    saved: Annotated[str | None, typer.Option(metavar="ID", help="Show a preview that was made before, prv_….")] = None,
    customers: Annotated[
        bool, typer.Option("--customers", help="List the customers to whom something happens.")
    ] = False,
    effect: Annotated[Effect | None, typer.Option(help="List only those to whom this happens.")] = None,
    feature: Annotated[
        str | None, typer.Option(metavar="ID", help="List only those for whom this feature changes.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="List at most so many customers.")] = 100,
    at: At = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Show what applying a file would change, and which live customers gain, lose or exceed what. Releases nothing."""
    from licet.cli.previewing import Listed, preview_file, preview_saved

    if (file is None) == (saved is None):
        raise Failure("preview a file, or name a saved preview", advice="give FILE or --saved ID", code="usage")
    listed = None
    if customers or effect or feature:
        listed = Listed(limit, feature, None if effect is None else effect.value)
    out = output(as_json)
    with connected(workspace) as remote:
        if saved is not None:
            preview_saved(remote, saved, listed, out)
        elif file is not None:
            preview_file(remote, file, listed, out, at=instant_text(at), workspace=workspace)


app.command()(rehearse)


@app.command()
def apply(
    file: File,
    *,
    base: Annotated[
        int | None, typer.Option(min=0, help="The revision that was previewed; refused if there is a newer one.")
    ] = None,
    preview: Annotated[
        str | None,
        typer.Option("--preview", metavar="ID", help="Release by this preview, prv_…, instead of a new one."),
    ] = None,
    max_losing: Annotated[
        int, typer.Option("--max-losing", metavar="N", min=0, help="So many customers may lose something (none).")
    ] = 0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Release a catalog: shows the changes and whom they touch, asks, refuses where more lose than you allow.

    Refused as well if somebody else released in between.
    """
    from licet.cli.releasing import Consent, command, proposed_file, release

    out = output(as_json)
    place = [str(file), *(["-w", workspace] if workspace else [])]
    again, look = command("catalog", "apply", *place), command("catalog", "preview", *place)
    consent = Consent(again, look, base, preview, max_losing, yes, note)
    with connected(workspace) as remote:
        answer = release(remote, proposed_file(file), consent, out)
    out.document(answer)
    if answer["applied"]:
        out.line(f"released revision {answer['revision']}")


app.command()(rollback)


@app.command()
def pull(
    *,
    to: Annotated[Path | None, typer.Option("--output", "-o", help="Write it there instead of printing it.")] = None,
    revision: Annotated[int | None, typer.Option(min=1, help="An earlier revision.")] = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Fetch the released catalog as YAML (or JSON)."""
    from licet.cli.out_file import words_beside, write_out
    from licet.cli.output import as_text

    with connected(workspace) as remote:
        if as_json:
            text = as_text(remote.call("GET", "/v1/catalog", query={"revision": revision}))
        else:
            query, wanted = {"revision": revision}, {"Accept": "application/yaml"}
            got = remote.raw("GET", "/v1/catalog", query=query, headers=wanted)
            if got.status >= 400:
                raise problem_of(got)
            text = got.body.decode()
    if to is None:
        print(text, end="")
        return
    write_out(to, text)
    out = words_beside(to, as_json)
    out.document({"file": str(to)})
    out.line(f"wrote {to}")


@app.command()
def status(file: File, *, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """Tell whether a file is what is released. Exit code 0: in sync, 2: not, 1: could not tell."""
    from licet.cli.catalog_text import change_lines
    from licet.cli.releasing import command, compared, proposed_file

    out = output(as_json)
    try:
        with connected(workspace) as remote:
            seen = compared(remote, proposed_file(file), out)
    except Failure as failure:
        failure.exit_code = NO
        raise
    except Ended:
        # What cannot even be released is not what is released; the problems have been shown.
        raise Ended(COULD_NOT) from None
    synced = bool(seen["base"]) and not seen["changes"]
    out.document({"in_sync": synced, "revision": seen["base"], "changes": seen["changes"]})
    if synced:
        out.line(f"{file} is what is released (revision {seen['base']})")
        return
    out.lines(change_lines(seen, width=out.width))
    out.line(f"{file} is not what is released: " + here(f"`{command('catalog', 'apply', str(file))}` would release it"))
    raise Ended(COULD_NOT)


@app.command()
def matrix(
    file: Annotated[Path | None, typer.Argument(help="A catalog file; the released one where absent.")] = None,
    *,
    form: Annotated[Form, typer.Option("--format", "-f", help="A table for the terminal, or Markdown.")] = Form.TABLE,
    audience: Annotated[Audience, typer.Option(help="Words for customers, or for support too.")] = Audience.CUSTOMER,
    at: At = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Show which plan includes what."""
    from licet.cli.matrix_text import local_matrix, matrix_lines

    out = output(as_json)
    if file is not None:
        answer = local_matrix(file, at, audience.value, out)
    else:
        with connected(workspace) as remote:
            answer = remote.call(
                "GET", "/v1/catalog/matrix", query={"at": instant_text(at), "audience": audience.value}
            )
    out.document(answer)
    out.lines(matrix_lines(answer, markdown=form is Form.MD))


app.command()(moves)
app.add_typer(move_app, name="move")
