"""Which uses a process may decide by itself: those of features that say so, asked in a way that it can answer."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from licet.core.compiled import CompiledCatalog
    from licet.sdk.usage import Wanted


def is_local(catalog: "CompiledCatalog | None", wanted: "Wanted") -> bool:
    """Whether every feature of a request says ``decide: local``, and the process can say what the server would.

    As much as there is (``partial``) only the server knows, and only it keeps dimensions.
    """
    if catalog is None or wanted.partial or wanted.dimensions:
        return False
    names = (wanted.feature, *(one.feature for one in wanted.also))
    if len(set(names)) < len(names):
        return False
    return all((made := catalog.features.get(name)) is not None and made.local for name in names)
