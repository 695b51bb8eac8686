"""Asking a recorded question again: how answers compare, and where nothing can be said."""

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.core.catalog import Catalog
from licet.core.compiled import CompiledCatalog, compile_catalog
from licet.core.instant import to_instant
from licet.core.question import Context, Question
from licet.core.rehearsal import Given, Likeness, Reckoning, ask_again, compare, given_by
from licet.core.snapshot import Snapshot
from licet.core.tally import Outcome, counted_reason, outcome_of
from licet.core.terms import Terms
from tests.core.worlds import COMPILED, FEATURE_IDS, ORIGIN, moments, questions, terms
from tests.dose import dose

NOW = to_instant(ORIGIN)
ASKED = Question(customer="acme", feature="beta", context=Context(attributes={"kept": True}))


def studio(**feature: Any) -> CompiledCatalog:
    """A catalog of one feature that nobody has."""
    document = {
        "version": 1,
        "products": {"studio": {"name": "Studio"}},
        "features": {"beta": {"type": "switch", **feature}},
        "plans": {"team": {"product": "studio", "versions": {"2026-01": {"includes": {"beta": True}}}}},
    }
    return compile_catalog(msgspec.convert(document, Catalog), 1, ZoneInfo, ZoneInfo("UTC"))


def acme(catalog: CompiledCatalog) -> Snapshot:
    """A customer without anything, under a catalog."""
    return Snapshot(catalog, Terms(customer="acme"))


@settings(max_examples=dose(30), deadline=None)
@given(terms(), moments(), questions(), st.sampled_from(FEATURE_IDS))
def test_an_answer_is_told_as_it_is_counted(customer: Terms, when: Any, asked: dict[str, Any], feature: str) -> None:
    """Outcome and first reason of a decision asked again are those under which the same decision is counted."""
    question = Question(
        customer=customer.customer,
        feature=feature,
        quantity=asked["quantity"],
        used=asked["used"],
        context=asked["context"] or Context(),
    )
    again = ask_again(COMPILED, Snapshot(COMPILED, customer), question, to_instant(when), user=asked["user"])
    if again.decision is None:
        assert again.doubt == "amount"
        return
    told = given_by(again.decision)
    view = again.decision.view(to_instant(when))
    assert (told.outcome, told.reason, told.mode) == (outcome_of(view), counted_reason(view), view.mode)
    assert told.allowed == view.allowed


@pytest.mark.parametrize(
    ("was", "would", "expected"),
    [
        ("allowed", "allowed", "same"),
        ("allowed", "denied", "newly_denied"),
        ("would_deny", "denied", "newly_denied"),
        ("denied", "allowed", "newly_allowed"),
        ("denied", "would_deny", "newly_allowed"),
        ("allowed", "would_deny", "observed"),
        ("would_deny", "allowed", "observed"),
    ],
)
def test_answers_compare_by_what_the_caller_was_told(was: Outcome, would: Outcome, expected: Likeness) -> None:
    """What observe mode lets pass counts as allowed and as an outcome of its own; a mode alone is no difference."""
    one = Given(outcome=was, reason="entitled", mode="enforce")
    assert compare(one, Given(outcome=would, reason="entitled", mode="observe")) == expected


def test_another_first_reason_is_a_difference() -> None:
    """The same outcome for another first reason is told apart from the same answer."""
    one = Given(outcome="denied", reason="limit_reached", mode="enforce")
    assert compare(one, Given(outcome="denied", reason="not_entitled", mode="enforce")) == "reason"


@pytest.mark.parametrize(
    ("when", "left_out", "missing"),
    [
        ("context.attributes.kept == true", ("secret",), ()),
        ("context.attributes.secret == true", ("secret",), ("secret",)),
        ("has(context.attributes.secret) && context.attributes.kept == true", ("other", "secret"), ("secret",)),
        ("context.attributes.secret == true", (), ()),
    ],
)
def test_a_condition_that_reads_what_was_not_kept(
    when: str, left_out: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    """Such a question is undecided and names the attributes; one that was never given is simply absent."""
    catalog = studio(when=when)
    again = ask_again(catalog, acme(catalog), ASKED, NOW, left_out=left_out)
    assert (again.doubt, again.missing) == (("left_out", missing) if missing else (None, ()))
    assert (again.decision is None) == bool(missing)


def test_what_was_not_kept_cannot_matter_where_nothing_is_asked() -> None:
    """Without enforcement, for nobody's customer and for no feature, no condition decides: the answer is certain."""
    catalog = studio(when="context.attributes.secret == true", mode="off")
    told = ask_again(catalog, acme(catalog), ASKED, NOW, left_out=("secret",)).decision
    assert told is not None
    assert given_by(told) == Given(outcome="allowed", reason="not_enforced", mode="off")
    catalog = studio(when="context.attributes.secret == true")
    told = ask_again(catalog, None, ASKED, NOW, left_out=("secret",)).decision
    assert told is not None
    assert given_by(told) == Given(outcome="denied", reason="unknown_customer", mode="enforce")
    gone = msgspec.structs.replace(ASKED, feature="gone")
    told = ask_again(catalog, acme(catalog), gone, NOW, left_out=("secret",)).decision
    assert told is not None
    assert given_by(told) == Given(outcome="denied", reason="unknown_feature", mode=None)


def test_an_amount_that_does_not_fit_is_undecided() -> None:
    """A decimal amount about a feature that is gone, and with it its scale, cannot be asked again."""
    catalog = studio()
    question = msgspec.structs.replace(ASKED, feature="gone", quantity="1.50")
    assert ask_again(catalog, acme(catalog), question, NOW).doubt == "amount"


def test_sums_are_whole_and_by_feature() -> None:
    """Each question counts once in the whole and once by its feature; what differs most comes first."""
    sums = Reckoning()
    sums.compared("a", "same")
    sums.compared("b", "newly_denied", already=True)
    sums.compared("b", "reason")
    sums.doubted("a", "left_out", ("tier", "size"))
    sums.doubted("c", "left_out", ("tier",))
    assert (sums.whole.questions, sums.whole.differing, sums.whole.undecided, sums.whole.already) == (5, 2, 2, 1)
    assert [(name, one.questions, one.differing) for name, one in sums.by_feature()] == [
        ("b", 2, 2),
        ("a", 2, 0),
        ("c", 1, 0),
    ]
    assert sums.doubts == {"left_out": 2, "basis": 0, "amount": 0}
    assert sums.missing == {"tier": 2, "size": 1}
