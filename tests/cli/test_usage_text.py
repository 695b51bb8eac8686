"""What came of use, and how balances stand, in words."""

import io
from typing import Any

from licet.cli.balance_text import show_balance, show_balances, show_statement
from licet.cli.consume_text import answer_lines, closing_lines, standing_words
from licet.cli.log import said_of
from licet.cli.output import Output, plain
from licet.cli.top_text import rate, screen
from licet.cli.usage_span import say_span, whole_span
from licet.cli.usage_text import show_facts
from licet.cli.words import left_words, number, quantity

TAKE = {
    "feature": "ai",
    "holder": "",
    "taken": "12.5",
    "used": "112.5",
    "granted": "1500",
    "remaining": "1387.5",
    "resets_at": "2026-04-01T00:00:00Z",
}
BALANCE: dict[str, Any] = {
    "customer": "acme",
    "feature": "ai",
    "holder": "user:ann",
    "at": "2026-03-15T12:00:00Z",
    "used": "1620.5",
    "granted": "1500",
    "remaining": "-120.5",
    "overage": "120.5",
    "per": "month",
    "resets_at": "2026-04-01T00:00:00Z",
    "at_limit": "overage",
    "unit": "AI credits",
    "grants": [
        {
            "id": "grt_1",
            "amount": "500",
            "left": "0",
            "priority": 50,
            "effective_at": "2026-03-01T00:00:00Z",
            "source": "put on",
        }
    ],
    "crossed": [80, 95],
}


def printed(show: Any, value: Any) -> str:
    """What a command prints where it is piped."""
    stream = io.StringIO()
    show(Output(stream=stream), value)
    return stream.getvalue()


def test_what_was_taken_is_told_balance_by_balance() -> None:
    """The first line says how much of what, each further one how a balance stands."""
    asked = {"customer": "acme", "feature": "tokens", "quantity": 1250}
    answer = {"allowed": True, "reason": "within_limit", "id": "use_1", "quantity": 1250, "takes": [TAKE]}
    lines = [plain(line) for line in answer_lines(asked, answer)]
    assert lines[0] == "✓ consumed 1,250 tokens for acme  within_limit  use_1"
    assert lines[1].split("  from      ")[1] == (
        "ai: 12.5 taken, 112.5 of 1,500 used, 1,387.5 left, whole again 2026-04-01"
    )


def test_what_was_observed_and_what_was_less_than_asked_is_said() -> None:
    """A part of what was asked names what was asked; observe mode names the reasons; a reservation its end."""
    asked = {"customer": "acme", "feature": "ai", "quantity": 40, "partial": True}
    answer = {
        "allowed": True,
        "reason": "observed",
        "id": "res_1",
        "quantity": 30,
        "expires_at": "2026-03-15T12:15:00Z",
        "would_deny": ["limit_reached"],
    }
    text = "\n".join(plain(line) for line in answer_lines(asked, answer))
    assert "reserved 30 ai" in text
    assert "40: there was no more" in text
    assert "would be refused: limit_reached" in text
    assert "2026-03-15 12:15:00 UTC, then it goes back by itself" in text


def test_what_was_permitted_and_not_recorded_is_said() -> None:
    """What is permitted to a customer nobody knows is not told as if it had been consumed."""
    asked = {"customer": "nobody", "feature": "api", "quantity": 3, "partial": True}
    answer = {"allowed": True, "reason": "observed", "would_deny": ["unknown_customer"]}
    text = "\n".join(plain(line) for line in answer_lines(asked, answer))
    assert "permitted 3 api for nobody" in text
    assert "nothing: the customer is not known" in text
    assert "there was no more" not in text
    assert "would be refused: unknown_customer" in text


