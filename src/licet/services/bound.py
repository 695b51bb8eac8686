"""What a key that is bound to one customer may not say: the names by which foreign systems know customers.

Such names belong to the whole workspace. Whoever may claim one learns whose it is, or gets what is sold to another
customer later. So a bound key changes no external id, names its customer by id alone, and orders only from the source
that is its customer's own: ``customer:`` and the customer's id, a name nobody else's key may use.
"""

from typing import Final

from msgspec import UNSET

from licet.core.orders import OrderDocument
from licet.services.customers import ChangeCustomer
from licet.services.errors import Forbidden
from licet.services.orders import OrderResult, receive_order
from licet.services.ports import Tx
from licet.services.truth import Catalogs

OWN_SOURCE: Final = "customer:"
"""What the source of a bound key's orders begins with; the customer's id follows."""


async def place_order(tx: Tx, order: OrderDocument, catalogs: Catalogs) -> OrderResult:
    """Place an order that a key sends; raises what ``receive_order`` raises, and Forbidden for what is not a bound
    key's own: another source, a source configured for a foreign system, or a foreign name of the customer."""
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
    return await receive_order(tx, order, catalogs)


def check_change(tx: Tx, command: ChangeCustomer) -> None:
    """Raise Forbidden if a bound key would change how foreign systems call its customer."""
    if tx.actor.customer is not None and command.external_ids is not UNSET:
        raise _forbidden(tx, "external ids", "leave external_ids out, or use a key that is bound to no customer")


def _forbidden(tx: Tx, what: str, advice: str) -> Forbidden:
    return Forbidden(
        f"{tx.actor.id} is bound to customer {tx.actor.customer!r}, so it may not use {what}", advice=advice
    )
