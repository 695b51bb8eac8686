"""Usage as it was recorded, shown with quantities in major units: facts, refused requests, sealed segments."""

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from licet.core.compiled import CompiledCatalog
from licet.core.instant import to_datetime
from licet.core.usage.facts import FactKind
from licet.core.views import Number, wire_amount
from licet.services.ports import Storage, View
from licet.services.rows import Page
from licet.services.truth import Catalogs
from licet.services.usage.ports import FactRow, Refused, SegmentRow, UsageFilter


class SourceView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a fact came from: of an event its source, type, id and subject; of a request the key that asked.

    Of a correction also the note that it was given.
    """

    source: str | None = None
    type: str | None = None
    id: str | None = None
    subject: str | None = None
    key: str | None = None
    note: str = ""


class FactView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One recorded fact. It never changes; a correction is another one."""

    serial: int
    """Its place among all facts of the workspace, without gaps."""
    id: str
    """``use_…`` or ``res_…``."""
    kind: FactKind
    at: datetime
    """When it was used."""
    recorded_at: datetime
    customer: str
    user: str | None = None
    team: str | None = None
    asked: dict[str, Number] = {}
    """By feature, as a request asked."""
    metered: dict[str, Number] = {}
    """By meter. Of a ``lease``, as of a reservation, what it set aside; what was used of it is that of each ``return``.
    A ``recovery`` repeats that of its own."""
    burns: dict[str, Number] = {}
    """By feature, what it took from the balance, or gave back."""
    back: dict[str, Number] = {}
    """Of a ``return`` or ``recovery``, by feature: what went back. Its ``burns`` are what its use came to."""
    of: str | None = None
    """The fact that it ends, gives back a part of, or tells of."""
    until: datetime | None = None
    """When a reservation ends by itself; of a ``lease`` when what it was drawn from does."""
    values: dict[str, str] = {}
    """By meter, the value that one that counts different ones counted."""
    dimensions: dict[str, str] = {}
    exceeds: bool = False
    """Whether a settle came to more than was reserved and there was."""
    source: SourceView = SourceView()


class RefusalView(Struct, frozen=True, kw_only=True):
    """A request that was refused, once for each idempotency key."""

    id: str
    customer: str
    feature: str
    user: str | None
    quantity: Number
    reason: str
    refused_at: datetime


class SegmentView(Struct, frozen=True, kw_only=True):
    """Sealed usage: so many facts from a serial on, and the root over them; each also holds the root before it."""

    number: int
    first: int
    count: int
    root: str
    """RFC 9162, hexadecimal."""
    previous: str
    sealed_at: datetime


class ExportLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of an export: a fact, or at the end how many there were."""

    fact: FactView | None = None
    end: Literal["whole"] | None = None
    facts: int | None = None


class Scales:
    """How many decimals the quantities of a catalog have; what it does not know any more has none."""

    def __init__(self, catalog: CompiledCatalog) -> None:
        self.features = {name: feature.scale for name, feature in catalog.features.items()}
        self.meters = {name: meter.scale for name, meter in catalog.document.meters.items()}

    def fact(self, row: FactRow) -> FactView:
        """Return a fact as it is shown."""
        fact = row.fact
        return FactView(
            serial=row.serial,
            id=f"{'res' if fact.kind == 'reserve' else 'use'}_{fact.id}",
            kind=fact.kind,
            at=to_datetime(fact.effective),
            recorded_at=row.recorded_at,
            customer=fact.customer,
            user=fact.user,
            team=fact.team,
            asked=_shown(fact.asked, self.features),
            metered=_shown(fact.metered, self.meters),
            burns=_shown(fact.burns, self.features),
            back=_shown(fact.back, self.features),
            of=_named(fact.of, fact.kind),
            until=None if fact.until is None else to_datetime(fact.until),
            values=fact.values,
            dimensions=fact.dimensions,
            exceeds=fact.exceeds,
            source=msgspec.json.decode(row.source, type=SourceView),
        )

    def refusal(self, row: Refused) -> RefusalView:
        """Return a refused request as it is shown."""
        return RefusalView(
            id=row.id,
            customer=row.customer,
            feature=row.feature,
            user=row.user,
            quantity=wire_amount(row.quantity, self.features.get(row.feature, 0)),
            reason=row.reason,
            refused_at=to_datetime(row.refused_at),
        )


async def list_facts(view: View, only: UsageFilter, page: Page, catalogs: Catalogs) -> list[FactView]:
    """List facts by serial; raises NoCatalog."""
    scales = Scales(await catalogs.current(view))
    return [scales.fact(row) for row in await view.usage_facts(only, page)]


async def export_facts(
    storage: Storage, workspace: str, only: UsageFilter, catalogs: Catalogs
) -> AsyncGenerator[ExportLine, None]:
    """Yield every fact by serial from one state of the database, and at the end how many there were."""
    async with storage.read(workspace) as view:
        scales = Scales(await catalogs.current(view))
    count = 0
    async for rows in storage.export_usage(workspace, only):
        for row in rows:
            yield ExportLine(fact=scales.fact(row))
        count += len(rows)
    yield ExportLine(end="whole", facts=count)


async def list_refusals(view: View, only: UsageFilter, page: Page, catalogs: Catalogs) -> list[RefusalView]:
    """List refused requests, newest first; ``meter`` of the filter is a feature here. Raises NoCatalog."""
    scales = Scales(await catalogs.current(view))
    return [scales.refusal(row) for row in await view.refused(only, page)]


async def list_segments(view: View, page: Page) -> list[SegmentView]:
    """List sealed segments by number."""
    return [segment_view(row) for row in await view.segments(page)]


def segment_view(row: SegmentRow) -> SegmentView:
    """Return a sealed segment as it is shown."""
    return SegmentView(
        number=row.number,
        first=row.first,
        count=row.count,
        root=row.root.hex(),
        previous=row.previous.hex(),
        sealed_at=row.sealed_at,
    )


def _shown(amounts: Mapping[str, int], scales: Mapping[str, int]) -> dict[str, Number]:
    return {name: wire_amount(minor, scales.get(name, 0)) for name, minor in amounts.items()}


def _named(fact: str | None, kind: FactKind) -> str | None:
    """Return the id of a fact that another one is about, as it is known outside."""
    if fact is None:
        return None
    return f"{'res' if kind in ('settle', 'release') else 'use'}_{fact}"
