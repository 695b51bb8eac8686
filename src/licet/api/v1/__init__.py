"""The operations of version 1, one module per noun. Importing this package fills the table."""

from licet.api.v1 import (
    catalog,
    catalog_previews,
    catalog_rollback,
    check_counts,
    checks,
    customers,
    dunning,
    findings,
    history,
    keys,
    log,
    orders,
    sources,
    subscriptions,
    users,
)

__all__ = [
    "catalog",
    "catalog_previews",
    "catalog_rollback",
    "check_counts",
    "checks",
    "customers",
    "dunning",
    "findings",
    "history",
    "keys",
    "log",
    "orders",
    "sources",
    "subscriptions",
    "users",
]
