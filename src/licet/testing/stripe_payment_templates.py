"""Every field of Stripe's charges, disputes and schedules with its value for a plain one; API 2026-10-28."""

from typing import Final

from licet.testing.stripe_templates import ADDRESS, TAX, Json, null

CHARGE: Final[Json] = {
    **null("application application_fee application_fee_amount authorization_code description failure_code"),
    **null("failure_balance_transaction failure_message on_behalf_of presentment_details receipt_email receipt_number"),
    **null("review shipping source source_transfer statement_descriptor statement_descriptor_suffix transfer_data"),
    **null("transfer_group"),
    "object": "charge",
    "billing_details": {"address": ADDRESS, **null("email name phone tax_id")},
    "calculated_statement_descriptor": "MERIDIAN",
    "captured": True,
    "currency": "usd",
    "disputed": False,
    "fraud_details": {},
    "livemode": False,
    "metadata": {},
    "outcome": {
        **null("advice_code network_advice_code network_decline_code reason"),
        "network_status": "approved_by_network",
        "risk_level": "normal",
        "seller_message": "Payment complete.",
        "type": "authorized",
    },
    "paid": True,
    "payment_method_details": {
        "card": {"brand": "visa", "country": "US", "exp_month": 12, "exp_year": 2034, "last4": "4242"},
        "type": "card",
    },
    "radar_options": {},
    "refunded": False,
    "status": "succeeded",
}
"""To be filled: id, amounts, balance_transaction, created, customer, payment_intent, payment_method, receipt_url."""

DISPUTE: Final[Json] = {
    **null("intended_submission_method"),
    "object": "dispute",
    "balance_transactions": [],
    "currency": "usd",
    "enhanced_eligibility_types": [],
    "evidence": {
        **null("access_activity_log billing_address cancellation_policy cancellation_policy_disclosure"),
        **null("cancellation_rebuttal customer_communication customer_email_address customer_name"),
        **null("customer_purchase_ip customer_signature duplicate_charge_documentation duplicate_charge_explanation"),
        **null("duplicate_charge_id product_description receipt refund_policy refund_policy_disclosure"),
        **null("refund_refusal_explanation service_date service_documentation shipping_address shipping_carrier"),
        **null("shipping_date shipping_documentation shipping_tracking_number uncategorized_file uncategorized_text"),
        "enhanced_evidence": {},
    },
    "evidence_details": {
        "due_by": None,
        "enhanced_eligibility": {},
        "has_evidence": False,
        "past_due": False,
        "submission_count": 0,
    },
    "livemode": False,
    "metadata": {},
    "network_reason_code": "10.4",
    "payment_method_details": {
        "card": {"brand": "visa", "case_type": "chargeback", "network_reason_code": "10.4"},
        "type": "card",
    },
    "reason": "fraudulent",
}
"""To be filled: id, amount, charge, created, is_charge_refundable, payment_intent, status."""

INVOICE_PAYMENT: Final[Json] = {
    "object": "invoice_payment",
    "currency": "usd",
    "is_default": True,
    "livemode": False,
}
"""To be filled: id, amounts, created, invoice, payment, status, status_transitions."""

SCHEDULE: Final[Json] = {
    **null("application canceled_at completed_at customer_account released_at released_subscription test_clock"),
    "object": "subscription_schedule",
    "billing_mode": {"type": "classic", "flexible": None},
    "default_settings": {
        **null("application_fee_percent billing_thresholds default_payment_method description on_behalf_of"),
        **null("transfer_data"),
        "automatic_tax": TAX,
        "billing_cycle_anchor": "automatic",
        "collection_method": "charge_automatically",
        "invoice_settings": {
            **null("account_tax_ids custom_fields days_until_due description footer"),
            "issuer": {"type": "self"},
        },
    },
    "end_behavior": "release",
    "livemode": False,
    "metadata": {},
    "pause_schedules": [],
    "status": "active",
}
"""To be filled: id, created, current_phase, customer, phases, subscription."""

PHASE: Final[Json] = {
    **null("application_fee_percent automatic_tax billing_cycle_anchor billing_thresholds collection_method"),
    **null("default_payment_method description invoice_settings on_behalf_of transfer_data trial_end"),
    "add_invoice_items": [],
    "currency": "usd",
    "default_tax_rates": [],
    "discounts": [],
    "metadata": {},
    "proration_behavior": "create_prorations",
}
"""To be filled: start_date, end_date, items."""

PHASE_ITEM: Final[Json] = {"billing_thresholds": None, "discounts": [], "metadata": {}, "tax_rates": []}
"""To be filled: plan, price, quantity."""
