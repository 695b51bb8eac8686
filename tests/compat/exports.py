"""Makes the exports that are recorded: a short life on a real server, its log, a checkpoint, and all of a customer."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import uuid4

import msgspec

from licet.cli.audit_file import export_log
from licet.cli.out_file import out_file
from tests.api.house import ALL, House, Visitor, open_house
from tests.core.vectors import FOLDER as VECTORS
from tests.store.databases import shared_server
from tests.store.worlds import fresh_world

LIFE: Final[tuple[tuple[str, str, Any], ...]] = (
    ("POST", "/v1/clock", {"frozen_at": "2030-03-01T09:00:00Z"}),
    ("POST", "/v1/log/key", {}),
    (
        "POST",
        "/v1/customers",
        {"id": "acme", "name": "Acme Ltd", "profile": {"country": "DE", "zone": "Europe/Berlin"}},
    ),
    ("PUT", "/v1/customers/acme/users/ann", {"name": "Ann Example", "email": "ann@example.com", "roles": ["editor"]}),
    (
        "POST",
        "/v1/orders",
        {
            "source": "crm",
            "external_id": "deal-1",
            "customer": {"id": "acme"},
            "occurred_at": "2030-02-28T09:00:00Z",
            "lines": [{"plan": "team", "quantity": 3}],
        },
    ),
    ("POST", "/v1/customers/acme/overrides", {"feature": "projects", "amount": 25, "note": "asked for by Zoë"}),
    ("POST", "/v1/customers/acme/suspend", {"note": "unpaid"}),
    ("POST", "/v1/clock", {"frozen_at": "2030-03-04T09:00:00Z"}),
    ("POST", "/v1/customers/acme/resume", {}),
)
"""What happened; the catalog is released once the log has a key."""
EXPORTS: Final = ("log.ndjson", "checkpoint.txt", "verifier.txt", "proof.json", "customer.ndjson")


def lived() -> dict[str, bytes]:
    """Return the files of an export, by name."""
    with shared_server("bundled", uuid4().hex[:12]) as server, fresh_world(server) as world:

        async def through() -> dict[str, bytes]:
            async with open_house(world) as house:
                return await export(house, await live(house))

        return asyncio.run(through())


async def live(house: House) -> Visitor:
    """Let the recorded life happen and return who can see everything."""
    visitor = await house.holder(*ALL)
    catalog = msgspec.json.decode((VECTORS / "check.json").read_bytes())["catalog"]
    for method, path, body in LIFE:
        await visitor.told(method, path, body)
        if path == "/v1/log/key":
            await visitor.told("PUT", "/v1/catalog?base=0", catalog)
    return visitor


async def export(house: House, visitor: Visitor) -> dict[str, bytes]:
    """Return the files of an export of what has happened."""
    point = await visitor.ask("GET", "/v1/log/checkpoint")
    proof = await visitor.ask("GET", "/v1/log/entries/3/proof")
    customer = await visitor.ask("GET", "/v1/customers/acme/export")
    verifier = await visitor.told("GET", "/v1/log/key")
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with out_file(log) as file:
            await export_log(house.storage, "test", file)
        events = log.read_bytes()
    return {
        "log.ndjson": events,
        "checkpoint.txt": point.content,
        "verifier.txt": verifier["verifier"].encode() + b"\n",
        "proof.json": proof.content,
        "customer.ndjson": customer.content,
    }
