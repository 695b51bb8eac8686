"""Missed payments over HTTP: invoices and payments told by people, promises, pauses, ladders and cohorts."""

from typing import Final

from licet.api.call import Call
from licet.api.contract import AtLeast, operation
from licet.api.v1.customers import ACME
from licet.services import cohorts, dunning, invoices, ladders, leniencies
from licet.services.cohorts import CohortsAnswer
from licet.services.dunning import CustomerDunning
from licet.services.invoices import IssueInvoice, PaymentAnswer, RecordPayment
from licet.services.ladders import ChooseLadder, ClearLadder, LadderAnswer
from licet.services.leniencies import EndLeniency, LeniencyAnswer, PauseDunning, PromiseToPay

TAG: Final = "Missed payments"
LADDERS: Final = "Ladders and cohorts"
SUBSCRIPTION: Final = "sub_0198f3a2c4d27c3e9a51b2c3d4e5f608"
ONE: Final = ACME | {"subscription": SUBSCRIPTION}
PROMISE: Final = "prm_0198f3a2c4d37c3e9a51b2c3d4e5f60b"
EVENT: Final = "evt_0198f3a2c4d47c3e9a51b2c3d4e5f60c"
MONEY: Final = {"amount": 480000, "currency": "EUR"}
DUE: Final = {
    "subscription": SUBSCRIPTION,
    "outcome": "applied",
    "payment": {
        "kind": "due",
        "at": "2026-03-31T00:00:00Z",
        "invoice": "INV-2026-017",
        "stated_at": "2026-03-01T09:00:00Z",
        "money": MONEY,
        "event": EVENT,
    },
    "owed": [],
    "remarks": [],
    "findings": [],
}
PAID: Final = DUE | {
    "payment": {"kind": "paid", "at": "2026-04-10T09:00:00Z", "invoice": "INV-2026-017", "event": EVENT}
}
LENIENCY: Final = {
    "leniency": {
        "id": PROMISE,
        "kind": "promise",
        "subscription": SUBSCRIPTION,
        "starts_at": "2026-04-10T09:00:00Z",
        "ends_at": "2026-04-20T00:00:00Z",
        "note": "the controller is back on the 17th",
        "event": EVENT,
    },
    "owed": ["INV-2026-017"],
    "remarks": [],
}
PAUSE: Final = {
    "leniency": {
        "id": "pau_0198f3a2c4d37c3e9a51b2c3d4e5f60d",
        "kind": "pause",
        "subscription": SUBSCRIPTION,
        "starts_at": "2026-04-10T09:00:00Z",
        "note": "we clarify the invoice",
        "event": EVENT,
    },
    "owed": ["INV-2026-017"],
    "remarks": [],
}
CHOSEN: Final = {
    "ladders": [{"ladder": "invoice", "starts_at": "2026-04-10T09:00:00Z", "note": "pays by bank", "event": EVENT}],
    "remarks": [],
}
JOINED: Final = {
    "cohorts": [{"cohort": "public_sector", "starts_at": "2026-04-10T09:00:00Z", "event": EVENT}],
    "remarks": [],
}
STANDS: Final = {
    "customer": "acme",
    "at": "2026-04-10T09:00:00Z",
    "ladders": [],
    "cohorts": [],
    "suspended": False,
    "subscriptions": [
        {
            "subscription": SUBSCRIPTION,
            "source": "crm",
            "items": ["business@2026-01"],
            "standing": "grace",
            "invoices": [{"invoice": "INV-2026-017", "state": "owed", "at": "2026-03-31T00:00:00Z", "money": MONEY}],
            "since": "2026-03-31T00:00:00Z",
            "ladder": "invoice",
            "origin": "plan:business@2026-01",
            "stages": [
                {"do": "warn", "features": [], "after": "P0D", "at": "2026-03-31T00:00:00Z", "reached": True},
                {"do": "restrict", "features": ["ai"], "after": "P30D", "at": "2026-04-30T00:00:00Z", "reached": False},
                {"do": "suspend", "features": [], "after": "P60D", "at": "2026-05-30T00:00:00Z", "reached": False},
            ],
            "leniencies": [],
            "next": {"do": "restrict", "at": "2026-04-30T00:00:00Z"},
        }
    ],
}