def test_ends_of_reservations_say_what_they_came_to() -> None:
    """A settle says its amount and whether it exceeded; a release only that."""
    settled = [
        plain(line) for line in closing_lines({"id": "res_1", "closed": "settled", "used": 31, "exceeded": True})
    ]
    assert settled[0] == "✓ settled at 31  res_1"
    assert "more than was reserved" in settled[1]
    assert plain(closing_lines({"id": "res_1", "closed": "released"})[0]) == "✓ released  res_1"


def test_numbers_read_as_people_say_them() -> None:
    """What is left, what is beyond, what has no bound."""
    assert left_words("1250") == "1,250 left"
    assert left_words("-0.5") == "0.5 beyond"
    assert standing_words({"used": 7, "granted": "unlimited", "remaining": "unlimited"}) == "7 used, unlimited"
    assert standing_words({"used": 7, "granted": 5, "remaining": -2, "resets_at": None}) == "7 of 5 used, 2 beyond"


def test_a_number_between_minus_one_and_nothing_keeps_its_sign() -> None:
    """-0.5 is no 0.5, wherever it is shown; in a decision, too, what is less than nothing is beyond."""
    assert [number(text) for text in ("-0.5", "0.5", "-1250.5", -1250, "unlimited")] == [
        "-0.5", "0.5", "-1,250.5", "-1,250", "unlimited"
    ]  # fmt: skip
    limit = {"amount": "10", "used": "10.5", "remaining": "-0.5", "unit": "credits", "per": "month"}
    assert quantity(limit) == "10.5 of 10 credits per month used, 0.5 beyond"


def test_a_balance_shows_its_numbers_and_its_grants() -> None:
    """Used, left, beyond, crossed thresholds, then each grant with what is left of it."""
    text = printed(show_balance, BALANCE)
    assert text.startswith("ai for acme of user:ann  at 2026-03-15 12:00:00 UTC\n")
    for words in (
        "1,620.5 of 1,500 AI credits per month",
        "120.5 beyond",
        "80%, 95%",
        "resets    2026-04-01",
        "put on",
    ):
        assert words in text


def test_all_balances_are_a_table() -> None:
    """One row each; nothing counted is said in words."""
    text = printed(show_balances, {"customer": "acme", "at": BALANCE["at"], "balances": [BALANCE]})
    assert "user:ann" in text
    assert "120.5 beyond" in text
    assert "no balance" in printed(show_balances, {"customer": "acme", "at": BALANCE["at"], "balances": []})


def test_windows_bounds_and_parts_are_said() -> None:
    """How long a window is, how much may be used beyond all there is, what has been released and what comes next."""
    rolling = printed(show_balance, {**BALANCE, "per": "rolling", "length": "PT24H", "resets_at": None})
    assert "  window    rolling 24 h" in rolling
    session = {**BALANCE, "per": "session", "length": "PT5H"}
    assert "  window    opens at first use, lasts 5 h" in printed(show_balance, {**session, "resets_at": None})
    assert "lasts 5 h; this one ends 2026-04-01" in printed(show_balance, session)
    bounds = printed(show_balance, {**BALANCE, "overage_limit": "200", "spend_limit": "50"})
    assert "overage: up to 200 AI credits beyond" in bounds
    assert "the customer's spend limit: up to 50 AI credits beyond" in bounds
    assert "without a bound" in printed(show_balance, {**BALANCE, "overage_limit": None})
    assert "block: no more" in printed(show_balance, {**BALANCE, "at_limit": "block"})
    parts = {"released": "20", "whole": "120", "next_at": "2026-04-01T00:00:00Z", "next_amount": "10"}
    shown = {**BALANCE, "grants": [{**BALANCE["grants"][0], "parts": parts}]}
    assert "released  20 of 120 AI credits, next 10 on 2026-04-01" in printed(show_balance, shown)
    unopened = {**session, "resets_at": None}
    rows = printed(show_balances, {"customer": "acme", "at": BALANCE["at"], "balances": [session, unopened]})
    assert [line.rpartition("  ")[2] for line in rows.splitlines()[2:]] == ["2026-04-01", "5 h from first use"]


