"""How much of a limit lies where nobody uses it: owned by processes near its end, and not used yet."""

import time
from statistics import mean
from typing import Any, Final

from msgspec import Struct

from licet.cli.bench.crew import Crew, Where
from licet.cli.bench.usage_place import FEATURE, LOCAL_CATALOG, Place
from licet.cli.failure import Failure
from licet.cli.remote import Remote

PLAN: Final = "near"
START_SECONDS: Final = 90.0
RUN_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.005


class Stranding(Struct, frozen=True, kw_only=True):
    """How it is measured: while ``low`` to ``high`` percent of the limit are used."""

    turns: int = 3
    processes: int = 8
    limit: int = 10_000
    per_second: float = 1_000.0
    low: int = 88
    high: int = 92

    def catalog(self) -> dict[str, Any]:
        """Return the catalog of benches, decided in the using process, with a plan of this limit besides."""
        near = {"product": "bench", "versions": {"2026-01": {"includes": {FEATURE: self.limit}}}}
        return {**LOCAL_CATALOG, "plans": {**LOCAL_CATALOG["plans"], PLAN: near}}


def strand(place: Place, stranding: Stranding) -> list[float]:
    """Return for each run what percentage of the limit the processes owned and did not use, on average."""
    return [_run(place, stranding, f"near-{turn}") for turn in range(stranding.turns)]


def _run(place: Place, stranding: Stranding, customer: str) -> float:
    _sell(place, customer)
    where = Where(
        url=place.url,
        key=place.key,
        customer=customer,
        feature=FEATURE,
        per_second=stranding.per_second,
        folder=place.home / "crews" / customer,
    )
    low, high = (stranding.limit * part // 100 for part in (stranding.low, stranding.high))
    seen = list[int]()
    with Crew(stranding.processes, where) as crew:
        crew.start(START_SECONDS)
        ends = time.monotonic() + RUN_SECONDS
        while (admitted := crew.admitted) < high:
            if time.monotonic() > ends:
                raise Failure(f"{admitted} of {stranding.limit} were used in {RUN_SECONDS:.0f} s", code="too_slow")
            if admitted >= low:
                seen.append(sum(member.owned for member in crew.members))
            time.sleep(_LOOK_SECONDS)
        crew.leave(crew.members)
    return round(100 * mean(seen) / stranding.limit, 3)


def _sell(place: Place, customer: str) -> None:
    """Make a customer with the limit."""
    with Remote(place.url, place.key) as remote:
        remote.call("POST", "/v1/customers", {"id": customer})
        remote.call("POST", f"/v1/customers/{customer}/subscriptions", {"items": [{"plan": PLAN}]})
