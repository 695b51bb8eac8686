"""Moves between versions in words for a terminal of 80 columns."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from licet.cli.output import ACCENT, BOLD, GOOD, WARN, Line
from licet.cli.words import day, label, number, wrapped

_LABEL: Final = 12
_COLUMNS: Final = 80
_REASONS: Final = {
    "announced": "another move of the same version is announced already",
    "ended": "ended before it would begin",
    "not_held": "nothing of it is that version",
    "not_member": "not in the cohort",
    "no_period": "no further billing period",
    "trial": "its trial would be cut short",
    "terms_full": "as many moves as a customer may have",
    "changed": "has something else by now",
    "built_on": "a later move leads on from this one",
}
"""Why a subscription is passed by; a reason that is not here is shown as it is."""
STATES: Final = {"moving": WARN, "moved": GOOD, "reversing": WARN, "reversed": ACCENT}
_GO_ON: Final = frozenset({"moving", "reversing"})


def what_words(move: Mapping[str, Any]) -> str:
    """Return ``team@2026-01 → 2026-04``."""
    return f"{move['item']}@{move['from_version']} → {move['to_version']}"


def move_lines(move: Mapping[str, Any], workspace: str | None) -> list[Line]:
    """Return a move and how far it has come; ``workspace`` is the one that was named to the command."""
    from licet.cli.moving import move_command

    lines: list[Line] = [[(what_words(move), BOLD), "  ", (move["state"], STATES[move["state"]])]]
    lines.append(label("move", move["id"], _LABEL))
    lines.append(label("whom", _whom(move), _LABEL))
    lines.append(label("when", _when(move), _LABEL))
    lines.append(label("looked at", f"{number(move['looked_at'])} of {_customers(move['total'])}", _LABEL))
    lines.append(label("moved", _subscriptions(move["moved"]), _LABEL))
    for name, words in (("left_out", "left out"), ("reversed", "taken back"), ("kept", "kept")):
        if move[name]:
            lines.append(label(words, _subscriptions(move[name]), _LABEL))
    if move["losing"]:
        words = f"{_customers(move['losing'])}, at most {number(move['max_losing'])} may"
        lines.append(label("losing", words, _LABEL))
    lines.append(label("begun", f"{day(move['created_at'])} by {move['actor']}", _LABEL))
    if move["note"]:
        lines.append(label("note", move["note"], _LABEL))
    if move["state"] in _GO_ON:
        lines.append(("it is not done; go on with:", WARN))
        lines.append(f"  {move_command('resume', move['id'], workspace=workspace)}")
    return lines


def aside_lines(groups: Sequence[Mapping[str, Any]], heading: str, width: int | None) -> list[Line]:
    """Return what a preview says is passed by, counted by reason, with examples and how many are not named."""
    columns = min(width or _COLUMNS, _COLUMNS)
    lines: list[Line] = [(heading, BOLD)] if groups else []
    for group in groups:
        lines.append(f"  {_subscriptions(group['count'])}: {_REASONS.get(group['reason'], group['reason'])}")
        for one in group["examples"]:
            lines.append([f"    {one['customer']}  ", one["subscription"] or ""])
            lines.extend(wrapped(one["words"], columns, "      ", "      "))
        if group["count"] > len(group["examples"]):
            lines.append(f"    and {number(group['count'] - len(group['examples']))} more")
    return lines


def moved_lines(state: str, rows: Sequence[Mapping[str, Any]], count: int, width: int | None) -> list[Line]:
    """Return who was left out or kept, each with the reason, and how many are not listed."""
    lines: list[Line] = ["", ("left out:" if state == "left_out" else "kept what they have:", BOLD)]
    for row in rows:
        lines.append([f"  {row['customer']}  ", row["subscription"] or ""])
        lines.extend(wrapped(row["words"], width, "    ", "    "))
    if count > len(rows):
        lines.append(f"  and {number(count - len(rows))} more; --limit shows more")
    return lines


def _whom(move: Mapping[str, Any]) -> str:
    if move["customers"] is not None:
        words = f"{_customers(move['customers'])} by name"
        return words + (f", members of {move['cohort']}" if move["cohort"] else "")
    return f"members of {move['cohort']}" if move["cohort"] else "everybody who has it"


def _when(move: Mapping[str, Any]) -> str:
    at = move["at"]
    words = {"now": "at once", "period_end": "at the next billing period"}.get(at) or f"from {day(at)} on"
    return words + (f", no earlier than {move['notice']} after its announcement" if move["notice"] else "")


def _customers(count: int) -> str:
    return f"{number(count)} customer{'' if count == 1 else 's'}"


def _subscriptions(count: int) -> str:
    return f"{number(count)} subscription{'' if count == 1 else 's'}"
