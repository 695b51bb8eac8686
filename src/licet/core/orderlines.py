"""From order lines to items: what was sold, now and at the scheduled instants, and which version was on sale."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from msgspec import structs

from licet.core.compiled import CompiledCatalog, ItemKind
from licet.core.instant import to_instant
from licet.core.money import Money
from licet.core.offer import is_over, is_withdrawn, version_on_sale
from licet.core.orders import (
    Evidence,
    FindingDraft,
    OrderDocument,
    OrderLine,
    Resolved,
    ScheduledLines,
    ScheduleNotice,
    name_parts,
)


class Drafting:
    """The findings of one placement, all about one foreign subscription of one customer."""

    def __init__(self, source: str, external_id: str, *, silent: bool = False, customer: str | None = None) -> None:
        self.silent = silent
        """Nobody will read them."""
        self.customer = customer
        self.subject = ":".join(name_parts(source, external_id))
        self.findings: list[FindingDraft] = []

    def add(self, kind: str, words: str, *, about: str = "", money: Money | None = None, **evidence: Evidence) -> None:
        """Note a finding of medium severity, once for each thing it is about; ``money`` is what is at stake."""
        subject = f"{self.subject}/{about}" if about else self.subject
        if any((one.kind, one.subject) == (kind, subject) for one in self.findings):
            return
        self.findings.append(
            FindingDraft(
                kind=kind,
                severity="medium",
                subject=subject,
                words=words,
                evidence=dict(evidence),
                customer=self.customer,
                money=money,
            )
        )


Sellers = Mapping[tuple[str, str, str | None], CompiledCatalog]
"""By the name of an item, the catalog whose offers say which version of it was on sale."""


def read_lines(
    catalog: CompiledCatalog, order: OrderDocument, drafting: Drafting, sellers: Sellers | None = None
) -> tuple[Resolved, ...]:
    """Return the items that the lines mean, bundles expanded, then those of each scheduled instant (``from_``).

    A line that means nothing here becomes a finding. An item that ``sellers`` name is dated by that catalog instead of
    ``catalog``; all are dated by ``occurred_at``, when they were agreed on, unless the line says when it was bought.
    """
    reading = _Reading(catalog, order.source, order.occurred_at, drafting, sellers or {})
    now = reading.items(order.lines, None)
    return (*now, *reading.scheduled(order.scheduled))


def read_schedule(catalog: CompiledCatalog, notice: ScheduleNotice, drafting: Drafting) -> tuple[Resolved, ...]:
    """Return the items of each planned phase, as ``read_lines`` does for an order."""
    return _Reading(catalog, notice.source, notice.occurred_at, drafting, {}).scheduled(notice.phases)


class _Reading(NamedTuple):
    """What is the same for all lines of one message."""

    catalog: CompiledCatalog
    source: str
    occurred_at: datetime
    drafting: Drafting
    sellers: Sellers

    def scheduled(self, phases: Iterable[ScheduledLines]) -> tuple[Resolved, ...]:
        """The items of all phases, each with the instant from which it is meant."""
        return tuple(item for phase in phases for item in self.items(phase.lines, phase.effective_at))

    def items(self, lines: Iterable[OrderLine], begins: datetime | None) -> tuple[Resolved, ...]:
        """The items of some lines."""
        found: list[Resolved] = []
        for line in lines:
            said = [name for name in (line.price, line.plan, line.addon, line.bundle) if name is not None]
            if len(said) != 1:
                words = f"a line names {len(said)} of price, plan, addon, bundle; exactly one is allowed"
                self.drafting.add("unclear_line", words, about=line.line or "", money=line.money, named=said)
                continue
            for item in _line_items(self.catalog, self.source, line, self.drafting):
                known = structs.replace(item, stated=_stated(self.catalog, item, self.drafting), from_=begins)
                seller = self.sellers.get(item.name, self.catalog)
                found.append(_sold(seller, known, line.bought_at or self.occurred_at))
        return tuple(found)


def _line_items(catalog: CompiledCatalog, source: str, line: OrderLine, drafting: Drafting) -> list[Resolved]:
    """The items of one line, not yet dated."""
    plan, addon, bundle, version, counted = line.plan, line.addon, line.bundle, line.version, line.quantity_of
    if line.price is not None:
        sold = catalog.document.orders.get(source, {}).get(line.price)
        if sold is None:
            words = f"price {line.price} means nothing here; add it to orders.{source} in the catalog"
            drafting.add("unknown_price", words, about=line.price, money=line.money, price=line.price, line=line.line)
            return []
        plan, addon, bundle = sold.plan, sold.addon, sold.bundle
        version, counted = version or sold.version, counted or sold.quantity
    document = catalog.document
    kinds: list[tuple[ItemKind, str]] = []
    of_bundle = None
    if plan is not None and plan in document.plans:
        kinds = [("plan", plan)]
    elif addon is not None and addon in document.addons:
        kinds = [("addon", addon)]
    elif bundle is not None and bundle in document.bundles:
        parts = document.bundles[bundle]
        kinds = [("plan", parts.plan), *(("addon", one) for one in parts.addons)]
        version, of_bundle = None, bundle
    else:
        name = plan or addon or bundle or ""
        words = f"{name} is no plan, add-on or bundle of the catalog; correct the line or add it"
        drafting.add("unknown_item", words, about=name, money=line.money, item=name, line=line.line)
    return [
        Resolved(
            kind=kind,
            id=one,
            stated=version,
            sold="",
            revision=catalog.revision,
            quantity=line.quantity,
            quantity_of=counted,
            bundle=of_bundle,
            line=line.line,
        )
        for kind, one in kinds
    ]


def _stated(catalog: CompiledCatalog, item: Resolved, drafting: Drafting) -> str | None:
    """The version that is stated, if the catalog has it."""
    if item.stated is None or (item.kind, item.id, item.stated) in catalog.versions:
        return item.stated
    words = f"{item.id}@{item.stated} is not in the catalog; the version on sale at the time was taken"
    drafting.add("unknown_version", words, about=f"{item.id}@{item.stated}", item=item.id, version=item.stated)
    return None


def _sold(catalog: CompiledCatalog, item: Resolved, bought_at: datetime) -> Resolved:
    """The item with the version on sale when it was bought.

    Before all sale that is the first one, after everything was withdrawn the one last on sale.
    """
    at = to_instant(bought_at)
    part = catalog.offered(item.kind, item.id)
    sold = None if part is None else version_on_sale(part, at)
    over = part is not None and is_over(part, at)
    withdrawn = over if item.stated is None else part is not None and is_withdrawn(part, item.stated, at)
    return structs.replace(
        item,
        sold=sold or catalog.version_at(item.kind, item.id, at) or "",
        revision=catalog.revision,
        before_sale=sold is None and not over,
        after_sale=withdrawn,
    )
