"""Terms of a later version, rightly signed: who has them cannot be answered, everybody else is."""

import logging
from typing import Any

import msgspec
import pytest

from licet import NoTruth, NotUnderstood
from licet.core.catalog import decode_catalog
from licet.evaluator import errors
from licet.evaluator.truth import LocalTruth
from tests.evaluator.authority import SMALL, terms
from tests.sdk.office import LONG_AGO, open_office, until

NOW = 1_790_000_000_000_000


def later(customer: str) -> dict[str, Any]:
    """Terms with a kind of item that no version has yet."""
    document = terms(customer, since=LONG_AGO)
    document["subscriptions"][0]["phases"][0]["items"][0]["kind"] = "pack"
    return document


def test_who_has_terms_of_a_later_version_cannot_be_answered(caplog: pytest.LogCaptureFixture) -> None:
    """Both ways to ask raise an error of their own, it is logged once, others go on; readable terms end it."""
    with open_office() as office, office.client() as client:
        office.put(later("odd"))
        office.put(later("other"))
        office.sold("late")
        until(lambda: client.check("late", "sso"))
        with caplog.at_level(logging.WARNING, "licet.sdk"):
            for _ in range(3):
                with pytest.raises(NotUnderstood, match=r"'odd' has terms that need a newer version.*'pack'") as caught:
                    client.check("odd", "sso", user="ann")
            with pytest.raises(NotUnderstood, match="'odd'"):
                client.entitlements("odd")
            with pytest.raises(NoTruth, match="'other' has terms that need a newer version"):
                client.require("other", "sso")
        assert caught.value.code == "not_understood"
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert client.check("acme", "sso")
        assert client.freshness.state == "fresh"
        assert client.freshness.last_error is None
        office.sold("odd")
        until(lambda: client.freshness.cursor == f"1:{office.authority.seq}")
        assert client.check("odd", "sso")


def test_what_was_said_to_assume_is_assumed_of_terms_of_a_later_version() -> None:
    """A check about them is what the program said for when nothing can be answered; no entitlements are made up."""
    with open_office() as office, office.client(unreachable={"sso": "allow"}, telemetry=True) as client:
        office.put(later("odd"))
        office.sold("late")
        until(lambda: client.check("late", "sso"))
        assert client.check("odd", "sso")
        assert not client.check("odd", "export")
        assert client.check("odd", "sso").basis is None
        with pytest.raises(NotUnderstood):
            client.entitlements("odd")


def test_a_time_zone_that_this_machine_lacks_is_no_error_of_another_kind() -> None:
    """Terms in a zone that is not installed cannot be answered, which says what to install; others are answered."""
    truth = LocalTruth()
    truth.release(decode_catalog(msgspec.json.encode(SMALL)), 1)
    truth.put_terms("acme", 1, 1, msgspec.json.encode(terms("acme", since=LONG_AGO)))
    document = terms("mars", since=LONG_AGO)
    document["subscriptions"][0] |= {"zone": "Mars/Olympus", "period": "P1M", "anchor": "2020-01-31T00:00:00Z"}
    truth.put_terms("mars", 1, 1, msgspec.json.encode(document))
    for _ in range(2):
        with pytest.raises(errors.NotUnderstood, match=r"Mars/Olympus.*tzdata"):
            truth.check("mars", "seats", NOW)
    with pytest.raises(errors.NotUnderstood):
        truth.entitlements("mars", NOW)
    assert truth.check("acme", "sso", NOW).allowed
