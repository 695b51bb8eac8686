"""What is told later, and how often a call is made: the flows alone, without a server."""

from random import Random
from typing import Any

import msgspec
import pytest

from licet.core.catalog import Catalog
from licet.sdk.book import Book
from licet.sdk.counting import Counting
from licet.sdk.effects import Answer, Ask, Fault, Outcome, Sleep
from licet.sdk.errors import Unanswered
from licet.sdk.options import read_options
from licet.sdk.outbox import Outbox
from licet.sdk.pacing import CALLS_SHUT, MOST_TRIES, RETRY_BUDGET, Pace, Tries
from licet.sdk.reporting import Reporting
from licet.sdk.shelf import Entry
from licet.sdk.spending import CONSUME, EVENTS, Call, Errand, Line, call
from licet.sdk.usage import read_wanted
from licet.wire.feed import Cursor
from licet.wire.usage import CloudEvent, ConsumeAnswer
from tests.sdk.premises import API_KEY

OK = Answer(status=200, kind="application/json", body=b'{"recorded":1,"duplicates":0,"ignored":0}')
BOTH = Answer(status=200, kind="application/json", body=b'{"recorded":1,"duplicates":1,"ignored":0}')
TAKEN = Answer(status=200, kind="application/json", body=b'{"allowed":true,"reason":"within_limit"}')
REFUSED = Answer(status=200, kind="application/json", body=b'{"allowed":false,"reason":"limit_reached"}')
URL = "http://127.0.0.1:9"


def problem(status: int, code: str) -> Answer:
    """A problem response."""
    body = msgspec.json.encode({"code": code, "status": status, "detail": "it is so"})
    return Answer(status=status, kind="application/problem+json", body=body)


def told(outbox: Outbox, *outcomes: Outcome) -> list[tuple[str, bytes]]:
    """What one run of the telling asks for, answered one after the other."""
    reporting = Reporting(outbox, Pace(Random(1)), lambda: 0.0, url=URL)
    reporting.finish()
    flow, asked, left = reporting.run(), [], list(outcomes)
    outcome: Outcome = None
    try:
        while True:
            effect = flow.send(outcome)
            assert isinstance(effect, Ask)
            asked.append((effect.request.path, effect.request.body or b""))
            outcome = left.pop(0)
    except StopIteration:
        return asked


def outbox_with(**more: Any) -> Outbox:
    """A call to be told, in memory."""
    outbox = Outbox(None, most=10)
    outbox.put(Entry(**({"id": "1", "kind": "call", "path": CONSUME, "body": b"{}", "spare": b'{"s":1}'} | more)))
    return outbox


@pytest.mark.parametrize(
    ("path", "answer"), [(CONSUME, REFUSED), ("/v1/reservations/res_1/settle", problem(409, "reservation_expired"))]
)
def test_an_event_in_the_place_of_a_refusal(path: str, answer: Answer) -> None:
    """What was used although it is refused when it is told goes as an event; nothing is lost, and nothing is left."""
    outbox = outbox_with(path=path)
    assert told(outbox, answer, OK) == [(path, b"{}"), (EVENTS, b'[{"s":1}]')]
    assert (outbox.waiting, outbox.refused) == ((0, 0), 0)


@pytest.mark.parametrize(
    ("answer", "spare"), [(problem(409, "reservation_closed"), b"{}"), (REFUSED, None), (problem(400, "invalid"), b"")]
)
def test_given_up_without_an_event(answer: Answer, spare: bytes | None) -> None:
    """A reservation that was settled otherwise is not counted again; what has no event is counted as refused."""
    outbox = outbox_with(spare=spare)
    assert len(told(outbox, answer)) == 1
    assert (outbox.waiting, outbox.refused) == ((0, 0), 1)


@pytest.mark.parametrize(
    "answer", [problem(401, "unauthenticated"), problem(403, "forbidden"), problem(404, "not_found"), Fault("cut")]
)
def test_kept_where_it_may_go_later(answer: Outcome) -> None:
    """A wrong key, an old server and a cut line lose nothing: it waits."""
    outbox = outbox_with()
    assert len(told(outbox, answer)) == 1
    assert (outbox.waiting[0], outbox.refused) == (1, 0)


def test_calls_and_events_keep_their_order() -> None:
    """Events go together up to the next call, which goes alone."""
    outbox = Outbox(None, most=10)
    for number, kind in enumerate(("event", "event", "call", "event")):
        outbox.put(Entry(id=str(number), kind=kind, path=CONSUME, body=b"%d" % number))  # type: ignore[arg-type]
    assert told(outbox, BOTH, TAKEN, OK) == [(EVENTS, b"[0,1]"), (CONSUME, b"2"), (EVENTS, b"[3]")]


@pytest.mark.parametrize("kind", ["event", "call"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Please log in</html>",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b'{"recorded":"x"}',
        b'{"allowed":true}',
        b'{"recorded":2,"duplicates":0,"ignored":0}',
        b'{"recorded":2,"duplicates":-1,"ignored":0}',
    ],
)
def test_who_does_not_say_what_became_of_it_has_nothing(kind: Any, body: bytes) -> None:
    """A captive portal's 200, and an answer that accounts for more or less than was told, forget no report or call."""
    outbox = outbox_with(kind=kind)
    assert len(told(outbox, Answer(status=200, kind="text/html", body=body))) == 1
    assert (outbox.waiting[0], outbox.refused) == (1, 0)


