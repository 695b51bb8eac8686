"""``licet catalog rehearse``: asks recorded questions again under a catalog that is not released."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from licet.cli.failure import COULD_NOT, NO, Ended, Failure
from licet.cli.options import AsJson, InWorkspace
from licet.cli.output import BAD, Output
from licet.cli.remote import Remote
from licet.cli.session import connected, output

if TYPE_CHECKING:
    from licet.cli.releasing import Proposed

PATH = "/v1/catalog/rehearsals"


def rehearse(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The catalog, YAML or JSON.", show_default=False)],
    *,
    days: Annotated[int, typer.Option("--days", min=1, max=90, help="Questions of the last so many days.")] = 30,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="From a time on, or a duration back: P7D, PT1H; beats --days.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before a time, or a duration back.")] = None,
    feature: Annotated[str | None, typer.Option(metavar="ID", help="Only about this feature.")] = None,
    customer: Annotated[str | None, typer.Option(metavar="ID", help="Only of this customer.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=0, max=1000, help="List at most so many differences; all are counted.")
    ] = 20,
    expect_same: Annotated[
        bool,
        typer.Option(
            "--expect-same",
            help="Exit code 1 where any answer would differ, 2 where any is undecided or nothing was asked again.",
        ),
    ] = False,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Ask the checks on record again under a file: which answers would have differed, and how. Releases nothing.

    On record is what is asked about features with record: each. A file that could not be released, because it changes
    a number of a released version, is rehearsed as if it had always been so. A broken file ends with exit code 2.
    """
    from licet.cli.releasing import proposed_file
    from licet.cli.times import check_order, instant_back

    out, proposed = output(as_json), proposed_file(file)
    query: dict[str, object] = {"feature": feature, "customer": customer, "limit": limit}
    with connected(workspace) as remote:
        now = remote.call("GET", "/v1/clock")["now"]
        begin = query["since"] = instant_back("--since", since or f"P{days}D", now)
        end = query["until"] = instant_back("--until", until, now)
        check_order(begin, end)
        lines = _asked_again(remote, proposed, query, out)
    _tell(out, lines, expect_same=expect_same, file=file, workspace=workspace)


def _asked_again(remote: Remote, proposed: "Proposed", query: Mapping[str, object], out: Output) -> Any:
    """Return the lines of the answer. A refusal is never the exit code of a difference: nothing was compared."""
    from licet.cli.progress import watched
    from licet.cli.releasing import sound

    def ask() -> list[Any]:
        lines = remote.lines("POST", PATH, proposed.body, media_type=proposed.media_type, query=query)
        return list(watched(lines, "asking again", quiet=out.as_json))

    try:
        return sound(proposed, out, ask, broken=COULD_NOT)
    except Failure as failure:
        failure.exit_code = COULD_NOT
        raise


def _tell(out: Output, lines: Sequence[Any], *, expect_same: bool, file: Path, workspace: str | None) -> None:
    """Print what a rehearsal found; ends with the exit code of what was expected of it."""
    from licet.cli.rehearsal_text import show_rehearsal, unknown_words

    sums = lines[-1].get("rehearsal") if lines else None
    if sums is None:
        raise Failure("the rehearsal ended without a result", advice="try it again", code="unfinished")
    differences = [line["difference"] for line in lines[:-1]]
    unknown = unknown_words(sums) if expect_same and not sums["differing"] else None
    met = {"as_expected": not sums["differing"] and unknown is None} if expect_same else {}
    out.document({"rehearsal": sums, "differences": differences, **met})
    show_rehearsal(out, sums, differences, str(file), workspace)
    if unknown is not None:
        out.line((f"not known to be the same: {unknown}", BAD))
        raise Ended(COULD_NOT)
    if expect_same and sums["differing"]:
        raise Ended(NO)
