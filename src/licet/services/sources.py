"""Configured sources: which foreign systems may send deliveries, with which signing secrets and settings.

Settings: ``mapping`` names the section of the catalog's ``orders`` that explains the source's prices (by default that
of the source's id, else that of its kind); ``customer_metadata`` is the metadata key that holds the vendor's own
customer id; ``unknown_customer`` says what happens to an order that only a foreign id names: ``create`` (the default)
or ``wait`` for a message that says who it is; ``entitlements`` says which of the catalog's switches the foreign system
knows, too: ``some`` (the default) or ``all`` (then one that it does not name is a difference).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from licet.core.catalog import Catalog, Id
from licet.services.customers import business_now
from licet.services.errors import Conflict, NotFound
from licet.services.normal import clean_id, invalid, normal
from licet.services.ports import Tx, View
from licet.services.rows import Draft, SourceRow, SourceStatus

SETTINGS: Final[Mapping[str, tuple[str, ...] | None]] = {
    "mapping": None,
    "customer_metadata": None,
    "unknown_customer": ("create", "wait"),
    "entitlements": ("some", "all"),
}
"""Every setting and its allowed values (None: any text)."""
MAX_SECRETS: Final = 2
_ADDRESSABLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
BY_HAND: Final = "manual"
"""The source of what is sold and changed here by hand; no message and no order from outside has it."""
OWN_SOURCE: Final = "customer:"
"""What the source begins with from which a key that is bound to a customer orders; the customer's id follows."""

Secret = Annotated[str, Meta(min_length=8, max_length=512)]


class PutSource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole desired state of a source. ``secrets`` newest first; None keeps those there are."""

    kind: Literal["stripe", "generic"]
    secrets: Annotated[tuple[Secret, ...], Meta(max_length=MAX_SECRETS)] | None = None
    settings: dict[Id, Annotated[str, Meta(max_length=200)]] = {}
    disabled: bool = False


async def get_source(view: View, source: str) -> SourceRow:
    """Return a configured source; raises NotFound."""
    row = await view.source(source)
    if row is None:
        raise NotFound(
            f"there is no source {source!r} in this workspace", advice="add one with: licet connector add stripe"
        )
    return row


async def list_sources(view: View) -> Sequence[SourceRow]:
    """List configured sources."""
    return await view.sources()


async def source_status(view: View, source: str) -> SourceStatus:
    """Return how a source fares: what came in a day, what is undone, how late messages are; raises NotFound."""
    await get_source(view, source)
    return await view.source_status(source)


async def put_source(tx: Tx, source: str, command: PutSource) -> SourceRow:
    """Add or change a source; leaves ``source.added`` or ``source.changed``. Secrets never enter the log.

    Raises Invalid (no secret, unknown setting) or Conflict (another kind than before).
    """
    command, source = normal(command), clean_id(source, "source")
    before = await tx.source(source)
    if before is None and command.kind != "generic" and _ADDRESSABLE.fullmatch(source) is None:
        words = f"{source!r} cannot be part of a web address, to which the source delivers"
        raise invalid(
            "source", words, "name it with letters, digits, '.', '_', ':' and '-', beginning with a letter or digit"
        )
    if source == BY_HAND:
        raise invalid("source", f"{source!r} is the source of what is sold by hand", "choose another id, such as crm")
    _check_settings(command.settings)
    if before is not None and before.kind != command.kind:
        raise Conflict(
            f"source {source} is of kind {before.kind} and cannot become {command.kind}",
            advice="add a source with another id",
        )
    kept = await tx.source_secrets(source) if before is not None else ()
    secrets = kept if command.secrets is None else _encoded(command.secrets)
    if not secrets and command.kind == "stripe":
        raise invalid("secrets", "a stripe source needs its signing secret", "copy it from Stripe; it begins whsec_")
    row = SourceRow(
        id=source,
        kind=command.kind,
        settings=dict(command.settings),
        created_at=business_now(tx) if before is None else before.created_at,
        disabled=command.disabled,
    )
    if row == before and list(secrets) == list(kept):
        return before
    await tx.put_source(row, secrets)
    await tx.record(_draft("source.added" if before is None else "source.changed", before, row, len(secrets)))
    return row


def section_of(source: SourceRow, catalog: Catalog) -> str:
    """Return the name of the section of the catalog's ``orders`` that explains a source's prices."""
    named = source.settings.get("mapping")
    return named or (source.id if source.id in catalog.orders else source.kind)


def _encoded(secrets: Sequence[str]) -> list[bytes]:
    return [secret.encode() for secret in secrets]


def _check_settings(settings: Mapping[str, str]) -> None:
    """Raise Invalid for a setting or value that nobody knows."""
    for name, value in settings.items():
        if name not in SETTINGS:
            raise invalid(f"settings.{name}", f"there is no such setting; known are {', '.join(SETTINGS)}")
        allowed = SETTINGS[name]
        if allowed is not None and value not in allowed:
            raise invalid(f"settings.{name}", f"{value!r} is not allowed; write {' or '.join(allowed)}")


def _draft(kind: str, before: SourceRow | None, after: SourceRow, secrets: int) -> Draft:
    """Return the event of a source; of its secrets only the count."""

    def shown(row: SourceRow) -> dict[str, object]:
        return {"kind": row.kind, "settings": dict(row.settings), "disabled": row.disabled}

    return Draft(
        type=kind,
        subject=f"source/{after.id}",
        before=None if before is None else shown(before),
        after=shown(after) | {"secrets": secrets},
    )
