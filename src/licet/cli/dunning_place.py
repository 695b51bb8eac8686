"""What a command about missed payments is about: the subscription where none is named, and times said as spans."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from licet.cli.amounts import id_of
from licet.cli.failure import Failure
from licet.cli.remote import Remote, segment


class Place(NamedTuple):
    """One subscription: its path in the API, its id, and what is known of it."""

    path: str
    subscription: str
    known: dict[str, Any]
    now: str


def customer_path(customer: str) -> str:
    """Return a customer's path in the API."""
    return f"/v1/customers/{segment(id_of('customer', customer))}"


def place_of(remote: Remote, customer: str, named: str | None, invoice: str | None = None) -> Place:
    """Return the subscription that is meant: the named one, else the one that has the invoice, else the only one.

    Where there are several, those that have ended are left out. Raises Failure that lists what to choose from.
    """
    path = customer_path(customer)
    stands = remote.call("GET", f"{path}/dunning")
    subscriptions: list[dict[str, Any]] = stands["subscriptions"]
    for those in _narrowing(subscriptions, named, invoice):
        if len(those) == 1:
            (known,) = those
            found = known["subscription"]
            return Place(f"{path}/subscriptions/{segment(found)}", found, known, stands["at"])
    listed = ", ".join(f"{one['subscription']} ({_what(one)})" for one in subscriptions)
    if named is not None:
        advice = f"it has {listed}" if subscriptions else "it has none: an order or a sale makes one"
        raise Failure(f"customer {customer} has no subscription {named!r}", advice=advice, code="not_found")
    if not subscriptions:
        raise Failure(
            f"customer {customer} has no subscription", advice="an order or a sale makes one", code="not_found"
        )
    raise Failure(
        f"customer {customer} has {len(subscriptions)} subscriptions",
        advice=f"name one: -s ID of {listed}",
        code="usage",
    )


def _narrowing(
    subscriptions: list[dict[str, Any]], named: str | None, invoice: str | None
) -> Iterable[list[dict[str, Any]]]:
    """Yield fewer and fewer candidates."""
    if named is not None:
        yield [one for one in subscriptions if one["subscription"] == named]
        return
    yield [one for one in subscriptions if any(open_["invoice"] == invoice for open_ in one["invoices"])]
    yield subscriptions
    yield [one for one in subscriptions if one["standing"] != "ended"]


def _what(one: dict[str, Any]) -> str:
    return f"{', '.join(one['items']) or 'nothing'}, {one['standing']}"