def test_a_statement_shows_what_each_row_did() -> None:
    """Facts have their draws; time and commands say what came, stayed and was lost; what came back to nothing too."""
    at = {"at": "2026-03-02T10:00:00Z"}
    draws = [{"grant": "grt_1", "amount": "120.5"}, {"grant": "", "amount": "15"}]
    given = {"kind": "grant", "cause": "top_up", "amount": "500", "until": "2026-06-01T00:00:00Z", "note": "agreed"}
    entries = [
        {**at, "id": "use_1", "kind": "consume", "change": "-135.5", "remaining": "-15", "amount": "135.5",
         "user": "ann", "draws": draws},
        {**at, **given, "id": "grt_2", "change": "500", "remaining": "485"},
        {**at, "id": "line", "kind": "renew", "change": "1000", "remaining": "1485", "amount": "1500", "kept": "20",
         "forfeited": "40"},
        {**at, "id": "grt_2", "kind": "void", "change": "-500", "remaining": "985", "forfeited": "500"},
        {**at, "id": "use_3", "kind": "refund", "change": "0", "remaining": "985", "amount": "-7"},
        {**at, "id": "line", "kind": "part", "change": "50", "remaining": "1035", "amount": "100"},
        {**at, "id": "grt_3", "kind": "grant", "remaining": "unlimited", "amount": "unlimited"},
    ]  # fmt: skip
    opening = {**BALANCE, "used": "0", "remaining": "1500"}
    text = printed(show_statement, {"opening": opening, "closing": BALANCE, "entries": entries, "next": "x"})
    assert "0 used, 1,500 left" in text
    assert "120.5 of grt_1, 15 beyond " in text
    assert "consume      -135.5        -15  ann" in text
    assert "grant          +500        485  top-up, until 2026-06-01, agreed" in text
    assert "whole again  +1,000      1,485  1,500 again, 20 kept, 40 forfeited" in text
    assert "voided         -500        985  500 forfeited" in text
    assert "refund            0        985  7 came back to nothing: what it was drawn from is over" in text
    assert "released        +50      1,035  100 released" in text
    assert "there is more" in text


def test_the_screen_of_top_marks_what_is_full_or_refused() -> None:
    """Rates are for each second; a full balance and a refusal are marked, what has no bound has no share."""
    row = {"customer": "acme", "feature": "ai", "requests": 25, "quantity": "12.5", "refused": 0, "used": "90",
           "granted": "100", "remaining": "10", "unit": "AI credits"}  # fmt: skip
    rows = [
        row,
        {**row, "feature": "sms", "refused": 2},
        {**row, "feature": "tokens", "granted": "unlimited", "remaining": "unlimited"},
    ]
    lines = screen({"at": "2026-03-15T12:00:00Z", "seconds": 10, "requests": 25, "items": rows})
    assert "2.5 requests a second, over 10 s" in plain(lines[0])
    assert [line[1] if isinstance(line, tuple) else "" for line in lines[3:]] == ["yellow", "red", ""]
    assert plain(lines[3]).split()[:5] == ["acme", "ai", "2.5", "1.2", "0"]
    assert "90.0%" in plain(lines[3])
    assert "nothing was used" in plain(
        screen({"at": "2026-03-15T12:00:00Z", "seconds": 10, "requests": 0, "items": []})[-1]
    )


def test_a_small_rate_is_not_shown_as_nothing() -> None:
    """One request in ten minutes is less than a hundredth a second, not none; large rates have no decimals."""
    assert [rate(amount, 600) for amount in (0, 1, 12, "57", 600, 90_000)] == [
        "0.0",
        "<0.01",
        "0.02",
        "0.1",
        "1.0",
        "150",
    ]


