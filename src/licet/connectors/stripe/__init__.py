"""Stripe: verifies ``Stripe-Signature`` and reads subscription, invoice and checkout events as orders and payments."""

from licet.connectors.stripe.connector import StripeConnector

__all__ = ["StripeConnector"]
