"""The flow alone: each effect is looked at, each outcome is made up, time stands until it is moved."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

import msgspec
import pytest

from licet.sdk.causes import cause_of
from licet.sdk.effects import Answer, Ask, Chunk, Effect, Fault, Open, Outcome, Read, Request, Shut, Sleep, Work
from licet.sdk.errors import MissingScope, NotBelieved, NoTruth, ServerTooOld, Unreachable, WrongKey, WrongUrl
from licet.sdk.flow import LOST, POLL_FOR, SILENCE, UNHELD, Following, Manner, Plan
from licet.sdk.pacing import HEALED, HEALING, HOPELESS, LONGEST, Pace
from licet.wire.feed import Line
from tests.sdk.followers import Believer, event, head

STREAM = Answer(status=200, kind="text/event-stream")
POLL = Answer(status=200, kind="application/x-ndjson")


class Stage:
    """A flow and whoever plays its world; work and shutting are passed over."""

    def __init__(self, manner: Manner = "stream", *, picked: bool = False, seed: int = 1) -> None:
        self.now = 0.0
        self.reader = Believer()
        plan = Plan(url="http://licet.example", manner=manner, picked=picked)
        self.following = Following(self.reader, Pace(Random(seed)), lambda: self.now, plan)
        self._flow = self.following.run()
        assert self.tell(None) == Sleep(0.0)

    def tell(self, outcome: Outcome) -> Effect:
        """Send an outcome; returns the next effect that matters."""
        effect = self._flow.send(outcome)
        while isinstance(effect, Shut | Work):
            effect = self._flow.send(None)
        return effect

    def asked(self, outcome: Outcome = None) -> Request:
        """Send an outcome to which a request must be the answer."""
        effect = self.tell(outcome)
        assert isinstance(effect, Open), effect
        return effect.request

    def waited(self, outcome: Outcome) -> float:
        """Send an outcome to which a wait must be the answer; time moves on by it."""
        effect = self.tell(outcome)
        assert isinstance(effect, Sleep), effect
        self.now += effect.seconds
        return effect.seconds

    def fed(self, answer: Answer, chunks: Sequence[bytes]) -> None:
        """Let the request that waits be answered, with these bytes."""
        outcome: Outcome = answer
        for chunk in chunks:
            effect = self.tell(outcome)
            assert isinstance(effect, Read), effect
            outcome = Chunk(chunk)
        assert isinstance(self.tell(outcome), Read)


def test_a_stream_is_followed_and_gone_on_with_from_its_cursor() -> None:
    """The first request names no cursor; the one after a lost stream names the last head's, after a short wait."""
    stage = Stage()
    first = stage.asked()
    assert (first.path, first.accept) == ("/v1/feed", "text/event-stream")
    stage.fed(STREAM, [event("1:5"), b": still here\n\n", event("1:9")])
    before = stage.following.connected
    assert stage.waited(Fault("reset")) <= LOST
    assert (before, stage.following.connected) == (True, False)
    assert "reset" in str(stage.following.error)
    assert stage.asked().path == "/v1/feed?cursor=1:9"
    stage.fed(STREAM, [event("1:9")])
    assert stage.following.error is None
    assert stage.reader.losses == 1


def test_events_may_come_in_any_pieces() -> None:
    """Cut at every byte, a stream says the same."""
    stage = Stage()
    stage.asked()
    stage.fed(STREAM, [bytes([one]) for one in event("1:5") + b": beat\r\n\r\n" + event("1:6")])
    assert stage.reader.cursor == "1:6"


def test_where_streams_do_not_work_it_polls_and_later_tries_a_stream_again() -> None:
    """Two streams without a head (swallowed by a proxy) end in polling; after ten minutes a stream is tried again."""
    stage = Stage()
    for _ in range(2):
        assert stage.asked().accept == "text/event-stream"
        assert stage.tell(STREAM) == Read(SILENCE)
        stage.waited(Fault("nothing came in time"))
    polled = stage.asked()
    assert (polled.accept, polled.path) == ("application/x-ndjson", "/v1/feed?wait=0")
    stage.fed(POLL, [head("1:5")])
    stage.waited(Chunk(b""))
    assert stage.asked().path == "/v1/feed?cursor=1:5&wait=20"
    stage.fed(POLL, [head("1:5")])
    stage.now += POLL_FOR
    stage.waited(Chunk(b""))
    assert stage.asked().accept == "text/event-stream"


def test_heartbeats_without_heads_are_no_feed() -> None:
    """A stream that only beats is dead after the time in which two heads were due."""
    stage = Stage()
    stage.asked()
    stage.fed(STREAM, [event("1:5")])
    stage.now += SILENCE + 1
    stage.waited(Chunk(b": beat\n\n"))
    assert "no head for" in str(stage.following.error)


