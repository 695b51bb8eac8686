"""``licet catalog rollback``: takes a release back, by a new one."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from licet.cli.options import AsJson, InWorkspace, Note
from licet.cli.session import connected, output
from licet.cli.times import instant_text

if TYPE_CHECKING:
    from licet.cli.output import Line


def rollback(
    revision: Annotated[int, typer.Argument(metavar="N", min=1, help="The revision to be in force again.")],
    *,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="Until when versions released since are sold: now, unless later."),
    ] = None,
    preview: Annotated[
        str | None,
        typer.Option("--preview", metavar="ID", help="Release by this preview, prv_…, instead of a new one."),
    ] = None,
    max_losing: Annotated[
        int, typer.Option("--max-losing", metavar="N", min=0, help="So many customers may lose something (none).")
    ] = 0,
    to: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the catalog there as YAML, and release nothing.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Take what is live back to an earlier revision: shows what changes, what stays and whom it touches, then asks.

    Texts, modes, conditions, policies, bundles and prices are as they were. What was released since stays for who has
    it and is withdrawn from sale. `licet catalog rollback` to the newest of the revisions undoes it.
    """
    from licet.cli.out_file import words_beside, write_out
    from licet.cli.releasing import Consent, Proposed, command, release

    out = output(as_json) if to is None else words_beside(to, as_json)
    with connected(workspace) as remote:
        query = {"to": revision, "at": instant_text(at), "preview": preview}
        found = remote.call("GET", "/v1/catalog/rollback", query=query)
        text = _yaml(found["doc"])
        place = ("-w", workspace) if workspace else ()
        if to is not None:
            write_out(to, text)
            out.document({key: found[key] for key in ("to", "base", "at", "kept", "changes")} | {"file": str(to)})
            out.lines(_kept_lines(found, width=out.width))
            out.line(f"wrote {to}; release it with:  {command('catalog', 'apply', str(to), *place)}")
            return
        out.lines(_kept_lines(found, width=out.width))
        look = command("catalog", "rollback", str(revision), *place)
        again = command("catalog", "rollback", str(revision), "--at", found["at"], *place)
        consent = Consent(again, look, found["base"], preview, max_losing, yes, note or f"back to revision {revision}")
        proposed = Proposed(f"the rollback to revision {revision}", text, "application/yaml")
        answer = release(remote, proposed, consent, out)
    out.document(answer | {"to": revision, "at": found["at"], "kept": found["kept"]})
    if answer["applied"]:
        out.line(f"released revision {answer['revision']}: what is live is as in revision {revision}")


def _yaml(document: Mapping[str, Any]) -> str:
    """A catalog as it is written in a file."""
    import json

    from licet.core.catalog import decode_catalog
    from licet.wire.catalog_text import write_catalog

    return write_catalog(decode_catalog(json.dumps(document).encode()))


def _kept_lines(found: Mapping[str, Any], *, width: int | None) -> "list[Line]":
    """What stays of the time since, a sentence for each."""
    from licet.cli.words import wrapped

    if not found["kept"]:
        return []
    lines: list[Line] = [f"what was released since revision {found['to']} and stays:"]
    for sentence in found["kept"]:
        lines += wrapped(sentence, width, "  ", "    ")
    return [*lines, ""]
