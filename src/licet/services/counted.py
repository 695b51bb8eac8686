"""Checks that count: where a feature has a balance and nobody says how much is used, the balance itself is asked."""

from msgspec import Struct

from licet.core.case import Ask
from licet.core.catalog import Credits, Metered
from licet.core.compiled import UNBOUNDED, CompiledCatalog
from licet.core.decision import Decision, decide
from licet.core.explain import Node
from licet.core.quantity import parse_quantity
from licet.core.question import Context, Question, UserFacts
from licet.core.reach import holder_of
from licet.core.usage import AccountKey
from licet.core.words import amount_words
from licet.services.balances import Folded, Truth, balance_view, folded
from licet.services.ports import View

_UNLIMITED = 2**62


class Counted(Struct, frozen=True):
    """A question with what its balance holds, and that balance."""

    ask: Ask
    balance: Folded


def counts(catalog: CompiledCatalog, question: Question) -> bool:
    """Return whether a balance is counted for a question: its feature has one, and the caller says no ``used``."""
    feature = catalog.document.features.get(question.feature)
    return question.used is None and isinstance(feature, Metered | Credits)


async def count(view: View, truth: Truth, question: Question, user: UserFacts | str | None) -> Counted | None:
    """Return a question with what its balance holds; None where it counts none, or nobody says whose balance it is.

    A balance of which nothing was ever used, and on which nothing was put, holds what the sources give: it is not
    counted, so that whoever holds no balances answers the same.
    """
    catalog = truth.catalog
    if not counts(catalog, question):
        return None
    feature = catalog.features[question.feature]
    holder = holder_of(feature.each, user, None)
    if holder is None:
        return None
    key = AccountKey(question.customer, question.feature, holder)
    funded = any((one.feature, one.holder) == (key.feature, key.holder) for one in truth.funding)
    if not funded and await view.balance(key) is None:
        return None
    balance = await folded(view, truth, key)
    room = balance.room
    ask = Ask(
        user,
        None if question.context == Context() else question.context,
        parse_quantity(question.quantity, feature.scale),
        room.used,
        UNBOUNDED if room.granted >= _UNLIMITED else room.granted,
        None if room.overage_left is None else room.overage + room.overage_left,
        None if room.spend_left is None else room.overage + room.spend_left,
    )
    return Counted(ask, balance)


def decide_counted(truth: Truth, feature: str, counted: Counted) -> Decision:
    """Return the decision about a question whose balance was counted."""
    return decide(truth.snapshot.ready(feature, truth.at).case, counted.ask)


def balance_node(truth: Truth, counted: Counted) -> Node:
    """Return a balance as a step of an explanation: every grant with what is left of it and what was drawn."""
    shown = balance_view(truth, counted.balance)
    feature = truth.catalog.features[shown.feature]
    whose = f" of {shown.holder}" if shown.holder else ""
    text = f"the balance{whose}: {shown.used} used of {shown.granted}, {shown.remaining} left"
    if shown.resets_at is not None:
        text += f", whole again at {shown.resets_at.isoformat().replace('+00:00', 'Z')}"
    grants = tuple(
        Node("grant", f"{one.source}: {one.left} left of {one.amount}, {one.drawn} drawn", None, one.id)
        for one in shown.grants
    )
    wanted = amount_words(feature, counted.ask.quantity)
    return Node("balance", f"{text}; wanted: {wanted}", None, children=grants)
