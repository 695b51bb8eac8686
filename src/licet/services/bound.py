"""What a key that is bound to one customer may not say: the names by which foreign systems know customers.

Such names belong to the whole workspace. Whoever may claim one learns whose it is, or gets what is sold to another
customer later. So a bound key changes no external id, names its customer by id alone, and orders only from the source
that is its customer's own: ``customer:`` and the customer's id, a name nobody else's key may use.
"""

from msgspec import UNSET

from licet.core.orders import OrderDocument
from licet.services.customers import ChangeCustomer
from licet.services.errors import Forbidden
from licet.services.normal import invalid
from licet.services.orders import OrderResult, receive_order
from licet.services.ports import Tx
from licet.services.sources import BY_HAND, OWN_SOURCE
from licet.services.truth import Catalogs


async def place_order(tx: Tx, order: OrderDocument, catalogs: Catalogs) -> OrderResult:
    """Place an order that a key sends; raises what ``receive_order`` raises, and Forbidden for what is not a bound
    key's own: another source, a source configured for a foreign system, or a foreign name of the customer.

    Raises Invalid for a source that is not of any key: that of sales by hand, and another customer's own."""
    bound = tx.actor.customer
    if bound is not None:
        own = f"{OWN_SOURCE}{bound}"
        if order.source != own:
            raise _forbidden(tx, f"orders from the source {order.source!r}", f"send them with the source {own!r}")
        configured = await tx.source(own)
        if configured is not None and configured.kind != "generic":
            raise _forbidden(tx, f"orders in the place of {configured.kind}", "use a key that is bound to no customer")
        names = order.customer
        if (names.external_id, names.metadata, names.client_reference) != (None, None, None):
            raise _forbidden(tx, "foreign names of a customer", "name the customer by customer.id alone")
    elif order.source == BY_HAND:
        raise invalid(
            "source",
            f"{BY_HAND!r} is the source of what is sold by hand",
            "sell and change that with POST /v1/customers/{customer}/subscriptions, or name a source of your own",
        )
    elif order.source.startswith(OWN_SOURCE) and order.source != f"{OWN_SOURCE}{order.customer.id}":
        raise invalid(
            "source",
            f"{order.source!r} is the source of another customer's own keys",
            "name that customer by customer.id, or a source of your own",
        )
    return await receive_order(tx, order, catalogs)


def check_change(tx: Tx, command: ChangeCustomer) -> None:
    """Raise Forbidden if a bound key would change how foreign systems call its customer."""
    if tx.actor.customer is not None and command.external_ids is not UNSET:
        raise _forbidden(tx, "external ids", "leave external_ids out, or use a key that is bound to no customer")


def _forbidden(tx: Tx, what: str, advice: str) -> Forbidden:
    return Forbidden(
        f"{tx.actor.id} is bound to customer {tx.actor.customer!r}, so it may not use {what}", advice=advice
    )