def test_a_settle_that_nobody_confirms_waits() -> None:
    """What a reservation came to is forgotten for an answer that says how it ended, and for no other."""
    path = "/v1/reservations/res_1/settle"
    outbox = outbox_with(path=path)
    told(outbox, Answer(status=200, kind="text/html", body=b"<html>"))
    assert outbox.waiting[0] == 1
    told(outbox, Answer(status=200, kind="application/json", body=b'{"id":"res_1","closed":"settled","used":1}'))
    assert outbox.waiting == (0, 0)


METERS: dict[str, Any] = {
    "calls": {"event": "api.call"},
    "tokens": {"event": "ai", "field": "tokens"},
    "chats": {"event": "chat"},
    "words": {"event": "chat", "field": "words"},
    "rows": {"event": "row", "filters": {"region": ["eu"]}},
    "peak": {"event": "peak", "aggregate": "max"},
}


def counting() -> Counting:
    """What counts, with a catalog that has a feature for each of some meters, and a credit."""
    features = {f"by_{one}": {"type": "metered", "meter": one} for one in METERS}
    features["pool"] = {"type": "credits", "credit": "coins"}
    document = {
        "version": 1,
        "products": {"p": {}},
        "meters": METERS,
        "credits": {"coins": {"burns": {"calls": "1"}}},
        "features": features,
        "plans": {},
    }
    book = Book(lambda: 0)
    book.truth.release(msgspec.convert(document, Catalog), 1)
    book.truth.commit(Cursor(1, 1), usable_until=10**18, issued_at=0)
    options = read_options(
        url=URL,
        key=API_KEY,
        root=None,
        cache=False,
        customers=None,
        on_demand=False,
        most_customers=1,
        unreachable=None,
        default_unreachable="deny",
        follow="never",
        telemetry=False,
        start_timeout=0.0,
        timeout=1.0,
    )
    return Counting(options, lambda: book)


@pytest.mark.parametrize(
    ("feature", "data"),
    [
        ("by_calls", {"region": "eu", "quantity": "2.5", "user": "ann"}),
        ("by_tokens", {"region": "eu", "tokens": "2.5", "user": "ann"}),
        ("by_chats", None),
        ("by_words", None),
        ("by_rows", None),
        ("by_peak", None),
        ("pool", None),
        ("unknown", None),
    ],
)
def test_which_event_stands_for_a_feature(feature: str, data: dict[str, Any] | None) -> None:
    """Only where exactly one summing meter without filters counts an event does it count the same as the feature."""
    wanted = read_wanted("acme", feature, "2.50", key="k-1", user="ann", dimensions={"region": "eu"})
    spare = counting().consume_later(wanted).spare
    assert (spare is None) == (data is None)
    if spare is not None:
        event = msgspec.json.decode(spare, type=CloudEvent)
        assert (event.id, event.subject, event.data) == ("k-1", "acme", data)


class Watch:
    """A clock that runs only while a call waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.tries = Tries(Random(7))
        self.asks = 0

    def run(self, seconds: float, takes: float, outcome: Outcome = Fault("cut")) -> None:  # noqa: B008 a value
        """Make a call of which every try fails after some time; raises what it raises."""
        line = Line(url=URL, tries=self.tries, ticks=lambda: self.now, seconds=seconds)
        flow: Call[ConsumeAnswer] = call(line, Errand(path=CONSUME, body=b""), ConsumeAnswer)
        effect = next(flow)
        while True:
            if isinstance(effect, Sleep):
                self.now += effect.seconds
                effect = flow.send(None)
            else:
                assert isinstance(effect, Ask)
                self.asks += 1
                self.now += min(takes, effect.request.seconds)
                effect = flow.send(outcome)


def test_a_call_ends_in_its_time() -> None:
    """However slow the server, a call that waits for it ends within its time; and leaves time to ask twice."""
    watch = Watch()
    with pytest.raises(Unanswered, match="2 times"):
        watch.run(10.0, 60.0)
    assert watch.now <= 10.0
    with pytest.raises(Unanswered, match=f"{MOST_TRIES} times"):
        watch.run(10.0, 0.0)


def test_a_server_in_trouble_is_left_alone() -> None:
    """Hundreds of calls to a server that refuses make hardly more requests than calls: the budget of retries ends."""
    watch = Watch()
    for _ in range(300):
        with pytest.raises(Unanswered):
            watch.run(10.0, 0.001, problem(429, "rate_limited"))
    assert watch.asks <= 300 + RETRY_BUDGET


def test_a_server_that_is_gone_is_not_asked() -> None:
    """After some failures calls fail at once, for at most ten seconds; then one is made, and success closes that."""
    watch = Watch()
    for _ in range(50):
        with pytest.raises(Unanswered):
            watch.run(1.0, 0.01)
    before = watch.asks
    assert before < 30
    for _ in range(20):
        watch.now += CALLS_SHUT[1]
        with pytest.raises(Unanswered):
            watch.run(1.0, 0.01)
    assert before + 20 <= watch.asks <= before + 25
    watch.tries.worked()
    assert watch.tries.closed_for(watch.now) == 0
