"""What a client was made with, looked at once before anything starts."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from licet.sdk.errors import Misconfigured
from licet.sdk.flow import Manner, Plan
from licet.sdk.ids import read_id
from licet.sdk.pacing import Pace
from licet.sdk.place import Place, find_place, find_root

Assumption = Literal["allow", "deny"]
Full = Literal["error", "drop"]
MOST_SCOPED: Final = 10_000
"""Customers that a client may be told to hold by name; more are better held by following all, or on demand."""
_CHOICES: Final = {
    "follow": ("stream", "poll", "never"),
    "default_unreachable": ("allow", "deny"),
    "report_full": ("error", "drop"),
}


class Options(Struct, frozen=True, kw_only=True):
    """Everything that a client was told."""

    place: Place
    root: str | None
    cache: str | Path | bool | None
    customers: frozenset[str] | None
    on_demand: bool
    most_customers: int
    unreachable: dict[str, Assumption] | None
    default_unreachable: Assumption
    follow: Manner
    telemetry: bool
    start_timeout: float
    timeout: float
    report_full: Full = "error"
    report_most: int = 100_000
    local: bool = True
    quota_idle: float = 5.0
    close_timeout: float = 2.0
    tempo: float = 1.0

    @property
    def picked(self) -> bool:
        """Whether only some customers are held."""
        return self.on_demand or self.customers is not None

    def plan(self, spread: float = 0.0) -> Plan:
        """Return what to follow, and how; the first try comes within ``spread`` seconds."""
        return Plan(
            url=self.place.url,
            workspace=self.place.workspace,
            manner=self.follow,
            picked=self.picked,
            seconds=self.timeout,
            tempo=self.tempo,
            spread=spread,
        )


def read_options(
    *,
    url: str | None,
    key: str | None,
    root: str | None,
    cache: str | Path | bool | None,
    customers: Collection[str] | None,
    on_demand: bool,
    most_customers: int,
    unreachable: Mapping[str, Assumption] | None,
    default_unreachable: Assumption,
    follow: Manner,
    telemetry: bool,
    start_timeout: float,
    timeout: float,
    report_full: Full = "error",
    report_most: int = 100_000,
    local: bool = True,
    quota_idle: float = 5.0,
    close_timeout: float = 2.0,
) -> Options:
    """Return the options; raises Misconfigured with what cannot be meant."""
    _choose("follow", follow)
    _choose("report_full", report_full)
    _choose("default_unreachable", default_unreachable)
    for feature, word in (unreachable or {}).items():
        if word not in _CHOICES["default_unreachable"]:
            raise Misconfigured(f"unreachable[{feature!r}] is {word!r}; it is 'allow' or 'deny'")
    named = None if customers is None else _named(customers)
    if most_customers < 1 or timeout <= 0 or start_timeout < 0:
        words = f"most_customers={most_customers}, timeout={timeout}, start_timeout={start_timeout}"
        raise Misconfigured(f"{words}: the first two are above 0, the last at least 0")
    if quota_idle <= 0 or close_timeout < 0:
        words = f"quota_idle={quota_idle}, close_timeout={close_timeout}"
        raise Misconfigured(f"{words}: the first is above 0, the second at least 0; both are seconds")
    if report_most < 1:
        raise Misconfigured(f"report_most={report_most}; at least one report has to fit")
    return Options(
        place=find_place(url, key),
        root=find_root(root),
        cache=cache,
        customers=named,
        on_demand=on_demand,
        most_customers=most_customers,
        unreachable=None if unreachable is None else dict(unreachable),
        default_unreachable=default_unreachable,
        follow=follow,
        telemetry=telemetry,
        start_timeout=start_timeout,
        timeout=timeout,
        report_full=report_full,
        report_most=report_most,
        local=local,
        quota_idle=quota_idle,
        close_timeout=close_timeout,
    )


def new_pace() -> Pace:
    """Return a client's patience, by true chance: ten thousand that start at once must not draw the same."""
    from random import SystemRandom

    return Pace(SystemRandom())


def _named(customers: object) -> frozenset[str]:
    """Return the ids of the customers to hold; raises Misconfigured that shows the one that is none."""
    if isinstance(customers, str):
        raise Misconfigured(f"customers={customers!r} is a text; give a list of ids, like [{customers!r}]")
    if isinstance(customers, bytes | Mapping) or not isinstance(customers, Collection):
        raise Misconfigured(f"customers= is a {type(customers).__name__}; give a list of ids, like ['acme']")
    if len(customers) > MOST_SCOPED:
        words = f"customers= names {len(customers)} customers, at most {MOST_SCOPED} can be named"
        raise Misconfigured(f"{words}; leave it out to hold all, or use on_demand=True")
    found = set()
    for place, one in enumerate(customers):
        try:
            found.add(read_id("customer", one))
        except ValueError as wrong:
            raise Misconfigured(f"customers=, item {place}: {wrong}") from None
    return frozenset(found)


def _choose(name: str, value: object) -> None:
    if value not in _CHOICES[name]:
        allowed = ", ".join(map(repr, _CHOICES[name]))
        raise Misconfigured(f"{name} is {value!r}; it is one of {allowed}")
