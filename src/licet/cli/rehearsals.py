"""``licet catalog rehearse``: asks recorded questions again under a catalog that is not released."""

from pathlib import Path
from typing import Annotated, Any

import typer

from licet.cli.failure import NO, Ended, Failure
from licet.cli.options import AsJson, InWorkspace
from licet.cli.session import connected, output

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
        bool, typer.Option("--expect-same", help="Exit code 1 where any answer would differ.")
    ] = False,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Ask the checks on record again under a file: which answers would have differed, and how. Releases nothing.

    On record is what is asked about features with record: each. A file that could not be released, because it changes
    a number of a released version, is rehearsed as if it had always been so.
    """
    from licet.cli.progress import watched
    from licet.cli.rehearsal_text import show_rehearsal
    from licet.cli.releasing import proposed_file, sound
    from licet.cli.times import instant_back

    out, proposed = output(as_json), proposed_file(file)
    query: dict[str, object] = {"feature": feature, "customer": customer, "limit": limit}
    with connected(workspace) as remote:
        now = remote.call("GET", "/v1/clock")["now"]
        query["since"] = instant_back("--since", since or f"P{days}D", now)
        query["until"] = instant_back("--until", until, now)

        def ask() -> list[Any]:
            lines = remote.lines("POST", PATH, proposed.body, media_type=proposed.media_type, query=query)
            return list(watched(lines, "asking again", quiet=out.as_json))

        lines = sound(proposed, out, ask)
    sums = lines[-1].get("rehearsal") if lines else None
    if sums is None:
        raise Failure("the rehearsal ended without a result", advice="try it again", code="unfinished")
    differences = [line["difference"] for line in lines[:-1]]
    out.document({"rehearsal": sums, "differences": differences})
    show_rehearsal(out, sums, differences, str(file), workspace)
    if expect_same and sums["differing"]:
        raise Ended(NO)
