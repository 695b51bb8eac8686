"""``licet customer export`` and ``licet customer erase``: what is held about a customer, and what is personal of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from licet.cli.amounts import id_of
from licet.cli.options import AsJson, Customer, InWorkspace, Note
from licet.cli.session import connected, output

if TYPE_CHECKING:
    from licet.cli.output import Line

PATIENCE: Final = 300.0
"""Seconds without a word from the server: every kept message of a foreign system is looked through."""
_KINDS: Final = (
    ("names", "rows of today with a name or a mail address"),
    ("values", "personal values beside the log"),
    ("deliveries", "bodies of messages from foreign systems"),
    ("answers", "answers kept for repeated requests"),
    ("findings", "findings that quote a personal value"),
    ("check_records", "recorded checks"),
    ("check_counts", "counts of checks that named a user (they stay, without the user)"),
)


def export(
    customer: Customer,
    *,
    to: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write it.")],
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Write everything that is held about a customer and its users to a file, personal values included.

    One JSON object a line; the file is readable by you only, and on record is that you read it.
    """
    import json

    from licet.cli.failure import Failure
    from licet.cli.out_file import out_file, words_beside
    from licet.cli.remote import segment

    path = f"/v1/customers/{segment(id_of('customer', customer))}/export"
    end: dict[str, Any] | None = None
    with connected(workspace, timeout=PATIENCE) as remote, out_file(to, private=True) as file:
        for line in remote.lines("GET", path, b"", media_type="application/json"):
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            end = line.get("end")
        if end is None:
            raise Failure("the export ended too early", advice="try again; nothing was written", code="cut_off")
    sections = {name: count for name, count in end["sections"].items() if count}
    out = words_beside(to, as_json)
    out.document({"customer": customer, "file": str(to), "sections": end["sections"]})
    out.line(f"wrote {sum(sections.values())} rows about {customer} to {to}")
    out.table(["section", "rows"], [[name, f"{count:,}"] for name, count in sections.items()], right=[1])
    out.line("personal values stand in it: delete it when it is no longer needed")


def erase(
    customer: Customer,
    *,
    user: Annotated[str | None, typer.Option("--user", metavar="USER", help="Only this user of the customer.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what there is, and erase nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    note: Note = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> None:
    """Erase the personal values of a customer and its users, or of one user. It cannot be undone.

    Rights, terms and the log stay as they are, and the log stays provable. A second time there is nothing left.
    """
    from licet.cli.remote import segment

    out = output(as_json)
    path = f"/v1/customers/{segment(id_of('customer', customer))}"
    path += "" if user is None else f"/users/{segment(id_of('user', user))}"
    whose = f"{customer} and its users" if user is None else f"{user} of {customer}"
    with connected(workspace, timeout=PATIENCE) as remote:
        if dry_run or not yes:
            foreseen = remote.call("POST", f"{path}/erase", {"dry_run": True}, asking=True)
            if dry_run:
                out.document(foreseen)
            out.lines(erasure_lines(foreseen, whose))
            if dry_run or foreseen["nothing_left"] or not _agreed(whose):
                return
        answer = remote.call("POST", f"{path}/erase", {}, note=note)
    out.document(answer)
    out.lines(erasure_lines(answer, whose))
    if not answer["nothing_left"]:
        out.line("copies made before (backups, exports, logs of other systems) still hold them")


def erasure_lines(answer: Mapping[str, Any], whose: str) -> "list[Line]":
    """Return what was erased, or would be, one line for each kind."""
    from licet.cli.output import BOLD, WARN
    from licet.cli.words import day

    if answer["nothing_left"]:
        before = f" (erased {day(answer['erased_at'])})" if answer.get("erased_at") else ""
        return [f"nothing personal is left of {whose}{before}"]
    head = "would erase" if answer["dry_run"] else "erased"
    lines: list[Line] = [[(f"{head} personal values of {whose}", BOLD)]]
    lines += [f"  {answer['removed'][name]:>7,}  {words}" for name, words in _KINDS if answer["removed"][name]]
    if answer["not_applied"]:
        words = "of these messages failed or wait: apply them or give them up first"
        lines.append([(f"  {answer['not_applied']:>7,}  {words}", WARN)])
    return lines


def _agreed(whose: str) -> bool:
    from licet.cli.asking import confirm

    return confirm(f"erase this of {whose} for good?", instead="write --yes to erase, or --dry-run to look only")
