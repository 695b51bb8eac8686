"""What Stripe's events mean here, in both shapes of its API."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from licet.connectors.stripe import StripeConnector
from licet.core.orders import OrderDocument, PaymentNotice
from licet.services.inbound import CustomerHint, Ignored, Reading, Unreadable
from licet.testing.stripe import SignedDelivery, StripeStory

SECRET = "whsec_one_of_the_tests"
START = datetime(2027, 1, 31, 9, tzinfo=UTC)


def tell(*, customer: str | None = "acme", legacy: bool = False) -> StripeStory:
    """A story of these tests."""
    return StripeStory(SECRET, START, customer=customer, legacy=legacy)


def read(delivery: SignedDelivery, **settings: str) -> Reading:
    """What a delivery means to the source ``stripe``."""
    return StripeConnector().read(delivery.body, "stripe", settings)


def order(delivery: SignedDelivery) -> OrderDocument:
    """The order in a delivery."""
    reading = read(delivery)
    assert isinstance(reading, OrderDocument), reading
    return reading


def changed(delivery: SignedDelivery, **fields: Any) -> SignedDelivery:
    """The delivery with other fields in its object."""
    event = json.loads(delivery.body)
    event["data"]["object"] |= fields
    body = json.dumps(event).encode()
    return SignedDelivery(
        id=delivery.id, type=delivery.type, created=delivery.created, body=body, headers=delivery.headers
    )


@pytest.mark.parametrize("legacy", [False, True])
def test_a_subscription_is_an_order(legacy: bool) -> None:
    """Every field of an order is taken from where the event says it, in the new and the old API shape."""
    told = tell(legacy=legacy)
    placed = order(told.subscribe("price_team", 3, extra=[("price_boost", 1)], trial_days=14))
    assert placed.external_id == told.subscription
    assert (placed.customer.external_id, placed.customer.metadata) == (told.buyer.id, "acme")
    assert [(line.price, line.quantity) for line in placed.lines] == [("price_team", 3), ("price_boost", 1)]
    assert (placed.occurred_at, placed.starts_at) == (START, START)
    assert (placed.trial_start, placed.trial_end) == (START, START + timedelta(days=14))
    assert (placed.period, placed.anchor) == ("P1M", START + timedelta(days=14))
    assert (placed.paused, placed.ends_at, placed.trial_end_behavior) == (False, None, "convert")


@pytest.mark.parametrize("legacy", [False, True])
def test_the_end_with_the_period_is_read_in_both_shapes(legacy: bool) -> None:
    """A cancellation at the period's end names the day; where it does not, the running period does."""
    told = tell(legacy=legacy)
    told.subscribe("price_team")
    end = datetime(2027, 2, 28, 9, tzinfo=UTC)
    cancelled = told.cancel()
    assert order(cancelled).ends_at == end
    assert order(changed(cancelled, cancel_at=None)).ends_at == end
    assert order(told.uncancel()).ends_at is None
    assert order(told.cancel(at=START + timedelta(days=3))).ends_at == START + timedelta(days=3)


def test_the_end_of_a_deleted_subscription_is_when_it_ended() -> None:
    """A deletion ends at ended_at; without one, when Stripe said so."""
    told = tell()
    told.subscribe("price_team")
    deleted = told.wait(days=2).cancel(at_period_end=False)
    ended = START + timedelta(days=2, seconds=1)
    assert order(deleted).ends_at == ended
    assert order(changed(deleted, ended_at=None)).ends_at == ended
    assert order(deleted).paused is None


@pytest.mark.parametrize(
    ("missing", "meant"), [("create_invoice", "convert"), ("pause", "pause"), ("cancel", "end"), ("new", "convert")]
)
def test_what_ends_a_trial(missing: str, meant: str) -> None:
    """The setting for a missing payment method is the trial's end; one that nobody knows converts."""
    settings = {"end_behavior": {"missing_payment_method": missing}}
    assert order(changed(tell().subscribe("p", trial_days=7), trial_settings=settings)).trial_end_behavior == meant
    assert order(changed(tell().subscribe("p", trial_days=7), trial_settings=None)).trial_end_behavior == "convert"


def test_paused_collection_takes_nothing_away_but_the_status_does() -> None:
    """pause_collection stops invoices only; status paused is a pause, and resumed ends it."""
    told = tell()
    told.subscribe("price_team")
    assert order(told.pause_collection()).paused is False
    assert order(told.pause()).paused is True
    assert order(told.resume()).paused is False


@pytest.mark.parametrize("status", ["incomplete", "incomplete_expired"])
def test_what_was_never_paid_is_no_order(status: str) -> None:
    """A subscription whose first payment is missing gives nothing, and the words say why."""
    reading = read(changed(tell().subscribe("price_team"), status=status))
    assert isinstance(reading, Ignored)
    assert "first payment" in reading.words


def test_a_change_to_past_due_and_back_carries_payment_facts() -> None:
    """Accounts without invoice events still count as late and as paid, even if the change itself is never heard."""
    told = tell()
    told.subscribe("price_team")
    told.fail_payment()
    late = order(told.updated())
    assert [fact.kind for fact in late.payments] == ["failed"]
    again = order(told.wait(days=1).change_quantity(4))
    assert [(fact.kind, fact.invoice) for fact in again.payments] == [("failed", late.payments[0].invoice)]
    nameless = order(changed(told.updated(), latest_invoice=None))
    assert [(fact.kind, fact.invoice) for fact in nameless.payments] == [("failed", told.subscription)]
    told.pay()
    recovered = order(told.updated())
    assert [(fact.kind, fact.invoice) for fact in recovered.payments] == [("paid", late.payments[0].invoice)]
    assert order(told.wait(days=1).change_quantity(5)).payments == ()
    assert order(told.give_up("unpaid")).payments[0].kind == "failed"


