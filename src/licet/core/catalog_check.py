"""Rules a catalog document must satisfy beyond its shape."""

from licet.core.catalog import Catalog
from licet.core.problem import Problem


def check_catalog(catalog: Catalog) -> list[Problem]:
    """Return everything that is wrong with what a catalog says."""
    return []