@operation(
    "GET",
    "/v1/customers/{customer}/dunning",
    tag=TAG,
    scopes=("orders", "admin"),
    binding="path",
    example_path=ACME,
    answer=STANDS,
    problems=("no_catalog",),
)
async def get_dunning(call: Call, customer: str, query: AtLeast) -> CustomerDunning:  # noqa: ARG001 read by the runner
    """Return how a customer's missed payments stand now.

    For each subscription: what is owed or becomes due, which ladder counts and who decided so, its stages with their
    instants, promises and pauses in force, and what comes next if nothing is paid.
    """
    async with call.read() as view:
        return await dunning.get_dunning(view, customer, call.parts.snapshots.catalogs)


@operation(
    "POST",
    "/v1/customers/{customer}/subscriptions/{subscription}/invoices",
    tag=TAG,
    scopes=("orders",),
    binding="path",
    writes=True,
    example_path=ONE,
    example={"invoice": "INV-2026-017", "due_at": "2026-03-31T00:00:00Z", "money": MONEY},
    answer=DUE,
    problems=("conflict", "no_catalog"),
)
async def issue_invoice(call: Call, customer: str, subscription: str, body: IssueInvoice) -> PaymentAnswer:
    """State when an invoice of a subscription must be paid.

    From `due_at` on it is owed, unless it is settled before, and the ladder begins there: that is dunning for
    contracts that are paid by invoice. Issued again with another date, that date counts instead. It may be for a
    subscription of any source. A date before the subscription began is refused, and one so far back that it would be
    suspended or ended at once, unless `accept_consequences` says that it is meant.
    """
    return await invoices.issue_invoice(call.tx, customer, subscription, body, call.parts.snapshots.catalogs)


@operation(
    "POST",
    "/v1/customers/{customer}/subscriptions/{subscription}/payments",
    tag=TAG,
    scopes=("orders",),
    binding="path",
    writes=True,
    example_path=ONE,
    example={"invoice": "INV-2026-017", "kind": "paid", "at": "2026-04-10T09:00:00Z"},
    answer=PAID,
    problems=("conflict", "no_catalog"),
)
async def record_payment(call: Call, customer: str, subscription: str, body: RecordPayment) -> PaymentAnswer:
    """Record what became of an invoice: paid, failed, uncollectible, voided or disputed.

    `paid` and `voided` settle it; after the others it is owed, after `disputed` again. It counts from `at`: who has
    settled everything has its rights back at the instant of payment. An invoice that nobody knows yet is fine. `owed`
    lists what is left. What was missed before the subscription began is refused, and what was missed so long ago that
    it would be suspended or ended at once, unless `accept_consequences` says that it is meant.
    """
    return await invoices.record_payment(call.tx, customer, subscription, body, call.parts.snapshots.catalogs)


@operation(
    "POST",
    "/v1/customers/{customer}/subscriptions/{subscription}/promises",
    tag=TAG,
    scopes=("orders",),
    binding="path",
    writes=True,
    status=201,
    example_path=ONE,
    example={"until": "2026-04-20T00:00:00Z", "note": "the controller is back on the 17th"},
    answer=LENIENCY,
    problems=("conflict", "no_catalog"),
)
async def promise(call: Call, customer: str, subscription: str, body: PromiseToPay) -> LeniencyAnswer:
    """Note a promise to pay: until then the ladder of the subscription only warns.

    It begins now. A promise that is not kept changes nothing afterwards: the ladder stands where it would stand
    without it.
    """
    return await leniencies.promise(call.tx, customer, subscription, body, call.parts.snapshots.catalogs)


@operation(
    "POST",
    "/v1/customers/{customer}/subscriptions/{subscription}/promises/{promise}/withdraw",
    tag=TAG,
    scopes=("orders",),
    binding="path",
    writes=True,
    optional_body=True,
    example_path=ONE | {"promise": PROMISE},
    example={"note": "they took it back"},
    answer=LENIENCY,
    problems=("conflict",),
)
async def withdraw_promise(
    call: Call, customer: str, subscription: str, promise: str, body: EndLeniency
) -> LeniencyAnswer:
    """End a promise to pay now."""
    return await leniencies.withdraw_promise(call.tx, customer, subscription, promise, body)


