"""Reads ``key=value`` options."""

from licet.cli.failure import Failure


def pairs_of(option: str, given: list[str]) -> dict[str, str]:
    """Return ``key=value`` pairs as a mapping; raises Failure naming the option for anything else."""
    pairs: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key or not value:
            raise Failure(f"{option} {text!r} is not a pair", advice=f"write {option} key=value", code="usage")
        if key in pairs:
            raise Failure(f"{option} names {key!r} twice", advice="give it once", code="usage")
        pairs[key] = value
    return pairs
