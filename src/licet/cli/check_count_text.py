"""Counts and records of checks in words for a terminal."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from licet.cli.output import ACCENT, BAD, DIM, GOOD, WARN, Line, Output
from licet.cli.words import day, number, wrapped

Row = Mapping[str, Any]

OUTCOMES: Final = {"allowed": ("allowed", GOOD), "denied": ("denied", BAD), "would_deny": ("would deny", WARN)}
_FIGURES: Final = ("asked", "allowed", "denied", "would deny", "denied %")
_ONLY: Final = {"allowed": "allowed", "denied": "denied", "would_deny": "allowed, and would be denied"}
_ABSENT: Final = "—"
_NAMED: Final = ("deployment", "region", "country", "version")


def show_counts(out: Output, answer: Mapping[str, Any], by: str, outcome: str | None, limit: int) -> None:
    """Print a table of counts, one row for each combination of what is told apart, and the whole below it.

    Where only one ``outcome`` is counted, so is the only figure.
    """
    total = answer["total"]
    since = f"since {answer['from'][:10]} {answer['from'][11:13]}:00 UTC"
    if not total:
        out.line(f"no checks {since} match")
        _say_lost(out, answer["lost"])
        return
    parts = [] if by == "total" else by.split(",")
    if "user" in parts and "customer" not in parts:
        parts.insert(parts.index("user"), "customer")
    if parts:
        figures = _FIGURES if outcome is None else (OUTCOMES[outcome][0],)
        rows = [[*(_name(row, part) for part in parts), *_figures(row, outcome)] for row in answer["items"]]
        out.table([*parts, *figures], rows, right=range(len(parts), len(parts) + len(figures)))
        out.line()
    out.lines(wrapped(_whole(total, since, outcome), out.width, "", ""))
    if len(answer["items"]) == limit:
        out.line((f"these are the first {limit}; --limit shows more", DIM))
    _say_lost(out, answer["lost"])


def show_records(out: Output, answer: Mapping[str, Any], limit: int, workspace: str | None = None) -> None:
    """Print single checks, and how one of them is explained, in the workspace that was named."""
    rows = answer["items"]
    if not rows:
        out.line(f"no checks on record since {day(answer['from'])} match")
        out.line(("a feature is recorded check by check where the catalog says: record: each", DIM))
        return
    columns = ["at", "answer", "reason", "customer", "feature", "user", "asked with"]
    out.table(columns, [_record(row) for row in rows])
    out.line()
    out.line(("how the first was answered:", DIM))
    show_command(out, explain_command(rows[0], rows[0]["at"], workspace))
    if len(rows) == limit:
        out.line((f"these are the newest {limit}; --limit shows more", DIM))


def share(part: int, whole: int) -> str:
    """Return a share in percent with one decimal; ``<0.1%`` and ``>99.9%`` for what only nearly is none or all."""
    if whole == 0:
        return _ABSENT
    mills = (2000 * part + whole) // (2 * whole)
    if mills == 0 and part:
        return "<0.1%"
    if mills == 1000 and part < whole:
        return ">99.9%"
    return f"{mills // 10}.{mills % 10}%"


def explain_command(row: Row, at: str, workspace: str | None = None) -> list[str]:
    """Return the words of the command that tells the whole decision of a check again, that was asked ``at`` an instant.

    An option and its value are one word for a shell to read, quoted where it must be.
    """
    asked = row["question"]
    context: dict[str, Any] = asked.get("context") or {}
    words = ["licet", "explain", shlex.quote(asked["customer"]), shlex.quote(asked["feature"])]
    options = [(f"--{name}", asked.get(name)) for name in ("user", "quantity", "used")]
    options += [("-c", f"{name}={value}") for name, value in context.items() if name != "attributes"]
    options += [("-c", _pair(name, value)) for name, value in context.get("attributes", {}).items()]
    options += [("--at", at), ("--basis", row["basis"]), ("-w", workspace)]
    return [*words, *(shlex.join([name, str(value)]) for name, value in options if value is not None)]


def show_command(out: Output, words: Sequence[str]) -> None:
    """Print a command to be pasted: on one line, or on a terminal that is too narrow on several that a shell joins."""
    room = None if out.width is None else out.width - 4
    lines = [""]
    for word in words:
        if lines[-1] and room is not None and len(lines[-1]) + 1 + len(word) > room:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".lstrip()
    for line in lines[:-1]:
        out.line((f"  {line} \\", ACCENT))
    out.line((f"  {lines[-1]}", ACCENT))


def _pair(name: str, value: object) -> str:
    """An attribute as ``--context`` reads it back: with the same name, value and type."""
    from licet.cli.checks import context_of

    named = f"attributes.{name}" if name in _NAMED or name.startswith("attributes.") else name
    pair = f"{named}={_value(value)}"
    if context_of([pair]) != {"attributes": {name: value}}:
        pair = f"{named}={json.dumps(value, ensure_ascii=False)}"
    return pair


def _figures(row: Row, outcome: str | None) -> list[Line]:
    if outcome is not None:
        return [(number(row["checks"]), OUTCOMES[outcome][1])]
    denied, would = row["denied"], row["would_deny"]
    return [
        number(row["checks"]),
        number(row["allowed"]),
        (number(denied), BAD) if denied else "0",
        (number(would), WARN) if would else "0",
        share(denied, row["checks"]),
    ]


def _name(row: Row, part: str) -> Line:
    """What a row is about, in one of its parts."""
    if part == "hour":
        return f"{row['begins_at'][:10]} {row['begins_at'][11:16]}"
    if part == "day":
        return str(row["begins_at"][:10])
    return str(row[part]) if row[part] is not None else _ABSENT


def _whole(total: Row, since: str, outcome: str | None) -> str:
    one = total["checks"] == 1
    checks = f"{since}: {number(total['checks'])} {'check' if one else 'checks'}"
    if outcome is not None:
        return f"{checks} {'was' if one else 'were'} {_ONLY[outcome]}"
    denied = f"{checks}, {number(total['denied'])} denied ({share(total['denied'], total['checks'])})"
    return f"{denied}, {number(total['would_deny'])} would be" if total["would_deny"] else denied


def _say_lost(out: Output, lost: Row) -> None:
    """Say what is missing, where anything is."""
    if lost["checks"]:
        out.line((f"{number(lost['checks'])} checks of the last 35 days could not be counted", WARN))
    if lost["records"]:
        out.line((f"{number(lost['records'])} checks of the last 35 days could not be put on record", WARN))


def _record(row: Row) -> Sequence[Line]:
    asked = row["question"]
    return [
        f"{row['at'][:10]} {row['at'][11:19]}",
        OUTCOMES[row["outcome"]],
        row["reason"],
        asked["customer"],
        asked["feature"],
        asked.get("user") or _ABSENT,
        asked_with(row),
    ]


def asked_with(row: Row) -> str:
    """The rest of a question: amounts where they matter, context, and what was left out."""
    asked = row["question"]
    facts = {name: asked[name] for name in ("quantity", "used") if name in asked} | _context(asked)
    said = [f"{name}={_value(value)}" for name, value in facts.items()]
    said += [f"{name}=(not kept)" for name in row["left_out"]]
    return ", ".join(said)


def _context(asked: Row) -> dict[str, Any]:
    """Return a question's context, its attributes among the rest."""
    context: dict[str, Any] = asked.get("context") or {}
    named = {name: value for name, value in context.items() if name != "attributes" and value is not None}
    return {**named, **context.get("attributes", {})}


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "|".join(map(str, value)) if isinstance(value, list) else str(value)
