"""Withdrawn from sale: what is sold instead, what a purchase gets all the same, and that nobody who has it notices."""

from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from licet.core.catalog import Catalog
from licet.core.catalog_diff import diff_catalogs
from licet.core.catalog_release import check_release
from licet.core.compiled import CompiledCatalog, compile_catalog
from licet.core.instant import parse_instant
from licet.core.matrix import feature_matrix
from licet.core.offer import is_over, is_withdrawn, sales_of, then_of, version_bought, version_on_sale
from licet.core.orders import OrderDocument, Placement
from licet.core.placement import place_order
from licet.core.terms import Item, Terms
from licet.wire.catalog_text import CatalogTextError, read_catalog
from tests.wire.small import SMALL

FREE = "      2026-01: {includes: {projects: 1, tier: true}}\n"


def catalog(*edits: tuple[str, str]) -> Catalog:
    """Return the small catalog with texts replaced."""
    text = SMALL
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return read_catalog(text)


def team(july: str = "", january: str = "") -> Catalog:
    """Return the small catalog with the end of sale of Team's two versions."""
    edits = []
    if july:
        edits.append(("      2026-07: {", f"      2026-07: {{sold_until: {july}, "))
    if january:
        edits.append(("        trial: P14D\n", f"        trial: P14D\n        sold_until: {january}\n"))
    return catalog(*edits)


@pytest.mark.parametrize(
    ("ends", "at", "told"),
    [
        (("2026-08-01", ""), "2026-07-31T23:59:59.999999Z", ("2026-07", "2026-07", False)),
        (("2026-08-01", ""), "2026-08-01", ("2026-01", "2026-01", False)),
        (("2026-08-01", "2026-06-01"), "2026-06-15", (None, "2026-01", True)),
        (("2026-08-01", "2026-06-01"), "2026-07-15", ("2026-07", "2026-07", False)),
        (("2026-08-01", "2026-06-01"), "2026-08-01", (None, "2026-07", True)),
        (("2026-08-01", "2026-09-01"), "2026-08-15", ("2026-01", "2026-01", False)),
        (("2026-08-01", "2026-09-01"), "2026-10-01", (None, "2026-01", True)),
        (("2026-07-01", ""), "2026-07-15", ("2026-01", "2026-01", False)),
        (("2026-07-01", "2026-01-01"), "2026-08-01", (None, "2026-01", False)),
        (("", "2026-01-01"), "2026-02-01", (None, "2026-07", False)),
        (("", "2026-02-01"), "2025-06-01", (None, "2026-01", False)),
    ],
)
def test_what_is_on_sale_and_what_is_bought(ends: tuple[str, str], at: str, told: tuple[str | None, str, bool]) -> None:
    """Until the end exactly it is sold; then the one before; with none on sale a purchase gets what was sold last."""
    plan, instant = team(*ends).plans["team"], parse_instant(at)
    assert (version_on_sale(plan, instant), version_bought(plan, instant), is_over(plan, instant)) == told


def test_an_addon_is_withdrawn_in_its_long_form() -> None:
    """An add-on's only version is withdrawn by writing it as version 1, which is otherwise the same add-on."""
    long = "more: {requires: [team], maximum: 3, versions: {1: {sold_until: 2026-08-01, includes: {projects: 50}}}}"
    ended = catalog(("more: {requires: [team], maximum: 3, includes: {projects: 50}}", long))
    more, august = ended.addons["more"], parse_instant("2026-08-01")
    assert [sale.version for sale in sales_of(more)] == ["1"]
    assert (version_on_sale(more, august - 1), version_on_sale(more, august)) == ("1", None)
    assert (version_bought(more, august), is_withdrawn(more, "1", august)) == ("1", True)
    assert check_release(catalog(), ended) == check_release(ended, catalog()) == []


def test_a_withdrawal_is_free_and_says_what_is_sold_instead() -> None:
    """Set, moved or cleared, it is allowed by every release, moves no rights, and is told with what is sold then."""
    steps = [
        team(),
        team("2026-08-01"),
        team("2026-09-01"),
        team("2026-07-01"),
        team("2026-08-01", "2026-02-01"),
        team(),
    ]
    told = []
    for one, other in pairwise(steps):
        assert check_release(one, other) == []
        told += [(change.effect, change.sentence) for change in diff_catalogs(one, other)]
    then = "from then on team@2026-01 is. Who has it keeps it."
    none = "from then on no version of plan team is. Who has it keeps it."
    assert told == [
        ("new_purchases", f"team@2026-07 is sold only until 2026-08-01T00:00:00Z; {then}"),
        ("new_purchases", f"team@2026-07 is sold only until 2026-09-01T00:00:00Z; {then}"),
        ("new_purchases", "team@2026-07 is never sold."),
        ("new_purchases", f"team@2026-01 is sold only until 2026-02-01T00:00:00Z; {none}"),
        ("new_purchases", f"team@2026-07 is sold only until 2026-08-01T00:00:00Z; {none}"),
        ("new_purchases", "team@2026-01 is sold without an end."),
        ("new_purchases", "team@2026-07 is sold without an end."),
    ]


