"""Questions over HTTP: may this customer (and user, in this context) use this feature?"""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from licet.api.call import Call
from licet.api.contract import AtLeast, operation
from licet.api.refusals import from_decoding
from licet.api.v1.customers import ACME
from licet.core.catalog import Deployment, Id
from licet.core.explain import Explanation
from licet.core.question import Question
from licet.core.views import DecisionView
from licet.door.limits import MAX_BATCH
from licet.door.scan import scan
from licet.services import checks as use
from licet.services import explanations
from licet.services.checks import Answered, EntitlementsView
from licet.services.normal import invalid
from licet.services.ports import View

TAG: Final = "Checks"
SUBSCRIPTION: Final = "sub_0198f3a2c4d27c3e9a51b2c3d4e5f608"
QUESTION: Final = {
    "customer": "acme",
    "feature": "projects",
    "user": "ann",
    "quantity": 1,
    "used": 4,
    "context": {"deployment": "saas", "region": "eu"},
}
DECISION: Final = {
    "allowed": True,
    "reason": "within_limit",
    "reasons": ["within_limit"],
    "would_deny": None,
    "customer": "acme",
    "feature": "projects",
    "type": "limit",
    "mode": "enforce",
    "value": None,
    "limit": {"amount": 20, "used": 4, "remaining": 16, "per": None, "at_limit": "block", "unit": "projects"},
    "sources": [
        {
            "kind": "plan",
            "id": SUBSCRIPTION,
            "item": "team@2026-01",
            "standing": "active",
            "since": "2026-03-01T00:00:00Z",
            "permits": True,
            "amount": 20,
            "event": "evt_0198f3a2c4d17c3e9a51b2c3d4e5f607",
            "line": "1",
        }
    ],
    "message": "Projects: 4 of 20 used.",
    "remedy": None,
    "valid_until": None,
    "missing": [],
    "warnings": [],
    "basis": "1:42",
}


class Batch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Up to 500 questions, answered from one consistent state."""

    questions: Annotated[tuple[Question, ...], Meta(min_length=1, max_length=MAX_BATCH)]


class Decisions(Struct, frozen=True, kw_only=True):
    """The decisions, in the order of the questions."""

    decisions: tuple[DecisionView, ...]


class AtQuery(AtLeast, frozen=True, kw_only=True):
    """When to look."""

    at: Annotated[datetime, Meta(tz=True)] | None = None
    """An instant of business time; now where absent. A past one is answered by what was known then."""


class PastQuery(AtQuery, frozen=True, kw_only=True):
    """From when to look, and by whose knowledge."""

    known_at: Annotated[datetime, Meta(tz=True)] | None = None
    """Whose knowledge counts: what was recorded by then, inclusive. The earlier of ``at`` and now where absent."""
    basis: Annotated[str, Meta(max_length=40)] | None = None
    """The ``basis`` of a decision: exactly the truth that it rested on; beats ``known_at`` and needs ``at``."""


class ExplainQuery(PastQuery, frozen=True, kw_only=True):
    """The question to explain, and from when to look at it."""

    feature: Id
    user: Id | None = None
    team: Id | None = None
    """Whose balance is meant of what each team has its own of."""
    quantity: Annotated[str, Meta(max_length=40)] | None = None
    """What is wanted on top of ``used``; 1 where absent."""
    used: Annotated[str, Meta(max_length=40)] | None = None
    deployment: Deployment | None = None
    region: Id | None = None
    country: Annotated[str, Meta(min_length=2, max_length=2)] | None = None
    version: Annotated[str, Meta(max_length=64)] | None = None
    attributes: Annotated[str, Meta(max_length=4000)] | None = None
    """The context's attributes, as a JSON object."""


def _customers(batch: Batch) -> Iterable[str]:
    return (question.customer for question in batch.questions)


@operation(
    "POST",
    "/v1/check",
    tag=TAG,
    scopes=("check",),
    binding=lambda body: (body.customer,),
    example=QUESTION,
    answer=DECISION,
    problems=("no_catalog",),
)
async def check(call: Call, query: AtLeast, body: Question) -> DecisionView:  # noqa: ARG001 read by the runner
    """Ask one question: may they, now?

    Always answered with 200: a refusal is an answer. `reason` is stable and for programs, `message` is for the
    customer, `remedy` is the cheapest change with which the same question would be answered yes. Writes nothing.

    Of what is counted here the balances are asked: name `user` and `team` where each has one of its own; `missing` says
    so where they lack. Where a balance refuses, `resets_at` says when more comes, and `remedies` has waiting for it.
    """
    async with call.read() as view:
        answered = await _decide(call, view, body)
    call.parts.counting.note(view, [answered])
    return answered.decision


