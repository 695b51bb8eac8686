"""The catalog of a world: the vendor's own, read as the server reads it, or a minimal one that grows."""

from collections.abc import Mapping
from datetime import UTC
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import structs

from licet.core.catalog import (
    Catalog,
    Configuration,
    Feature,
    Limit,
    Product,
    Switch,
    decode_catalog,
)
from licet.core.catalog_check import check_catalog
from licet.core.compiled import CompiledCatalog, compile_catalog
from licet.core.normal import normal_catalog
from licet.core.policy import ConditionError

FeatureType = Literal["switch", "limit", "configuration"]
_MADE: Final[Mapping[FeatureType, type[Switch | Limit | Configuration]]] = {
    "switch": Switch,
    "limit": Limit,
    "configuration": Configuration,
}
MINIMAL: Final = Catalog(version=1, products={"product": Product(name="Product")}, features={}, plans={})
"""What a world without a catalog begins with: nothing that anybody could ask about."""


def read_any(catalog: str | Path | Mapping[str, Any] | Catalog) -> Catalog:
    """Return a catalog in normal form from a file (YAML or JSON), a mapping as in its JSON, or a document.

    Raises ValueError with every problem there is, OSError for a file that cannot be read, and ImportError for YAML
    where ``pyyaml`` is not installed.
    """
    if isinstance(catalog, str | Path):
        path = Path(catalog)
        stat = path.stat()
        return _from_file(path, stat.st_mtime_ns, stat.st_size)
    try:
        document = catalog if isinstance(catalog, Catalog) else msgspec.convert(catalog, Catalog)
    except msgspec.ValidationError as error:
        raise ValueError(f"the catalog does not fit: {error}") from None
    return _sound(document, "the catalog")


@lru_cache(maxsize=8)
def _from_file(path: Path, _modified: int, _size: int) -> Catalog:
    """The catalog of a file, read once for all tests of a process while the file stays what it is."""
    text = path.read_bytes()
    if path.suffix != ".json":
        try:
            from licet.wire.catalog_text import CatalogTextError, read_catalog
        except ModuleNotFoundError as error:
            raise ImportError(
                f"{path} is YAML, which needs the package {error.name!r} (pip install pyyaml); JSON does not"
            ) from error
        try:
            return read_catalog(text, str(path))
        except CatalogTextError as error:
            raise ValueError(str(error)) from None
    try:
        return _sound(decode_catalog(text), str(path))
    except msgspec.DecodeError as error:
        raise ValueError(f"{path}: {error}") from None


def _sound(catalog: Catalog, name: str) -> Catalog:
    """The catalog, if it says nothing wrong."""
    problems = check_catalog(catalog)
    if problems:
        raise ValueError("\n".join(f"{name}: {problem}" for problem in problems))
    return normal_catalog(catalog)


def compiled(catalog: Catalog, revision: int) -> CompiledCatalog:
    """Return the catalog ready for evaluation; calendars are UTC where nothing else is said."""
    try:
        return compile_catalog(catalog, revision, ZoneInfo, UTC)
    except ConditionError as error:
        raise ValueError(f"a condition of the catalog cannot be read: {error}") from None


def grown(catalog: Catalog, feature: str, kind: FeatureType) -> Catalog:
    """Return the catalog with one more feature."""
    made: Feature = _MADE[kind](title=feature)
    return normal_catalog(structs.replace(catalog, features={**catalog.features, feature: made}))


def close_to(word: str, known: Mapping[str, Any]) -> str:
    """Return what to write behind "there is no …": names that are close, or how many there are, or that none is."""
    if not known:
        return "there is none at all"
    near = get_close_matches(str(word), sorted(known), n=3)
    if near:
        return f"did you mean {', '.join(map(repr, near))}?"
    listed = ", ".join(map(repr, sorted(known)[:8]))
    return f"there are {listed}" + (" and others" if len(known) > 8 else "")
