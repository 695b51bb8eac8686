"""What an evaluator holds: one object per asked pair, exchanged truths, and the tree that explains an answer."""

import tracemalloc

import pytest

from licet.core.explain import explain, render_tree
from licet.core.question import Context, Question
from licet.core.reason import Reason
from licet.core.snapshot import Snapshot, Truth, check
from licet.core.terms import Terms
from tests.core.worlds import CATALOG, COMPILED, at, catalog_of, day, terms_of

TEAM = {"kind": "plan", "id": "team", "version": "2026-01"}


def customer(name: str = "acme", **more: object) -> Terms:
    """A customer with the team plan."""
    subscription = {"id": "sub_1", "phases": [{"starts_at": day(1), "items": [TEAM], "event": "ord_7"}], **more}
    return terms_of({"customer": name, "subscriptions": [subscription]})


def test_a_decision_is_made_once_until_its_boundary() -> None:
    """The same object answers until the next boundary, in either direction of time, then another."""
    truth = Truth(COMPILED, [customer(trial_end=day(10))])
    first = truth.check("acme", "sso", at(2))
    assert truth.check("acme", "sso", at(9)) is first
    assert truth.check("acme", "sso", at(10)) is not first
    assert (first.reason, truth.check("acme", "sso", at(10)).reason) == (Reason.IN_TRIAL, Reason.ENTITLED)
    assert truth.check("acme", "sso", at(0)).reason is Reason.NOT_STARTED


def test_nothing_is_kept_for_what_is_not_known() -> None:
    """Asking about unknown customers and features a thousand times leaves nothing behind."""
    truth = Truth(COMPILED, [customer(), customer("other")])
    truth.check("acme", "sso", at(2))
    tracemalloc.start()
    for number in range(1000):
        truth.check("acme", f"nonsense_{number}", at(2))
        truth.check(f"nobody_{number}", "sso", at(2))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 20_000
    assert truth.snapshot("nobody_1") is None


def test_customers_with_equal_rights_share_their_ruling() -> None:
    """What is worked out for one customer serves the next one who holds the same."""
    truth = Truth(COMPILED, [customer(), customer("other")])
    first, second = (truth.snapshot(name) for name in ("acme", "other"))
    assert first is not None
    assert second is not None
    assert first.ready("projects", at(2)).ruling is second.ready("projects", at(2)).ruling
    assert first.entitlements(at(2)).rights is second.entitlements(at(2)).rights


def test_newer_terms_and_catalogs_count_at_once() -> None:
    """Putting terms, dropping a customer and releasing a catalog each show in the very next check."""
    truth = Truth(COMPILED, [customer()])
    assert truth.check("acme", "sso", at(2))
    truth.put(customer(ends_at=day(2)))
    assert truth.check("acme", "sso", at(2)).reason is Reason.ENDED
    truth.put(customer())
    changed = catalog_of({**CATALOG, "features": {**CATALOG["features"], "sso": {"type": "switch", "regions": ["eu"]}}})
    truth.release(changed)
    assert truth.check("acme", "sso", at(2)).reason is Reason.REGION_NOT_ALLOWED
    assert truth.check("acme", "sso", at(2), context=Context(region="eu"))
    truth.drop("acme")
    assert truth.check("acme", "sso", at(2)).reason is Reason.UNKNOWN_CUSTOMER


def test_one_snapshot_answers_as_the_truth_does() -> None:
    """The function for one customer gives the decision of the truth of many."""
    truth, snapshot = Truth(COMPILED, [customer()]), Snapshot(COMPILED, customer())
    for used in (None, 3, 19, 20):
        assert check(snapshot, "projects", at(2), used=used).view(at(2)) == (
            truth.check("acme", "projects", at(2), used=used).view(at(2))
        )


@pytest.mark.parametrize("quantity", [-1, "1.5", "x", True, 2**63, "-0"])
def test_what_is_no_quantity_is_refused(quantity: int | str) -> None:
    """A quantity that cannot be read at the feature's scale is an error, not an answer."""
    truth = Truth(COMPILED, [customer()])
    with pytest.raises(ValueError, match=r"quantity|decimal|large"):
        truth.check("acme", "projects", at(2), quantity=quantity)


def test_an_unknown_feature_names_close_ones() -> None:
    """Support reads which features were perhaps meant."""
    decision = Truth(COMPILED, [customer()]).check("acme", "project", at(2))
    assert "projects" in decision.support


def test_explain_tells_the_way_from_order_to_answer() -> None:
    """The tree has the order, the standing, the item, the limit and the remedy, with words for known events."""
    terms = customer(source="shop", external_id="s1", occurred_at=day(1), trial_end=day(10))
    question = Question(customer="acme", feature="projects", quantity=30, used=5)
    found = explain(COMPILED, terms, question, at(2), events={"ord_7": "placed by the shop"})
    text = render_tree(found.tree)
    for part in (
        "acme and projects: refused (limit_reached)",
        "subscription sub_1 (placed by the shop)",
        "order s1 from shop",
        "standing: trialing",
        "plan team@2026-01: gives 20 projects",
        "limit 20 projects (block); used: 5 projects; wanted: 30 projects",
        "would be allowed after: Ask for 15 projects at most.",
    ):
        assert part in text
    assert found.decision.remedy is not None


def test_explain_tells_conditions_and_denials() -> None:
    """Conditions are shown with what they miss, denials with whether they are meant."""
    terms = terms_of(
        {
            "customer": "acme",
            "subscriptions": [{"id": "sub_1", "phases": [{"starts_at": day(1), "items": [TEAM]}]}],
            "overrides": [
                {"id": "o1", "feature": "export", "effect": "deny", "starts_at": day(1), "deployments": ["saas"]}
            ],
            "suspensions": [{"starts_at": day(1)}],
        }
    )
    text = render_tree(explain(COMPILED, terms, Question(customer="acme", feature="export"), at(2)).tree)
    assert "the customer is suspended" in text
    assert "override o1 denies it (it cannot be decided without context.deployment)" in text
    assert "condition of the feature: deployment in ['on_prem', 'saas']; missing: context.deployment" in text
    unknown = render_tree(explain(COMPILED, None, Question(customer="x", feature="export"), at(2)).tree)
    assert unknown.startswith("- x and export: refused (unknown_customer)")
