"""Answering questions: what a customer may do, from the newest terms and catalog, or from those of a past instant."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

import msgspec
from msgspec import Struct

from licet.core.case import Case
from licet.core.compiled import CompiledCatalog
from licet.core.decision import Decision
from licet.core.instant import BEGINNING, FOREVER, to_datetime
from licet.core.quantity import parse_quantity
from licet.core.question import Context, Question
from licet.core.recorded import recorded_question
from licet.core.snapshot import Snapshot, prepare_case
from licet.core.snapshot import check as ask
from licet.core.upcoming import upcoming
from licet.core.views import DecisionView
from licet.services.customers import unknown_customer
from licet.services.errors import NoCatalog
from licet.services.normal import invalid, normal
from licet.services.past import Known, basis_of, known_of, moment_of, user_facts
from licet.services.ports import View
from licet.services.rows import UserRow
from licet.services.truth import Snapshots
from licet.services.usage.balances import When, newest_truth, truth_of
from licet.services.usage.counted import Counting, counts

MAX_BATCH: Final = 500


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


class Answered(Struct, frozen=True):
    """A question in its normal form, with its answer; ``record`` is what is kept of it where each check is on record.

    What is kept is the question without what no condition read, and the names of what was left out. ``said`` is how
    much the caller said is used of a limit of a known customer, in minor units.
    """

    question: Question
    decision: DecisionView
    record: tuple[Question, tuple[str, ...]] | None
    said: int | None = None


async def check(view: View, question: Question, snapshots: Snapshots) -> DecisionView:
    """Return the decision on one question, now on the business clock. Writes nothing.

    Raises Invalid for a quantity that does not fit the feature, NoCatalog before the first one is released.
    """
    return (await answer(view, question, snapshots)).decision


async def answer(view: View, question: Question, snapshots: Snapshots) -> Answered:
    """Return the decision on one question as :func:`check` does, with what is counted and kept of it."""
    question = normal(question)
    decision = await _decide(view, question, snapshots)
    feature = decision.case.catalog.features.get(decision.case.feature)
    each = feature is not None and feature.record == "each"
    told = decision.view(view.time.business, basis=await basis_of(view))
    record = recorded_question(question, decision) if each else None
    return Answered(question, told, record, said_use(question, decision))


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
    return await _decide(view, normal(question), snapshots)


async def _decide(view: View, question: Question, snapshots: Snapshots) -> Decision:
    revision, terms, user = await view.standing_of(question.customer, question.user)
    catalog = await _catalog(view, revision, snapshots)
    known = Known(view.time.business, catalog, terms, "")
    if counts(catalog, question):
        check_amounts(catalog, question)
        truth = await newest_truth(view, known, snapshots)
        if truth is not None:
            facts = user_facts(question.user, user)
            counting = Counting(view, truth)
            return await counting.decide(question, facts, lambda: put_question(view, known, question, user, snapshots))
    return put_question(view, known, question, user, snapshots)


async def entitlements(
    view: View,
    customer: str,
    snapshots: Snapshots,
    *,
    at: datetime | None = None,
    known: datetime | None = None,
    basis: str | None = None,
) -> EntitlementsView:
    """Return everything a customer has at an instant (now by default), by what was known then.

    ``known`` and ``basis`` choose another truth, as in ``past.moment_of``. Raises NotFound for an unknown customer,
    NoCatalog before the first catalog, NoCatalogThen if it came after what counts, Invalid for a basis that is none.
    """
    moment = await moment_of(view, at, known, basis)
    truth = await known_of(view, moment, customer, snapshots)
    # Of an instant to come nobody knows what will be used.
    when = When(at=at, known=known, basis=basis) if moment.at <= view.time.business else None
    return await _listed(view, customer, truth, snapshots, when)


async def _listed(view: View, customer: str, known: Known, snapshots: Snapshots, when: When | None) -> EntitlementsView:
    if known.terms is None:
        raise unknown_customer(customer)
    now = known.at
    snapshot = snapshots.of(view, known.catalog, known.terms)
    derived = snapshot.entitlements(now)
    ordered = [feature for feature in known.catalog.features if feature in derived.rights]
    told = {feature: ask(snapshot, feature, now, quantity=0) for feature in ordered}
    asked = [Question(customer=customer, feature=feature, quantity=0) for feature in ordered]
    counting = [one for one in asked if counts(known.catalog, one)] if when is not None else []
    if counting and when is not None:
        balances = Counting(view, await truth_of(view, customer, snapshots, when))
        for question in counting:
            alone = partial(told.__getitem__, question.feature)
            told[question.feature] = await balances.decide(question, None, alone)
    return EntitlementsView(
        customer=customer,
        at=to_datetime(now),
        catalog_revision=known.catalog.revision,
        terms_revision=known.terms.revision,
        entitlements=tuple(told[feature].view(now, basis=known.basis) for feature in ordered),
        upcoming=tuple(
            BoundaryView(at=to_datetime(one.at), kind=one.kind, subscription=one.subscription)
            for one in upcoming(known.catalog, known.terms.terms, now)
        ),
        breaches=tuple(
            BreachView(rule=one.rule, item=one.item, others=tuple(one.others), words=one.words)
            for one in derived.breaches
        ),
    )


def said_use(question: Question, decision: Decision) -> int | None:
    """Return how much of a limit is used, where the caller said so; nothing about customers that nobody knows."""
    feature = decision.case.catalog.features.get(decision.case.feature)
    if question.used is None or feature is None or feature.type != "limit" or decision.case.terms is None:
        return None
    return parse_quantity(question.used, feature.scale)


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
