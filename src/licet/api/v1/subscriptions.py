"""Subscriptions over HTTP: read them all; sell and change by hand, now, at the end of a period or on a date."""

from typing import Annotated, Any, Final

from licet.api.call import Call
from licet.api.contract import AtLeast, Reply, operation
from licet.api.v1.customers import ACME
from licet.services import changes, pauses, subscriptions, trials
from licet.services import subscription_views as views
from licet.services.changes import ChangeSubscription, Unschedule
from licet.services.manual import ChangeResult
from licet.services.pauses import PauseSubscription, ResumeSubscription
from licet.services.subscription_views import SubscriptionList, SubscriptionView
from licet.services.subscriptions import Cancel, Extend, Reinstate, Sell
from licet.services.trials import ConvertTrial, ExtendTrial

TAG: Final = "Subscriptions"
PAUSES: Final = "Pauses and trials"
SUBSCRIPTION: Final = "sub_0198f3a2c4d27c3e9a51b2c3d4e5f608"
ONE: Final = ACME | {"subscription": SUBSCRIPTION}
PATH: Final = "/v1/customers/{customer}/subscriptions/{subscription}"
PROBLEMS: Final = ("conflict", "no_catalog")
TEAM: Final = {"kind": "plan", "id": "team", "version": "2026-07", "quantity": 12, "quantity_of": "editor"}
MORE: Final = {
    "feature": "editor",
    "title": "Editors",
    "kind": "more",
    "was": "10 editors",
    "becomes": "12 editors",
}
LOST: Final = {
    "feature": "sso",
    "title": "SAML single sign-on",
    "kind": "loss",
    "was": "on",
    "becomes": "not included",
    "reason": "not_entitled",
}
PAUSED: Final = LOST | {"becomes": "paused", "reason": "paused"}
BACK: Final = {
    "feature": "sso",
    "title": "SAML single sign-on",
    "kind": "gain",
    "was": "ended",
    "becomes": "on",
    "reason": "ended",
}


def told(*found: dict[str, str], at: str = "2026-04-01T00:00:00Z", **more: Any) -> dict[str, Any]:
    """Return an example of an answer to a change; one without an order is that of a dry run."""
    foreseen = {"outcome": "foreseen", "dry_run": True} if more.get("order", "") is None else {}
    return {
        "order": "evt_0198f3a2c4d17c3e9a51b2c3d4e5f607",
        "outcome": "applied",
        "customer": "acme",
        "subscription": SUBSCRIPTION,
        "findings": [],
        "effective_at": at,
        "dry_run": False,
        "changes": [*found],
        "scheduled": [],
        "remarks": [],
        **more,
        **foreseen,
    }


VIEW: Final = {
    "id": SUBSCRIPTION,
    "source": "manual",
    "external_id": "sale_0198f3a2c4d27c3e9a51b2c3d4e5f607",
    "standing": "active",
    "since": "2026-03-01T00:00:00Z",
    "until": None,
    "starts_at": "2026-03-01T00:00:00Z",
    "ends_at": None,
    "items": [TEAM],
    "period": {"start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z"},
    "renews": "P1M",
    "zone": "UTC",
    "trial": None,
    "pauses": [],
    "scheduled": [{"at": "2026-07-01T00:00:00Z", "items": [TEAM | {"quantity": 20}]}],
    "moves": [],
}


@operation(
    "GET",
    "/v1/customers/{customer}/subscriptions",
    tag=TAG,
    scopes=("orders", "admin"),
    binding="path",
    example_path=ACME,
    answer={"customer": "acme", "at": "2026-03-02T09:00:00Z", "items": [VIEW | {"scheduled": []}]},
    problems=("no_catalog",),
)
async def list_subscriptions(call: Call, customer: str, query: AtLeast) -> SubscriptionList:  # noqa: ARG001 read by the runner
    """List a customer's subscriptions, from whatever source: what each consists of, how it stands, what is planned.

    Those that have ended are in the list, too. What is planned comes from orders and from the seller's own schedule.
    """
    async with call.read() as view:
        return await views.list_subscriptions(view, customer, call.parts.snapshots.catalogs)


