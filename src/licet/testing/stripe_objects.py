"""Stripe's objects with consistent ids, amounts and times, made from the templates."""

from calendar import monthrange
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from random import Random
from string import ascii_letters, digits
from typing import Final, Literal, NamedTuple

from licet.testing.stripe_templates import (
    CHECKOUT,
    CHECKOUT_BUYER,
    CUSTOMER,
    INVOICE,
    INVOICE_LINE,
    ITEM,
    PLAN,
    PRICE,
    Json,
)

Interval = Literal["day", "week", "month", "year"]
_DAYS: Final = {"day": 1, "week": 7}
_MONTHS: Final = {"month": 1, "year": 12}
UNIT_AMOUNT: Final = 2000
"""What every price costs, in cents; amounts decide nothing about rights."""


class Ids:
    """Ids in Stripe's form, the same for the same seed."""

    def __init__(self, seed: int | str) -> None:
        self._random = Random(seed)  # noqa: S311 ids of made-up objects, not secrets

    def new(self, prefix: str, length: int = 24) -> str:
        """Return an id such as ``sub_1Qx…``."""
        return prefix + "_" + "".join(self._random.choices(ascii_letters + digits, k=length))


class Buyer(NamedTuple):
    """Who buys, as Stripe knows it."""

    id: str
    name: str
    email: str
    metadata: dict[str, str]


def after_periods(anchor: int, interval: Interval, count: int) -> int:
    """Return the instant ``count`` periods after an anchor; months end at their last day (31 Jan, 28 Feb, 31 Mar)."""
    start = datetime.fromtimestamp(anchor, UTC)
    if interval in _DAYS:
        return int((start + timedelta(days=_DAYS[interval] * count)).timestamp())
    year, month0 = divmod(start.year * 12 + start.month - 1 + _MONTHS[interval] * count, 12)
    day = min(start.day, monthrange(year, month0 + 1)[1])
    return int(start.replace(year=year, month=month0 + 1, day=day).timestamp())


def item_object(ids: Ids, subscription: str, line: tuple[str, int], created: int, interval: Interval) -> Json:
    """Return a subscription item for a price and quantity; its period is set with that of the subscription."""
    made = deepcopy(ITEM)
    made |= {"id": ids.new("si", 14), "created": created, "subscription": subscription}
    return set_price(made, *line, interval)


def set_price(item: Json, price: str, quantity: int, interval: Interval) -> Json:
    """Return the item with another price, and the plan that is its older name."""
    product = price.replace("price", "prod", 1)
    recurring = {
        "interval": interval,
        "interval_count": 1,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }
    common = {"id": price, "created": item["created"], "product": product}
    unit = {"unit_amount": UNIT_AMOUNT, "unit_amount_decimal": str(UNIT_AMOUNT)}
    amount = {"amount": UNIT_AMOUNT, "amount_decimal": str(UNIT_AMOUNT)}
    return item | {
        "quantity": quantity,
        "price": deepcopy(PRICE) | common | unit | {"recurring": recurring},
        "plan": deepcopy(PLAN) | common | amount | {"interval": interval, "interval_count": 1},
    }


