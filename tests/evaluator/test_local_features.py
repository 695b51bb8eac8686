"""Who decides about a feature reaches whoever follows, and changes no answer; an older follower passes it over."""

from typing import Any

import msgspec
import pytest
from msgspec import Struct

from licet.core.audience import Audience, for_audience
from licet.core.catalog import Catalog, FeatureBase, Switch, decode_catalog, encode_catalog
from licet.evaluator.follower import Follower
from licet.evaluator.later import read_later
from tests.evaluator.authority import SMALL, WALL, Authority, start, take

METERED: dict[str, Any] = {"type": "metered", "meter": "calls", "default": 100}


def vendor(**said: str) -> dict[str, Any]:
    """Return the small catalog with a metered feature that says something more."""
    features = {**SMALL["features"], "api": {**METERED, **said}}
    includes = {**SMALL["plans"]["team"]["versions"]["1"]["includes"], "api": 100}
    plans = {"team": {"product": "m", "versions": {"1": {"includes": includes}}}}
    return {**SMALL, "meters": {"calls": {"event": "call", "aggregate": "count"}}, "features": features, "plans": plans}


def is_local(follower: Follower) -> bool:
    """Whether a follower's program may decide about the feature itself."""
    catalog = follower.truth.catalog
    assert catalog is not None
    return catalog.features["api"].local


def test_a_follower_knows_what_it_may_decide_from_release_to_release() -> None:
    """The signed catalog carries it, there and back; what is permitted stays what it was."""
    authority, follower = start(Authority(document=vendor(decide="local")))
    assert is_local(follower)
    said = [follower.truth.check("acme", "api", WALL, used=used) for used in (99, 100)]
    assert [one.allowed for one in said] == [True, False]
    for document, local in ((vendor(), False), (vendor(decide="local"), True), (vendor(decide="hub"), False)):
        since = follower.truth.seq
        authority.release(document)
        take(follower, authority.lines(since))
        assert is_local(follower) is local
        again = [follower.truth.check("acme", "api", WALL, used=used) for used in (99, 100)]
        assert [(one.allowed, one.reason) for one in again] == [(one.allowed, one.reason) for one in said]


@pytest.mark.parametrize("audience", ["server", "customer"])
def test_each_audience_is_told(audience: Audience) -> None:
    """The documents for servers and for customers both have it: what a customer runs may own quota too."""
    catalog = msgspec.convert(vendor(decide="local"), Catalog)
    told = decode_catalog(encode_catalog(for_audience(catalog, audience)))
    assert msgspec.to_builtins(told.features["api"])["decide"] == "local"


class OlderMetered(FeatureBase, frozen=True, kw_only=True, tag="metered"):
    """A metered feature before there was the word."""

    meter: str
    default: int = 0


class Older(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A catalog of before, as far as this test has one."""

    version: int
    products: dict[str, Any]
    meters: dict[str, Any]
    features: dict[str, Switch | OlderMetered]
    plans: dict[str, Any]


def test_an_older_follower_passes_the_word_over() -> None:
    """It refuses nothing and reads all else, so its program asks the hub, which decides exactly."""
    simple = {"sso": {"type": "switch"}}
    document = {**vendor(), "features": {**simple, "api": {**METERED, "decide": "local", "title": "Calls"}}}
    with pytest.raises(msgspec.ValidationError, match="unknown field `decide`"):
        msgspec.convert(document, Older)
    found = read_later(msgspec.json.encode(document), Older)
    assert found.features == {"sso": Switch(), "api": OlderMetered(meter="calls", default=100, title="Calls")}
