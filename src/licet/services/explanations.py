"""Explaining a decision, also of a past instant: by what was known then, or by the very truth that an answer names."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import structs

from licet.core.audience import Audience
from licet.core.case import Ask
from licet.core.decision import Decision
from licet.core.explain import Explanation, Node
from licet.core.explain import explain as tell
from licet.core.instant import SECOND, format_instant, parse_instant, to_datetime, to_instant
from licet.core.orders import subject_of
from licet.core.question import Question, UserFacts
from licet.core.terms import Terms
from licet.core.usage.outlook import NOTHING_AHEAD, Outlook
from licet.services.checks import check_amounts
from licet.services.normal import normal
from licet.services.past import known_of, moment_of, user_known
from licet.services.ports import View
from licet.services.releases import released_in
from licet.services.truth import Snapshots
from licet.services.usage.balances import Truth, When, truth_of, with_leases
from licet.services.usage.counted import Counting, balance_node, count, counts
from licet.wire.event import Event

_ORDERS: Final = 50


async def explain(
    view: View,
    question: Question,
    snapshots: Snapshots,
    *,
    at: datetime | None = None,
    known: datetime | None = None,
    basis: str | None = None,
    audience: Audience = "server",
) -> Explanation:
    """Return how a question is answered at an instant (now by default), as a tree from the order to the decision.

    ``known`` is the instant whose knowledge counts: by default the earlier of ``at`` and now. ``basis`` (from a
    decision) beats it: catalog, terms and user of exactly that answer. For an ``audience`` of customers the rules of
    policies are left out. Raises Invalid for a basis or quantity that makes no sense, NoCatalog or NoCatalogThen if
    none was released by then.
    """
    question = normal(question)
    moment = await moment_of(view, at, known, basis)
    truth = await known_of(view, moment, question.customer, snapshots)
    facts = await user_known(view, moment, question.customer, question.user)
    check_amounts(truth.catalog, question)
    terms = None if truth.terms is None else truth.terms.terms
    releases = {} if terms is None else await released_in(view, truth.catalog, terms, snapshots)
    releases |= {} if terms is None else await _orders_behind(view, terms, moment.seq)
    erasures = await _erasures(view, question)
    named = () if terms is None else (*_origins(terms), *releases.values())
    events = await view.events_named(sorted({*named, *erasures.values()}))
    words = {event.id: _words(event, audience) for event in events}
    counted: tuple[Ask, Node] | None = None
    companions: list[tuple[Decision, Node]] = []
    unnamed: tuple[str, ...] = ()
    outlook = NOTHING_AHEAD
    # Of an instant to come nobody knows what will be used.
    if terms is not None and moment.at <= view.time.business and counts(truth.catalog, question):
        when = When(at=at, known=known, basis=basis)
        counting = await truth_of(view, question.customer, snapshots, when)
        balances = Counting(view, counting)
        counted, companions, outlook = await _counted(view, balances, counting, question, facts)
        unnamed = balances.unnamed(question, facts)
    told = tell(
        truth.catalog,
        terms,
        question,
        moment.at,
        user=facts if isinstance(facts, UserFacts) else None,
        events=words,
        releases=releases,
        audience=audience,
        counted=counted,
        companions=companions,
        unnamed=unnamed,
        outlook=outlook,
    )
    told = structs.replace(told, decision=structs.replace(told.decision, basis=truth.basis))
    erased = [(what, event) for what, name in erasures.items() for event in events if event.id == name]
    return _with_erased(told, erased, words) if erased else told


async def _counted(
    view: View, balances: Counting, counting: Truth, question: Question, user: UserFacts | str | None
) -> tuple[tuple[Ask, Node] | None, list[tuple[Decision, Node]], Outlook]:
    """Return the question with what its balance held, and that balance in words; None where none is counted.

    With it the decisions about other balances that the use touched, as a check counts them, and what was ahead.
    """
    counted = await count(view, counting, question, user)
    others = await balances.companions(question, user)
    outlook = balances.outlook(question, user, counted, others)
    if not any(one.kept or one.decision.objects for one in others):
        others = ()
    asked = [] if counted is None else [counted.balance]
    told = await with_leases(view, counting, [*asked, *(one.balance for one in others)])
    own = None if counted is None else (counted.ask, balance_node(counting, told[0], counted.ask.quantity))
    joined = zip(others, told[len(asked) :], strict=True)
    return own, [(one.decision, balance_node(counting, balance, one.cost)) for one, balance in joined], outlook


def _with_erased(told: Explanation, erased: Sequence[tuple[str, Event]], words: Mapping[str, str]) -> Explanation:
    """Return an explanation that says, one line each, what personal was erased."""
    nodes = tuple(Node("erased", f"{what} ({words[event.id]})", None, None, event.id) for what, event in erased)
    last = max(to_instant(event.effective_at) for _, event in erased)
    tree = structs.replace(told.tree, children=(*told.tree.children, *nodes))
    return structs.replace(told, tree=tree, erased_at=format_instant(last))


async def _erasures(view: View, question: Question) -> dict[str, str]:
    """Return what personal was erased of whom a question names, in words, with the event that did it.

    As it is today, whatever instant is asked about: it is not there any more.
    """
    customer = subject_of("customer", question.customer)
    told = {customer: f"personal values of {question.customer} and its users were erased"}
    if question.user is not None:
        user = subject_of("customer", question.customer, "user", question.user)
        told[user] = f"personal values of the user {question.user} were erased"
    found = await view.erasures(list(told))
    return {words: found[subject] for subject, words in told.items() if subject in found}


async def _orders_behind(view: View, terms: Terms, seq: int) -> dict[str, str]:
    """Return the event of the order by which each subscription stands, by ``order sub_…``.

    Orders of one subscription differ by their own time, and of one time by their sequence; what came as late as not to
    count is passed over. Where it is too far back to be looked for, the subscription's own event stands for it.
    """
    found: dict[str, str] = {}
    for one in terms.subscriptions:
        if one.source is None or one.external_id is None:
            continue
        subject = subject_of("order", one.source, one.external_id)
        for event in await view.events_about([subject], before=seq + 1, limit=_ORDERS):
            document = event.after["document"] if event.type == "order.applied" else {}
            if _instant(document.get("occurred_at")) == one.occurred_at and document.get("sequence") == one.sequence:
                found[f"order {one.id}"] = event.id
                break
    return found


def _instant(text: str | None) -> datetime | None:
    return None if text is None else to_datetime(parse_instant(text))


def _origins(terms: Terms) -> Iterable[str]:
    """Return the ids of the events that terms name."""
    named: list[str | None] = []
    for one in terms.subscriptions:
        named += [one.event, one.end_event]
        named += [phase.event for phase in one.phases]
        named += [pause.event for pause in one.pauses]
        named += [fact.event for fact in one.payments]
        if one.schedule is not None:
            named += [one.schedule.event, *(phase.event for phase in one.schedule.phases)]
    named += [override.event for override in terms.overrides]
    named += [suspension.event for suspension in terms.suspensions]
    named += [patience.event for patience in terms.leniencies]
    named += [choice.event for choice in terms.ladders]
    named += [membership.event for membership in terms.cohorts]
    named += [move.event for move in terms.moves]
    return [event for event in named if event is not None]


def _words(event: Event, audience: Audience) -> str:
    """What, by whom, when, and the note; that of a release is not for customers."""
    inward = audience == "customer" and event.type == "catalog.released"
    note = f": {event.note}" if event.note and not inward else ""
    at = format_instant(to_instant(event.recorded_at) // SECOND * SECOND)
    return f"{event.type} by {event.actor}, {at}{note}"
