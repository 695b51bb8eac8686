"""Everything that is held about one customer, line by line, from one consistent state."""

import base64
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Any, Final, get_args

import msgspec
from msgspec import UNSET, Struct, UnsetType

from licet.services.customers import business_now
from licet.services.erasure import deliveries_about
from licet.services.erasure_ports import Section
from licet.services.inbound import Connector
from licet.services.ports import View
from licet.services.rows import DeliveryRow

DELIVERY: Final = "delivery"


class ExportBegin(Struct, frozen=True, kw_only=True):
    """What follows: of whom, and the state of the log from which it was read."""

    customer: str
    workspace: str
    at: datetime
    """Business time."""
    seq: int


class ExportEnd(Struct, frozen=True, kw_only=True):
    """How many rows there were of each section: with it the export is whole."""

    sections: dict[str, int]


class ExportLine(Struct, frozen=True, kw_only=True):
    """One line of an export: its beginning, one row of a section, or its end."""

    begin: ExportBegin | UnsetType = UNSET
    section: str | UnsetType = UNSET
    row: Any = UNSET
    """As it is stored. Personal values stand in it; those of the log beside their events, as ``personal``."""
    end: ExportEnd | UnsetType = UNSET


async def export_customer(
    view: View, connectors: Mapping[str, Connector], customer: str
) -> AsyncGenerator[ExportLine, None]:
    """Yield everything about a customer and its users, personal values included; few rows in memory at a time.

    Not in it: answers kept under idempotency keys (sealed copies of what is), catalogs, and secrets.
    """
    begin = ExportBegin(customer=customer, workspace=view.workspace.id, at=business_now(view), seq=await view.seq())
    yield ExportLine(begin=begin)
    sections: dict[str, int] = {}
    for section in get_args(Section):
        sections[section] = 0
        async for row in view.held(section, customer):
            sections[section] += 1
            yield ExportLine(section=section, row=msgspec.Raw(row))
    sections[DELIVERY] = 0
    async for message in deliveries_about(view, connectors, customer):
        sections[DELIVERY] += 1
        yield ExportLine(section=DELIVERY, row=_told(message))
    yield ExportLine(end=ExportEnd(sections=sections))


def _told(message: DeliveryRow) -> dict[str, Any]:
    """Return a message with its body as text, or in base64 where it is none."""
    told = {name: getattr(message, name) for name in message.__struct_fields__ if name != "body"}
    try:
        return told | {"body": message.body.decode()}
    except UnicodeDecodeError:
        return told | {"body_base64": base64.b64encode(message.body).decode()}
