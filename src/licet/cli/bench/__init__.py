"""Benches: one JSON object each, in one format, with the machine they ran on and what is missing to the goal."""
