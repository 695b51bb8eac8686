"""What is leased of a feature that is only observed: as much as would be, if it were enforced."""

from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from licet.core.catalog import Catalog
from licet.core.compiled import compile_catalog
from licet.core.instant import DAY, parse_instant
from licet.core.snapshot import Snapshot
from licet.core.terms import Terms
from licet.core.usage.account import Account
from licet.core.usage.course import course_of
from licet.core.usage.desk import Bench
from licet.core.usage.facts import AccountKey
from licet.core.usage.leasing import MOST, Leasable, issue, leasable
from licet.core.usage.metering import compile_metering
from licet.core.usage.reach import Reaches

NOW = parse_instant("2026-08-05T10:00:00Z")
BOUGHT = msgspec.convert(
    {
        "customer": "acme",
        "subscriptions": [
            {
                "id": "sub_1",
                "phases": [
                    {"starts_at": "2026-07-01T00:00:00Z", "items": [{"kind": "plan", "id": "team", "version": "1"}]}
                ],
            }
        ],
    },
    Terms,
)


def rooms(mode: str, *leases: int) -> list[Leasable]:
    """What can be issued of 100 before and after each of some leases."""
    calls = {"type": "metered", "meter": "calls", "per": "month", "at_limit": "block", "decide": "local", "mode": mode}
    document: dict[str, Any] = {
        "version": 1,
        "products": {"m": {}},
        "meters": {"calls": {"event": "call"}},
        "features": {"calls": calls},
        "plans": {"team": {"product": "m", "versions": {"1": {"includes": {"calls": 100}}}}},
    }
    catalog = compile_catalog(msgspec.convert(document, Catalog), 1, ZoneInfo, UTC)
    metering = compile_metering(catalog)
    account = Account(course_of(catalog, BOUGHT, [], AccountKey("acme", "calls"), NOW + 100 * DAY))
    bench = Bench(Reaches(catalog, metering, {"acme": Snapshot(catalog, BOUGHT)}.get), lambda _: account, NOW)
    found = [leasable(bench, "acme", "calls")]
    for number, amount in enumerate(leases):
        issue(bench, f"{number:032x}", "acme", "calls", amount)
        found.append(leasable(bench, "acme", "calls"))
    return found


@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_what_would_be_refused_is_not_leased(mode: str) -> None:
    """Beyond its limit nothing is owned of an observed feature either: the hub decides, and records, each such use."""
    assert [room.left for room in rooms(mode, 60, 40, 10)] == [100, 40, 0, -10]


def test_what_is_off_has_no_bound() -> None:
    """Nobody would refuse, nor note, what is beyond the limit of a feature that is off."""
    assert [room.left for room in rooms("off", 1000)] == [MOST, MOST]
