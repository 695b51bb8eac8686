"""How counts are told: each batch until it is acknowledged, never while the server is to be left alone."""

from random import Random

import msgspec
import pytest

from licet.sdk.effects import Answer, Ask, Effect, Fault, Outcome, Sleep
from licet.sdk.pacing import BREAK_AFTER, Pace
from licet.sdk.sending import Sending
from licet.sdk.tally import UPLOAD_SECONDS, CheckTally
from licet.wire.check_upload import CheckUpload
from tests.evaluator.authority import WALL, start

TAKEN = Answer(status=200, kind="application/json", body=b"{}")


class Stage:
    """A flow of counts; time stands still."""

    def __init__(self) -> None:
        self.tally, self.pace = CheckTally(), Pace(Random(1))
        self.sending = Sending(
            self.tally, self.pace, lambda: 0.0, lambda: WALL, lambda: None, url="http://licet.example"
        )
        self.flow = self.sending.run()
        self.truth = start()[1].truth

    def count(self) -> None:
        """Ask a question, so that there is something to tell."""
        self.tally.note(self.truth.check("acme", "sso", WALL), WALL)
        self.tally.rest()

    def tell(self, outcome: Outcome = None) -> Effect:
        """Send an outcome; returns the next effect."""
        return self.flow.send(outcome)

    def upload(self, outcome: Outcome = None) -> CheckUpload:
        """Send an outcome to which a batch must be the answer."""
        effect = self.tell(outcome)
        assert isinstance(effect, Ask), effect
        assert effect.request.body is not None
        return msgspec.json.decode(effect.request.body, type=CheckUpload)


def test_a_batch_is_told_until_it_is_acknowledged() -> None:
    """What could not be sent is sent again, the very same batch; once taken there is nothing more to tell."""
    stage = Stage()
    first = stage.tell()
    assert isinstance(first, Sleep)
    assert 0.8 * UPLOAD_SECONDS <= first.seconds <= 1.2 * UPLOAD_SECONDS
    stage.count()
    told = stage.upload()
    assert [one.checks for one in told.counts] == [1]
    assert isinstance(stage.tell(Fault("reset")), Sleep)
    assert isinstance(stage.tell(), Sleep)
    assert stage.upload() == told
    assert isinstance(stage.tell(TAKEN), Sleep)
    assert isinstance(stage.tell(), Sleep)


def test_what_will_never_be_taken_is_told_as_lost() -> None:
    """A batch that the server refuses for good is not sent again; its checks are counted as lost in the next one."""
    stage = Stage()
    stage.tell()
    stage.count()
    stage.upload()
    assert isinstance(stage.tell(Answer(status=422, kind="application/json", body=b"{}")), Sleep)
    assert isinstance(stage.tell(), Sleep)
    assert stage.upload().lost.checks == 1


def test_a_batch_that_the_key_may_not_tell_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """A batch that is forbidden is not sent again: the next one has what was asked since, and the log says so once."""
    stage = Stage()
    stage.tell()
    for number in range(1, 4):
        stage.count()
        upload = stage.upload()
        assert upload.number == number
        assert [one.checks for one in upload.counts] == [1]
        wait = stage.tell(Answer(status=403, kind="application/json", body=b'{"detail":"the key is bound to acme"}'))
        assert isinstance(wait, Sleep)
        assert isinstance(stage.tell(), Sleep)
    assert caplog.text.count("is given up") == 1
    assert "bound to acme" in caplog.text


def test_nothing_is_told_while_the_breaker_is_open() -> None:
    """While the server could not be reached a moment ago, counts wait."""
    stage = Stage()
    stage.tell()
    stage.count()
    for _ in range(BREAK_AFTER):
        stage.pace.failed(0.0)
    assert isinstance(stage.tell(), Sleep)
    stage.pace.worked()
    assert stage.upload().counts


def test_the_last_counts_are_told_at_the_end() -> None:
    """Finished, the flow tells what there is without another wait, and ends."""
    stage = Stage()
    stage.tell()
    stage.tally.note(stage.truth.check("acme", "sso", WALL), WALL)
    stage.sending.finish()
    told = [stage.upload()]
    while True:
        try:
            told.append(stage.upload(TAKEN))
        except StopIteration:
            break
    assert sum(count.checks for upload in told for count in upload.counts) == 1
