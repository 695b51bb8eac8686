"""Stripe's objects around payments, plans and beliefs: charges, disputes, schedules, the entitlement summary."""

from collections.abc import Sequence
from copy import deepcopy

from licet.testing.stripe_objects import Buyer, Ids, listed
from licet.testing.stripe_payment_templates import CHARGE, DISPUTE, INVOICE_PAYMENT, PHASE, PHASE_ITEM, SCHEDULE
from licet.testing.stripe_templates import Json


def charge_object(ids: Ids, buyer: Buyer, amount: int, created: int) -> Json:
    """Return a charge that succeeded, with the payment intent that led to it."""
    charge = ids.new("ch")
    return deepcopy(CHARGE) | {
        "id": charge,
        "amount": amount,
        "amount_captured": amount,
        "amount_refunded": 0,
        "balance_transaction": ids.new("txn"),
        "created": created,
        "customer": buyer.id,
        "payment_intent": ids.new("pi"),
        "payment_method": ids.new("pm"),
        "receipt_url": f"https://pay.stripe.com/receipts/{charge}",
    }


def dispute_object(ids: Ids, charge: Json, status: str, created: int) -> Json:
    """Return a dispute of a whole charge."""
    return deepcopy(DISPUTE) | {
        "id": ids.new("du"),
        "amount": charge["amount"],
        "charge": charge["id"],
        "created": created,
        "is_charge_refundable": status.startswith("warning"),
        "payment_intent": charge["payment_intent"],
        "status": status,
    }


def invoice_payment_object(ids: Ids, invoice: Json, charge: Json, created: int) -> Json:
    """Return the payment of an invoice by a charge: named by its payment intent, as Stripe does where there is one."""
    return deepcopy(INVOICE_PAYMENT) | {
        "id": ids.new("inpay"),
        "amount_paid": charge["amount"],
        "amount_requested": charge["amount"],
        "created": created,
        "invoice": invoice["id"],
        "payment": {"payment_intent": charge["payment_intent"], "type": "payment_intent"},
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": created},
    }


def schedule_object(ids: Ids, subscription: Json, phase: Json, created: int) -> Json:
    """Return the schedule that is made from a subscription: its running period is the only phase."""
    return deepcopy(SCHEDULE) | {
        "id": ids.new("sub_sched"),
        "created": created,
        "current_phase": {"start_date": phase["start_date"], "end_date": phase["end_date"]},
        "customer": subscription["customer"],
        "phases": [phase],
        "subscription": subscription["id"],
    }


def phase_object(start: int, end: int, items: Sequence[tuple[str, int]]) -> Json:
    """Return a phase of (price, quantity) pairs."""
    lines = [deepcopy(PHASE_ITEM) | {"plan": price, "price": price, "quantity": quantity} for price, quantity in items]
    return deepcopy(PHASE) | {"start_date": start, "end_date": end, "items": lines}


def summary_object(ids: Ids, buyer: Buyer, lookup_keys: Sequence[str], *, has_more: bool) -> Json:
    """Return what Stripe believes a customer may use."""
    entitlements = [_entitlement(ids, key) for key in lookup_keys]
    url = f"/v1/customer/{buyer.id}/entitlements"
    return {
        "object": "entitlements.active_entitlement_summary",
        "customer": buyer.id,
        "entitlements": listed(url, entitlements) | {"has_more": has_more},
        "livemode": False,
    }


def _entitlement(ids: Ids, lookup_key: str) -> Json:
    return {
        "id": ids.new("ent_test"),
        "object": "entitlements.active_entitlement",
        "feature": ids.new("feat_test"),
        "livemode": False,
        "lookup_key": lookup_key,
    }
