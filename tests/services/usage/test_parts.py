"""Allowances that are released in parts: what has been, what comes next and when."""

from licet.core.instant import to_datetime
from licet.core.terms import Terms
from licet.services.usage.balance_views import PartsView
from licet.services.usage.parts import parts_of, released_until
from tests.core.usage.courses import at, bought, holds, laid, phases


def parts(terms: Terms, now: str, feature: str = "ai") -> list[PartsView]:
    """How what a customer has is released at an instant, in cents."""
    short = laid(terms, feature, at(now) + 1)
    ahead = released_until(short, at(now))
    return [] if ahead is None else list(parts_of(laid(terms, feature, ahead), at(now), 0).values())


def test_a_year_released_by_months() -> None:
    """A twelfth for each month that began; the next one is told with its day, in the last month none."""
    terms = holds(phases(("2026-01-31T00:00:00Z", bought("team"))))
    first = to_datetime(at("2026-02-28"))
    assert parts(terms, "2026-02-01") == [PartsView(released=1_000, whole=12_000, next_at=first, next_amount=1_000)]
    assert parts(terms, "2026-02-28")[0].released == 2_000
    assert parts(terms, "2027-01-30") == [PartsView(released=12_000, whole=12_000)]
    assert parts(terms, "2027-01-31")[0].released == 1_000


def test_a_change_of_plan_is_no_part() -> None:
    """A quantity that is bought later counts in what there will be; the next part is the release after it."""
    terms = holds(phases(("2026-01-01T00:00:00Z", bought("team")), ("2026-03-15T00:00:00Z", bought("team*2"))))
    (told,) = parts(terms, "2026-03-10")
    assert (told.released, told.whole) == (3_000, 24_000)
    assert (told.next_at, told.next_amount) == (to_datetime(at("2026-04-01")), 2_000)


def test_what_comes_at_once_has_no_parts() -> None:
    """An allowance that is whole from the beginning of its period says nothing of parts."""
    assert parts(holds(phases(("2026-01-01T00:00:00Z", bought("team")))), "2026-03-10", "api") == []
