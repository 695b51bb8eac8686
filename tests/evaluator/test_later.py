"""Documents of a later version are read by this one, as far as they say that they may be."""

import msgspec
import pytest

from licet.core.catalog import Catalog
from licet.core.terms import Terms
from licet.evaluator.later import read_later
from tests.core.worlds import CATALOG
from tests.evaluator.authority import WALL, Authority, keyset, start, take, terms


def test_fields_of_a_later_version_are_passed_over() -> None:
    """In terms and catalogs, however deep; a field that another part knows stays there."""
    document = terms("acme")
    later = {**document, "loyalty": {"x": 1}, "profile": {"region": "eu", "tier": None}}
    later["subscriptions"] = [{**document["subscriptions"][0], "colour": 1}]
    known = {**document, "profile": {"region": "eu"}}
    assert read_later(msgspec.json.encode(later), Terms) == msgspec.convert(known, Terms)
    features = {name: dict(feature) for name, feature in CATALOG["features"].items()}
    features["sso"]["merge"] = "max"
    features["tier"]["merge"] = "max"
    plans = {**CATALOG["plans"], "team": {**CATALOG["plans"]["team"], "family": 1}}
    told = msgspec.json.encode({**CATALOG, "features": features, "plans": plans, "regions": []})
    found = read_later(told, Catalog)
    assert found == msgspec.convert(CATALOG, Catalog)
    assert found.features["quota"] == msgspec.convert(CATALOG, Catalog).features["quota"]


@pytest.mark.parametrize("change", [{"customer": 7}, {"subscriptions": [{"id": "x"}]}])
def test_what_does_not_fit_is_an_error_still(change: dict[str, object]) -> None:
    """Only unknown fields are passed over."""
    with pytest.raises(msgspec.ValidationError):
        read_later(msgspec.json.encode({**terms("acme"), "later": 1, **change}), Terms)


def test_an_older_program_follows_a_later_server() -> None:
    """A feed with unknown fields in terms and catalog is followed and answered from."""
    _, follower = start()
    since = follower.truth.seq
    authority = Authority()
    authority.seq = since
    take(follower, [keyset()])
    authority.put({**terms("new"), "loyalty": 2})
    authority.release(
        {
            **CATALOG,
            "plans": {"team": {"product": "m", "versions": {"1": {"includes": {"sso": True}}}}},
            "addons": {},
            "bundles": {},
            "orders": {},
            "later": [1],
        }
    )
    authority.now = authority.now.replace(day=2)
    take(follower, authority.lines(since))
    assert follower.truth.check("new", "sso", WALL).reason == "entitled"
