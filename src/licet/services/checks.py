"""Answering questions: what a customer may do, from the newest terms and catalog, or from those of a past instant."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from licet.core.case import Case
from licet.core.compiled import CompiledCatalog
from licet.core.decision import Decision
from licet.core.instant import BEGINNING, FOREVER, Instant, format_instant, to_datetime, to_instant
from licet.core.quantity import parse_quantity
from licet.core.question import Context, Question, UserFacts
from licet.core.snapshot import Snapshot, prepare_case
from licet.core.snapshot import check as ask
from licet.core.upcoming import upcoming
from licet.core.views import DecisionView
from licet.services.customers import unknown_customer
from licet.services.errors import NoCatalog, NoCatalogThen
from licet.services.normal import invalid, normal
from licet.services.ports import View
from licet.services.rows import CatalogRow, Page, TermsRow, UserRow
from licet.services.truth import Snapshots

MAX_BATCH: Final = 500
_PAGE: Final = 500


class BoundaryView(Struct, frozen=True, kw_only=True):
    """An instant ahead at which rights may ``change`` or a billing ``period`` of a subscription begins."""

    at: datetime
    kind: str
    subscription: str | None


class BreachView(Struct, frozen=True, kw_only=True):
    """A rule between sold items that what the customer has breaks."""

    rule: str
    item: str
    others: tuple[str, ...]
    words: str


class EntitlementsView(Struct, frozen=True, kw_only=True):
    """Everything a customer has at an instant: one decision per feature that any source speaks about."""

    customer: str
    at: datetime
    catalog_revision: int
    terms_revision: int
    entitlements: tuple[DecisionView, ...]
    upcoming: tuple[BoundaryView, ...]
    breaches: tuple[BreachView, ...]


class Known(Struct, frozen=True):
    """What was known of a customer at an instant: its terms (None: no such customer) under a catalog."""

    at: Instant
    catalog: CompiledCatalog
    terms: TermsRow | None
    basis: str


async def check(view: View, question: Question, snapshots: Snapshots) -> DecisionView:
    """Return the decision on one question, now on the business clock. Writes nothing.

    Raises Invalid for a quantity that does not fit the feature, NoCatalog before the first one is released.
    """
    now = view.time.business
    return (await decide(view, question, snapshots)).view(now, basis=await basis_of(view))


async def check_batch(view: View, questions: Sequence[Question], snapshots: Snapshots) -> list[DecisionView]:
    """Return the decisions on at most 500 questions, all from one consistent state, in the order asked."""
    if len(questions) > MAX_BATCH:
        raise invalid("questions", f"{len(questions)} questions are too many; at most {MAX_BATCH} are answered at once")
    answers: dict[bytes, DecisionView] = {}
    told = []
    for question in questions:
        key = msgspec.json.encode(question, order="deterministic")
        known = answers.get(key)
        if known is None:
            known = answers[key] = await check(view, question, snapshots)
            # The remedy of a refusal takes up to some 20 ms: others get their turn in between.
            await asyncio.sleep(0)
        told.append(known)
    return told


async def decide(view: View, question: Question, snapshots: Snapshots) -> Decision:
    """Return the decision itself, whose reasons, sources and remedy are worked out when somebody looks."""
    question = normal(question)
    revision, terms, user = await view.standing_of(question.customer, question.user)
    catalog = await _catalog(view, revision, snapshots)
    return put_question(view, Known(view.time.business, catalog, terms, ""), question, user, snapshots)


async def entitlements(
    view: View, customer: str, snapshots: Snapshots, *, at: datetime | None = None
) -> EntitlementsView:
    """Return everything a customer has at an instant (now by default), by what was known then.

    Raises NotFound for an unknown customer, NoCatalog before the first catalog, NoCatalogThen if it came after ``at``.
    """
    now = view.time.business if at is None else to_instant(at)
    known = await known_at(view, customer, now, snapshots)
    if known.terms is None:
        raise unknown_customer(customer)
    snapshot = snapshots.of(view, known.catalog, known.terms)
    derived = snapshot.entitlements(now)
    ordered = [feature for feature in known.catalog.features if feature in derived.rights]
    return EntitlementsView(
        customer=customer,
        at=to_datetime(now),
        catalog_revision=known.catalog.revision,
        terms_revision=known.terms.revision,
        entitlements=tuple(ask(snapshot, feature, now, quantity=0).view(now, basis=known.basis) for feature in ordered),
        upcoming=tuple(
            BoundaryView(at=to_datetime(one.at), kind=one.kind, subscription=one.subscription)
            for one in upcoming(known.catalog, known.terms.terms, now)
        ),
        breaches=tuple(
            BreachView(rule=one.rule, item=one.item, others=tuple(one.others), words=one.words)
            for one in derived.breaches
        ),
    )


async def known_at(view: View, customer: str, at: Instant, snapshots: Snapshots) -> Known:
    """Return the catalog and terms known at an instant (inclusive); for now or later, the newest ones."""
    if at >= view.time.business:
        revision, terms, _ = await view.standing_of(customer, None)
        return Known(at, await _catalog(view, revision, snapshots), terms, await basis_of(view))
    released = await _catalog_known_at(view, at)
    catalog = await _catalog(view, released.revision, snapshots)
    terms = await _terms_known_at(view, customer, at)
    # The newest event that these two documents rest on: with it, explain finds the very same ones again.
    seq = max(released.seq, 0 if terms is None else terms.seq)
    return Known(at, catalog, terms, f"{view.workspace.epoch}:{seq}")


async def basis_of(view: View) -> str:
    """Return the token that names the truth an answer rests on: epoch and sequence."""
    return f"{view.workspace.epoch}:{await view.seq()}"


def user_facts(customer_user: str | None, row: UserRow | None) -> UserFacts | str | None:
    """Return what conditions may read of a user; of one that is not known, or not active, only the id."""
    if row is None or not row.active:
        return customer_user
    return UserFacts(id=row.id, roles=row.roles, attributes=row.attributes)


async def _catalog(view: View, revision: int, snapshots: Snapshots) -> CompiledCatalog:
    if revision == 0:
        raise NoCatalog(view.workspace.id)
    return await snapshots.catalogs.at(view, revision)


def put_question(view: View, known: Known, question: Question, user: UserRow | None, snapshots: Snapshots) -> Decision:
    """Return the decision that what is known gives; raises Invalid for a quantity that does not fit the feature."""
    check_amounts(known.catalog, question)
    facts = user_facts(question.user, user)
    context = None if question.context == Context() else question.context
    if known.terms is None:
        case = Case(known.catalog, question.customer, question.feature, BEGINNING, FOREVER)
        prepared = prepare_case(case)
        return prepared.ruling(prepared.case, question.quantity, question.used, facts, context)
    snapshot: Snapshot = snapshots.of(view, known.catalog, known.terms)
    return ask(
        snapshot,
        question.feature,
        known.at,
        user=facts,
        context=context,
        quantity=question.quantity,
        used=question.used,
    )


def check_amounts(catalog: CompiledCatalog, question: Question) -> None:
    """Raise Invalid, naming the field, for a quantity or a used amount that does not fit the feature."""
    feature = catalog.features.get(question.feature)
    for name, amount in (("quantity", question.quantity), ("used", question.used)):
        try:
            if amount is not None:
                parse_quantity(amount, 0 if feature is None else feature.scale)
        except ValueError as wrong:
            raise invalid(name, str(wrong)) from None


async def _catalog_known_at(view: View, at: Instant) -> CatalogRow:
    """Return the newest catalog released at or before an instant; raises NoCatalog or NoCatalogThen."""
    first: CatalogRow | None = None
    page = Page(limit=_PAGE)
    while rows := await view.catalogs(page):
        for row in rows:
            if to_instant(row.released_at) <= at:
                return row
        first = rows[-1]
        page = Page(after=str(first.revision), limit=_PAGE)
    if first is None:
        raise NoCatalog(view.workspace.id)
    began = format_instant(to_instant(first.released_at))
    raise NoCatalogThen(
        f"no catalog had been released by {format_instant(at)}; the first one was at {began}",
        advice=f"ask for an instant from {began} on",
    )


async def _terms_known_at(view: View, customer: str, at: Instant) -> TermsRow | None:
    """Return the newest terms recorded at or before an instant."""
    page = Page(limit=_PAGE)
    while rows := await view.terms_history(customer, page):
        for row in rows:
            if to_instant(row.recorded_at) <= at:
                return row
        page = Page(after=str(rows[-1].revision), limit=_PAGE)
    return None
