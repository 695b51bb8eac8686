"""Balances in words for a terminal: numbers, grants in the order in which they burn, statements."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from licet.cli.consume_text import UNLIMITED
from licet.cli.lease_text import held_lines, lease_words
from licet.cli.output import BAD, BOLD, DIM, WARN, Line, Output, plain
from licet.cli.words import day, label, left_words, number

Row = Mapping[str, Any]


_PERIODS: Final = {None: "", "lifetime": "", "rolling": " in the window", "session": " in the session"}
_WHAT: Final = {
    "allowance": "begins",
    "renew": "whole again",
    "part": "released",
    "change": "new amount",
    "expire": "expires",
    "void": "voided",
    "end": "ends",
    "lease": "leased",
    "return": "told",
    "recovery": "told late",
    "window": "leaves window",
    "period": "new period",
}
_GIVES_BACK: Final = frozenset({"settle", "release", "refund", "return", "recovery"})


def show_balance(out: Output, balance: Row) -> None:
    """Print one balance with its grants."""
    unit = f" {balance['unit']}" if balance.get("unit") else ""
    per = _PERIODS.get(balance["per"], f" per {balance['per']}")
    whose = f" of {balance['holder']}" if balance["holder"] else ""
    out.line([(balance["feature"], BOLD), f" for {balance['customer']}{whose}", (f"  at {day(balance['at'])}", DIM)])
    if balance["granted"] == UNLIMITED:
        out.line(label("used", f"{number(balance['used'])}{unit}{per}, unlimited"))
    else:
        out.line(label("used", f"{number(balance['used'])} of {number(balance['granted'])}{unit}{per}"))
        out.line(label("left", _remaining(balance)))
    if _some(balance["overage"]):
        out.line(label("beyond", (f"{number(balance['overage'])} used beyond what there is", WARN)))
    out.lines(held_lines(balance))
    out.lines(label("at limit", words) for words in _at_limit(balance, unit))
    if balance.get("length"):
        out.line(label("window", window_line(balance)))
    elif balance.get("resets_at"):
        out.line(label("resets", day(balance["resets_at"])))
    grants = [grant for grant in balance["grants"] if _counts(grant)]
    out.lines(label("released", _parts(grant["parts"], unit)) for grant in grants if grant.get("parts"))
    if balance.get("crossed"):
        out.line(label("crossed", (", ".join(f"{one}%" for one in balance["crossed"]), WARN)))
    if balance.get("precision") == "hour":
        out.line(label("precision", "by the hour: the single facts of then are not kept any more"))
    if grants:
        out.line()
        alike, told = len({grant["priority"] for grant in grants}) == 1, _apart(balance)
        rows = [_grant(grant, "" if alike else str(grant["priority"]), told=told) for grant in grants]
        table(out, ["left", "of", "priority", "until", "from"], rows, right=(0, 1, 2))


def window_line(balance: Row) -> str:
    """Return what kind of window a balance counts by, and how long it is."""
    from licet.core.words import length_words

    length = length_words(balance["length"])
    if balance["per"] == "rolling":
        return f"rolling {length}"
    ends = f"; this one ends {day(balance['resets_at'])}" if balance.get("resets_at") else ""
    return f"opens at first use, lasts {length}{ends}"


def show_balances(out: Output, answer: Row) -> None:
    """Print every balance of a customer as a table."""
    if not answer["balances"]:
        out.line(f"{answer['customer']} has no balance: nothing it has is counted")
        return
    out.line([(answer["customer"], BOLD), (f"  at {day(answer['at'])}", DIM)])
    rows: list[list[Line]] = [
        [
            balance["feature"],
            balance["holder"],
            number(balance["used"]),
            number(balance["granted"]),
            *(number(balance[name]) if _some(balance.get(name)) else "" for name in ("leased", "written_off")),
            "" if balance["granted"] == UNLIMITED else _remaining(balance),
            balance["unit"] or "",
            _whole_again(balance),
        ]
        for balance in answer["balances"]
    ]
    columns = ["feature", "holder", "used", "of", "leased", "written off", "left", "unit", "resets"]
    table(out, columns, rows, right=(2, 3, 4, 5, 6))


def show_statement(out: Output, answer: Row) -> None:
    """Print all that changed a balance, and how it stood before and after that."""
    opening, closing = answer["opening"], answer["closing"]
    out.line(label("before", f"{number(opening['used'])} used, {left_words(opening['remaining'])}"))
    several = len({draw["grant"] for entry in answer["entries"] for draw in entry.get("draws", ())}) > 1
    rows: list[list[Line]] = [
        [
            day(entry["at"]),
            _WHAT.get(entry["kind"], entry["kind"]),
            _signed(entry.get("change")),
            number(entry["remaining"]),
            _about(entry),
            ", ".join(map(_draw, entry.get("draws", ()))) if several else "",
            (entry["id"], DIM),
        ]
        for entry in answer["entries"]
    ]
    if rows:
        columns = ["at", "what", "change", "left", "about", "drawn", "id"]
        table(out, columns, rows, right=(2, 3))
    out.line(label("after", f"{number(closing['used'])} used, {left_words(closing['remaining'])}"))
    if answer.get("next"):
        out.line(("there is more before that; --limit shows more", DIM))


def _at_limit(balance: Row, unit: str) -> Iterator[Line]:
    """What happens at the limit, and how much may be used beyond it."""
    spend, most = balance.get("spend_limit"), balance.get("overage_limit")
    if balance["at_limit"] == "block":
        yield "block: no more than there is"
    elif balance["at_limit"] == "warn":
        yield "warn: use goes on, and is told as beyond"
    elif most is None:
        yield "overage: use goes on without a bound of the plan"
    else:
        yield f"overage: up to {number(most)}{unit} beyond"
    if spend is not None and balance["at_limit"] == "overage":
        yield f"the customer's spend limit: up to {number(spend)}{unit} beyond"


def _parts(parts: Row, unit: str) -> str:
    """How an allowance is released: what has been, what comes next and when."""
    words = f"{number(parts['released'])} of {number(parts['whole'])}{unit}"
    if not parts.get("next_at"):
        return f"{words}: all there will be until it is whole again"
    return f"{words}, next {number(parts['next_amount'])} on {day(parts['next_at'])}"


def _whole_again(balance: Row) -> str:
    """When a balance is whole again; of a window how long it is."""
    if balance.get("resets_at"):
        return minute(balance["resets_at"])
    if not balance.get("length"):
        return ""
    from licet.core.words import length_words

    length = length_words(balance["length"])
    return f"rolling {length}" if balance["per"] == "rolling" else f"{length} from first use"


def _remaining(balance: Row) -> Line:
    text = str(balance["remaining"])
    if text.startswith("-"):
        return (left_words(text), BAD)
    return number(text) if _some(text) else ("0", BAD)


def _counts(grant: Row) -> bool:
    """Whether a grant is or was anything; of an allowance in whose place another one is nothing remains to be told."""
    return any(_some(value) for value in (grant["amount"], grant["left"], (grant.get("parts") or {}).get("whole", 0)))


def _apart(balance: Row) -> bool:
    """Whether it is known what is left of each grant: in a window, and of a level, only of all together."""
    lefts = [grant["left"] for grant in balance["grants"]]
    if UNLIMITED in (*lefts, balance["remaining"]):
        return True
    left = sum((Decimal(str(one)) for one in lefts), Decimal(0))
    return left - Decimal(str(balance["overage"])) == Decimal(str(balance["remaining"]))


def _grant(grant: Row, priority: str, *, told: bool) -> list[Line]:
    return [
        number(grant["left"]) if told else "",
        number(grant["amount"]),
        priority,
        day(grant["expires_at"]) if grant.get("expires_at") else "—",
        (grant.get("source") or grant["id"]).removeprefix("subscription "),
    ]


def _draw(draw: Row) -> str:
    return f"{number(draw['amount'])} of {draw['grant']}" if draw["grant"] else f"{number(draw['amount'])} beyond"


def _signed(change: Any) -> str:
    """Return a change with its sign; of what has no number nothing."""
    if change is None:
        return ""
    return number(change) if str(change).startswith("-") or not _some(change) else f"+{number(change)}"


def _about(entry: Row) -> str:
    """Return in words what a row of a statement does not say in figures."""
    words = [entry.get("user") or "", lease_words(entry), _cause(entry), _lost(entry), entry.get("note") or ""]
    return ", ".join(one for one in words if one)


def _cause(entry: Row) -> str:
    """What of an allowance or grant: how much it is, until when, and what stayed of it or did not."""
    if entry["kind"] in ("grant", "allowance", "renew", "reset", "part", "change"):
        words = [
            entry.get("cause", "").replace("_", "-"),
            _worth(entry),
            f"{number(entry['kept'])} kept" if entry.get("kept") else "",
            f"until {day(entry['until'])}" if entry.get("until") else "",
        ]
    else:
        ends = entry.get("until")
        words = [f"until {day(ends)}" if ends else "", "beyond what was reserved" if entry.get("exceeds") else ""]
    lost = entry.get("forfeited")
    return ", ".join(one for one in (*words, f"{number(lost)} forfeited" if lost else "") if one)


def _worth(entry: Row) -> str:
    """What an allowance or grant is worth from then on, where its change does not say that already."""
    amount = entry.get("amount")
    if amount is None or amount == entry.get("change"):
        return ""
    ways = {"renew": " again", "reset": " again", "part": " released", "change": " now"}
    return number(amount) + ways.get(entry["kind"], "")


def table(out: Output, columns: Sequence[str], rows: Sequence[Sequence[Line]], right: Sequence[int]) -> None:
    """Print a table without the columns that are empty in every row."""
    kept = [place for place in range(len(columns)) if any(plain(row[place]) for row in rows)]
    shown = [[row[place] for place in kept] for row in rows]
    out.table([columns[place] for place in kept], shown, right=[kept.index(one) for one in right if one in kept])


def _lost(entry: Row) -> str:
    """What was given back and came back to nothing."""
    back, change = entry.get("amount"), entry.get("change")
    if entry["kind"] not in _GIVES_BACK or change is None or not str(back).startswith("-"):
        return ""
    whole, came = Decimal(str(back)), Decimal(str(change))
    return f"{number(-whole - came)} came back to nothing: what it was drawn from is over" if came < -whole else ""


def minute(text: str) -> str:
    """Return an instant as :func:`day` does, without its seconds."""
    told = day(text)
    return f"{told[:16]} UTC" if told.endswith("UTC") else told


def _some(value: Any) -> bool:
    return any(digit in "123456789" for digit in str(value))