@operation(
    "GET",
    PATH,
    tag=TAG,
    scopes=("orders", "admin"),
    binding="path",
    example_path=ONE,
    answer=VIEW,
    problems=("no_catalog",),
)
async def get_subscription(call: Call, customer: str, subscription: str, query: AtLeast) -> SubscriptionView:  # noqa: ARG001 read by the runner
    """Return one subscription."""
    async with call.read() as view:
        return await views.get_subscription(view, customer, subscription, call.parts.snapshots.catalogs)


@operation(
    "POST",
    "/v1/customers/{customer}/subscriptions",
    tag=TAG,
    scopes=("orders",),
    binding="path",
    writes=True,
    status=201,
    example_path=ACME,
    example={"items": [{"plan": "team", "quantity": 12, "quantity_of": "editor"}], "trial": "P14D"},
    answer=told(MORE | {"kind": "gain", "was": "not included", "reason": "not_entitled"}, at="2026-03-01T09:00:00Z"),
    problems=(*PROBLEMS, "unprocessable"),
)
async def sell_subscription(call: Call, customer: str, body: Sell) -> Annotated[Reply, ChangeResult]:
    """Sell by hand: what an account manager agreed, as an order from the source `manual`.

    What an order from elsewhere would get a finding for is refused with 422, each place with what would be right: a
    rule between add-ons that only now breaks, a version that is not there, a trial of a plan that has none.
    `accept_breaches` sells it all the same, with findings; only names that lead nowhere are refused even then. With
    `dry_run` nothing is written: the answer is `foreseen` with status 200, and `subscription` is null.
    """
    sold = await subscriptions.sell(call.tx, customer, body, call.parts.snapshots.catalogs)
    return Reply(sold, status=200 if sold.dry_run else None)


@operation(
    "POST",
    f"{PATH}/change",
    tag=TAG,
    scopes=("orders",),
    binding="path",
    writes=True,
    example_path=ONE,
    example={"quantity": 12, "at": "period_end", "dry_run": True},
    answer=told(
        MORE,
        order=None,
        scheduled=[{"at": "2026-04-01T00:00:00Z", "items": [TEAM]}],
    ),
    problems=(*PROBLEMS, "unprocessable"),
)
async def change_subscription(call: Call, customer: str, subscription: str, body: ChangeSubscription) -> ChangeResult:
    """Change what a subscription sold by hand consists of: plan, add-ons, quantities.

    `at` is `now`, `period_end` or a later instant; a later change is seen at once in `entitlements?at=`. Where changes
    are scheduled already, `scheduled` says whether they stay (`keep`) or fall away (`drop`). A rule that breaks by it
    is refused unless `accept_breaches`. `changes` are the rights that differ at `effective_at`; with `dry_run` nothing
    is written. One that a foreign system sold is changed there.
    """
    return await changes.change(call.tx, customer, subscription, body, call.parts.snapshots.catalogs)


@operation(
    "POST",
    f"{PATH}/unschedule",
    tag=TAG,
    scopes=("orders",),
    binding="path",
    writes=True,
    optional_body=True,
    example_path=ONE,
    example={"dry_run": True},
    answer=told(MORE | {"kind": "less", "was": "12 editors", "becomes": "10 editors"}, order=None),
    problems=PROBLEMS,
)
async def unschedule_subscription(call: Call, customer: str, subscription: str, body: Unschedule) -> ChangeResult:
    """Let all changes that are scheduled for later fall away.

    Cancellations and pauses are taken back by `reinstate` and `resume`.
    """
    return await changes.unschedule(call.tx, customer, subscription, body, call.parts.snapshots.catalogs)


@operation(
    "POST",
    f"{PATH}/pause",
    tag=PAUSES,
    scopes=("orders",),
    binding="path",
    writes=True,
    optional_body=True,
    example_path=ONE,
    example={"at": "period_end", "until": "2026-09-01T00:00:00Z"},
    answer=told(PAUSED),
    problems=PROBLEMS,
)
async def pause_subscription(call: Call, customer: str, subscription: str, body: PauseSubscription) -> ChangeResult:
    """Let a subscription sold by hand give nothing for a while, from now or later on, until an instant or `resume`."""
    return await pauses.pause(call.tx, customer, subscription, body, call.parts.snapshots.catalogs)


