"""`licet connector`: how sources fare, what failed and why, and trying it again once the cause is mended."""

import shlex
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from msgspec import structs

from licet.cli.connector_text import ago, counted, span
from licet.testing.stripe import SignedDelivery, StripeStory
from tests.cli.conftest import CATALOG
from tests.cli.terminal import Shop, licet

SECRET = "whsec_meridian_of_the_commands"


@pytest.fixture(scope="module")
def source(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The same with a Stripe source, before any catalog is released."""
    secret = tmp_path_factory.mktemp("secret") / "secret"
    secret.write_text(SECRET)
    assert shop.run("connector", "add", "stripe", "--secret-file", str(secret)).code == 0
    return shop


def deliver(shop: Shop, delivery: SignedDelivery) -> None:
    """Send a message as Stripe would, signed now."""
    signed = delivery.signed(SECRET, int(time.time()))
    address = f"{shop.url}/v1/connectors/test/stripe"
    answer = httpx.post(address, content=signed.body, headers=signed.headers, timeout=30)
    assert answer.status_code == 200


@pytest.mark.parametrize("name", ["a/b c", "ä", "..", "a?b", "-x", "a%2Fb"])
def test_a_name_that_makes_no_address_is_refused(source: Shop, tmp_path: Path, name: str) -> None:
    """A source's name is part of the address to which it delivers: one that would have to be escaped is none."""
    (tmp_path / "secret").write_text(SECRET)
    made = source.run("connector", "add", "stripe", f"--id={name}", "--secret-file", str(tmp_path / "secret"))
    assert made.code != 0
    assert "configured" not in made.out


def test_a_source_that_never_sent(source: Shop) -> None:
    """Nothing came, nothing is left: all three commands say so with exit code 0."""
    told = source.run("connector", "status", "stripe")
    assert told.code == 0
    assert "no messages" in told.out
    assert "last message  never" in told.out
    assert "stripe" in {line.split()[0] for line in source.run("connector", "status").out.splitlines()}
    assert "has sent nothing yet" in source.run("connector", "deliveries", "stripe").out
    assert "nothing to try again" in source.run("connector", "replay", "stripe").out


def test_dead_letters_are_told_and_tried_again(source: Shop) -> None:
    """Without a catalog messages fail: status says 1 and why, replay fails alike; with one it applies them all."""
    story = StripeStory(SECRET, datetime.now(UTC) - timedelta(days=30), customer="acme")
    bought, paid = story.subscribe("price_team_monthly", 3), story.pay()
    for one in (bought, paid):
        deliver(source, one)
    status = source.run("connector", "status", "stripe")
    assert status.code == 1
    assert "2 messages: 2 failed" in status.out
    assert "licet connector replay stripe" in status.out
    assert source.run("connector", "status", "--json").document["items"][0]["failed"] == 2
    listed = source.run("connector", "deliveries", "stripe", "--outcome", "failed")
    assert [one.id in listed.out for one in (bought, paid)] == [True, True]
    assert "no catalog has been released" in listed.out
    assert source.run("connector", "deliveries", "stripe", "--outcome", "applied").out == "no such messages\n"
    vain = source.run("connector", "replay", "stripe")
    assert (vain.code, "2 tried: 2 failed" in vain.out, "no catalog" in vain.out) == (1, True, True)
    assert source.run("catalog", "apply", str(CATALOG), "--yes").code == 0
    single = source.run("connector", "replay", "stripe", "--delivery", bought.id)
    assert (single.code, single.out) == (0, f"{bought.id}: 1 applied\n")
    rest = source.run("connector", "replay", "stripe", "--json")
    assert (rest.code, rest.document["outcomes"], rest.document["failing"]) == (0, {"applied": 1}, [])
    assert source.run("connector", "status", "stripe").code == 0
    again = source.run("connector", "replay", "stripe", "--delivery", bought.id)
    assert again.code == 1
    assert "ended as applied" in again.err


def test_a_message_that_waits_is_tried_where_asked(source: Shop) -> None:
    """--waiting tries what waits, too; it still waits, which is no failure."""
    story = StripeStory(SECRET, datetime.now(UTC) - timedelta(days=30), seed=5)
    story.subscribe("price_team_monthly")
    deliver(source, story.pay())
    assert "nothing to try again" in source.run("connector", "replay", "stripe").out
    tried = source.run("connector", "replay", "stripe", "--waiting", "-n", "5")
    assert (tried.code, tried.out) == (0, "  1 tried: 1 waiting\n")


def test_a_dead_letter_is_given_up(source: Shop) -> None:
    """Signed noise leaves status 1 with the command that gives it up; that done, status is 0, and replay says no."""
    story = StripeStory(SECRET, datetime.now(UTC) - timedelta(days=30), seed=9)
    deliver(source, structs.replace(story.subscribe("price_team_monthly"), body=b"{}"))
    status = source.run("connector", "status", "stripe")
    assert status.code == 1
    assert "licet connector discard stripe ID --note WHY" in status.out
    (failed,) = source.run("connector", "deliveries", "stripe", "--outcome", "failed", "--json").document["items"]
    (found,) = source.run("findings", "--kind", "delivery_failed", "--json").document["items"]
    given = source.run(*shlex.split(found["repair"])[1:])
    assert (given.code, given.out) == (0, f"given up: {failed['id']}; its finding is settled\n")
    assert source.run("connector", "status", "stripe").code == 0
    assert "1 discarded" in source.run("connector", "status", "stripe").out
    assert source.run("connector", "discard", "stripe", failed["id"], "--note", "again").code == 1
    again = source.run("connector", "replay", "stripe", "--delivery", failed["id"])
    assert (again.code, "it stays given up" in again.out) == (1, True)
    assert source.run("connector", "deliveries", "stripe", "--outcome", "discarded").out.count(failed["id"]) == 1


def test_a_source_is_disabled_and_enabled(source: Shop) -> None:
    """A disabled source refuses replays with what to do; enabled it keeps its secret and its settings."""
    before = source.run("connector", "list", "--json").document["items"][0]
    assert source.run("connector", "disable", "stripe", "--note", "rotating").out == "stripe is disabled\n"
    assert source.run("connector", "disable", "stripe").out == "stripe is already disabled\n"
    assert "disabled" in source.run("connector", "status").out
    refused = source.run("connector", "replay", "stripe")
    assert refused.code == 1
    assert "enable it" in refused.err
    assert source.run("connector", "enable", "stripe").code == 0
    assert source.run("connector", "list", "--json").document["items"][0] == before


@pytest.mark.parametrize("command", ["status", "deliveries", "replay", "disable"])
def test_an_unknown_source_is_named(source: Shop, command: str) -> None:
    """Each command says that there is no such source and how to add one; exit code 2."""
    told = source.run("connector", command, "fax")
    assert told.code == 2
    assert "'fax'" in told.err


def test_a_wrong_outcome_is_named(source: Shop) -> None:
    """What is no outcome is refused with what is allowed, before anybody is asked."""
    told = licet("connector", "deliveries", "stripe", "--outcome", "lost", env={"LICET_URL": source.url})
    assert told.code == 2
    assert "failed" in told.err


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "—"),
        (-3.0, "0.0 s"),
        (0.84, "0.8 s"),
        (9.99, "10.0 s"),
        (59.6, "1 min"),
        (62.5, "1 min 2 s"),
        (3600.0, "1 h"),
        (3661.0, "1 h 1 min"),
        (86_400.0, "1 day"),
        (200_000.0, "2 days 7 h"),
        (172_801.0, "2 days"),
    ],
)
def test_spans_are_readable(seconds: float | None, words: str) -> None:
    """A length of time is told in its two largest units, without a unit of nothing between."""
    assert span(seconds) == words


