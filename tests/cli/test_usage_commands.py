"""The commands about use, on a real server: what they do, what they refuse, and the JSON that they print."""

import json
import time
from pathlib import Path

import pytest

from tests.cli.terminal import Shop

pytestmark = pytest.mark.postgres

CATALOG = Path(__file__).parents[2] / "examples" / "limits" / "catalog.yaml"


@pytest.fixture(scope="module")
def counted(shop: Shop) -> Shop:
    """A server with the catalog of counted limits and one customer on several of its plans."""
    assert shop.run("catalog", "apply", str(CATALOG), "--yes").code == 0
    sold = {"acme": ("credits", "capped"), "hooli": ("group", "elastic"), "globex": ("credits", "capped")}
    for customer, plans in sold.items():
        assert shop.run("customer", "create", customer).code == 0
        for plan in plans:
            assert shop.run("subscription", "sell", customer, plan).code == 0
    return shop


def test_several_features_are_taken_together_or_not_at_all(counted: Shop) -> None:
    """With --also both are taken; where one has no room neither is, and both balances stay as they were."""
    taken = counted.run("consume", "acme", "requests", "1", "--also", "ai=10", "--json")
    assert taken.code == 0
    assert {take["feature"]: take["taken"] for take in taken.document["takes"]} == {"requests": 1, "ai": "10"}
    refused = counted.run("consume", "acme", "requests", "9", "--also", "ai=10")
    assert refused.code == 1
    assert "limit_reached" in refused.out
    left = {one["feature"]: one["remaining"] for one in counted.run("balance", "acme", "--json").document["balances"]}
    assert left["requests"] == 4
    assert left["ai"] == "90"


def test_a_reservation_is_settled_or_released(counted: Shop) -> None:
    """Released it gives everything back; settled above itself it says that it exceeded; ended it cannot end again."""
    first = counted.run("reserve", "acme", "ai", "30", "--lasts", "PT1H", "--json").document
    assert counted.run("release", first["id"]).code == 0
    again = counted.run("settle", first["id"], "1")
    assert again.code == 1
    assert "ends once" in again.err
    second = counted.run("reserve", "acme", "ai", "30", "--json").document
    settled = counted.run("settle", second["id"], "95")
    assert settled.code == 0
    assert "more than was reserved" in settled.out
    assert counted.run("settle", "res_" + "0" * 32, "1").code == 2


def test_open_reservations_are_listed(counted: Shop) -> None:
    """What is set aside is listed with whom it is for until it is released; nobody's is said in words."""
    held = counted.run("reserve", "acme", "requests", "3", "--user", "ann", "--lasts", "PT1H", "--json").document
    listed = counted.run("reservations", "acme")
    assert listed.code == 0
    row = next(line for line in listed.out.splitlines() if held["id"] in line)
    assert "3 requests" in row
    assert "ann" in row
    assert counted.run("release", held["id"]).code == 0
    rest = counted.run("reservations", "acme", "--json").document["items"]
    assert held["id"] not in [one["id"] for one in rest]
    assert "nothing is set aside for hooli" in counted.run("reservations", "hooli").out
    assert counted.run("reservations", "nobody").code == 2


def test_what_cannot_be_meant_is_named(counted: Shop) -> None:
    """Quantities, pairs, rules and customers that there are not are named, with what is allowed."""
    for arguments, words in (
        (("consume", "acme", "requests", "-1"), "-1"),
        (("consume", "acme", "requests", "1e3"), "'1e3' is not a quantity"),
        (("consume", "acme", "requests", "--also", "ai"), "--also 'ai' is not a pair"),
        (("report", "acme", "api.request", "-d", "user=ann"), "--user or --team"),
        (("balance", "top-up", "acme", "ai", "--below", "5"), "--amount, --most, --consent not given"),
        (("balance", "acme", "--user", "ann"), "--user needs a feature"),
        (("balance", "acme", "ai", "--user", "ann", "--team", "red"), "of a user or of a team"),
        (("usage", "correct", "acme", "nope"), "use_ or res_ and 32 hexadecimal digits"),
        (("usage", "correct", "acme", "nope"), "--source"),
        (("usage", "--by", "week"), "hour, day, month"),
        (("usage", "nobody"), "there is no customer 'nobody'"),
        (("usage", "refusals", "--customer", "nobody"), "there is no customer 'nobody'"),
    ):
        ran = counted.run(*arguments)
        assert (ran.code, words in ran.err) == (2, True), (arguments, ran.err)


