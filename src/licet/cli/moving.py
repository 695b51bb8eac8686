"""How a move is carried out from the command line: previewed, asked about, begun, and done batch by batch."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from licet.cli.failure import NO, Ended, Failure
from licet.cli.output import Output
from licet.cli.remote import Remote, segment

MOVES: Final = "/v1/catalog/moves"
DONE: Final = frozenset({"moved", "reversed"})
BACK: Final = frozenset({"reversing", "reversed"})


class Wanted(NamedTuple):
    """What was asked for, as it was typed."""

    source: str
    target: str
    addon: bool
    cohort: str | None
    customers: tuple[str, ...]
    at: str
    notice: str | None
    max_losing: int
    note: str | None
    workspace: str | None

    def body(self) -> dict[str, Any]:
        """The command as it is sent; raises Failure for what cannot be meant."""
        from licet.cli.amounts import id_of
        from licet.cli.moves import versions_of
        from licet.cli.times import instant_text

        item, old, new = versions_of(self.source, self.target)
        body: dict[str, Any] = {
            "kind": "addon" if self.addon else "plan",
            "item": item,
            "from_version": old,
            "to_version": new,
            "at": self.at if self.at in ("now", "period_end") else instant_text(self.at),
        }
        if self.cohort is not None:
            body["cohort"] = id_of("cohort", self.cohort)
        if self.customers:
            body["customers"] = [id_of("customer", one) for one in self.customers]
        if self.notice is not None:
            body["notice"] = self.notice
        return body

    def again(self, *more: str) -> str:
        """The same command, to be typed again."""
        from licet.cli.releasing import command

        words = ["catalog", "move", self.source, self.target, *(["--addon"] if self.addon else [])]
        for name, value in (("--cohort", self.cohort), ("--at", self.at), ("--notice", self.notice)):
            if value is not None and (name, value) != ("--at", "now"):
                words += [name, value]
        for customer in self.customers:
            words += ["--customer", customer]
        return command(*words, *_there(self.workspace), *more)


class Return(NamedTuple):
    """The move that is to be taken back, and how, as it was typed."""

    move: str
    preview: str | None
    max_losing: int
    note: str | None
    workspace: str | None

    def again(self, *more: str) -> str:
        """The same command, to be typed again."""
        return move_command("reverse", self.move, *more, workspace=self.workspace)


def move_customers(remote: Remote, wanted: Wanted, out: Output, *, dry_run: bool, yes: bool) -> None:
    """Show what a move does to whom, and do it; prints how it ended.

    Raises Failure where more would lose something than was agreed to, and Ended where nobody would be moved or agreed.
    """
    from licet.cli.preview_text import customers_word, show_preview

    body = wanted.body()
    view = _judged(remote, f"{MOVES}/previews", out, body)
    summary = view["summary"]
    if not summary["customers"]:
        out.document({"preview": view, "move": None})
        out.line(f"nobody would be moved from {wanted.source} to {wanted.target}")
        _show_aside(summary, "left out:", out)
        raise Ended(0 if dry_run else NO)
    out.line(f"{customers_word(summary['customers'])} would be moved from {wanted.source} to {wanted.target}")
    out.line()
    show_preview(view, out)
    _show_aside(summary, "left out:", out)
    if dry_run:
        out.document({"preview": view, "move": None})
        return
    out.line()
    _weigh(view, wanted, out, done="was moved", again="move them all the same with:")
    if not yes:
        _ask(f"move {customers_word(summary['customers'])} from {wanted.source} to {wanted.target}?", out)
    query: dict[str, object] = {"preview": view["id"], "max_losing": wanted.max_losing}
    made = _sent(remote, MOVES, body, query, wanted)
    out.line(f"begun as {made['id']}")
    out.line()
    finish(remote, made, out, wanted.workspace)


def take_back(remote: Remote, wanted: Return, out: Output, *, dry_run: bool, yes: bool) -> None:
    """Show what taking a move back does to whom, and do it; prints how it ended.

    One that is being taken back already is gone on with. Raises Failure where more would lose something than was
    agreed to, and Ended where nobody agreed.
    """
    from licet.cli.move_text import what_words
    from licet.cli.preview_text import customers_word

    move = remote.call("GET", path_of(wanted.move))
    query: dict[str, object] = {}
    if dry_run or move["state"] not in BACK:
        view = _way_back(remote, wanted, out)
        count = customers_word(view["summary"]["customers"])
        _show_return(view, f"{what_words(move)} would be taken back for {count}", out)
        if dry_run:
            out.document({"preview": view, "move": move})
            return
        out.line()
        _weigh(view, wanted, out, done="was moved back", again="take it back all the same with:")
        if not yes:
            _ask(f"take back the move of {what_words(move)} for {count}?", out)
        query = {"preview": view["id"], "max_losing": wanted.max_losing}
    finish(remote, _sent(remote, f"{path_of(wanted.move)}/reverse", None, query, wanted), out, wanted.workspace)


def finish(
    remote: Remote, move: Mapping[str, Any], out: Output, workspace: str | None = None, *, max_losing: int | None = None
) -> None:
    """Do all batches that are left of a move or of taking it back, and print how it ended.

    ``max_losing`` raises how many may lose by it. Raises Failure that says how to go on, where it breaks off.
    """
    from licet.cli.move_text import move_lines
    from licet.cli.progress import Gauge

    gauge = Gauge("moving customers", quiet=out.as_json)
    try:
        while move["state"] not in DONE:
            query = {} if max_losing is None or move["state"] != "moving" else {"max_losing": max_losing}
            move = remote.call("POST", f"{path_of(move['id'])}/advance", query=query)
            if move["state"] in BACK:
                gauge.at(move["reversed"] + move["kept"], move["moved"])
            else:
                gauge.at(move["looked_at"], max(move["total"], move["looked_at"]))
    except Failure as failure:
        if failure.code == "blast_radius":
            failure.advice = f"what was done before stays done; {failure.advice}"
        else:
            go_on = move_command("resume", move["id"], workspace=workspace)
            failure.advice = f"what is done stays done; go on with: {go_on}"
        raise
    finally:
        gauge.close()
    out.document({"move": move})
    out.lines(move_lines(move, workspace))


def path_of(move: str) -> str:
    """Return a move's path in the API."""
    return f"{MOVES}/{segment(move)}"


