"""``licet catalog``: what the vendor sells, as a file under version control."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from licet.cli.failure import COULD_NOT, NO, Ended, Failure
from licet.cli.options import AsJson, At, InWorkspace, Note
from licet.cli.output import Output
from licet.cli.remote import Answer, Remote, problem_of
from licet.cli.session import connected, output
from licet.cli.times import instant_text

app = typer.Typer(help="The catalog as code: validate, preview, apply, pull, compare.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The catalog, YAML or JSON.", show_default=False)]


class Form(StrEnum):
    """How the matrix is written."""

    TABLE = "table"
    MD = "md"


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
def preview(file: File, *, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """Show what applying a file would change. Writes nothing."""
    from licet.cli.catalog_text import change_lines

    out = output(as_json)
    with connected(workspace) as remote:
        answer = _preview(remote, file, out)
    out.document(answer)
    out.lines(change_lines(answer, width=out.width))
    if answer["changes"]:
        out.line("")
        out.line(f"apply exactly this with:  licet catalog apply {file} --base {answer['base']}")


@app.command()
def apply(
    file: File,
    *,
    base: Annotated[
        int | None, typer.Option(min=0, help="The revision that was previewed; refused if there is a newer one.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Release a catalog: shows the changes, asks, and refuses if somebody else released in between."""
    from licet.cli.catalog_text import change_lines

    out = output(as_json)
    with connected(workspace) as remote:
        seen = _preview(remote, file, out)
        base = seen["base"] if base is None else base
        if base != seen["base"]:
            raise _stale(file, base, seen["base"])
        out.lines(change_lines(seen, width=out.width))
        if not seen["changes"] and base:
            out.document({"revision": base, "changes": [], "applied": False})
            return
        if not yes:
            from licet.cli.asking import confirm

            question = f"release this on top of revision {base}?" if base else "release this as the first catalog?"
            if not confirm(question, instead="look at the preview, then give --yes"):
                out.line("nothing was changed")
                raise Ended(NO)
        answer = _put(remote, file, base, note, out)
    out.document({**answer, "applied": True})
    out.line(f"released revision {answer['revision']}")


@app.command()
def pull(
    *,
    to: Annotated[Path | None, typer.Option("--output", "-o", help="Write it there instead of printing it.")] = None,
    revision: Annotated[int | None, typer.Option(min=1, help="An earlier revision.")] = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Fetch the released catalog as YAML (or JSON)."""
    with connected(workspace) as remote:
        if as_json:
            answer = remote.call("GET", "/v1/catalog", query={"revision": revision})
            output(as_json).document(answer)
            return
        got = remote.raw("GET", "/v1/catalog", query={"revision": revision}, headers={"Accept": "application/yaml"})
    if got.status >= 400:
        raise problem_of(got)
    text = got.body.decode()
    if to is None:
        print(text, end="")
        return
    to.write_text(text)
    output(as_json).line(f"wrote {to}")


@app.command()
def status(file: File, *, workspace: InWorkspace = None, as_json: AsJson = False) -> None:
    """Tell whether a file is what is released. Exit code 0: in sync, 2: not, 1: could not tell."""
    from licet.cli.catalog_text import change_lines

    out = output(as_json)
    try:
        with connected(workspace) as remote:
            seen = _preview(remote, file, out)
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
    out.line(f"{file} is not what is released: `licet catalog apply {file}` would release it")
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


def _preview(remote: Remote, file: Path, out: Output) -> Any:
    def send(body: bytes, headers: dict[str, str | bytes]) -> Answer:
        return remote.raw("POST", "/v1/catalog/preview", body=body, headers=headers)

    return _sent(file, out, send)


def _put(remote: Remote, file: Path, base: int, note: str | None, out: Output) -> Any:
    def send(body: bytes, headers: dict[str, str | bytes]) -> Answer:
        noted = {**headers, "Licet-Note": note.encode()} if note else headers
        return remote.raw("PUT", "/v1/catalog", query={"base": base}, body=body, headers=noted)

    return _sent(file, out, send)


def _sent(file: Path, out: Output, send: Callable[[bytes, dict[str, str | bytes]], Answer]) -> Any:
    from licet.cli.documents import is_json, read_text
    from licet.cli.places import placed
    from licet.cli.problem_text import problem_lines

    text = read_text(file)
    answer = send(text.encode(), {"Content-Type": "application/json" if is_json(file) else "application/yaml"})
    if answer.status < 400:
        value = answer.json()
        problems = value.get("problems") or []
    else:
        failure = problem_of(answer, change=True)
        problems = failure.details.get("problems") or []
        if failure.code == "stale_base":
            failure.advice = f"somebody released in between; look again: licet catalog preview {file}"
        if not problems or failure.code not in {"catalog_invalid", "invalid", "bad_request"}:
            raise failure
        value = None
    if problems:
        out.document({"file": str(file), "problems": problems})
        out.lines(problem_lines(str(file), text, placed(text, problems)))
        raise Ended(NO)
    return value


def _stale(file: Path, base: int, newest: int) -> Failure:
    return Failure(
        f"the preview is stale: it was made on revision {base}, the newest is {newest}",
        advice=f"look at what changed since: licet catalog preview {file}",
        code="stale_base",
        exit_code=NO,
    )