def test_how_long_ago_is_told_in_one_unit() -> None:
    """From just now to days; a clock that is behind does not make the future."""
    now = datetime(2026, 3, 1, 9, tzinfo=UTC)
    told = [ago((now - timedelta(seconds=one)).isoformat(), now) for one in (-5, 0, 59, 60, 7300, 90_000)]
    assert told == ["just now", "just now", "59 s ago", "1 min ago", "2 h ago", "1 day ago"]
    assert ago(None, now) == "never"


def test_counts_begin_with_the_most_frequent() -> None:
    """Outcomes are counted in order of frequency, then by name."""
    assert counted({"stale": 2, "applied": 1204, "failed": 2}) == "1,204 applied, 2 failed, 2 stale"
    assert counted({}) == "none"


def test_the_printed_address_takes_messages(source: Shop, tmp_path: Path) -> None:
    """What `connector add` prints is where a signed message arrives."""
    (tmp_path / "secret").write_text(SECRET)
    made = source.run("connector", "add", "stripe", "--id", "Shop_2.eu-west", "--secret-file", str(tmp_path / "secret"))
    assert made.code == 0
    story = StripeStory(SECRET, datetime.now(UTC) - timedelta(days=30), seed=12)
    signed = story.subscribe("price_team_monthly").signed(SECRET, int(time.time()))
    answer = httpx.post(made.out.split()[-1], content=signed.body, headers=signed.headers, timeout=30)
    assert answer.status_code == 200
    assert len(source.run("connector", "deliveries", "Shop_2.eu-west", "--json").document["items"]) == 1