@pytest.mark.parametrize("legacy", [False, True])
def test_invoices_are_payment_facts(legacy: bool) -> None:
    """Paid, failed, uncollectible: each names its invoice, its subscription and its customer, in both shapes."""
    told = tell(legacy=legacy)
    told.subscribe("price_team")
    for delivery, kind in [
        (told.fail_payment(), "failed"),
        (told.write_off(), "uncollectible"),
        (told.pay(), "paid"),
    ]:
        notice = read(delivery)
        assert isinstance(notice, PaymentNotice)
        assert notice.external_id == told.subscription
        assert (notice.customer.external_id, notice.customer.metadata) == (told.buyer.id, "acme")
        (fact,) = notice.payments
        assert fact.kind == kind
        assert fact.at == datetime.fromtimestamp(delivery.created, UTC)


def test_an_invoice_without_a_subscription_says_nothing() -> None:
    """One-off invoices concern no right."""
    told = tell()
    told.subscribe("price_team")
    assert isinstance(read(changed(told.pay(), parent=None, subscription=None)), Ignored)


def test_a_checkout_says_who_the_customer_is() -> None:
    """client_reference_id and metadata are both told; a guest's checkout says nothing."""
    told = tell(customer=None)
    checkout = told.checkout("acme")
    hint = read(changed(checkout, metadata={"tenant": "acme-inc"}), customer_metadata="tenant")
    assert isinstance(hint, CustomerHint)
    assert hint.customer.external_id == told.buyer.id
    assert (hint.customer.client_reference, hint.customer.metadata) == ("acme", "acme-inc")
    assert isinstance(read(changed(checkout, customer=None)), Ignored)


def test_expanded_objects_and_unknown_fields_are_read_too() -> None:
    """A customer that stands there whole is read like its id; fields of later versions are passed over."""
    told = tell()
    placed = order(changed(told.subscribe("p"), customer={"id": "cus_whole", "name": "x"}, novelty={"a": [1]}))
    assert placed.customer.external_id == "cus_whole"


def test_unknown_types_are_ignored_with_a_note() -> None:
    """An event that says nothing about rights is answered well, and its type is named."""
    assert read(tell().customer_updated()) == Ignored(words="customer.updated says nothing about rights")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status": "dreaming"}, "'dreaming'"),
        ({"items": {"data": [], "has_more": True}}, "all items"),
        ({"items": None}, "shape"),
        ({"start_date": -5}, "shape"),
        ({"start_date": 10**15}, "shape"),
        ({"id": ""}, "shape"),
        ({"metadata": {"licet_customer": "x" * 200}}, "cannot be kept"),
    ],
)
def test_what_cannot_be_right_is_unreadable(fields: dict[str, Any], words: str) -> None:
    """A subscription that cannot be understood whole is not understood in part: it becomes a dead letter."""
    with pytest.raises(Unreadable) as caught:
        read(changed(tell().subscribe("price_team"), **fields))
    assert words in caught.value.words


def test_a_metered_item_has_no_quantity_and_a_zero_one_is_not_bought() -> None:
    """Without a quantity an item counts once; an item of quantity 0 is left out of the order."""
    delivery = tell().subscribe("price_team", 3, extra=[("price_boost", 1)])
    items = json.loads(delivery.body)["data"]["object"]["items"]
    items["data"][0]["quantity"] = None
    items["data"][1]["quantity"] = 0
    assert [(line.price, line.quantity) for line in order(changed(delivery, items=items)).lines] == [("price_team", 1)]


def test_the_fingerprint_covers_type_created_and_data_only() -> None:
    """Another attempt of the same event has the same fingerprint, another content another one."""
    told, connector = tell(), StripeConnector()
    first = told.subscribe("price_team")
    envelope = connector.envelope(first.body)
    assert (envelope.id, envelope.type, envelope.created) == (first.id, "customer.subscription.created", START)
    assert connector.envelope(told.again(first).body).fingerprint == envelope.fingerprint
    assert connector.envelope(json.dumps(json.loads(first.body)).encode()).fingerprint == envelope.fingerprint
    assert connector.envelope(changed(first, status="paused").body).fingerprint != envelope.fingerprint


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"id": "evt_1"',
        b"\xff\xfe",
        b'{"id": "e", "type": "t", "created": 1e400, "data": {"object": {}}}',
        b'{"id": "e", "type": "t", "created": 1.5, "data": {"object": {}}}',
        b'{"id": "e", "type": "t", "created": 1, "data": {"object": []}}',
        b'{"id": "e", "object": "v2.core.event", "type": "t", "created": 1, "data": {"object": {}}}',
        b"[" * 100_000,
    ],
)
def test_bodies_that_are_no_events_are_unreadable(body: bytes) -> None:
    """Whatever a signed body holds, reading it ends in one kind of error."""
    with pytest.raises(Unreadable):
        StripeConnector().envelope(body)


@pytest.mark.parametrize("items", [{"data": []}, {"data": [], "has_more": True}])
def test_a_cancellation_is_one_whatever_its_lines_say(items: dict[str, Any]) -> None:
    """Without lines, or with lines left out of the message, it still says when the subscription ended."""
    told = tell()
    told.subscribe("price_team")
    gone = changed(told.wait(days=2).delete(), items=items)
    reading = order(gone)
    assert (reading.lines, reading.ends_at) == ((), reading.occurred_at)
    assert order(changed(gone, status="a status of tomorrow")).ends_at == reading.occurred_at
