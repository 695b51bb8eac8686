"""The keys that sign: the keyset of a workspace, for anybody who checks what Licet signed."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from licet.api.call import Call
from licet.api.contract import Reply, operation
from licet.services.published_keysets import PublishedKeyset

MAX_AGE: Final = 60
"""Seconds for which a copy on the way may be used; followers of the feed hear of a new keyset at once."""


class OfWorkspace(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose keyset."""

    workspace: Annotated[str, Meta(min_length=1, max_length=63)] = "live"
    """The workspace, as it is named in the API key: `live` or `test`."""


@operation(
    "GET",
    "/.well-known/licet-keyset",
    tag="Server",
    example_query={"workspace": "test"},
    answer={"workspace": "test", "root": "k4.public.…", "keyset": "v4.public.…"},
    problems=("not_found",),
)
async def licet_keyset(call: Call, query: OfWorkspace) -> Annotated[Reply, PublishedKeyset]:
    """Give the keys that may sign for a workspace.

    `keyset` is signed by `root`. Pin `root` by what the operator told you (`licet signing show`), not by this answer:
    whoever could forge one could forge both. May be cached for a minute.
    """
    found = await call.parts.keysets.of(query.workspace)
    return Reply(found, headers={"Cache-Control": f"public, max-age={MAX_AGE}"})
