"""Usage told afterwards, as CloudEvents, and corrections of what was told or consumed."""

from typing import Annotated, Final

from licet.api.call import Call
from licet.api.cloud_events import MEDIA_TYPES, Events, read_events
from licet.api.contract import Document, Reply, operation
from licet.api.v1.consume import TAG, TAKE, USE, replied
from licet.door.limits import MAX_EVENTS_BODY
from licet.wire.usage import CloudEvent, ConsumeAnswer, CorrectionAsked, EventsAnswer

EVENT: Final = {
    "specversion": "1.0",
    "id": "7391",
    "source": "/gateway/eu-1",
    "type": "api.call",
    "subject": "acme",
    "time": "2026-03-01T09:00:00Z",
    "data": {"quantity": 25, "user": "ann", "region": "eu"},
}


@operation(
    "POST",
    "/v1/events",
    tag=TAG,
    scopes=("usage",),
    binding="own",
    posts=True,
    max_body=MAX_EVENTS_BODY,
    accepts=MEDIA_TYPES,
    body=CloudEvent | Events,
    example=[EVENT],
    answer={"recorded": 1, "duplicates": 0, "ignored": 0},
)
async def report_events(call: Call, body: Document) -> EventsAnswer:
    """Report usage after the fact: one CloudEvent, or up to 10,000 at once. It is recorded whatever there is.

    Structured (`application/cloudevents+json`), in a batch (`application/cloudevents-batch+json`), or in binary mode
    (headers `ce-id`, `ce-source`, …, the body is the data); plain JSON is read as one event or a list. All of a request
    is recorded or nothing. An event is known by its `source` and `id`: one that came before counts once, however often
    and in whatever order it comes. `subject` is the customer; without `time` it was used now.
    """
    events = await read_events(body, call.headers)
    for event in events:
        call.caller.may_see(event.subject)
    return await call.lane.report(call.actor, events, size=len(body.content))


@operation(
    "POST",
    "/v1/usage/corrections",
    tag=TAG,
    scopes=("usage",),
    binding=lambda body: (body.customer,),
    posts=True,
    example={"customer": "acme", "id": USE, "quantity": 5, "note": "the job failed"},
    answer={
        "allowed": True,
        "reason": "within_limit",
        "id": "use_0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f",
        "quantity": 5,
        "takes": [TAKE | {"taken": -5, "used": 1245, "remaining": 98755}],
    },
    problems=("not_found", "conflict"),
)
async def correct_usage(call: Call, body: CorrectionAsked) -> Annotated[Reply, ConsumeAnswer]:
    """Give back a part of what was consumed or reported, or all of it: a fact of its own, never an edit.

    It names what it corrects by its `id`, or by the `event` that told it. It takes effect now, and returns the amount
    to the very grants it was taken from. More than is left of it is refused. A report of a level (`latest`, `max`) or
    of a value (`unique`) is taken back as a whole, as if it had never been told: what remains tells the level.
    """
    return replied(call, await call.lane.correct(call.actor, body, call.key))
