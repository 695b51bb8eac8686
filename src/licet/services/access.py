"""Who may do what: one rule for every door."""

from licet.services.errors import Forbidden
from licet.services.rows import Actor, Scope


def authorize(actor: Actor, *scopes: Scope, customer: str | None = None) -> None:
    """Raise Forbidden unless the actor has one of ``scopes`` (``admin`` has all) and is not bound to another customer.

    Without ``customer`` the request concerns more than one customer: an actor bound to one may not make it.
    """
    if "admin" not in actor.scopes and not actor.scopes.intersection(scopes):
        wanted = " or ".join(scopes)
        raise Forbidden(
            f"{actor.id} lacks the scope {wanted}; it has {', '.join(sorted(actor.scopes)) or 'none'}",
            advice=f"use a key with the scope {wanted}",
        )
    if actor.customer is not None and actor.customer != customer:
        about = f"customer {customer}" if customer else "more than one customer"
        raise Forbidden(
            f"{actor.id} is bound to customer {actor.customer}; this is about {about}",
            advice="use a key that is not bound to a customer",
        )
