"""The guides of orders and of Stripe say what the code does."""

import re
from pathlib import Path

import msgspec

from licet.connectors.stripe.read import read_event
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


def test_every_event_to_subscribe_to_is_read() -> None:
    """Each type the guide tells to send is understood: an empty object of it is unreadable, not ignored."""
    page = (GUIDES / "stripe.md").read_text("utf-8")
    (told,) = re.findall(r"with these events: (.*?)\n3\.", page, re.DOTALL)
    names = re.findall(r"`([\w.]+)`", told)
    types = [name if not name.startswith(".") else f"customer.subscription{name}" for name in names]
    assert len(types) == 11
    for kind in types:
        event = StripeEvent(id="evt_1", type=kind, created=1, data=EventContent(object={}))
        try:
            assert not isinstance(read_event(event, "stripe", {}), Ignored), kind
        except Unreadable:
            continue