def test_the_screen_of_top_fits_its_terminal() -> None:
    """In a narrow terminal columns are left out, the least telling first; in a low one rows, and that is said."""
    row = {"customer": "acme", "feature": "ai", "requests": 25, "quantity": "12.5", "refused": 0, "used": "90",
           "granted": "100", "remaining": "10", "unit": "AI credits"}  # fmt: skip
    answer = {"at": "2026-03-15T12:00:00Z", "seconds": 10, "requests": 25, "items": [row] * 30}
    wide, narrow, tiny = (screen(answer, width, 10) for width in (100, 70, 20))
    assert plain(wide[2]).split()[-1] == "unit"
    assert all(word in plain(narrow[2]) for word in ("customer", "feature", "refused", "left"))
    assert "unit" not in plain(narrow[2])
    assert [max(map(len, map(plain, lines[2:]))) <= width for lines, width in ((narrow, 70), (tiny, 20))] == [
        True,
        True,
    ]
    assert [len(lines) for lines in (wide, narrow, tiny)] == [10, 10, 10]
    assert plain(wide[-1]) == "and 24 more"
    assert len(screen(answer)) == 33


def test_usage_is_summed_up_by_whole_periods() -> None:
    """Unless said 30 days, 48 hours or 12 months; what lies within a period means all of it, and that is said."""
    now = "2026-03-15T12:34:56Z"
    begins = {by: whole_span(now, None, None, by).since for by in ("hour", "day", "month")}
    assert begins == {"hour": "2026-03-13T12:00:00Z", "day": "2026-02-13T00:00:00Z", "month": "2025-03-01T00:00:00Z"}
    said = whole_span(now, "P7D", "2026-03-10T01:00:00Z", "day")
    assert (said.since, said.until, said.running) == ("2026-03-08T00:00:00Z", "2026-03-11T00:00:00Z", None)
    words = printed(lambda out, span: say_span(out, span, "day"), said)
    assert words.strip() == (
        "whole days of UTC from 2026-03-08 until 2026-03-11, since --since or --until lies within one"
    )
    running = printed(lambda out, span: say_span(out, span, "month"), whole_span(now, "2026-02-01", None, "month"))
    assert running.strip() == "whole months of UTC from 2026-02-01 on; the month that began 2026-03-01 is not over"


def test_the_log_says_which_threshold_of_which_balance_was_crossed() -> None:
    """The feature, whose, the percents, and how full it was; of what was put on a balance how much, before its note."""
    after = {"feature": "ai", "holder": "user:ann", "percents": [80, 95], "used": "96.5", "granted": "100"}
    row = {"type": "balance.threshold_crossed", "note": None, "after": after}
    assert said_of(row) == "ai of user:ann reached 80% and 95%: 96.5 of 100 used"
    assert said_of({"type": "balance.reset", "note": "sorry", "after": {"feature": "ai", "holder": ""}}) == "ai; sorry"
    put = {"feature": "ai", "holder": "", "amount": "1200.5"}
    assert said_of({"type": "balance.granted", "note": "gift", "after": put}) == "ai +1,200.5; gift"
    assert said_of({"type": "balance.topped_up", "note": "", "after": put | {"amount": 50}}) == "ai +50"
    assert said_of({"type": "order.applied", "note": "sold", "after": {"feature": "x"}}) == "sold"


def test_a_refund_is_negative_and_names_what_it_corrects() -> None:
    """Among facts what is given back has a minus, beside the id of the use that it is of."""
    used = {"serial": 1, "at": "2026-03-03T10:00:00Z", "kind": "consume", "customer": "acme", "id": "use_1",
            "metered": {"calls": 25}, "burns": {"ai": "12.5"}}  # fmt: skip
    back = {**used, "serial": 2, "kind": "refund", "id": "use_2", "of": "use_1", "metered": {"calls": 5}, "burns": {}}
    lines = printed(lambda out, rows: show_facts(out, rows, 50), [used, back]).splitlines()
    assert "25 calls" in lines[-2]
    assert lines[-1].split()[-4:] == ["-5", "calls", "use_1", "use_2"], lines