def test_only_a_refusal_ends_with_one(counted: Shop) -> None:
    """Requests that cannot be meant end with 2, as wrong arguments do: nothing, a part, nobody, no span, no fact."""
    for arguments, words in (
        (("consume", "acme", "requests", "0"), ""),
        (("consume", "acme", "requests", "1.5"), "has 1 decimal;"),
        (("consume", "hooli", "searches"), "user"),
        (("reserve", "acme", "ai", "1", "--lasts", "abc"), "abc"),
        (("usage", "correct", "acme", "use_" + "0" * 32), ""),
    ):
        ran = counted.run(*arguments)
        assert (ran.code, words in ran.err) == (2, True), (arguments, ran.err)
        assert "see what was wrong" not in ran.err
    assert counted.run("consume", "acme", "requests", "99").code == 1


def test_reports_count_once_and_can_be_corrected(counted: Shop) -> None:
    """The same event again is seen before; a correction gives back, and both are facts of the record."""
    for recorded in (1, 0):
        told = counted.run("report", "hooli", "sms.sent", "--id", "sms-1", "--source", "/gate", "--json")
        assert (told.document["recorded"], told.document["duplicates"]) == (recorded, 1 - recorded)
    used = counted.run("consume", "hooli", "sms", "2", "--json").document
    corrected = counted.run("usage", "correct", "hooli", used["id"], "1", "--note", "sent twice")
    assert corrected.code == 0, corrected.err
    assert counted.run("usage", "correct", "hooli", "sms-1", "--source", "/gate").code == 0
    balance = counted.run("balance", "hooli", "sms", "--json").document
    assert balance["used"] == 1
    facts = counted.run("usage", "facts", "--customer", "hooli", "--meter", "sms", "--json").document["items"]
    assert [fact["kind"] for fact in facts] == ["report", "consume", "refund", "refund"]
    assert [fact["source"].get("note") for fact in facts] == [None, None, "sent twice", None]
    assert "sent twice" in counted.run("usage", "facts", "--customer", "hooli").out
    statement = counted.run("balance", "statement", "hooli", "sms")
    assert statement.code == 0
    assert "refund" in statement.out
    assert "sent twice" in statement.out


def test_a_balance_is_told_of_the_past(counted: Shop) -> None:
    """At an instant before the use the balance is whole; before the customer was there, there is none."""
    counted.run("consume", "hooli", "searches", "--user", "ann")
    before = counted.run("clock", "show", "--json").document["now"]
    time.sleep(0.01)
    assert counted.run("consume", "hooli", "searches", "--user", "ann").code == 0
    now = counted.run("balance", "hooli", "searches", "--user", "ann", "--json").document
    then = counted.run("balance", "hooli", "searches", "--user", "ann", "--at", before, "--json").document
    assert (then["used"], now["used"]) == (1, 2)