def test_an_end_before_the_beginning_is_refused() -> None:
    """What is withdrawn before it begins is a mistake; at the very beginning it is never sold."""
    with pytest.raises(CatalogTextError) as refused:
        team("2026-06-30")
    assert str(refused.value).endswith(
        "plans.team.versions.2026-07.sold_until: it begins to be sold at 2026-07-01T00:00:00Z, later; "
        "write that for a version that is never sold"
    )
    assert team("2026-07-01").plans["team"].versions["2026-07"].sold_until is not None


def test_where_trials_fall_does_not_move() -> None:
    """A withdrawn version of Free stays what follows the trial of a plan that meant it."""
    ended = catalog((FREE, FREE.replace("{includes", "{sold_until: 2026-02-01, includes")))
    begins = parse_instant("2026-01-01")
    version = ended.plans["team"].versions["2026-01"]
    assert then_of(ended, version, begins) == then_of(catalog(), version, begins) == ("free", "2026-01")
    assert check_release(catalog(), ended) == []


def test_the_matrix_has_what_is_sold() -> None:
    """A withdrawn version stands in no matrix from its end on; the one sold instead does, and no plan where none is."""
    ended, august = team("2026-08-01", "2026-09-01"), parse_instant("2026-08-01")
    columns = [
        [f"{one.id}@{one.version}" for one in feature_matrix(ended, at).columns if one.id == "team"]
        for at in (august - 1, august, parse_instant("2026-09-01"))
    ]
    assert columns == [["team@2026-07"], ["team@2026-01"], []]


def test_a_price_may_count_what_only_the_version_sold_instead_has() -> None:
    """What a price counts is asked of the version sold in the end, and of those that are sold until an instant."""
    new = "      2026-09: {includes: {}}\n      2026-07: {"
    with pytest.raises(CatalogTextError, match='team@2026-09 does not include "editor"'):
        catalog(("      2026-07: {", new))
    ended = catalog(("      2026-07: {", new.replace("{includes", "{sold_until: 2026-10-01, includes")))
    assert version_on_sale(ended.plans["team"], parse_instant("2026-10-01")) == "2026-07"


def ready(document: Catalog) -> CompiledCatalog:
    """Return a catalog ready to place orders."""
    return compile_catalog(document, 1, ZoneInfo, ZoneInfo("UTC"))


def place(document: Catalog, terms: Terms, when: str, line: dict[str, Any]) -> Placement:
    """Place an order of the shop for its subscription s1."""
    order = {
        "source": "shop",
        "external_id": "s1",
        "customer": {"external_id": "cus_1"},
        "occurred_at": when,
        "lines": [line],
    }
    found = msgspec.convert(order, OrderDocument)
    return place_order(ready(document), terms, found, subscription_id="sub_1", event="ord_1")


def item(placement: Placement) -> Item:
    """The one item after a placement."""
    (found,) = placement.terms.subscriptions[0].phases[-1].items
    return found


EMPTY = Terms(customer="acme")


def test_a_named_version_past_its_end_is_given_and_told() -> None:
    """A foreign order that names a withdrawn version gets it with a finding; dated before the end, without one."""
    ended = team("2026-08-01")
    line = {"plan": "team", "version": "2026-07"}
    late = place(ended, EMPTY, "2026-08-01T00:00:00Z", line)
    assert (late.outcome, item(late).version) == ("applied", "2026-07")
    assert [(one.kind, one.subject) for one in late.findings] == [("bought_after_sale", "shop:s1/team@2026-07")]
    assert place(ended, EMPTY, "2026-07-31T23:59:59Z", line).findings == ()


def test_without_a_name_the_version_on_sale_is_bought() -> None:
    """After the end the version before is sold, without a finding; with nothing on sale the one sold last, with one."""
    again = place(team("2026-08-01"), EMPTY, "2026-08-02T00:00:00Z", {"plan": "team"})
    assert (item(again).version, again.findings) == ("2026-01", ())
    over = place(team("2026-08-01", "2026-02-01"), EMPTY, "2026-08-02T00:00:00Z", {"plan": "team"})
    assert (item(over).version, [one.kind for one in over.findings]) == ("2026-07", ["bought_after_sale"])


def test_who_has_it_renews_it_in_silence() -> None:
    """A later order of somebody who holds the withdrawn version keeps it, named or not, without a finding."""
    ended = team("2026-08-01", "2026-02-01")
    first = place(ended, EMPTY, "2026-07-15T00:00:00Z", {"plan": "team", "line": "1"})
    for line in ({"plan": "team", "line": "1"}, {"plan": "team", "version": "2026-07", "line": "1"}):
        renewed = place(ended, first.terms, "2026-09-15T00:00:00Z", {**line, "quantity": 3})
        assert (item(renewed).version, item(renewed).quantity, renewed.findings) == ("2026-07", 3, ())