def move_command(*words: str, workspace: str | None) -> str:
    """Return a ``licet catalog move`` that can be copied, for the workspace that was named."""
    from licet.cli.releasing import command

    return command("catalog", "move", *words[:2], *_there(workspace), *words[2:])


def _there(workspace: str | None) -> list[str]:
    return ["-w", workspace] if workspace else []


def _way_back(remote: Remote, wanted: Return, out: Output) -> Any:
    """Return the finished preview of the way back: the one that was named, or one made now."""
    from licet.cli.releasing import saved_preview

    if wanted.preview is None:
        return _judged(remote, f"{path_of(wanted.move)}/reverse/previews", out)
    view = saved_preview(remote, wanted.preview)
    if view["summary"] is None:
        raise Failure(
            f"the preview {wanted.preview} was not finished",
            advice=f"judge customers anew: {wanted.again()}",
            code="preview_stale",
            exit_code=NO,
        )
    return view


def _show_return(view: Mapping[str, Any], heading: str, out: Output) -> None:
    from licet.cli.preview_text import show_preview

    out.line(heading)
    if view["summary"]["customers"]:
        out.line()
        show_preview(view, out)
    _show_aside(view["summary"], "kept what they have:", out)


def _show_aside(summary: Mapping[str, Any], heading: str, out: Output) -> None:
    from licet.cli.move_text import aside_lines

    if summary["left_out"]:
        out.lines(["", *aside_lines(summary["left_out"], heading, out.width)])


def _judged(remote: Remote, path: str, out: Output, body: Mapping[str, Any] | None = None) -> Any:
    """Let the service judge everybody whom a move or its way back would reach; progress is shown."""
    import json

    from licet.cli.progress import watched

    sent = b"" if body is None else json.dumps(body).encode()
    lines = remote.lines("POST", path, sent, media_type="application/json")
    found = [line for line in watched(lines, "judging customers", quiet=out.as_json) if "preview" in line]
    if not found:
        raise Failure("the preview ended without a result", advice="try it again", code="unfinished")
    return found[-1]["preview"]


def _weigh(view: Mapping[str, Any], wanted: Wanted | Return, out: Output, *, done: str, again: str) -> None:
    """Raise Failure where more would lose something than was agreed to, with how to agree."""
    from licet.cli.preview_text import customers_word
    from licet.cli.releasing import advice_to_run

    losing = view["summary"]["losing"]
    if losing > wanted.max_losing:
        allowed = customers_word(wanted.max_losing) if wanted.max_losing else "nobody"
        raise Failure(
            f"{customers_word(losing)} would lose something, and {allowed} may: nobody {done}",
            advice=advice_to_run(again, wanted.again("--max-losing", str(losing)), out),
            code="blast_radius",
            exit_code=NO,
            details={"preview": view["id"], "losing": losing, "max_losing": wanted.max_losing},
        )


def _ask(question: str, out: Output) -> None:
    from licet.cli.asking import confirm

    if not confirm(question, instead="look with --dry-run, then give --yes"):
        out.line("nothing was changed")
        raise Ended(NO)


def _sent(
    remote: Remote,
    path: str,
    body: Mapping[str, Any] | None,
    query: Mapping[str, object],
    wanted: Wanted | Return,
) -> Any:
    """Send what was agreed to; what no longer fits is judged anew, and the service says why it does not."""
    try:
        return remote.call("POST", path, body, query=query, note=wanted.note)
    except Failure as failure:
        if failure.code == "preview_stale":
            failure.advice = f"judge customers anew: {wanted.again()}"
        elif failure.code == "blast_radius":
            failure.advice = f"customers have changed meanwhile; judge them anew: {wanted.again()}"
        raise
