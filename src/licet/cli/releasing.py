"""How a catalog is released from here: compared, judged on live customers, shown, asked about, sent."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from licet.cli.failure import NO, Ended, Failure
from licet.cli.output import Output
from licet.cli.remote import Answer, Remote, problem_of, segment

PREVIEWS = "/v1/catalog/previews"
_OF_THE_TEXT = frozenset({"catalog_invalid", "invalid", "bad_request"})
"""Problems that lie in the document and are shown at their places in it."""
_OF_THE_QUERY = frozenset({"since", "until", "feature", "customer", "at", "limit"})
"""Places of what was asked for beside the document."""


class Proposed(NamedTuple):
    """A catalog that is not released yet. ``name`` is what messages call it: the path of a file."""

    name: str
    text: str
    media_type: str

    @property
    def body(self) -> bytes:
        """The document as it is sent."""
        return self.text.encode()


class Consent(NamedTuple):
    """What a release was agreed to; ``again`` and ``look`` are what advice names: this command, and its preview."""

    again: str
    look: str
    base: int | None = None
    preview: str | None = None
    max_losing: int = 0
    yes: bool = False
    note: str | None = None


def proposed_file(file: Path) -> Proposed:
    """Return a file as a proposed catalog; raises Failure for what is no readable text."""
    from licet.cli.documents import is_json, read_text

    return Proposed(str(file), read_text(file), "application/json" if is_json(file) else "application/yaml")


def command(*words: str) -> str:
    """Return a command line that can be copied."""
    return shlex.join(["licet", *words])


def command_lines(words: Sequence[str], width: int | None) -> list[str]:
    """Return a command line for people, continued with a backslash where a terminal is too narrow for it."""
    whole = "  " + command(*words)
    if width is None or len(whole) <= width:
        return [whole]
    lines, line = [], "  licet"
    for word in map(shlex.quote, words):
        if len(line) + 1 + len(word) + 2 > width and line.strip():
            lines.append(f"{line} \\")
            line = f"     {word}"
        else:
            line += f" {word}"
    return [*lines, line]


def advice_to_run(words: str, line: str, out: Output) -> str:
    """Return advice that ends with a command line, which stands in lines of its own on a terminal."""
    return (
        f"{words} {line}" if out.width is None else "\n".join([words, *command_lines(shlex.split(line)[1:], out.width)])
    )


def compared(remote: Remote, proposed: Proposed, out: Output, *, preview: str | None = None) -> Any:
    """Return how a catalog differs from the newest release; shows what is wrong with it and ends, where anything is.

    Raises Failure where a preview is named by which it cannot be released.
    """
    headers: dict[str, str | bytes] = {"Content-Type": proposed.media_type}
    query = {"preview": preview}
    answer = remote.raw("POST", "/v1/catalog/preview", query=query, body=proposed.body, headers=headers)
    return sound(proposed, out, lambda: _value(answer))


def touches_customers(seen: Mapping[str, Any]) -> bool:
    """Whether a difference could move what customers have already; a first release cannot."""
    return bool(seen["base"]) and any(change["effect"] == "live" for change in seen["changes"])


def judged(remote: Remote, proposed: Proposed, out: Output, *, at: str | None = None) -> Any:
    """Let the service judge every customer under a catalog, and return the finished preview; progress is shown."""
    from licet.cli.progress import watched

    def judge() -> Any:
        lines = remote.lines("POST", PREVIEWS, proposed.body, media_type=proposed.media_type, query={"at": at})
        return [line for line in watched(lines, "judging customers", quiet=out.as_json) if "preview" in line]

    found = sound(proposed, out, judge)
    if not found:
        raise Failure("the preview ended without a result", advice="try it again", code="unfinished")
    return found[-1]["preview"]


def saved_preview(remote: Remote, preview: str) -> Any:
    """Return a preview that was made before; raises Failure where there is none."""
    return remote.call("GET", f"{PREVIEWS}/{segment(preview)}")


def touched(
    remote: Remote, preview: str, *, limit: int, feature: str | None = None, effect: str | None = None
) -> Iterator[Any]:
    """Yield what happens to single customers by a preview, at most ``limit`` of them."""
    path = f"{PREVIEWS}/{segment(preview)}/customers"
    return remote.pages(path, limit=limit, query={"feature": feature, "effect": effect})


def release(remote: Remote, proposed: Proposed, consent: Consent, out: Output) -> Any:
    """Show what a release would do, ask, and release it; ``applied`` says whether, since nothing may differ.

    What could move what customers have is judged first, unless a preview is named. Raises Failure where more
    customers would lose something than was agreed to, and Ended where nobody agreed.
    """
    from licet.cli.catalog_text import change_lines

    seen = _compared_by(remote, proposed, consent, out)
    base = _base_of(seen, consent)
    out.lines(change_lines(seen, width=out.width))
    if not seen["changes"] and base:
        return {"revision": base, "changes": [], "applied": False}
    view = None
    if consent.preview is not None:
        view = saved_preview(remote, consent.preview)
    elif touches_customers(seen):
        view = judged(remote, proposed, out)
    if view is not None:
        _weigh(view, base, consent, out)
    if not consent.yes:
        _ask(base, out)
    query: dict[str, object] = {"base": base}
    if view is not None:
        query |= {"preview": view["id"], "max_losing": consent.max_losing}
    answer = _put(remote, proposed, consent, query, out)
    return {**answer, "applied": True, "preview": view}


def _compared_by(remote: Remote, proposed: Proposed, consent: Consent, out: Output) -> Any:
    """Return how a catalog differs; raises Failure, before anything is shown, for a preview that is not of this."""
    try:
        return compared(remote, proposed, out, preview=consent.preview)
    except Failure as failure:
        if failure.code == "preview_stale" and consent.preview is not None:
            failure.advice = f"look again: {consent.look}"
            newest = compared(remote, proposed, out)["base"]
            view = saved_preview(remote, consent.preview)
            if view["kind"] == "catalog" and view["base"] != newest:
                failure.advice = _moved_on(consent, newest)
        raise


def _moved_on(consent: Consent, newest: int | None = None) -> str:
    """What to do where somebody released since one looked: to release all the same would take that back unseen."""
    which = "somebody released" if newest is None else f"revision {newest} was released"
    return f"{which} since, and this might take it back; see what it is with `licet catalog pull`, then: {consent.look}"


def _base_of(seen: Mapping[str, Any], consent: Consent) -> int:
    base: int = seen["base"]
    if consent.base is not None and consent.base != base:
        raise Failure(
            f"the preview is stale: it was made on revision {consent.base}, the newest is {base}",
            advice=_moved_on(consent, base),
            code="stale_base",
            exit_code=NO,
        )
    return base


def _weigh(view: Mapping[str, Any], base: int, consent: Consent, out: Output) -> None:
    """Show a preview; raise Failure where it is of another state or more lose than was agreed to."""
    from licet.cli.preview_text import customers_word, show_preview

    if view["summary"] is None or view["base"] != base:
        why = "was not finished" if view["summary"] is None else f"was made on revision {view['base']}, not {base}"
        advice = f"look again: {consent.look}" if view["base"] == base else _moved_on(consent)
        raise Failure(f"the preview {view['id']} {why}", advice=advice, code="preview_stale", exit_code=NO)
    out.line()
    show_preview(view, out)
    out.line()
    losing = view["summary"]["losing"]
    if losing > consent.max_losing:
        allowed = customers_word(consent.max_losing) if consent.max_losing else "nobody"
        again = f"{consent.again} --preview {view['id']} --max-losing {losing}"
        raise Failure(
            f"{customers_word(losing)} would lose something, and {allowed} may: nothing was released",
            advice=advice_to_run("release it all the same with:", again, out),
            code="blast_radius",
            exit_code=NO,
            details={"preview": view["id"], "losing": losing, "max_losing": consent.max_losing},
        )


def _ask(base: int, out: Output) -> None:
    from licet.cli.asking import confirm

    question = f"release this on top of revision {base}?" if base else "release this as the first catalog?"
    if not confirm(question, instead="look at the preview, then give --yes"):
        out.line("nothing was changed")
        raise Ended(NO)


def _put(remote: Remote, proposed: Proposed, consent: Consent, query: Mapping[str, object], out: Output) -> Any:
    headers: dict[str, str | bytes] = {"Content-Type": proposed.media_type}
    if consent.note:
        headers["Licet-Note"] = consent.note.encode()

    def put() -> Any:
        return _value(remote.raw("PUT", "/v1/catalog", query=query, body=proposed.body, headers=headers))

    try:
        return sound(proposed, out, put)
    except Failure as failure:
        if failure.code == "stale_base":
            failure.advice = _moved_on(consent)
        elif failure.code == "blast_radius":
            failure.advice = f"customers have changed meanwhile; look again: {consent.look}"
        elif failure.code in ("preview_required", "preview_stale"):
            failure.advice = f"look again: {consent.look}"
        raise


def _value(answer: Answer) -> Any:
    if answer.status >= 400:
        raise problem_of(answer, change=True)
    return answer.json()


def sound(proposed: Proposed, out: Output, ask: Callable[[], Any], *, broken: int = NO) -> Any:
    """Return what is answered; problems of the document are shown at their places and end the command.

    ``broken`` is the exit code then.
    """
    try:
        value = ask()
        problems = value.get("problems") if isinstance(value, dict) else None
    except Failure as failure:
        problems = failure.details.get("problems")
        if not problems or failure.code not in _OF_THE_TEXT or all(one["path"] in _OF_THE_QUERY for one in problems):
            raise
        value = None
    if problems:
        _show_problems(proposed, problems, out)
        raise Ended(broken)
    return value


def _show_problems(proposed: Proposed, problems: Sequence[Mapping[str, Any]], out: Output) -> None:
    from licet.cli.places import placed
    from licet.cli.problem_text import problem_lines

    out.document({"file": proposed.name, "problems": problems})
    out.lines(problem_lines(proposed.name, proposed.text, placed(proposed.text, problems)))
