"""``licet catalog preview``: what a file would change, whom it would touch, and those customers one by one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from licet.cli.output import DIM, Output
from licet.cli.releasing import (
    Proposed,
    command_lines,
    compared,
    judged,
    proposed_file,
    saved_preview,
    touched,
    touches_customers,
)
from licet.cli.remote import Remote

_NOTHING: Final[Mapping[str, Any]] = {"features": ()}


class Listed(NamedTuple):
    """Which customers of a preview are listed, and how many of them."""

    limit: int
    feature: str | None = None
    effect: str | None = None


def preview_file(
    remote: Remote, file: Path, listed: Listed | None, out: Output, *, at: str | None, workspace: str | None
) -> None:
    """Print how a file differs from what is released and, where it could touch customers, whom it touches how."""
    from licet.cli.catalog_text import change_lines

    there = ["-w", workspace] if workspace else []
    proposed = proposed_file(file)
    seen = compared(remote, proposed, out)
    if listed is not None and listed.feature is not None:
        _refuse_unknown(listed.feature, proposed)
    out.lines(change_lines(seen, width=out.width))
    if not touches_customers(seen):
        out.document({**seen, "preview": None, **({} if listed is None else {"customers": []})})
        if seen["changes"]:
            if seen["base"]:
                later = any(change["effect"] == "new_purchases" for change in seen["changes"])
                only = ": it is for purchases from now on" if later else ""
                out.lines(["", (f"no customer has more or less by this{only}", DIM)])
            _how(out, ["catalog", "apply", str(file), "--base", str(seen["base"]), *there])
        return
    view = judged(remote, proposed, out, at=at)
    out.line()
    show(remote, view, listed, out, differences=seen)
    if at is None and view["summary"] is not None:
        losing = view["summary"]["losing"]
        allowing = ["--max-losing", str(losing)] if losing else []
        _how(out, ["catalog", "apply", str(file), "--preview", view["id"], *allowing, *there])
    elif at is not None:
        out.lines(["", ("this tells of another instant, and nothing can be released by it: preview without --at", DIM)])


def preview_saved(remote: Remote, preview: str, listed: Listed | None, out: Output) -> None:
    """Print a preview that was made before."""
    show(remote, saved_preview(remote, preview), listed, out)


def show(
    remote: Remote,
    view: Mapping[str, Any],
    listed: Listed | None,
    out: Output,
    *,
    differences: Mapping[str, Any] | None = None,
) -> None:
    """Print a preview and the customers that were asked for; with ``--json`` as one object."""
    from licet.cli.preview_text import show_preview
    from licet.cli.unmatched import note_feature

    show_preview(view, out)
    rows: list[Any] | None = None
    if listed is not None:
        rows = list(touched(remote, view["id"], limit=listed.limit, feature=listed.feature, effect=listed.effect))
        _list(rows, view, listed, out)
        if not rows and listed.feature is not None and differences is None:
            note_feature(remote, listed.feature, [one["feature"] for one in (view["summary"] or _NOTHING)["features"]])
    kept = {} if rows is None else {"customers": rows}
    out.document({**(differences or {}), "preview": view, **kept})


def _list(rows: list[Any], view: Mapping[str, Any], listed: Listed, out: Output) -> None:
    from licet.cli.preview_text import customer_lines

    features = (view["summary"] or _NOTHING)["features"]
    titles = {one["feature"]: one["title"] for one in features}
    out.line()
    for row in rows:
        out.lines(customer_lines(row, titles, out.width))
    if not rows:
        out.line(("there is no customer to list", DIM))
    elif len(rows) == listed.limit:
        out.line((f"these are the first {listed.limit}; --limit shows more", DIM))


def _refuse_unknown(feature: str, proposed: Proposed) -> None:
    """Raise Failure for a feature that a catalog lacks; it has all that were ever released."""
    from licet.cli.unmatched import refuse_feature
    from licet.wire.catalog_text import read_catalog

    refuse_feature(feature, read_catalog(proposed.text, proposed.name).features, proposed.name)


def _how(out: Output, words: list[str]) -> None:
    """Say how exactly this is released; on a narrow terminal as a command that goes on in further lines."""
    out.lines(["", "release exactly this with:", *command_lines(words, out.width)])
