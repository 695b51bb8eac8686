"""What benches ask about: customers of the example vendor with plans of all kinds, and a folder on a real disk."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from licet.cli.demo.stage import catalog_path
from licet.cli.remote import Remote, problem_of
from licet.core.instant import Instant, to_datetime
from licet.core.terms import Item, Phase, Profile, Subscription, Terms
from licet.services.rows import Actor, CustomerRow, Draft
from licet.store.postgres import PostgresStorage

FEATURES: Final = ("sso", "scenario_planning", "projects", "api_calls", "webhooks", "eu_residency", "audit_export")
TOGETHER: Final = 1_000
"""Customers that are made in one transaction."""
BENCH_ACTOR: Final = Actor(id="system:bench")
_PLANS: Final = (
    ("team", "2026-01"),
    ("business", "2026-01"),
    ("team", "2026-07"),
    ("enterprise", "2026-01"),
    ("free", "2026-01"),
)


def terms_of(number: int, now: Instant) -> Terms:
    """Return the terms of customer ``number``: a plan bought at some time of the last weeks, every fifth an add-on."""
    plan, version = _PLANS[number % len(_PLANS)]
    bought = to_datetime(now) - timedelta(days=1 + number % 40, minutes=number % 1440)
    items = [Item(kind="plan", id=plan, version=version)]
    if number % 5 == 0:
        items.append(Item(kind="addon", id="api_boost", version="1"))
    subscription = Subscription(
        id=f"sub_{number}", phases=(Phase(starts_at=bought, items=tuple(items)),), anchor=bought
    )
    return Terms(customer=f"customer-{number}", profile=Profile(region="eu"), subscriptions=(subscription,))


def question_of(number: int) -> tuple[str, str]:
    """Return the customer with this number and the one feature that is asked about of it, both newly made."""
    return f"customer-{number}", FEATURES[number // 5 % len(FEATURES)]


def workplace() -> Path:
    """Return a folder where a bench may write: the working directory if it may, else the temporary one."""
    here = Path.cwd()
    return here if os.access(here, os.W_OK) else Path("/tmp")  # noqa: S108 - only ever for a file without a name


def release_example(remote: Remote) -> None:
    """Release the example vendor's catalog as the first one; raises Failure."""
    headers: dict[str, str | bytes] = {"Content-Type": "application/yaml"}
    answer = remote.raw("PUT", "/v1/catalog", query={"base": 0}, body=catalog_path().read_bytes(), headers=headers)
    if answer.status >= 400:
        raise problem_of(answer)


async def fill(
    storage: PostgresStorage,
    workspace: str,
    customers: int,
    of: Callable[[int, Instant], Terms] = terms_of,
) -> None:
    """Make so many customers at the database, with terms of all kinds unless ``of`` makes others."""
    for start in range(0, customers, TOGETHER):
        async with storage.write(workspace, BENCH_ACTOR) as tx:
            now = tx.time.business
            for number in range(start, min(start + TOGETHER, customers)):
                terms = of(number, now)
                at = to_datetime(now)
                await tx.put_customer(
                    CustomerRow(id=terms.customer, revision=1, profile=terms.profile, created_at=at, updated_at=at)
                )
                await tx.put_terms(terms.customer, terms)
                await tx.record(Draft(type="customer.created", subject=f"customer/{terms.customer}", revision=1))
