"""What Stripe's invoices, payments, disputes and refunds mean here."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from licet.core.money import Money
from licet.core.orders import PaymentLink, PaymentNotice, Reversal
from licet.core.terms import PaymentFact
from licet.services.inbound import Ignored, Unreadable
from licet.testing.stripe import SignedDelivery, StripeStory
from tests.connectors.test_stripe_read import START, changed, read, tell

TOTAL = Money(amount=4000, currency="USD")


def sold(*, legacy: bool = False) -> StripeStory:
    """A story in which two seats of one price were bought."""
    told = tell(legacy=legacy)
    told.subscribe("price_team", 2)
    return told


def notice(delivery: SignedDelivery) -> PaymentNotice:
    """The payment notice in a delivery."""
    reading = read(delivery)
    assert isinstance(reading, PaymentNotice), reading
    return reading


def fact(delivery: SignedDelivery) -> PaymentFact:
    """The one payment fact in a delivery."""
    (found,) = notice(delivery).payments
    return found


def reversal(delivery: SignedDelivery) -> Reversal:
    """The reversal in a delivery."""
    reading = read(delivery)
    assert isinstance(reading, Reversal), reading
    return reading


def ignored(delivery: SignedDelivery) -> str:
    """The words with which a delivery is passed over."""
    reading = read(delivery)
    assert isinstance(reading, Ignored), reading
    return reading.words


@pytest.mark.parametrize("legacy", [False, True])
def test_what_happens_to_an_invoice_is_a_fact_with_its_amount(legacy: bool) -> None:
    """Each event has its kind, the invoice, its own instant, and how much it is about."""
    told = sold(legacy=legacy)
    for act, kind in [
        (told.fail_payment, "failed"),
        (told.ask_authentication, "failed"),
        (told.write_off, "uncollectible"),
        (told.void, "voided"),
        (told.pay, "paid"),
        (told.payment_succeeded, "paid"),
    ]:
        delivery = act()
        found = fact(delivery)
        assert (found.kind, found.money) == (kind, TOTAL), delivery.type
        assert found.at == datetime.fromtimestamp(delivery.created, UTC)


def test_an_invoice_that_was_paid_twice_in_words_is_one_fact() -> None:
    """Stripe tells each payment by two events; of one second they are the very same fact."""
    told = sold()
    paid = told.pay()
    assert fact(told.together().payment_succeeded()) == fact(paid)


def test_a_sent_invoice_is_due_on_its_date() -> None:
    """Finalized, sent, updated, overdue: due on the due date, stated when the event was; the last one moved it."""
    told = tell()
    told.subscribe("price_team", 2, days_until_due=30)
    due = START + timedelta(days=30)
    first = fact(told.finalize_invoice())
    assert (first.kind, first.at, first.stated_at, first.money) == ("due", due, START + timedelta(seconds=1), TOTAL)
    moved = fact(told.postpone(5))
    assert (moved.at, moved.stated_at) == (due + timedelta(days=5), START + timedelta(seconds=2))
    late = told.overdue()
    assert fact(late).at == due + timedelta(days=5)
    assert fact(changed(late, due_date=None)).at == datetime.fromtimestamp(late.created, UTC)
    assert fact(told.finalize_invoice(days_until_due=7)).at == told.time + timedelta(days=7, seconds=-1)


def test_what_is_charged_or_closed_or_nothing_is_not_due() -> None:
    """Invoices that are charged, drafts, paid ones, and those of nothing have no due date here, with words."""
    told = sold()
    assert "charged automatically" in ignored(told.finalize_invoice())
    final = told.finalize_invoice(days_until_due=3)
    assert "is draft" in ignored(changed(final, status="draft"))
    assert "nothing is owed" in ignored(changed(final, amount_due=0, amount_remaining=0))
    told.pay()
    assert "is paid" in ignored(told.postpone(1))


def test_an_invoice_of_nothing_is_never_owed() -> None:
    """A failed or given-up invoice of 0 is passed over; paid or voided ones settle whatever was owed before."""
    told = tell()
    told.subscribe("price_team", 2, trial_days=14)
    assert "nothing is owed" in ignored(told.fail_payment())
    assert "nothing is owed" in ignored(told.write_off())
    assert fact(told.void()).kind == "voided"
    paid = fact(told.pay())
    assert (paid.kind, paid.money) == ("paid", Money(amount=0, currency="USD"))


@pytest.mark.parametrize(
    ("fields", "money"),
    [
        ({"currency": "eur"}, Money(amount=4000, currency="EUR")),
        ({"currency": "currency"}, None),
        ({"currency": None}, None),
        ({"amount_remaining": 1500}, Money(amount=1500, currency="USD")),
        ({"amount_remaining": None, "amount_due": None}, None),
        ({"amount_remaining": -4}, None),
        ({"amount_remaining": 2**53}, None),
    ],
)
def test_money_is_said_only_where_it_is_money(fields: dict[str, Any], money: Money | None) -> None:
    """An amount or currency that cannot be one is left out; the fact itself stays."""
    found = fact(changed(sold().fail_payment(), **fields))
    assert (found.kind, found.money) == ("failed", money)


def test_invoices_of_old_versions_name_their_payments() -> None:
    """The charge and the payment intent of a paid invoice are linked to it and to its subscription."""
    told = sold(legacy=True)
    assert notice(told.fail_payment()).links == ()
    paid = notice(told.pay())
    (link,) = paid.links
    disputed = reversal(told.dispute())
    assert (link.invoice, link.external_id) == (paid.payments[0].invoice, told.subscription)
    assert set(link.payments) == set(disputed.payments)
    assert len(link.payments) == 2


def test_payments_of_new_versions_are_told_apart_or_with_the_invoice() -> None:
    """invoice_payment.paid links them without the subscription; an invoice that lists them links them, too."""
    told = sold()
    paid = told.pay()
    assert notice(paid).links == ()
    made = told.payment_made()
    link = read(made)
    assert isinstance(link, PaymentLink)
    assert (link.invoice, link.external_id) == (fact(paid).invoice, None)
    assert link.payments[0] == reversal(told.dispute()).payments[0]
    assert "neither" in ignored(changed(made, payment={"type": "payment_record"}))
    listed = {"data": [{"payment": {"payment_intent": {"id": "pi_1"}}}, {"payment": {"charge": "ch_2"}}, {}]}
    (inside,) = notice(changed(paid, payments=listed)).links
    assert (inside.payments, inside.external_id) == (("pi_1", "ch_2"), told.subscription)
    many = {"data": [{"payment": {"charge": f"ch_{number}"}} for number in range(30)]}
    assert len(notice(changed(paid, payments=many)).links[0].payments) == 10


def test_a_dispute_takes_the_payment_back_until_it_is_decided() -> None:
    """Created and withdrawn: disputed; closed: won or lost. All name the payment intent first, then the charge."""
    told = sold()
    told.pay()
    for act, kind in [
        (told.dispute, "disputed"),
        (told.withdraw_funds, "disputed"),
        (told.lose_dispute, "dispute_lost"),
        (told.win_dispute, "dispute_won"),
    ]:
        delivery = act()
        found = reversal(delivery)
        assert (found.kind, found.money, found.whole) == (kind, TOTAL, True)
        assert [name.partition("_")[0] for name in found.payments] == ["pi", "ch"]
        assert found.at == datetime.fromtimestamp(delivery.created, UTC)
    prevented = changed(told.lose_dispute(), status="prevented")
    assert reversal(prevented).kind == "dispute_won"
    with pytest.raises(Unreadable) as caught:
        read(changed(told.lose_dispute(), status="a status of tomorrow"))
    assert "'a status of tomorrow'" in caught.value.words
    assert reversal(changed(prevented, payment_intent=None)).payments[0].startswith("ch_")
    assert "neither" in ignored(changed(prevented, payment_intent=None, charge=None))


def test_an_inquiry_moves_no_money_until_it_becomes_a_dispute() -> None:
    """An inquiry is passed over with words; the withdrawal of the money makes it a dispute; closed, nothing is owed."""
    told = sold()
    told.pay()
    asked = told.dispute(inquiry=True)
    assert "no money was taken back" in ignored(asked)
    assert reversal(told.withdraw_funds()).kind == "disputed"
    told.dispute(inquiry=True)
    assert reversal(told.win_dispute()).kind == "dispute_won"


def test_a_refund_says_how_much_and_whether_that_is_all() -> None:
    """Parts add up; only the whole is whole."""
    told = sold()
    told.pay()
    part = reversal(told.refund(1000))
    assert (part.kind, part.money, part.whole) == ("refunded", Money(amount=1000, currency="USD"), False)
    rest = reversal(told.refund(3000))
    assert (rest.money, rest.whole) == (TOTAL, True)
    assert [name.partition("_")[0] for name in rest.payments] == ["pi", "ch"]


def test_a_story_without_a_payment_has_nothing_to_dispute() -> None:
    """Calling for what cannot have happened is an error of the test that calls, with words."""
    told = sold()
    for act in (told.dispute, told.refund, told.payment_made, told.win_dispute):
        with pytest.raises(ValueError, match=r"call (pay|dispute)\(\) first"):
            act()