@operation(
    "POST",
    "/v1/customers/{customer}/subscriptions/{subscription}/dunning/pause",
    tag=TAG,
    scopes=("orders",),
    binding="path",
    writes=True,
    optional_body=True,
    example_path=ONE,
    example={"note": "we clarify the invoice"},
    answer=PAUSE,
    problems=("conflict", "no_catalog"),
)
async def pause_dunning(call: Call, customer: str, subscription: str, body: PauseDunning) -> LeniencyAnswer:
    """Let the clock of a subscription's ladder stand still, until an instant or until it is resumed.

    What the ladder had reached stays; every later stage comes later by as much.
    """
    return await leniencies.pause_dunning(call.tx, customer, subscription, body, call.parts.snapshots.catalogs)


@operation(
    "POST",
    "/v1/customers/{customer}/subscriptions/{subscription}/dunning/resume",
    tag=TAG,
    scopes=("orders",),
    binding="path",
    writes=True,
    optional_body=True,
    example_path=ONE,
    example={"note": "clarified"},
    answer=PAUSE,
    problems=("conflict",),
)
async def resume_dunning(call: Call, customer: str, subscription: str, body: EndLeniency) -> LeniencyAnswer:
    """Let the clock of a subscription's ladder go on now."""
    return await leniencies.resume_dunning(call.tx, customer, subscription, body)


@operation(
    "PUT",
    "/v1/customers/{customer}/ladder",
    tag=LADDERS,
    scopes=("orders",),
    binding="path",
    writes=True,
    example_path=ACME,
    example={"ladder": "invoice", "note": "pays by bank"},
    answer=CHOSEN,
    problems=("conflict", "no_catalog"),
)
async def choose_ladder(call: Call, customer: str, body: ChooseLadder) -> LadderAnswer:
    """Choose the ladder of one customer, before that of its cohorts and plans; null: no consequences at all.

    It counts for episodes of non-payment that begin from `from` on, now by default. One that runs already keeps the
    ladder it began with; `remarks` names it. What was chosen for that time before falls away.
    """
    return await ladders.choose_ladder(call.tx, customer, body, call.parts.snapshots.catalogs)


@operation(
    "POST",
    "/v1/customers/{customer}/ladder/clear",
    tag=LADDERS,
    scopes=("orders",),
    binding="path",
    writes=True,
    optional_body=True,
    example_path=ACME,
    example={"note": "as everybody"},
    answer=CHOSEN | {"ladders": []},
    problems=("conflict",),
)
async def clear_ladder(call: Call, customer: str, body: ClearLadder) -> LadderAnswer:
    """End the choice of a ladder now: episodes that begin later climb the cohort's or the plan's again."""
    return await ladders.clear_ladder(call.tx, customer, body)


@operation(
    "POST",
    "/v1/customers/{customer}/cohorts/{cohort}/join",
    tag=LADDERS,
    scopes=("orders",),
    binding="path",
    writes=True,
    example_path=ACME | {"cohort": "public_sector"},
    answer=JOINED,
    problems=("conflict", "no_catalog"),
)
async def join_cohort(call: Call, customer: str, cohort: str) -> CohortsAnswer:
    """Let a customer belong to a cohort of the catalog from now on.

    Where the cohort has a ladder, episodes of non-payment that begin from now on climb it instead of the plan's.
    """
    return await cohorts.join_cohort(call.tx, customer, cohort, call.parts.snapshots.catalogs)


@operation(
    "POST",
    "/v1/customers/{customer}/cohorts/{cohort}/leave",
    tag=LADDERS,
    scopes=("orders",),
    binding="path",
    writes=True,
    example_path=ACME | {"cohort": "public_sector"},
    answer=JOINED | {"cohorts": []},
    problems=("conflict",),
)
async def leave_cohort(call: Call, customer: str, cohort: str) -> CohortsAnswer:
    """End a customer's membership of a cohort now."""
    return await cohorts.leave_cohort(call.tx, customer, cohort)