def test_the_record_is_written_to_a_file(counted: Shop, tmp_path: Path) -> None:
    """Each line of the export is one fact, by serial; the sums of usage say the same."""
    counted.run("consume", "globex", "tokens", "700")
    file = tmp_path / "usage.jsonl"
    done = counted.run("usage", "export", str(file), "--json")
    assert done.code == 0, done.err
    facts = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(facts) == done.document["facts"] > 0
    assert [fact["serial"] for fact in facts] == list(range(1, len(facts) + 1))
    tokens = sum(fact["metered"].get("tokens", 0) for fact in facts if fact["kind"] == "consume")
    sums = counted.run("usage", "globex", "--meter", "tokens", "--by", "month", "--json").document["items"]
    assert sum(one["quantity"] for one in sums) == tokens == 700
    recent = counted.run("usage", "globex", "--meter", "tokens", "--by", "hour", "--since", "PT1S")
    assert recent.code == 0, recent.err
    assert "700" in recent.out
    assert "is not over" in recent.out
    unknown = counted.run("usage", "globex", "--dimension", "nope")
    assert (unknown.code, "no meter has the dimension 'nope'" in unknown.err) == (2, True), unknown.err


def test_grants_are_given_listed_and_voided(counted: Shop) -> None:
    """What a grant put on a balance is gone when it is voided; the list says so, and a second void is refused."""
    given = counted.run("grant", "acme", "ai", "12.5", "--expires", "P30D", "--priority", "10", "--json").document
    assert given["amount"] == "12.5"
    burning = counted.run("balance", "acme", "ai", "--json").document["grants"]
    assert burning[0]["priority"] == 10
    assert counted.run("grant", "void", "acme", given["id"]).code == 0
    assert counted.run("grant", "void", "acme", given["id"]).code == 1
    listed = counted.run("grants", "acme", "ai")
    assert "voided grant" in listed.out


def test_rules_are_listed_with_what_they_say(counted: Shop) -> None:
    """A rule shows below what, how much a month, by whose consent; a grant how often; an amount of 0 that it is off."""
    rule = ("balance", "top-up", "globex", "ai", "--below", "5", "--most", "40", "--consent", "cfo@globex", "--amount")
    assert counted.run(*rule, "20").code == 0
    assert counted.run("grant", "globex", "ai", "3", "--every", "P1M").code == 0
    listed = counted.run("grants", "globex", "ai").out
    assert "below 5, at most 40 a month, agreed by cfo@globex" in listed
    assert "every P1M" in listed
    off = counted.run(*rule, "0")
    assert (off.code, "with an amount of 0 the rule is off" in off.out) == (0, True), off


def test_top_shows_who_is_busy_and_refused(counted: Shop) -> None:
    """What was used and refused just now is there by customer and feature, with what is left; as text and as JSON."""
    for _ in range(3):
        assert counted.run("consume", "globex", "tokens", "20").code == 0
    assert counted.run("consume", "globex", "requests", "99").code == 1
    shown = counted.run("top", "--seconds", "120", "--customer", "globex")
    assert shown.code == 0, shown.err
    assert "requests a second, over 120 s" in shown.out
    rows = {row["feature"]: row for row in counted.run("top", "--seconds", "120", "--json").document["items"]
            if row["customer"] == "globex"}  # fmt: skip
    assert rows["tokens"]["requests"] >= 3
    assert rows["tokens"]["granted"] == rows["tokens"]["remaining"] == "unlimited"
    assert rows["requests"]["refused"] == 1
    assert [line.split()[:2] for line in shown.out.splitlines() if "globex" in line] == [
        ["globex", feature] for feature in rows
    ]


def test_top_is_light_where_nothing_is_used(shop: Shop) -> None:
    """In a workspace without a catalog it says what is missing, as one JSON object."""
    ran = shop.run("top", "--json", workspace="live")
    assert ran.code == 2
    assert ran.document["error"]["code"] == "no_catalog"


def test_a_dimension_that_no_meter_has_is_noted(counted: Shop) -> None:
    """It is recorded all the same, and beside the answer is said that no sums are told apart by it."""
    ran = counted.run("consume", "globex", "ai", "1", "--dimension", "zzz=1", "--json")
    assert (ran.code, ran.document["allowed"]) == (0, True)
    assert "no meter has the dimension 'zzz'" in ran.err
