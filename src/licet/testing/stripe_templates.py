"""Every field of Stripe's objects with the value that it has for a plain subscription paid by card; API 2026-10-28."""

from typing import Any, Final

API_VERSION: Final = "2026-10-28.endive"
LEGACY_API_VERSION: Final = "2024-06-20"
"""The current period at the subscription, the subscription at the invoice."""

Json = dict[str, Any]


def null(names: str) -> Json:
    """Return fields without a value."""
    return dict.fromkeys(names.split())


_METHODS: Final[Json] = {
    name: {} for name in ("acss_debit", "konbini", "payto", "sepa_debit", "upi", "us_bank_account")
} | {"bancontact": {"preferred_language": "en"}, "customer_balance": {"funding_type": None}}
ADDRESS: Final[Json] = null("city country line1 line2 postal_code state")
TAX: Final[Json] = {"enabled": False, "liability": None, "disabled_reason": None}

SUBSCRIPTION: Final[Json] = {
    **null("application application_fee_percent cancel_at canceled_at customer_account days_until_due"),
    **null("default_payment_method default_source description ended_at latest_invoice"),
    **null("next_pending_invoice_item_invoice on_behalf_of pause_collection pending_invoice_item_interval"),
    **null("pending_setup_intent pending_update schedule test_clock transfer_data trial_end trial_start"),
    **null("billing_cycle_anchor_config billing_thresholds"),
    "object": "subscription",
    "automatic_tax": TAX,
    "billing_mode": {"type": "classic", "flexible": None},
    "billing_schedules": [],
    "cancel_at_period_end": False,
    "cancellation_details": null("comment feedback reason"),
    "collection_method": "charge_automatically",
    "currency": "usd",
    "default_tax_rates": [],
    "discounts": [],
    "invoice_settings": {**null("account_tax_ids custom_fields description footer"), "issuer": {"type": "self"}},
    "livemode": False,
    "managed_payments": {"enabled": False},
    "metadata": {},
    "payment_settings": {
        "payment_method_options": {
            **_METHODS,
            "card": {"network": None, "request_three_d_secure": "automatic"},
            "pix": {},
        },
        "payment_method_types": None,
        "save_default_payment_method": "off",
    },
    "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
}
"""To be filled: id, customer, created, start_date, billing_cycle_anchor, items, status."""

ITEM: Final[Json] = {
    "object": "subscription_item",
    "billing_thresholds": None,
    "discounts": [],
    "metadata": {},
    "tax_rates": [],
}
"""To be filled: id, created, current_period_start, current_period_end, price, plan, quantity, subscription."""

PRICE: Final[Json] = {
    **null("custom_unit_amount lookup_key nickname tiers_mode transform_quantity"),
    "object": "price",
    "active": True,
    "billing_scheme": "per_unit",
    "currency": "usd",
    "livemode": False,
    "metadata": {},
    "tax_behavior": "unspecified",
    "type": "recurring",
}
"""To be filled: id, created, product, recurring, unit_amount, unit_amount_decimal."""

PLAN: Final[Json] = {
    **null("meter nickname tiers_mode transform_usage trial_period_days"),
    "object": "plan",
    "active": True,
    "billing_scheme": "per_unit",
    "currency": "usd",
    "livemode": False,
    "metadata": {},
    "usage_type": "licensed",
}
"""The older name of a price. To be filled: id, amount, amount_decimal, created, interval, interval_count, product."""

INVOICE: Final[Json] = {
    **null("account_tax_ids application automatically_finalizes_at custom_fields customer_account customer_phone"),
    **null("customer_shipping default_payment_method default_source description due_date footer from_invoice"),
    **null("last_finalization_error latest_revision next_payment_attempt on_behalf_of receipt_number rendering"),
    **null("shipping_cost shipping_details statement_descriptor subscription test_clock total_pretax_credit_amounts"),
    **null("total_taxes"),
    "object": "invoice",
    "account_country": "US",
    "account_name": "Meridian",
    "amount_overpaid": 0,
    "amount_shipping": 0,
    "auto_advance": False,
    "automatic_tax": {**TAX, "provider": None, "status": None},
    "collection_method": "charge_automatically",
    "currency": "usd",
    "customer_address": ADDRESS,
    "customer_tax_exempt": "none",
    "customer_tax_ids": [],
    "default_tax_rates": [],
    "discounts": [],
    "ending_balance": 0,
    "issuer": {"type": "self"},
    "livemode": False,
    "metadata": {},
    "payment_settings": {
        "default_mandate": None,
        "payment_method_options": {
            **_METHODS,
            "card": {"request_three_d_secure": "automatic"},
            "pix": {"amount_includes_iof": None},
        },
        "payment_method_types": None,
    },
    "post_payment_credit_notes_amount": 0,
    "pre_payment_credit_notes_amount": 0,
    "starting_balance": 0,
    "total_discount_amounts": [],
}
"""To be filled: what an invoice is for, its amounts, its times and how often it was tried."""

INVOICE_LINE: Final[Json] = {
    **null("subscription quantity_decimal taxes"),
    "object": "line_item",
    "currency": "usd",
    "discount_amounts": [],
    "discountable": True,
    "discounts": [],
    "livemode": False,
    "metadata": {},
    "pretax_credit_amounts": [],
}
"""To be filled: id, amount, description, invoice, parent, period, pricing, quantity, subtotal."""

CHECKOUT: Final[Json] = {
    **null("after_expiration allow_promotion_codes billing_address_collection client_secret consent"),
    **null("consent_collection currency_conversion customer_account customer_creation customer_email discounts"),
    **null("integration_identifier invoice_creation locale origin_context payment_intent payment_link permissions"),
    **null("payment_method_configuration_details recovered_from saved_payment_method_options setup_intent"),
    **null("shipping_address_collection shipping_cost submit_type url wallet_options"),
    "object": "checkout.session",
    "adaptive_pricing": {"enabled": False},
    "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
    "cancel_url": "https://example.com/cancel",
    "collected_information": null("business_name individual_name shipping_details"),
    "currency": "usd",
    "custom_fields": [],
    "custom_text": null("after_submit shipping_address submit terms_of_service_acceptance"),
    "livemode": False,
    "managed_payments": {"enabled": False},
    "metadata": {},
    "mode": "subscription",
    "payment_method_collection": "always",
    "payment_method_options": {},
    "payment_method_types": ["card"],
    "payment_status": "paid",
    "phone_number_collection": {"enabled": False},
    "shipping_options": [],
    "status": "complete",
    "success_url": "https://example.com/success",
    "ui_mode": "hosted",
}
"""To be filled: id, customer, subscription, invoice, client_reference_id, amounts, customer_details, times."""

CHECKOUT_BUYER: Final[Json] = {
    **null("business_name individual_name phone"),
    "address": ADDRESS,
    "tax_exempt": "none",
    "tax_ids": [],
}
"""To be filled: email, name."""

CUSTOMER: Final[Json] = {
    **null("default_source description discount phone shipping test_clock"),
    "object": "customer",
    "address": ADDRESS,
    "balance": 0,
    "currency": "usd",
    "delinquent": False,
    "invoice_settings": null("custom_fields default_payment_method footer rendering_options"),
    "livemode": False,
    "metadata": {},
    "next_invoice_sequence": 1,
    "preferred_locales": [],
    "tax_exempt": "none",
}
"""To be filled: id, created, email, name, invoice_prefix."""