def test_polls_that_a_server_does_not_hold_are_spread() -> None:
    """A server that answers every poll at once is asked again after seconds, not at once; news are fetched at once."""
    stage = Stage("poll")
    stage.asked()
    stage.fed(POLL, [head("1:5")])
    assert stage.waited(Chunk(b"")) <= 0.1
    stage.asked()
    stage.fed(POLL, [head("1:5")])
    assert UNHELD / 2 <= stage.waited(Chunk(b"")) <= UNHELD


def test_never_means_once() -> None:
    """With the manner never, the flow ends with the first truth, having tried until then."""
    stage = Stage("never")
    assert stage.asked().path == "/v1/feed?wait=0"
    stage.waited(Fault("nobody listens"))
    stage.asked()
    stage.fed(POLL, [head("1:5")])
    with pytest.raises(StopIteration):
        stage.tell(Chunk(b""))


def test_picked_followers_say_so() -> None:
    """Whoever holds only some customers asks for no rows of the others."""
    assert Stage(picked=True).asked().path == "/v1/feed?picked=true"


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (
            Answer(status=401, kind="application/problem+json", body=b'{"detail":"no such key"}'),
            WrongKey,
            "no such key",
        ),
        (Answer(status=403, kind="application/problem+json", body=b'{"detail":"no scope"}'), MissingScope, "no scope"),
        (Answer(status=404, kind="text/html", body=b"<h1>404"), WrongUrl, "LICET_URL"),
        (Answer(status=400, kind="text/html", body=b"<h1>400"), WrongUrl, "400"),
        (Answer(status=301, kind="text/html"), WrongUrl, "301"),
        (Answer(status=200, kind="text/html", body=b"<h1>Welcome"), WrongUrl, "text/html"),
        (Answer(status=401, kind="application/problem+json", body=b"\xff{"), WrongKey, "401"),
    ],
)
def test_what_only_a_person_can_mend_is_asked_seldom(answer: Answer, error: type[NoTruth], words: str) -> None:
    """A wrong key or address is said in words, and asked again after ever longer, up to fifteen minutes; it heals."""
    stage = Stage()
    stage.asked()
    waits = [stage.waited(answer)]
    assert type(stage.following.error) is error
    assert words in str(stage.following.error)
    for _ in range(7):
        stage.asked()
        waits.append(stage.waited(answer))
    assert waits[0] >= HOPELESS[0] / 2
    assert HOPELESS[1] / 2 <= waits[-1] <= HOPELESS[1]
    stage.asked()
    stage.fed(STREAM, [event("1:1")])
    assert stage.following.connected


@pytest.mark.parametrize("status", [400, 404])
@pytest.mark.parametrize(
    ("shown", "error", "words"),
    [
        (Answer(status=200, kind="application/json", body=b'{"keyset":"v4.public.x"}'), ServerTooOld, "pdate the"),
        (Answer(status=404, kind="application/problem+json", body=b'{"code":"not_found"}'), WrongUrl, "look at url="),
        (Answer(status=200, kind="text/html", body=b"<h1>Welcome"), WrongUrl, "LICET_URL"),
        (Fault("reset"), ServerTooOld, "pdate the"),
        (Answer(status=503), ServerTooOld, "pdate the"),
    ],
)
def test_a_server_without_a_feed_is_told_from_a_wrong_path(
    status: int, shown: Outcome, error: type[NoTruth], words: str
) -> None:
    """Who answers as a Licet without this feed is asked for its keyset: without one, the address is wrong."""
    stage = Stage()
    stage.asked()
    refusal = Answer(status=status, kind="application/json", body=b'{"code":"invalid","detail":"no such thing"}')
    asked = stage.tell(refusal)
    assert isinstance(asked, Ask)
    assert asked.request.path == "/.well-known/licet-keyset?workspace=live"
    assert stage.waited(shown) >= HOPELESS[0] / 2
    assert type(stage.following.error) is error
    assert words in str(stage.following.error)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("detail", ["the key is wrong", "the key is wrong."])
def test_words_about_a_key_are_sentences(status: int, detail: str) -> None:
    """What the server says of a key and what to do about it are two sentences, and neither is said twice."""
    told = {"code": "unauthenticated", "detail": detail, "advice": "Send `Authorization: Bearer …`."}
    cause = cause_of(Answer(status=status, kind="application/json", body=msgspec.json.encode(told)), "http://licet")
    words = str(cause.error)
    assert ": the key is wrong. `licet keys create --scope check` makes a new one;" in words
    assert words.count("licet keys create") == 1
    assert words.endswith("LICET_KEY.")
    assert ".." not in words


def test_a_server_that_says_when_is_heeded() -> None:
    """After 503 with Retry-After nothing is asked before that time."""
    stage = Stage()
    stage.asked()
    assert stage.waited(Answer(status=503, retry_after=120.0)) >= 120
    stage.asked()
    assert stage.waited(Answer(status=503)) <= LONGEST


