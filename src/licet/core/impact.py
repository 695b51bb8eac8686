"""The impact of a change on one customer: which rights move, what is used beyond a new limit, which rules break."""

from collections.abc import Mapping

from msgspec import Struct

from licet.core.gains import RightChange


class Exceeded(Struct, frozen=True, kw_only=True):
    """What is used beyond a limit that the change lowers or brings, or that was exceeded already and stays so."""

    feature: str
    title: str
    used: int
    """As callers last said it, in minor units."""
    limit: int
    words: str
    """``25 projects are used, 20 would be allowed``."""


class Impact(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a change does to one customer at an instant. Customers to whom the same happens have equal impacts.

    ``changes`` are rights that move, ``exceeding`` the features of which more is used than would be allowed (how much
    is told per customer, see :class:`Exceeded`), ``breaking`` rules between sold items that only then are broken.
    """

    changes: tuple[RightChange, ...] = ()
    exceeding: tuple[str, ...] = ()
    breaking: tuple[str, ...] = ()

    @property
    def gains(self) -> bool:
        """Whether anything becomes more or new."""
        return any(one.kind in ("gain", "more") for one in self.changes)

    @property
    def loses(self) -> bool:
        """Whether anything is lost, becomes less, is exceeded or broken: what counts for the blast radius."""
        return bool(self.exceeding or self.breaking) or any(one.kind in ("loss", "less") for one in self.changes)


NOTHING = Impact()
Uses = Mapping[str, int]
"""By feature, what of a limit is used, in minor units, as far as it is known."""
