"""Checks that programs answered themselves, told to the server in batches."""

from typing import Final

from msgspec import Struct

from licet.api.call import Call
from licet.api.contract import operation
from licet.api.v1.checks import QUESTION, TAG
from licet.services import check_uploads as use
from licet.services.check_counts import COUNTING
from licet.wire.check_upload import CheckUpload

COUNTER: Final = "ctr_0198f3a2c4d87c3e9a51b2c3d4e5f60d"
UPLOAD: Final = {
    "counter": COUNTER,
    "number": 7,
    "counts": [
        {
            "hour": "2026-03-01T09:00:00Z",
            "customer": "acme",
            "user": "ann",
            "feature": "projects",
            "reason": "within_limit",
            "outcome": "allowed",
            "mode": "enforce",
            "checks": 120,
        }
    ],
    "records": [
        {
            "at": "2026-03-01T09:12:30Z",
            "question": QUESTION,
            "reason": "within_limit",
            "outcome": "allowed",
            "mode": "enforce",
            "basis": "1:42",
        }
    ],
    "said": [{"customer": "acme", "feature": "projects", "used": 4, "at": "2026-03-01T09:12:30Z"}],
    "lost": {"checks": 0, "records": 0},
}


class UploadReceipt(Struct, frozen=True, kw_only=True):
    """The batch of this number is kept; a program may forget it."""

    counter: str
    number: int


@operation(
    "POST",
    "/v1/checks/counts",
    tag=TAG,
    scopes=("check",),
    binding=use.customers_of,
    example=UPLOAD,
    answer={"counter": COUNTER, "number": 7},
)
async def upload_checks(call: Call, body: CheckUpload) -> UploadReceipt:
    """Tell how checks were answered that a program answered itself, in numbered batches.

    The client library does this every ten seconds or so. A batch counts once: whoever had no answer sends the same
    again, and of one counter nothing counts that has a lower number than came before. Counts are by whole hours of
    business time, at most 35 days ago and not more than 10 minutes ahead.
    """
    async with call.storage.write(call.workspace, COUNTING) as tx:
        await use.keep_upload(tx, call.caller.key, body)
    return UploadReceipt(counter=body.counter, number=body.number)
