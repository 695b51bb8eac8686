"""Licet: one place that knows what every customer bought, one evaluator that enforces it."""
