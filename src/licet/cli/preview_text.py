"""What a change would do to live customers, in words for a terminal of 80 columns."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from licet.cli.output import BAD, BOLD, DIM, GOOD, WARN, Line, Output
from licet.cli.subscription_text import right_lines
from licet.cli.words import day, number, wrapped

_COLUMNS: Final = 80
_MOST_FEATURES: Final = 20
_MOST_GROUPS: Final = 8
_MOST_RIGHTS: Final = 12
_KINDS: Final = (
    ("gain", GOOD),
    ("loss", BAD),
    ("more", GOOD),
    ("less", BAD),
    ("changed", WARN),
    ("exceeded", BAD),
    ("later", BAD),
)
_NAMES: Final = {"gain": "get it", "loss": "lose it"}

View = Mapping[str, Any]


def show_preview(view: View, out: Output) -> None:
    """Print how many customers gain or lose, which features, and what happens to whom."""
    summary = view["summary"]
    if summary is None:
        out.line([("unfinished", BAD), f"  {number(view['done'])} of {number(view['total'])} customers were judged"])
        out.line(("  it broke off, and nothing can be released by it: preview again", DIM))
        return
    out.lines(_counts(view, summary))
    if not summary["affected"]:
        return
    out.line()
    _features(summary["features"], out)
    titles = {one["feature"]: one["title"] for one in summary["features"]}
    out.lines(_groups(summary, titles, out.width))


def customer_lines(row: View, titles: Mapping[str, str], width: int | None) -> list[Line]:
    """Return what happens to one customer."""
    told = [one["words"] for one in row.get("exceeded", ())]
    named = {one["feature"] for one in row.get("exceeded", ())}
    told += [_beyond(titles.get(one, one)) for one in row.get("exceeding", ()) if one not in named]
    return [(row["customer"], BOLD), *_what(row, told, width)]


def customers_word(count: int) -> str:
    """Return ``1 customer`` or ``12,000 customers``."""
    return f"{number(count)} customer{'' if count == 1 else 's'}"


def _counts(view: View, summary: View) -> list[Line]:
    """The numbers, one below the other."""
    total = summary["customers"]
    moving = view["kind"] == "move"
    which = ", each at the instant of its move" if moving else f" with terms, as of {day(view['at'])}"
    head: Line = [(f"On {customers_word(total)}", BOLD), which]
    if not total:
        nobody = "nobody would be moved" if moving else "nobody has terms yet"
        return [f"{nobody}, so that nobody gains or loses anything"]
    if not summary["affected"]:
        return [head, [f"  {number(total)}  ", ("nobody gains or loses anything", GOOD)]]
    rows: list[tuple[int, str, str]] = [
        (total - summary["affected"], "keep exactly what they have", ""),
        (summary["gaining"], "gain", GOOD),
    ]
    rows = [*(row for row in rows if row[0]), (summary["losing"], "lose", BAD)]
    if summary["exceeding"]:
        rows.append((summary["exceeding"], "  of them use more than would be allowed", BAD))
    if summary["breaking"]:
        rows.append((summary["breaking"], "  of them would hold what may not be held together", BAD))
    wide = max(len(number(count)) for count, _, _ in rows)
    lines: list[Line] = [head]
    for count, words, style in rows:
        lines.append([f"  {number(count):>{wide}}  ", (words, style if count else "")])
    return lines


def _features(features: Sequence[View], out: Output) -> None:
    """The table of features that move; kinds of change that nobody meets have no column."""
    if not features:
        return
    kinds = [(kind, style) for kind, style in _KINDS if any(one.get(kind) for one in features)]
    columns = ["feature", *(_NAMES.get(kind, kind) for kind, _ in kinds)]
    rows: list[list[Line]] = [
        [one["title"], *((number(one[kind]), style) if one.get(kind) else ("·", DIM) for kind, style in kinds)]
        for one in features[:_MOST_FEATURES]
    ]
    out.table(columns, rows, right=range(1, len(columns)))
    if len(features) > _MOST_FEATURES:
        out.line((f"and {len(features) - _MOST_FEATURES} more features; --json has them all", DIM))


def _groups(summary: View, titles: Mapping[str, str], width: int | None) -> list[Line]:
    """Customers to whom the same happens, those who lose something first."""
    groups = sorted(summary["groups"], key=lambda one: (not _loses(one), -one["customers"], one["number"]))
    lines: list[Line] = []
    for group in groups[:_MOST_GROUPS]:
        named, count = group["examples"], group["customers"]
        such = ", ".join(named) + (" …" if count > len(named) else "")
        lines += ["", *_head(customers_word(count), such, width)]
        lines += _what(group, [_beyond(titles.get(one, one)) for one in group.get("exceeding", ())], width)
    shown = sum(group["customers"] for group in groups[:_MOST_GROUPS])
    if shown < summary["affected"]:
        others = customers_word(summary["affected"] - shown)
        lines += ["", (f"and {others} to whom other things happen; --customers lists them", DIM)]
    return lines


def _head(count: str, such: str, width: int | None) -> list[Line]:
    """Return ``12 customers  acme, globex …``, the ids below where they do not fit."""
    columns = min(width or _COLUMNS, _COLUMNS)
    if len(count) + 2 + len(such) <= columns:
        return [[(count, BOLD), "  ", (such, DIM)]]
    return [(count, BOLD), *((line, DIM) for line in wrapped(such, columns, "  ", "  "))]


def _what(impact: View, beyond: Sequence[str], width: int | None) -> list[Line]:
    """What happens to one customer or one group: rights, uses beyond a limit, rules that break."""
    columns = min(width or _COLUMNS, _COLUMNS)
    changes = sorted(impact.get("changes", ()), key=lambda one: one["kind"] not in ("loss", "less"))
    lines: list[Line] = []
    for one in changes[:_MOST_RIGHTS]:
        lines.extend(right_lines(one, columns))
        if one["feature"] in impact.get("narrowed", ()):
            lines.append(("      worth less than before", BAD))
    if len(changes) > _MOST_RIGHTS:
        lines.append((f"    and {len(changes) - _MOST_RIGHTS} more rights", DIM))
    hidden = impact.get("later", ())
    for one in hidden[:_MOST_RIGHTS]:
        words = f"later: {one['title']}: {one['was']} → {one['becomes']}"
        lines.extend((line, BAD) for line in wrapped(words, columns, "  − ", "      "))
    if len(hidden) > _MOST_RIGHTS:
        lines.append((f"    and {len(hidden) - _MOST_RIGHTS} more rights later", DIM))
    for words in (*beyond, *impact.get("breaking", ())):
        lines.extend((line, BAD) for line in wrapped(words, columns, "  ! ", "    "))
    return lines


def _loses(group: View) -> bool:
    if any(group.get(why) for why in ("exceeding", "breaking", "narrowed", "later")):
        return True
    return any(one["kind"] in ("loss", "less") for one in group.get("changes", ()))


def _beyond(title: str) -> str:
    return f"{title}: more is used than would be allowed"
