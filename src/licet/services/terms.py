"""A customer's terms: reading them now and in their earlier revisions."""

from datetime import datetime
from zoneinfo import ZoneInfo

from licet.core.instant import add_duration, instant_words, parse_duration, to_datetime, to_instant
from licet.services.customers import unknown_customer
from licet.services.normal import check_zone, invalid
from licet.services.ports import View
from licet.services.rows import TermsRow


async def get_terms(view: View, customer: str) -> TermsRow:
    """Return a customer's newest terms; raises NotFound."""
    row = await view.terms(customer)
    if row is None:
        raise unknown_customer(customer)
    return row


def next_revision(before: TermsRow) -> int:
    """Return the revision that changed terms will have: one transaction makes one, however often it changes them."""
    return before.revision if before.seq == 0 else before.revision + 1


def later(start: datetime, span: str, zone: str, path: str) -> datetime:
    """Return ``start`` moved by an ISO 8601 duration on the wall clock of a zone; raises Invalid."""
    place: ZoneInfo = check_zone(zone, "zone")
    try:
        return to_datetime(add_duration(to_instant(start), parse_duration(span), place))
    except (OverflowError, ValueError) as wrong:
        raise invalid(path, f"{span} cannot be counted from {instant_words(start)}: {wrong}") from None