def invoice_object(ids: Ids, buyer: Buyer, subscription: Json, created: int, number: int, *, legacy: bool) -> Json:
    """Return an open invoice over the running period of a subscription."""
    invoice_id = ids.new("in")
    lines = [_invoice_line(ids, invoice_id, subscription, item) for item in subscription["items"]["data"]]
    total = 0 if subscription["status"] == "trialing" else sum(line["amount"] for line in lines)
    details = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
    period = _period(subscription["items"]["data"][0], subscription)
    made: Json = deepcopy(INVOICE) | {
        "id": invoice_id,
        "attempt_count": 0,
        "attempted": False,
        "billing_reason": "subscription_create" if number == 1 else "subscription_cycle",
        "created": created,
        "customer": buyer.id,
        "customer_email": buyer.email,
        "customer_name": buyer.name,
        "effective_at": created,
        "hosted_invoice_url": f"https://invoice.stripe.com/i/{invoice_id}",
        "invoice_pdf": f"https://pay.stripe.com/invoice/{invoice_id}/pdf",
        "lines": listed(f"/v1/invoices/{invoice_id}/lines", lines),
        "number": f"MERIDIAN-{number:04d}",
        "period_end": period["end"],
        "period_start": period["start"],
        "status": "open",
        "status_transitions": {
            "finalized_at": created,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "webhooks_delivered_at": created,
    }
    made |= {"amount_due": total, "amount_paid": 0, "amount_remaining": total}
    made |= {"subtotal": total, "subtotal_excluding_tax": total, "total": total, "total_excluding_tax": total}
    if subscription["collection_method"] == "send_invoice":
        made |= send_within(subscription["days_until_due"], created)
    if legacy:
        return made | {"subscription": subscription["id"], "subscription_details": details}
    return made | {"parent": {"quote_details": None, "subscription_details": details, "type": "subscription_details"}}


def sent(days_until_due: int) -> Json:
    """Return what a subscription says whose invoices are sent instead of charged."""
    return {"collection_method": "send_invoice", "days_until_due": days_until_due}


def send_within(days: int, finalized: int) -> Json:
    """Return what an invoice says that must be paid so many days after it was finalized."""
    return {"collection_method": "send_invoice", "due_date": finalized + days * 86_400}


def _invoice_line(ids: Ids, invoice: str, subscription: Json, item: Json) -> Json:
    """Return the invoice line of a subscription item."""
    amount = UNIT_AMOUNT * item["quantity"]
    details = {
        "invoice_item": None,
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": subscription["id"],
        "subscription_item": item["id"],
    }
    return deepcopy(INVOICE_LINE) | {
        "id": ids.new("il"),
        "amount": amount,
        "description": f"{item['quantity']} × {item['price']['id']}",
        "invoice": invoice,
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": details,
            "type": "subscription_item_details",
        },
        "period": _period(item, subscription),
        "pricing": {
            "price_details": {"price": item["price"]["id"], "product": item["price"]["product"]},
            "type": "price_details",
            "unit_amount_decimal": str(UNIT_AMOUNT),
        },
        "quantity": item["quantity"],
        "subtotal": amount,
    }


def _period(item: Json, subscription: Json) -> Json:
    """Return the running period, wherever the API version puts it."""
    holder = item if "current_period_start" in item else subscription
    return {"start": holder["current_period_start"], "end": holder["current_period_end"]}


def checkout_object(ids: Ids, buyer: Buyer, created: int, reference: str | None, subscription: Json | None) -> Json:
    """Return a finished checkout of a subscription."""
    details = deepcopy(CHECKOUT_BUYER) | {"email": buyer.email, "name": buyer.name}
    return deepcopy(CHECKOUT) | {
        "id": ids.new("cs_test", 58),
        "amount_subtotal": UNIT_AMOUNT,
        "amount_total": UNIT_AMOUNT,
        "client_reference_id": reference,
        "created": created,
        "customer": buyer.id,
        "customer_details": details,
        "expires_at": created + 86_400,
        "invoice": None if subscription is None else subscription["latest_invoice"],
        "metadata": dict(buyer.metadata),
        "subscription": None if subscription is None else subscription["id"],
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
    }


def customer_object(buyer: Buyer, created: int) -> Json:
    """Return the customer."""
    return deepcopy(CUSTOMER) | {
        "id": buyer.id,
        "created": created,
        "email": buyer.email,
        "invoice_prefix": buyer.id[-7:].upper(),
        "metadata": dict(buyer.metadata),
        "name": buyer.name,
    }


def listed(url: str, data: list[Json]) -> Json:
    """Return a list as Stripe wraps it."""
    return {"object": "list", "data": data, "has_more": False, "url": url}