def test_what_is_not_believed_ends_the_answer_and_keeps_the_truth() -> None:
    """A forged head, a line that is no JSON and a problem line end the answer; the cursor stays where it was."""
    for line in (
        head("forged"),
        b"{nothing\n",
        b'{"head":5}\n',
        b'{"problem":{"code":"unavailable","detail":"so sad"}}\n',
    ):
        stage = Stage("poll")
        stage.asked()
        stage.fed(POLL, [head("1:5")])
        stage.waited(Chunk(b""))
        stage.asked()
        stage.tell(POLL)
        assert stage.waited(Chunk(line + head("1:6"))) > 0
        assert isinstance(stage.following.error, Unreachable if b"problem" in line else NotBelieved)
        assert stage.reader.cursor == "1:5"
        assert not stage.following.connected


def test_lines_of_later_versions_are_passed_over() -> None:
    """A line with nothing in it that this version knows changes nothing and ends nothing."""
    stage = Stage("poll")
    stage.asked()
    stage.fed(POLL, [b'{"novelty":{"a":1}}\n' + msgspec.json.encode(Line(head="1:5")) + b"\r\n"])
    assert stage.reader.cursor == "1:5"


def test_a_set_that_begins_anew_waits_for_whom_it_must() -> None:
    """Who was named is fetched as of the new set, who is held for ten seconds; then it counts."""
    stage = Stage(picked=True)
    stage.reader.cursor, stage.reader.coming, stage.reader.anew = "1:9", "2:5", ("acme", "b", "c", "d")
    stage.asked()
    stage.tell(STREAM)
    first = stage.tell(Chunk(event("1:9")))
    asked = []
    for outcome in (POLL, Answer(status=404, kind="application/problem+json", body=b"{}"), POLL):
        assert isinstance(first, Ask)
        asked.append(first.request.path)
        stage.now += 4
        first = stage.tell(outcome)
    assert asked == [f"/v1/feed/customers/{one}?cursor=2:5" for one in ("acme", "b", "c")]
    assert isinstance(first, Read)
    assert (stage.reader.cursor, stage.reader.picked) == ("2:5", ["acme", "c"])


def test_customers_that_are_to_be_held_are_fetched_at_the_cursor() -> None:
    """Before a truth counts as come, each named customer is fetched as of its cursor; a forged one ends the answer."""
    stage = Stage(picked=True)
    stage.reader.wanted = ("acme", "a/b c")
    stage.asked()
    stage.tell(STREAM)
    first = stage.tell(Chunk(event("1:5")))
    assert isinstance(first, Ask)
    assert first.request.path == "/v1/feed/customers/acme?cursor=1:5"
    assert not stage.following.settled
    second = stage.tell(POLL)
    assert isinstance(second, Ask)
    assert second.request.path == "/v1/feed/customers/a%2Fb%20c?cursor=1:5"
    stage.waited(Answer(status=200, kind="application/x-ndjson", body=b"forged"))
    assert isinstance(stage.following.error, NotBelieved)
    stage.asked()
    stage.tell(STREAM)
    assert isinstance(stage.tell(Chunk(event("1:5"))), Ask)
    assert isinstance(stage.tell(POLL), Read)
    assert stage.reader.picked == ["acme", "a/b c"]


def a_day_of_differing(stage: Stage) -> list[float]:
    """Follow for a day a server whose every sum is wrong; returns when everything was fetched."""
    whole, number, stage.now = [], 1, 1000.0
    path = stage.asked().path
    while stage.now < 1000 + 24 * 3600:
        if "cursor" not in path:
            whole.append(stage.now)
        assert stage.tell(STREAM) == Read(SILENCE)
        said = stage.tell(Chunk(event(f"1:{number}?")))
        while isinstance(said, Read):
            assert stage.following.connected
            assert stage.reader.cursor is not None
            number, stage.now = number + 1, stage.now + 10
            said = stage.tell(Chunk(event(f"1:{number}?")))
        assert "digest_differs" in str(stage.following.error)
        assert isinstance(said, Sleep)
        stage.now += said.seconds
        path = stage.asked().path
    return whole


def test_a_truth_that_goes_on_differing_is_fetched_whole_ever_more_seldom() -> None:
    """A sum that is wrong for good costs two full sets soon, then one after ever longer, at last one an hour or so;
    the feed is followed meanwhile, which says why it is not all well. A sum that is right ends that."""
    stage = Stage(seed=3)
    whole = a_day_of_differing(stage)
    waits = [later - before for before, later in pairwise(whole)]
    assert max(waits[:2]) < 60
    assert len(whole) < 60
    assert min(waits[-5:]) > HEALING[1] / 2
    assert max(waits) < HEALING[1] + 60
    stage.tell(STREAM)
    stage.tell(Chunk(event("1:99999999?")))
    stage.tell(Chunk(event("1:99999999?")))
    assert "digest_differs" in str(stage.following.error)
    stage.tell(Chunk(event("1:99999999")))
    assert (stage.following.connected, stage.following.error) == (True, None)
    stage.now += HEALED + 1
    stage.waited(Fault("reset"))
    assert stage.asked().path == "/v1/feed?cursor=1:99999999"
    stage.tell(STREAM)
    stage.waited(Chunk(event("1:99999999?")))
    assert stage.asked().path == "/v1/feed"
