"""A catalog that is proposed on top of the newest release: read, compared, ready to be judged and released."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgspec import Struct, to_builtins

from licet.core.catalog import Catalog, decode_catalog, encode_catalog
from licet.core.catalog_diff import Change, diff_catalogs
from licet.core.compiled import CompiledCatalog, compile_catalog
from licet.core.impact import Comparison
from licet.core.instant import Instant
from licet.core.normal import normal_catalog
from licet.core.problem import Problem
from licet.services.errors import CatalogInvalid
from licet.services.ports import View
from licet.services.rows import CatalogRow, Workspace
from licet.wire.catalog_text import CatalogTextError, read_catalog

_NONE: Final = Catalog(version=1, products={}, features={}, plans={})


class Proposed(Struct, frozen=True, kw_only=True):
    """A sound catalog with the release that it was made on (revision 0 and no catalog before the first)."""

    newest: CatalogRow | None
    old: Catalog | None
    new: Catalog
    changes: tuple[Change, ...]

    @property
    def base(self) -> int:
        """The revision on which it was made."""
        return 0 if self.newest is None else self.newest.revision

    @property
    def content_hash(self) -> str:
        """SHA-256 of its meaning, in hexadecimal: two ways to write the same have the same."""
        return hashlib.sha256(encode_catalog(normal_catalog(self.new))).hexdigest()

    @property
    def touches(self) -> bool:
        """Whether it can move what customers have already; the first catalog takes nothing from anybody."""
        return self.old is not None and any(one.effect == "live" for one in self.changes)


def read_proposed(text: bytes, newest: CatalogRow | None) -> Proposed:
    """Read a catalog (YAML or JSON) on top of the newest release; raises CatalogInvalid with every problem."""
    old = None if newest is None else decode_catalog(newest.doc)
    try:
        new = read_catalog(text, released=old)
    except CatalogTextError as wrong:
        raise catalog_invalid(wrong.problems) from None
    return Proposed(newest=newest, old=old, new=new, changes=diff_catalogs(old, new))


async def propose_catalog(view: View, text: bytes) -> Proposed:
    """Read a catalog on top of the newest release of a workspace; raises CatalogInvalid with every problem.

    Others have their turn meanwhile.
    """
    proposed = await asyncio.to_thread(read_proposed, text, await view.catalog())
    await asyncio.to_thread(compile_proposed, view.workspace, proposed.new, proposed.base + 1)
    return proposed


def compare_catalogs(workspace: Workspace, proposed: Proposed, at: Instant) -> Comparison:
    """Return what judges customers under the newest and the proposed catalog at an instant."""
    before = compile_proposed(workspace, proposed.old or _NONE, proposed.base)
    return Comparison(before, compile_proposed(workspace, proposed.new, proposed.base + 1), at)


def compile_proposed(workspace: Workspace, catalog: Catalog, revision: int) -> CompiledCatalog:
    """Return a catalog ready to be asked; raises CatalogInvalid for what is sound but cannot be evaluated."""
    try:
        return compile_catalog(catalog, revision, ZoneInfo, ZoneInfo(workspace.zone))
    except ValueError as wrong:
        raise catalog_invalid([Problem(path="", message=str(wrong))]) from wrong


def catalog_invalid(problems: Sequence[Problem]) -> CatalogInvalid:
    """Return the error that lists every problem."""
    shown: list[Any] = [to_builtins(problem) for problem in problems]
    first = f": {problems[0]}" if problems else ""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return CatalogInvalid(
        f"the catalog cannot be released{first}{more}",
        advice="mend what problems lists; preview shows the same without writing",
        details={"problems": shown},
    )