@operation(
    "POST",
    "/v1/check/batch",
    tag=TAG,
    scopes=("check",),
    binding=_customers,
    example={
        "questions": [
            {"customer": "acme", "feature": "sso"},
            {"customer": "acme", "feature": "exports", "team": "design"},
            QUESTION,
        ]
    },
    answer={"decisions": [DECISION]},
    problems=("no_catalog",),
)
async def check_batch(call: Call, query: AtLeast, body: Batch) -> Decisions:  # noqa: ARG001 read by the runner
    """Ask up to 500 questions at once; all are answered from one consistent state."""
    async with call.read() as view:
        answered = [await _decide(call, view, question) for question in body.questions]
    call.parts.counting.note(view, answered)
    return Decisions(decisions=tuple(one.decision for one in answered))


@operation(
    "GET",
    "/v1/customers/{customer}/entitlements",
    tag=TAG,
    scopes=("check", "orders"),
    binding="path",
    example_path=ACME,
    example_query={"at": "2026-03-15T12:00:00Z"},
    answer={
        "customer": "acme",
        "at": "2026-03-15T12:00:00Z",
        "catalog_revision": 1,
        "terms_revision": 2,
        "entitlements": [DECISION],
        "upcoming": [{"at": "2026-04-01T00:00:00Z", "kind": "period", "subscription": SUBSCRIPTION}],
        "breaches": [],
    },
    problems=("no_catalog", "no_catalog_then"),
)
async def get_entitlements(call: Call, customer: str, query: PastQuery) -> EntitlementsView:
    """List everything a customer may do at an instant, what changes next, and rules that what it has breaks.

    A past instant is answered by what was known then; `known_at` asks what was known earlier or later, and `basis`
    with the instant at which it was asked takes the very truth that an answer rested on.
    """
    _check_dated(query)
    async with call.read() as view:
        return await use.entitlements(
            view, customer, call.parts.snapshots, at=query.at, known=query.known_at, basis=query.basis
        )


@operation(
    "GET",
    "/v1/customers/{customer}/explain",
    tag=TAG,
    scopes=("check", "orders"),
    binding="path",
    example_path=ACME,
    example_query={"feature": "projects", "at": "2026-03-15T12:00:00Z"},
    answer={
        "at": "2026-03-15T12:00:00Z",
        "decision": DECISION,
        "tree": {
            "kind": "decision",
            "text": "acme and projects: allowed (within_limit)",
            "ok": True,
            "children": [
                {"kind": "limit", "text": "limit 20 projects (block); used: 4; wanted: 1 project", "ok": True}
            ],
        },
        "erased_at": None,
    },
    problems=("no_catalog", "no_catalog_then"),
    sensitive=True,
)
async def explain(call: Call, customer: str, query: ExplainQuery) -> Explanation:
    """Explain a decision, now or of a past instant: a tree from the order to the answer.

    A past instant is explained by what was known then: catalog, terms and user. `known_at` asks what was known earlier
    or later, such as after an order that came late; `basis` with the instant at which it was asked takes the very truth
    that an answer rested on.
    """
    _check_dated(query)
    async with call.read() as view:
        return await explanations.explain(
            view,
            _question(customer, query),
            call.parts.snapshots,
            at=query.at,
            known=query.known_at,
            basis=query.basis,
            audience="server" if call.caller.customer is None else "customer",
        )


def _check_dated(query: PastQuery) -> None:
    """Raise Invalid for a basis without an instant: of now, it would tell another decision than it came from."""
    if query.basis is not None and query.at is None:
        raise invalid(
            "at", "is missing beside basis", "say with at when it was asked: a basis says by which truth, not when"
        )


def _question(customer: str, query: ExplainQuery) -> Question:
    """Return the question that the parameters ask, held to the bounds of one that is sent as a body."""
    context: dict[str, object] = {
        name: value
        for name in ("deployment", "region", "country", "version")
        if (value := getattr(query, name)) is not None
    }
    if query.attributes is not None:
        scan(query.attributes.encode())
        context["attributes"] = msgspec.json.decode(query.attributes)
    asked: dict[str, object] = {"customer": customer, "feature": query.feature, "context": context}
    for name in ("user", "team", "quantity", "used"):
        if getattr(query, name) is not None:
            asked[name] = getattr(query, name)
    try:
        return msgspec.convert(asked, Question)
    except msgspec.ValidationError as error:
        raise from_decoding(error, Question, "the question") from None


async def _decide(call: Call, view: View, question: Question) -> Answered:
    began = call.moment()
    with call.parts.traces.span("decide", {"feature": question.feature}) as span:
        answered = await use.answer(view, question, call.parts.snapshots)
        decision = answered.decision
        if span is not None:
            span.set_attributes({"reason": decision.reason, "allowed": decision.allowed})
    call.decided(decision, began)
    return answered
