"""The vendor console and the customer portal."""
