"""Reads instants that people write: RFC 3339, or a date for midnight UTC."""

from collections.abc import Callable

from licet.cli.failure import Failure


def instant_of(text: str) -> int:
    """Return an instant in microseconds; raises Failure with what is allowed."""
    from licet.core.instant import parse_instant

    try:
        return parse_instant(text)
    except (ValueError, OverflowError) as error:
        raise Failure(str(error), code="usage") from None


def instant_text(text: str | None) -> str | None:
    """Return an instant as the service reads it; None stays None."""
    if text is None:
        return None
    from licet.core.instant import format_instant

    return format_instant(instant_of(text))


def moment_of(text: str, now: str) -> str:
    """Return an instant as the service reads it: RFC 3339, a date, or a duration from ``now`` on."""
    if not text.startswith("P"):
        return instant_text(text) or text
    from datetime import UTC

    from licet.core.instant import add_duration, format_instant, parse_duration, parse_instant

    try:
        return format_instant(add_duration(parse_instant(now), parse_duration(text), UTC))
    except (ValueError, OverflowError) as error:
        raise Failure(str(error), code="usage") from None


def moment_from(text: str, clock: Callable[[], str]) -> str:
    """Return an instant as the service reads it; ``clock`` is only asked for the present where a duration is meant."""
    return moment_of(text, clock() if text.startswith("P") else "")


def instant_back(option: str, text: str | None, now: str) -> str | None:
    """Return an instant as the service reads it: a time, or a duration back from ``now``; messages name ``option``."""
    if text is None or not text.startswith("P"):
        return instant_text(text)
    from datetime import UTC

    from licet.core.instant import add_duration, format_instant, parse_duration, parse_instant

    try:
        return format_instant(add_duration(parse_instant(now), parse_duration(text), UTC, -1))
    except (ValueError, OverflowError) as error:
        raise Failure(f"{option}: {error}", advice="write P7D, PT12H or 2026-03-01", code="usage") from None


def check_order(since: str | None, until: str | None) -> None:
    """Raise Failure for a period of --since and --until, as the service reads them, that ends before it begins."""
    if since is None or until is None or instant_of(since) <= instant_of(until):
        return
    from licet.cli.words import day

    raise Failure(
        f"the period ends before it begins: --since is {day(since)}, --until {day(until)}",
        advice="choose an earlier --since, or a later --until; P2D means two days back",
        code="usage",
    )
