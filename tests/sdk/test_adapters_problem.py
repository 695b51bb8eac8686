"""What a refused request is answered: the status of every kind of refusal, and that nothing internal leaves."""

import asyncio
import re
from typing import Any

import msgspec
import pytest

from licet import NotEntitled, NotHeld, NoTruth
from licet.core.catalog import Catalog
from licet.core.reason import Reason
from licet.sdk.adapters.problem import Answer, Denial, answer_to
from licet.sdk.decision import assume
from licet.testing import World
from tests.sdk.examples import meridian
from tests.sdk.office import open_office
from tests.tidy.source import ROOT

METERED: dict[str, Any] = {
    "version": 1,
    "products": {"m": {"name": "Meridian"}},
    "meters": {"calls": {"event": "call"}},
    "features": {
        "calls": {"type": "metered", "meter": "calls", "per": "month"},
        "ever": {"type": "metered", "meter": "calls", "per": "lifetime"},
        "places": {"type": "limit"},
    },
    "plans": {
        "team": {"product": "m", "versions": {"2026-01": {"includes": {"calls": 100, "ever": 100, "places": 100}}}}
    },
}


def refused(world: World, feature: str, **more: Any) -> Answer:
    """What acme is answered."""
    with pytest.raises(NotEntitled) as error:
        world.client().require("acme", feature, **more)
    return answer_to(error.value)


def read(answer: Answer) -> Denial:
    """A body, read strictly."""
    return msgspec.json.decode(answer.body, type=Denial)


def test_waiting_is_429_and_changing_is_403() -> None:
    """Of three limits that are used up alike, only the one that comes back by itself says: later."""
    world = World(METERED)
    world.subscribe("acme", "team")
    told = {one: refused(world, one, used=100) for one in ("calls", "ever", "places")}
    assert {one: answer.status for one, answer in told.items()} == {"calls": 429, "ever": 403, "places": 403}
    assert {read(answer).code for answer in told.values()} == {"allowance_spent", "not_entitled"}
    assert [answer.headers for answer in told.values()] == [{"Content-Type": "application/problem+json"}] * 3


def test_a_truth_that_is_too_old_is_503() -> None:
    """Past its end the truth says nothing about the customer: the vendor's fault, and worth another try."""
    world = World(METERED)
    world.subscribe("acme", "team")
    world.offline(days=30)
    answer = refused(world, "places", used=1)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert (read(answer).code, read(answer).reason) == ("no_truth", Reason.SNAPSHOT_EXPIRED)


def test_what_was_assumed_is_503_too() -> None:
    """Where a client was told to deny what it cannot know, the answer is the same."""
    answer = answer_to(NotEntitled(assume("acme", "sso", 0, allowed=False)))
    assert (answer.status, read(answer).code) == (503, "no_truth")


def test_the_cause_of_no_truth_stays_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The customer reads that it could not be looked up; the vendor's log says why."""
    answer = answer_to(NoTruth("the key at https://licet.internal is not taken"))
    assert b"licet.internal" not in answer.body
    assert "the key at https://licet.internal is not taken" in caplog.text


@pytest.mark.parametrize("more", [{"customers": ["acme"]}, {"on_demand": True}])
def test_who_is_never_held_is_the_programs_mistake(more: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """A client that was made for others, or used wrongly, will not answer later either: 500, nothing to wait for."""
    with open_office() as office:

        async def asked() -> Answer:
            async with office.async_client(**more) as client:
                await client.wait_ready()
                with pytest.raises(NotHeld) as error:
                    client.require("new", "sso")
            return answer_to(error.value)

        answer = asyncio.run(asked())
    assert answer.status == 500
    assert "Retry-After" not in answer.headers
    assert (read(answer).code, b"shortly" in answer.body, b"new" in answer.body) == ("no_truth", False, False)
    assert "'new'" in caplog.text


def test_who_could_not_be_loaded_is_503() -> None:
    """On demand, a customer that could not be fetched a moment ago may be there in the next."""
    with open_office() as office, office.client(on_demand=True) as client:
        client.wait_ready()
        office.close()
        with pytest.raises(NoTruth) as error:
            client.require("new", "sso")
    assert answer_to(error.value).headers["Retry-After"] == "5"


def internals(catalog: Catalog) -> set[str]:
    """Everything in a catalog that its customers must not read."""
    texts = {part.support_text for part in catalog.features.values()}
    texts |= {part.when for part in catalog.features.values() if part.when}
    texts |= {text for one in catalog.policies.values() for text in (one.note, one.when, one.support_text)}
    texts |= set(catalog.policies)
    return {text for text in texts if text}


def test_nothing_internal_leaves() -> None:
    """Whatever is refused to whomever, no condition, policy's name, note or support text stands in the answer."""
    world = meridian()
    catalog = world.client().check("acme", "sso").ruled.case.catalog.document
    secret = internals(catalog)
    assert len(secret) > 10
    world.customer("acme", country="KP")
    world.subscribe("shadow-trading", "enterprise")
    world.override("acme", "sso", effect="deny", note="they never pay", ends_at="2027-01-01T00:00:00Z")
    asked = [
        world.client().check(who, what, used=10**9) for who in ("acme", "shadow-trading") for what in catalog.features
    ]
    assert {"policy_denied", "limit_reached", "not_entitled"} <= {one.reason for one in asked}
    answers = [answer_to(NotEntitled(one)).body.decode() for one in asked if not one]
    leaks = [(text, body) for text in {*secret, "they never pay"} for body in answers if text in body]
    assert leaks == []


def test_the_page_lists_every_code_with_its_status() -> None:
    """The guide's table is what the adapters do, and its example reads as one of their answers."""
    page = (ROOT / "docs" / "guides" / "denied-requests.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", page, re.MULTILINE)
    assert rows == [("not_entitled", "403"), ("allowance_spent", "429"), ("no_truth", "503"), ("no_truth", "500")]
    (example,) = re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert msgspec.json.decode(example, type=Denial).status == 403
