"""For tests: an entitlement world in memory on the real rules, and stories of foreign systems; loads when asked."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from licet.testing.asked import Asked
    from licet.testing.world import NotInWorld, World, WorldError

__all__ = ["Asked", "NotInWorld", "World", "WorldError"]


def __getattr__(name: str) -> Any:
    """Load what is asked for, and only then."""
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("licet.testing.asked" if name == "Asked" else "licet.testing.world"), name)
