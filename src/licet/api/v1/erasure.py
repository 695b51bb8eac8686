"""Personal values over HTTP: everything that is held about a customer, and erasing it.

No key that is bound to a customer gets in: findings and the log may name others, and erasing is for the vendor to say.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Final

from licet.api.call import Call
from licet.api.contract import NDJSON, Reply, operation
from licet.api.v1.customers import ACME
from licet.services import erasure
from licet.services.customers import get_customer as require_customer
from licet.services.erasure import Erase, Erased, Holding
from licet.services.exports import ExportLine, export_customer

TAG: Final = "Personal values"
ROUTES: Final = ("POST /v1/customers", "PATCH /v1/customers/", "PUT /v1/customers/")
"""How the routes begin whose kept answers show names and mail addresses."""
ERASED: Final = {
    "customer": "acme",
    "user": None,
    "dry_run": False,
    "removed": {
        "names": 3,
        "values": 8,
        "check_records": 120,
        "check_counts": 46,
        "deliveries": 5,
        "answers": 1,
        "findings": 0,
    },
    "nothing_left": False,
    "erased_at": "2026-03-01T09:00:00Z",
    "not_applied": 0,
}


@operation(
    "GET",
    "/v1/customers/{customer}/export",
    tag=TAG,
    scopes=("admin",),
    example_path=ACME,
    answer={"section": "user", "row": {"customer": "acme", "id": "ann", "name": "Ann Example"}},
    answers=(NDJSON,),
    sensitive=True,
)
async def export_everything(call: Call, customer: str) -> Annotated[Reply, ExportLine]:
    """Return everything that is held about a customer and its users, personal values included, line by line.

    The first line says of whom and as of when (`begin`), each further one holds one `row` of a `section` as it is
    stored, the last one (`end`) how many there were: without it the export is not whole. Messages of foreign systems
    come as they were sent. Left out are sealed copies of answers, which hold nothing else, and secrets.
    """
    async with call.read() as view:
        await require_customer(view, customer)
    return Reply(_lines(call, customer), media_type=NDJSON)


async def _lines(call: Call, customer: str) -> AsyncGenerator[ExportLine, None]:
    async with (
        call.storage.read_long(call.workspace) as view,
        aclosing(export_customer(view, call.parts.connectors, customer)) as lines,
    ):
        async for line in lines:
            yield line


@operation(
    "POST",
    "/v1/customers/{customer}/erase",
    tag=TAG,
    scopes=("admin",),
    writes=True,
    optional_body=True,
    example_path=ACME,
    example={"dry_run": True},
    answer=ERASED,
    problems=("conflict",),
)
async def erase_customer(call: Call, customer: str, body: Erase) -> Erased:
    """Erase the personal values of a customer and all its users, all of them or none.

    Names and mail addresses go, of today and beside the log; so do recorded checks, users in counts of checks, bodies
    of messages about the customer, kept answers, and quotations in findings. The customer, its terms and its rights
    go on as before, and so does the log. Ids, attributes and notes stay: see the guide on privacy. A second time there
    is `nothing_left`. Messages that failed or wait must be applied or given up first (409).
    """
    await call.parts.counting.settle(call.workspace)
    return await erasure.erase(call.tx, _holding(call), customer, None, body)


@operation(
    "POST",
    "/v1/customers/{customer}/users/{user}/erase",
    tag=TAG,
    scopes=("admin",),
    writes=True,
    optional_body=True,
    example_path=ACME | {"user": "ann"},
    example={"dry_run": True},
    answer=ERASED | {"user": "ann"},
    problems=("conflict",),
)
async def erase_user(call: Call, customer: str, user: str, body: Erase) -> Erased:
    """Erase the personal values of one user, all of them or none.

    As for a whole customer, but of messages only those that quote the user's name or mail address. A user who was
    never registered and stands in checks alone is erased from them.
    """
    await call.parts.counting.settle(call.workspace)
    return await erasure.erase(call.tx, _holding(call), customer, user, body)


def _holding(call: Call) -> Holding:
    return Holding(call.parts.connectors, ROUTES)
