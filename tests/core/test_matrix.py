"""The feature matrix: which columns and rows, and in which words for whom."""

from pathlib import Path

import pytest
from hypothesis import given, settings

from licet.core.catalog import Catalog, Include, IncludeShort
from licet.core.instant import Instant, parse_instant
from licet.core.matrix import Matrix, feature_matrix, render_markdown
from licet.core.wording import include_words
from licet.wire.catalog_text import read_catalog
from tests.dose import dose
from tests.wire.sound_catalogs import sound_catalogs

EXAMPLE = read_catalog((Path(__file__).parents[2] / "examples" / "meridian" / "catalog.yaml").read_bytes())
JULY = parse_instant("2026-07-01T00:00:00Z")


def cells(matrix: Matrix, feature: str) -> dict[str, str]:
    """Return one row's cells by the id of their column."""
    row = next(row for row in matrix.rows if row.feature == feature)
    return {column.id: cell for column, cell in zip(matrix.columns, row.cells, strict=True)}


def test_columns_are_what_is_sold_at_the_instant() -> None:
    """A new version takes the column at its first instant, not a microsecond earlier; before all, there is none."""
    versions = [
        {column.id: column.version for column in feature_matrix(EXAMPLE, at).columns} for at in (JULY - 1, JULY)
    ]
    assert versions[0]["team"] == "2026-01"
    assert versions[1]["team"] == "2026-07"
    assert list(versions[1]) == [
        "free",
        "team",
        "business",
        "enterprise",
        "api_boost",
        "ai_pack",
        "salesforce_sync",
        "dark_site",
    ]
    early = feature_matrix(EXAMPLE, parse_instant("2025-12-31"))
    assert {column.kind for column in early.columns} == {"addon"}


@pytest.mark.parametrize(
    ("feature", "column", "words"),
    [
        ("projects", "free", "3 projects"),
        ("projects", "enterprise", "Unlimited"),
        ("projects", "api_boost", "–"),
        ("data_sources", "free", "1 data source"),
        ("data_sources", "salesforce_sync", "+1 data source"),
        ("storage", "free", "0.5 GB"),
        ("api_calls", "team", "100,000 API calls per month"),
        ("api_calls", "business", "1,000,000 API calls per month, more is billed by use"),
        ("api_calls", "api_boost", "+500,000 API calls per month"),
        ("ai", "team", "800 AI credits per month, up to 400 kept"),
        ("ai", "business", "100 AI credits per month for each editor"),
        ("sso", "business", "Included"),
        ("sso", "team", "–"),
        ("data_retention", "free", "30 days"),
        ("desktop", "team", "2 desktop places"),
    ],
)
def test_cells_speak_plain_words(feature: str, column: str, words: str) -> None:
    """Amounts have separators, units in the right number, their recurrence and what happens beyond them."""
    assert cells(feature_matrix(EXAMPLE, JULY), feature)[column] == words


def test_core_addons_and_partners_are_apart() -> None:
    """What plans give is core; what only add-ons give stands apart, and integrations of partners on their own."""
    groups = {row.feature: row.group for row in feature_matrix(EXAMPLE, JULY).rows}
    assert groups["projects"] == "core"
    assert groups["offline_updates"] == "addon"
    assert groups["salesforce_sync"] == "partner"


def test_customers_see_no_internal_rules() -> None:
    """Conditions, modes and notes for support are in support's matrix and nowhere in the customers'."""
    customer = render_markdown(feature_matrix(EXAMPLE, JULY))
    support = render_markdown(feature_matrix(EXAMPLE, JULY, "support"))
    for inside in ("user.roles", "customer.country", "mode observe", "Export-controlled", "blocked beyond"):
        assert inside in support
        assert inside not in customer
    assert "*on the desktop only*" in customer
    assert "*Mon–Fri 08:00–18:00*" in customer


def test_what_is_not_sold_is_for_support_only() -> None:
    """Before any plan is sold, support still sees every feature, customers only what add-ons give."""
    early: Instant = parse_instant("2025-01-01")
    assert {row.feature for row in feature_matrix(EXAMPLE, early, "support").rows} == set(EXAMPLE.features)
    assert "sso" not in {row.feature for row in feature_matrix(EXAMPLE, early).rows}


def test_markdown_survives_hostile_titles() -> None:
    """Pipes and line breaks in texts do not break the table."""
    text = (
        'version: 1\nproducts: {a: {}}\nfeatures: {x: {type: switch, title: "a | b", description: "one\\ntwo"}}\n'
        "plans: {p: {product: a, versions: {2026-01: {includes: {x: true}}}}}\n"
    )
    page = render_markdown(feature_matrix(read_catalog(text), JULY))
    assert "| **a \\| b**: one two | Included |" in page.splitlines()
    nothing = render_markdown(feature_matrix(read_catalog(text), parse_instant("2020-01-01")))
    assert "Nothing is sold at this time." in nothing


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (Include(amount=1), "1 API call per month"),
        (Include(amount=1, per="lifetime"), "1 API call"),
        (Include(amount=2, per="period"), "2 API calls per billing period"),
        (Include(amount=5, rollover=None, at_limit="warn"), "5 API calls per month"),
        (Include(on=False), "–"),
        (True, "1,000 API calls per month"),
        ("unlimited", "Unlimited"),
    ],
)
def test_words_for_allowances(given: IncludeShort | Include, words: str) -> None:
    """Each way to write an allowance has its words."""
    assert include_words(EXAMPLE, "api_calls", given) == words


@settings(max_examples=dose(60), deadline=None)
@given(sound_catalogs())
def test_every_catalog_has_a_matrix(catalog: Catalog) -> None:
    """For any sound catalog each row has a cell for each column, and each table line as many cells as its head."""
    matrix = feature_matrix(catalog, JULY, "support")
    assert all(len(row.cells) == len(matrix.columns) for row in matrix.rows)
    assert {row.feature for row in matrix.rows} == set(catalog.features)
    page = render_markdown(matrix)
    tables = [block.split("\n") for block in page.rstrip("\n").split("\n\n") if block.startswith("|")]
    for table in tables:
        assert len({line.replace("\\\\", "").replace("\\|", "").count("|") for line in table}) == 1
