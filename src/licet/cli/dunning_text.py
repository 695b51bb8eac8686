"""Missed payments in words for a terminal: what is owed, the ladder with its dates, and what comes next."""

from collections.abc import Mapping
from typing import Any, Final

from licet.cli.money_text import money_words
from licet.cli.output import ACCENT, BAD, BOLD, DIM, GOOD, WARN, Line, Output
from licet.cli.words import day, label, wrapped

_WIDTH: Final = 11
_SHADES: Final = {"grace": WARN, "restricted": WARN, "suspended": BAD, "ended": BAD}
_ORIGINS: Final = {"customer": "chosen for this customer", "none": "no plan of it has one"}


def show_dunning(out: Output, stands: Mapping[str, Any]) -> None:
    """Print how a customer's missed payments stand: the customer first, then each subscription with its ladder."""
    head: list[Any] = [(stands["customer"], BOLD), f"  {day(stands['at'])}"]
    out.line([*head, ("  suspended altogether", BAD)] if stands["suspended"] else head)
    for choice in stands["ladders"]:
        out.line(label("chosen", choice_words(choice), _WIDTH))
    for membership in stands["cohorts"]:
        out.line(label("cohort", f"{membership['cohort']} since {day(membership['starts_at'])}", _WIDTH))
    if not stands["subscriptions"]:
        out.line("  no subscription, so nothing can be owed")
    for one in stands["subscriptions"]:
        _subscription(out, one)


def leniency_words(one: Mapping[str, Any]) -> str:
    """Return ``promise until 2026-04-20`` for a promise or a pause."""
    return f"{one['kind']} until {day(one['ends_at'])}" if one.get("ends_at") else f"{one['kind']} until resumed"


def choice_words(choice: Mapping[str, Any]) -> str:
    """Return which ladder is chosen for what is missed when; ``none`` for no consequences."""
    until = f" until {day(choice['ends_at'])}" if choice.get("ends_at") else ""
    return f"{choice.get('ladder') or 'none'} from {day(choice['starts_at'])}{until}"


def remark_lines(answer: Mapping[str, Any], width: int | None) -> list[Line]:
    """Return what is odd about an answer and what was noticed, in words."""
    lines: list[Line] = []
    for words in [*answer.get("remarks", ()), *(one["words"] for one in answer.get("findings", ()))]:
        lines.extend((text, WARN) for text in wrapped(words, width, "  ", "  "))
    return lines


def _subscription(out: Output, one: Mapping[str, Any]) -> None:
    out.line()
    standing = one["standing"]
    what = ", ".join(one["items"]) or "nothing"
    out.line(
        [
            (what, BOLD),
            "  ",
            (standing.replace("_", " "), _SHADES.get(standing, GOOD)),
            (f"  {one['subscription']}", DIM),
        ]
    )
    for invoice in one["invoices"]:
        out.line(_invoice(invoice))
    if not one["invoices"]:
        out.line(label("owed", "nothing", _WIDTH))
    for leniency in one["leniencies"]:
        note = f": {leniency['note']}" if leniency.get("note") else ""
        for place, text in enumerate(wrapped(leniency_words(leniency).partition(" ")[2] + note, _room(out), "", "")):
            out.line(label(leniency["kind"] if place == 0 else "", text, _WIDTH))
    out.line(label("ladder", _ladder(one), _WIDTH))
    _stages(out, one)


def _invoice(invoice: Mapping[str, Any]) -> Line:
    money = money_words(invoice.get("money"))
    told = f"{invoice['invoice']} {'since' if invoice['state'] == 'owed' else 'on'} {day(invoice['at'])}"
    shade = WARN if invoice["state"] == "owed" else ""
    return label(invoice["state"], [(told, shade) if shade else told, f"  {money}" if money else ""], _WIDTH)


def _ladder(one: Mapping[str, Any]) -> str:
    kind, _, which = str(one["origin"]).partition(":")
    why = _ORIGINS.get(kind, f"of the {kind} {which}")
    return f"{one['ladder']}, {why}" if one["ladder"] else f"none, {why}: nothing follows"


def _stages(out: Output, one: Mapping[str, Any]) -> None:
    """Print the stages as a table, with the one that comes next marked."""
    if not one["stages"]:
        return
    upcoming = one["next"]
    rows: list[list[Line]] = []
    for stage in one["stages"]:
        at = day(stage["at"]) if stage["at"] else "held back" if one["since"] else "—"
        ahead = upcoming is not None and (stage["do"], stage["at"]) == (upcoming["do"], upcoming["at"])
        sign = ("✓", WARN) if stage["reached"] else ("→", ACCENT) if ahead else " "
        rows.append([["  ", sign], stage["after"], at, stage["do"], ", ".join(stage["features"])])
    out.table(["", "after", "when", "stage", "features"], rows)
    if upcoming is not None:
        out.line(f"  next: {upcoming['do']} on {day(upcoming['at'])}, unless it is paid")


def _room(out: Output) -> int | None:
    return None if out.width is None else out.width - _WIDTH - 2