@operation(
    "POST",
    f"{PATH}/resume",
    tag=PAUSES,
    scopes=("orders",),
    binding="path",
    writes=True,
    optional_body=True,
    example_path=ONE,
    example={"at": "2026-04-01T00:00:00Z"},
    answer=told(BACK | {"was": "paused", "reason": "paused"}),
    problems=PROBLEMS,
)
async def resume_subscription(call: Call, customer: str, subscription: str, body: ResumeSubscription) -> ChangeResult:
    """End a pause, now or later; at the very instant of its beginning, a planned pause falls away.

    This also ends the pause after a trial that ends in one: from then on the subscription is paid.
    """
    return await pauses.resume(call.tx, customer, subscription, body, call.parts.snapshots.catalogs)


@operation(
    "POST",
    f"{PATH}/cancel",
    tag=TAG,
    scopes=("orders",),
    binding="path",
    writes=True,
    optional_body=True,
    example_path=ONE,
    example={"at": "2026-12-31T00:00:00Z"},
    answer=told(LOST | {"becomes": "ended", "reason": "ended"}, at="2026-12-31T00:00:00Z"),
    problems=PROBLEMS,
)
async def cancel_subscription(call: Call, customer: str, subscription: str, body: Cancel) -> ChangeResult:
    """End a subscription that was sold by hand: now, at the end of the billing period, or at an instant.

    One that a foreign system sold is cancelled there: its next message would bring it back.
    """
    return await subscriptions.cancel(call.tx, customer, subscription, body, call.parts.snapshots.catalogs)


@operation(
    "POST",
    f"{PATH}/extend",
    tag=TAG,
    scopes=("orders",),
    binding="path",
    writes=True,
    example_path=ONE,
    example={"until": "2027-12-31T00:00:00Z"},
    answer=told(BACK, at="2026-12-31T00:00:00Z"),
    problems=PROBLEMS,
)
async def extend_subscription(call: Call, customer: str, subscription: str, body: Extend) -> ChangeResult:
    """Let a subscription that was sold with an end, or cancelled, end later; with `until: null` it renews.

    `changes` are the rights that differ at its end so far. What was planned for after that end stands again.
    """
    return await subscriptions.extend(call.tx, customer, subscription, body, call.parts.snapshots.catalogs)


@operation(
    "POST",
    f"{PATH}/reinstate",
    tag=TAG,
    scopes=("orders",),
    binding="path",
    writes=True,
    optional_body=True,
    example_path=ONE,
    example={"dry_run": True},
    answer=told(BACK, at="2026-12-31T00:00:00Z", order=None),
    problems=PROBLEMS,
)
async def reinstate_subscription(call: Call, customer: str, subscription: str, body: Reinstate) -> ChangeResult:
    """Take back a cancellation that has not happened yet: it ends again as it was sold or extended to, or renews."""
    return await subscriptions.reinstate(call.tx, customer, subscription, body, call.parts.snapshots.catalogs)


@operation(
    "POST",
    f"{PATH}/trial/extend",
    tag=PAUSES,
    scopes=("orders",),
    binding="path",
    writes=True,
    example_path=ONE,
    example={"until": "2026-04-15T00:00:00Z"},
    answer=told(BACK | {"was": "not included", "reason": "not_entitled"}, at="2026-03-15T00:00:00Z"),
    problems=PROBLEMS,
)
async def extend_trial(call: Call, customer: str, subscription: str, body: ExtendTrial) -> ChangeResult:
    """Let a trial that is not over last longer. `changes` are the rights that differ at its end so far."""
    return await trials.extend_trial(call.tx, customer, subscription, body, call.parts.snapshots.catalogs)


@operation(
    "POST",
    f"{PATH}/trial/convert",
    tag=PAUSES,
    scopes=("orders",),
    binding="path",
    writes=True,
    optional_body=True,
    example_path=ONE,
    example={"dry_run": False},
    answer=told(at="2026-03-02T09:00:00Z"),
    problems=PROBLEMS,
)
async def convert_trial(call: Call, customer: str, subscription: str, body: ConvertTrial) -> ChangeResult:
    """End a running trial now: from now on the subscription is paid, whatever was to follow its trial."""
    return await trials.convert_trial(call.tx, customer, subscription, body, call.parts.snapshots.catalogs)
