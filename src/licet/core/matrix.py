"""The feature matrix: what each plan and add-on that is sold at an instant gives, in words for customers or support."""

from typing import Literal, TypeVar

from msgspec import Struct

from licet.core.catalog import Catalog, Credits, Feature, Include, Includes, IncludeShort, Limit, Metered, Part
from licet.core.instant import Instant, format_instant
from licet.core.offer import (
    UNLIMITED,
    addon_versions,
    feature_type,
    version_includes,
    version_on_sale,
)
from licet.core.wording import NOTHING, condition_words, feature_unit, include_words, part_title

P = TypeVar("P", bound=Part)
Audience = Literal["customer", "support"]
Group = Literal["core", "addon", "partner", "unsold"]
GROUP_TITLES: dict[Group, str] = {
    "core": "In the plans",
    "addon": "With add-ons",
    "partner": "Integrations of partners",
    "unsold": "Not sold at this time",
}


class Column(Struct, frozen=True, kw_only=True):
    """One plan version or add-on version that is sold."""

    kind: Literal["plan", "addon"]
    id: str
    version: str
    title: str
    description: str = ""


class Row(Struct, frozen=True, kw_only=True):
    """One feature and what each column gives of it, in the order of the columns; ``–`` for nothing."""

    feature: str
    group: Group
    type: str
    title: str
    description: str
    unit: str
    """What its amounts are counted in, in the plural; empty where nothing is counted."""
    notes: str
    """Where and when it holds; for support also its mode, its condition, who decides and what to know."""
    cells: tuple[str, ...]


class Matrix(Struct, frozen=True, kw_only=True):
    """What is sold at an instant, for an audience. Rows stand by group, rank and id."""

    at: Instant
    audience: Audience
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def feature_matrix(catalog: Catalog, at: Instant, audience: Audience = "customer") -> Matrix:
    """Return the matrix of a sound catalog at an instant (UTC microseconds).

    Columns are the one version of each plan and add-on that is sold then. Customers see neither conditions of the
    language nor modes, nor features that nothing sold includes; support sees all of it.
    """
    sold = _sold(catalog, at)
    shown = [
        _row(catalog, feature_id, sold, audience)
        for feature_id, feature in sorted(catalog.features.items(), key=lambda entry: (entry[1].rank, entry[0]))
    ]
    if audience == "customer":
        shown = [row for row in shown if row.group != "unsold"]
    order = list(GROUP_TITLES)
    rows = sorted(shown, key=lambda row: order.index(row.group))
    return Matrix(at=at, audience=audience, columns=tuple(column for column, _ in sold), rows=tuple(rows))


def _sold(catalog: Catalog, at: Instant) -> list[tuple[Column, Includes]]:
    """Return what is sold at an instant with what it includes: plans, then add-ons, each by rank and id."""
    sold: list[tuple[Column, Includes]] = []
    for key, plan in _ranked(catalog.plans):
        version_id = version_on_sale(plan, at)
        if version_id is not None:
            version = plan.versions[version_id]
            sold.append((_column("plan", key, version_id, (plan, version)), version.includes))
    for key, addon in _ranked(catalog.addons):
        version_id = version_on_sale(addon, at)
        if version_id is not None:
            extra = addon_versions(addon)[version_id]
            sold.append((_column("addon", key, version_id, (addon, extra)), extra.includes))
    return sold


def _ranked(parts: dict[str, P]) -> list[tuple[str, P]]:
    return sorted(parts.items(), key=lambda entry: (entry[1].rank, entry[0]))


def _column(kind: Literal["plan", "addon"], key: str, version: str, parts: tuple[Part, Part]) -> Column:
    """Return a column; a version's own title and description come before those of its plan or add-on."""
    outer, inner = parts
    return Column(
        kind=kind,
        id=key,
        version=version,
        title=inner.title or part_title(key, outer.title),
        description=outer.description,
    )


