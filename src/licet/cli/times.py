"""Reads instants that people write: RFC 3339, or a date for midnight UTC."""

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
