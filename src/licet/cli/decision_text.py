"""A decision in words for a terminal: the verdict, where it comes from, and what would change it."""

from collections.abc import Mapping
from typing import Any

from licet.cli.output import ACCENT, BOLD, DIM, WARN, Line, Output, Piece
from licet.cli.words import day, folded, label, mark, number, quantity, verdict


def headline(decision: Mapping[str, Any]) -> list[Piece]:
    """Return the first line: who, what, verdict, reason."""
    return [
        mark(decision["allowed"]),
        " ",
        verdict(decision["allowed"], decision["reason"]),
        "  ",
        (decision["feature"], BOLD),
        f" for {decision['customer']}  ",
        (decision["reason"], ACCENT),
    ]


def decision_lines(decision: Mapping[str, Any]) -> list[Line]:
    """Return a decision as lines: at most a dozen, the verdict first."""
    lines: list[Line] = [headline(decision)]
    if decision.get("message"):
        lines.append(label("because", decision["message"]))
    others = [reason for reason in decision.get("reasons", ()) if reason != decision["reason"]]
    if others:
        lines.append(label("also", ", ".join(others)))
    if decision.get("would_deny"):
        lines.append(label("observed", ("would be refused: " + ", ".join(decision["would_deny"]), WARN)))
    value = decision.get("value")
    if value is not None and not isinstance(value, bool):
        lines.append(label("value", str(value)))
    if decision.get("limit"):
        lines.append(label("limit", quantity(decision["limit"])))
        lines.extend(label("beyond", words) for words in _bounds(decision["limit"]))
    lines.extend(label("from", source_line(source)) for source in decision.get("sources", ()))
    lines.extend(label("warning", (one["text"], WARN)) for one in decision.get("warnings", ()))
    if decision.get("missing"):
        lines.append(label("not told", ", ".join(decision["missing"])))
    remedy = decision.get("remedy")
    if remedy:
        lines.append(label("remedy", (remedy["words"], WARN)))
        lines.extend(label("or", (one["words"], WARN)) for one in decision.get("remedies", ())[1:])
    if decision.get("valid_until"):
        lines.append(label("until", day(decision["valid_until"])))
    return lines


def _bounds(limit: Mapping[str, Any]) -> list[str]:
    """Return what bounds use beyond all there is, one line for each."""
    said = (("overage_limit", "overage limit"), ("spend_limit", "spend limit of the customer"))
    return [f"{number(limit[field])}, {name}" for field, name in said if limit.get(field) is not None]


def source_line(source: Mapping[str, Any]) -> list[Piece]:
    """Return one source of a right on one line."""
    name = source.get("item") or source["kind"]
    line: list[Piece] = [mark(bool(source.get("permits"))), f" {name}"]
    given = source.get("amount", source.get("value"))
    if given is not None:
        line.append(f" gives {number(given)}")
    if source.get("standing"):
        line.append(f", {source['standing']}")
    if source.get("until"):
        line.append(f" until {day(source['until'])}")
    line.append((f"  {source['id']}", DIM))
    if not source.get("permits") and source.get("reasons"):
        line.append(("  " + ", ".join(source["reasons"]), WARN))
    return line


def show_entitlements(out: Output, answer: Mapping[str, Any]) -> None:
    """Print all entitlements of a customer as a table, then what changes next."""
    out.line([(answer["customer"], BOLD), (f"  at {day(answer['at'])}, catalog {answer['catalog_revision']}", DIM)])
    rows: list[list[Line]] = []
    for item in answer["entitlements"]:
        amount = quantity(item.get("limit")) if item.get("limit") else ""
        value = item.get("value")
        shown = amount or (str(value) if isinstance(value, str) else "")
        rows.append([mark(item["allowed"]), item["feature"], item["reason"], shown, _until(item.get("valid_until"))])
    out.table(["", "feature", "reason", "amount or value", "until"], rows)
    changes = [change for change in answer["upcoming"] if change["kind"] == "change"]
    for change in (changes or answer["upcoming"])[:1]:
        what = "rights may change" if change["kind"] == "change" else "a billing period begins"
        coming: Line = [("  next  ", DIM), f"{day(change['at'])}: {what}", (f"  {change['subscription'] or ''}", DIM)]
        out.lines(folded(coming, out.width, 8))
    for breach in answer["breaches"]:
        out.lines(folded([("  note  ", WARN), breach["words"]], out.width, 8))


def _until(text: str | None) -> str:
    return day(text) if text else ""