def _row(catalog: Catalog, feature_id: str, sold: list[tuple[Column, Includes]], audience: Audience) -> Row:
    feature = catalog.features[feature_id]
    unit = feature_unit(catalog, feature)
    cells = tuple(_on_top(feature, column, _cell(catalog, feature_id, includes, audience)) for column, includes in sold)
    giving = [column for (column, _), cell in zip(sold, cells, strict=True) if cell != NOTHING]
    notes = [condition_words(feature)]
    if audience == "support":
        notes += [
            "" if feature.mode == "enforce" else f"mode {feature.mode}",
            "" if feature.when is None else f"when {feature.when}",
            "decided locally" if isinstance(feature, Metered | Credits) and feature.decide == "local" else "",
            feature.support_text,
        ]
    return Row(
        feature=feature_id,
        group=_group(catalog, giving),
        type=feature_type(feature),
        title=part_title(feature_id, feature.title),
        description=feature.description,
        unit="" if unit is None else unit.many,
        notes="; ".join(note for note in notes if note),
        cells=cells,
    )


def _on_top(feature: Feature, column: Column, words: str) -> str:
    """Return an add-on's amount with a plus where it adds up with the plan's."""
    adds = isinstance(feature, Metered | Credits) or (isinstance(feature, Limit) and feature.merge == "sum")
    return f"+{words}" if adds and column.kind == "addon" and words[:1].isdigit() else words


def _group(catalog: Catalog, giving: list[Column]) -> Group:
    """Return whether plans give a feature (core), only add-ons, only integrations of partners, or nothing sold."""
    if not giving:
        return "unsold"
    if any(column.kind == "plan" for column in giving):
        return "core"
    return "partner" if all(catalog.addons[column.id].partner for column in giving) else "addon"


def _cell(catalog: Catalog, feature_id: str, includes: Includes, audience: Audience) -> str:
    """Return what one column gives of a feature."""
    given: IncludeShort | Include | None = includes.get(feature_id)
    if given is None:
        return NOTHING
    words = include_words(catalog, feature_id, given)
    if words == NOTHING or not isinstance(given, Include):
        return _for_support(catalog, feature_id, includes, words) if audience == "support" else words
    where = condition_words(given)
    words = f"{words} ({where})" if where else words
    if audience == "customer":
        return words
    words = f"{words}, when {given.when}" if given.when is not None else words
    return _for_support(catalog, feature_id, includes, words)


def _for_support(catalog: Catalog, feature_id: str, includes: Includes, words: str) -> str:
    """Return the words with what happens at the limit, which support is asked about."""
    include = version_includes(catalog, includes).get(feature_id)
    if include is None or include.at_limit in (None, "overage") or include.amount == UNLIMITED:
        return words
    return f"{words}, {'blocked' if include.at_limit == 'block' else 'only warned'} beyond"


def render_markdown(matrix: Matrix) -> str:
    """Return a matrix as Markdown: one table for each group of features, titles of columns with their versions."""
    audience = "customers" if matrix.audience == "customer" else "support"
    lines = [f"# Feature matrix for {audience}", "", f"As sold at {format_instant(matrix.at)}.", ""]
    if not matrix.columns or not matrix.rows:
        return "\n".join([*lines, "Nothing is sold at this time.", ""])
    for group, title in GROUP_TITLES.items():
        rows = [row for row in matrix.rows if row.group == group]
        if rows:
            lines += [f"## {title}", "", *_table(matrix, rows, group), ""]
    return "\n".join(lines)


def _table(matrix: Matrix, rows: list[Row], group: Group) -> list[str]:
    """Return one table. Left out are add-ons that give none of its rows and, beyond the plans' own table, plans too."""
    places = [
        place
        for place, column in enumerate(matrix.columns)
        if (group == "core" and column.kind == "plan") or any(row.cells[place] != NOTHING for row in rows)
    ]
    head = ["", *(_column_head(matrix.columns[place]) for place in places)]
    body = [[_row_head(row), *(row.cells[place] for place in places)] for row in rows]
    return [_line(cells) for cells in (head, ["---"] * len(head), *body)]


def _column_head(column: Column) -> str:
    return f"**{column.title}** ({column.version})" if column.kind == "plan" else f"+ **{column.title}**"


def _row_head(row: Row) -> str:
    described = f": {row.description}" if row.description else ""
    notes = f" *{row.notes}*" if row.notes else ""
    return f"**{row.title}**{described}{notes}"


def _line(cells: list[str]) -> str:
    """Return a row of a table; what would break the table is escaped."""
    escaped = (cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ") for cell in cells)
    return "| " + " | ".join(escaped) + " |"
