"""Builders of realistic foreign messages for tests and for ``licet demo``; deterministic from a seed."""
