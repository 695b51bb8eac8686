"""What is asked: may this customer (and user, in this context) use this feature, now, for this quantity?"""

from typing import Annotated

from msgspec import Meta, Struct

from licet.core.catalog import Amount, Deployment, Id
from licet.core.terms import Attributes


class Context(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where and how the vendor's program runs; conditions read it as ``context.…``."""

    deployment: Deployment | None = None
    region: Id | None = None
    country: Annotated[str, Meta(min_length=2, max_length=2)] | None = None
    version: Annotated[str, Meta(max_length=64)] | None = None
    attributes: Attributes = {}


class UserFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What conditions may read of a user as ``user.…``; nothing personal."""

    id: Id
    roles: tuple[Id, ...] = ()
    attributes: Attributes = {}


class Question(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One check. ``quantity`` is what is wanted on top of ``used``, which the caller counts where Licet does not."""

    customer: Id
    feature: Id
    user: Id | None = None
    team: Id | None = None
    """Whose balance is asked of what each team has its own of; conditions do not read it."""
    quantity: Amount = 1
    used: Amount | None = None
    context: Context = Context()
