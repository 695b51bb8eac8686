"""The guides of orders and of Stripe say what the code does."""

import re
from pathlib import Path

import msgspec
import pytest

from licet.connectors.stripe.read import EVENTS, UNNEEDED, read_event
from licet.connectors.stripe.shapes import EventContent, StripeEvent
from licet.core.orders import OrderDocument, Outcome
from licet.services.inbound import Ignored, Unreadable
from licet.services.sources import SETTINGS

GUIDES = Path(__file__).parents[2] / "docs" / "guides"


def test_the_order_of_the_guide_is_an_order() -> None:
    """The JSON that a reader copies is accepted."""
    (text,) = re.findall(r"```json\n(.*?)```", (GUIDES / "orders.md").read_text("utf-8"), re.DOTALL)
    assert msgspec.json.decode(text, type=OrderDocument).external_id == "deal-1"


def test_the_outcomes_are_those_of_the_code() -> None:
    """The table of outcomes has each outcome once and no other."""
    listed = re.findall(r"^\| `(\w+)` \|", (GUIDES / "orders.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(Outcome.__args__)  # type: ignore[attr-defined]


def test_every_setting_of_a_source_is_in_the_guide() -> None:
    """No setting is hidden."""
    page = (GUIDES / "stripe.md").read_text("utf-8")
    assert [name for name in SETTINGS if f"`{name}" not in page] == []


def test_the_events_to_subscribe_to_are_those_that_are_read() -> None:
    """The guide's table names each type that the connector reads once and no other, and the needless ones below it."""
    page = (GUIDES / "stripe.md").read_text("utf-8")
    (section,) = re.findall(r"\n## Events\n(.*?)\n## ", page, re.DOTALL)
    table, _, needless = section.partition("Not needed:")
    assert re.findall(r"^\| `([\w.]+)` \|", table, re.MULTILINE) == list(EVENTS)
    assert [name for name in re.findall(r"`(\w+\.[\w.]+)`", needless) if name not in EVENTS] == list(UNNEEDED)


@pytest.mark.parametrize("kind", [*EVENTS, *UNNEEDED])
def test_every_event_of_the_guide_is_read_or_says_why_not(kind: str) -> None:
    """An empty object of a type that is read is no such thing; of one that is not needed the words say why."""
    event = StripeEvent(id="evt_1", type=kind, created=1, data=EventContent(object={}))
    try:
        reading = read_event(event, "stripe", {})
    except Unreadable:
        assert kind in EVENTS
    else:
        assert isinstance(reading, Ignored)
        assert reading.words.startswith(kind)
        assert (kind in UNNEEDED) or "pending_update" in kind
