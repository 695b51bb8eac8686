"""Policies held against their plain reading, around boundaries, and in every mode; what never leaves the server."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from licet.core.derive import derive
from licet.core.instant import FOREVER, to_instant
from licet.core.snapshot import Truth
from licet.core.terms import Terms
from tests.core.eager import check_eager
from tests.core.test_check import told
from tests.core.worlds import FEATURE_IDS, POLICIES, moments, policed, questions, terms
from tests.dose import dose

TRUTHS: dict[frozenset[str], Truth] = {}
"""One truth for each set of policies, so that rulings made for one customer serve the next with equal rights."""
SETS = st.one_of(
    st.sampled_from(sorted(POLICIES)).map(lambda name: frozenset({name})),
    st.sets(st.sampled_from(sorted(POLICIES)), min_size=2, max_size=4).map(frozenset),
    st.just(frozenset(POLICIES)),
)
COUNTRIES = st.sampled_from([None, "DE", "KP", "IR"])


@st.composite
def customers(draw: st.DrawFn) -> Terms:
    """A customer from some country."""
    some = draw(terms())
    return structs.replace(some, profile=structs.replace(some.profile, country=draw(COUNTRIES)))


@settings(max_examples=dose(100), deadline=None)
@given(SETS, customers(), st.lists(moments(), min_size=1, max_size=2), questions())
def test_lazy_equals_eager(names: frozenset[str], customer: Terms, whens: list[Any], question: dict[str, Any]) -> None:
    """Under any policies every prepared decision says what the slow reading says, also past its boundaries."""
    truth = TRUTHS.setdefault(names, Truth(policed(names)))
    truth.put(customer)
    for feature in FEATURE_IDS:
        for when in whens:
            now = to_instant(when)
            decision = truth.check("acme", feature, now, **question)
            assert told(decision) == check_eager(truth.catalog, customer, feature, now, **question)
            assert decision.reason == decision.reasons[0]
            # Where anything of the customer changes, a policy may read it, also for another feature.
            until = derive(truth.catalog, customer, now).good_until
            for instant in (until - 1, until) if until < FOREVER else ():
                later = truth.check("acme", feature, instant, **question)
                assert told(later) == check_eager(truth.catalog, customer, feature, instant, **question)
