"""The chapters about usage: credits that are reserved and settled, and a hard cap that eight programs meet at once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from licet.cli.demo.stage import Stage, verdict_of
from licet.cli.demo.teller import Teller, Watch
from licet.cli.remote import Remote, segment

PROGRAMS: Final = 8
CALLS: Final = 10
"""Calls that each program makes, one after the other."""
LEFT: Final = 50
"""Calls that are left when they begin: fewer than they make altogether."""


def the_credits(stage: Stage, teller: Teller) -> None:
    """Reserve by estimate, settle by what it came to; a threshold; an empty balance; a top-up."""
    teller.chapter(
        "AI credits: set aside first, settled by what it came to",
        "What a model costs is known afterwards. Nobody else can take meanwhile what is set aside.",
    )
    before = _number(_balance(stage, "hooli", "ai")["remaining"])
    watch = Watch()
    reserved = _asked(stage, "/v1/reservations", "hooli", "ai", 40)
    teller.step("hooli sets 40 credits aside for a prompt", "allowed · within_limit", verdict_of(reserved), ms=watch.ms)
    left = _number(_balance(stage, "hooli", "ai")["remaining"])
    teller.step("left for everybody else", _hundredths(before - 4000), _hundredths(left))
    watch = Watch()
    settled = stage.remote.call("POST", f"/v1/reservations/{reserved['id']}/settle", {"used": "31.25"})
    came = f"{settled['closed']} · {settled['used']} used"
    teller.step("the model answers; it came to 31.25", "settled · 31.25 used", came, ms=watch.ms)
    left = _number(_balance(stage, "hooli", "ai")["remaining"])
    teller.step("the rest is back at once", _hundredths(before - 3125), _hundredths(left))
    _near_the_end(stage, teller, left)


def _near_the_end(stage: Stage, teller: Teller, left: int) -> None:
    """Use nearly all: a threshold is told, the next is refused, and a top-up helps."""
    nearly = _hundredths(left - 1000)
    watch = Watch()
    used = _asked(stage, "/v1/consume", "hooli", "ai", nearly)
    teller.step(f"a long job takes {nearly}", "allowed · within_limit", verdict_of(used), ms=watch.ms)
    told = list(stage.remote.pages("/v1/events", limit=10, query={"type": "balance.threshold_crossed"}))
    crossed = ", ".join(f"{one}%" for event in told for one in (event.get("after") or {}).get("percents", ()))
    teller.step("an event tells that little is left", "80%", crossed)
    refused = _asked(stage, "/v1/consume", "hooli", "ai", 25)
    teller.step("25 more?", "refused · credit_exhausted", verdict_of(refused))
    for decision in refused.get("refusals", ())[:1]:
        remedy = decision.get("remedy")
        teller.aside(f"remedy: {remedy['words']}" if remedy else decision["message"])
    watch = Watch()
    grant = {
        "feature": "ai",
        "amount": 500,
        "expires_after": "P90D",
        "cause": "purchase",
        "note": "bought in the portal",
    }
    given = stage.remote.call("POST", "/v1/customers/hooli/grants", grant)
    teller.step("hooli buys 500 more, for 90 days", "500", str(given["amount"]), ms=watch.ms)
    again = _asked(stage, "/v1/consume", "hooli", "ai", 25)
    teller.step("25 more?", "allowed · within_limit", verdict_of(again))


def the_cap(stage: Stage, teller: Teller) -> None:
    """Let eight programs meet a hard cap at once."""
    teller.chapter(
        "A hard cap is exact, whoever asks at once",
        "Decided and recorded in one transaction: nothing beyond the cap, nothing acknowledged lost.",
    )
    left = int(_balance(stage, "initech", "api_calls")["remaining"])
    used = _asked(stage, "/v1/consume", "initech", "api_calls", left - LEFT)
    left = int(_balance(stage, "initech", "api_calls")["remaining"])
    teller.step(
        f"initech has used all but {LEFT} API calls", f"{LEFT} left", f"{left} left" if used["allowed"] else "none"
    )
    key = stage.remote.key
    watch = Watch()
    with ThreadPoolExecutor(PROGRAMS) as pool:
        answers = [one for many in pool.map(lambda _: _program(stage.remote.url, key), range(PROGRAMS)) for one in many]
    spent = watch.ms
    allowed = sum(bool(answer["allowed"]) for answer in answers)
    teller.step(
        f"{PROGRAMS} programs make {CALLS} calls each, at once",
        f"{LEFT} allowed, {PROGRAMS * CALLS - LEFT} refused",
        f"{allowed} allowed, {len(answers) - allowed} refused",
        ms=spent,
    )
    reasons = {str(answer["reason"]) for answer in answers if not answer["allowed"]}
    teller.step("why the others were refused", "limit_reached", ", ".join(sorted(reasons)))
    balance = _balance(stage, "initech", "api_calls")
    teller.step("used, and left", f"{balance['granted']} and 0", f"{balance['used']} and {balance['remaining']}")


def _program(url: str, key: str | None) -> list[dict[str, Any]]:
    """Be one of the programs, on a connection of its own."""
    with Remote(url, key) as remote:
        body = {"customer": "initech", "feature": "api_calls", "quantity": 1}
        return [remote.call("POST", "/v1/consume", body) for _ in range(CALLS)]


def _asked(stage: Stage, path: str, customer: str, feature: str, quantity: int | str) -> dict[str, Any]:
    answer: dict[str, Any] = stage.remote.call(
        "POST", path, {"customer": customer, "feature": feature, "quantity": quantity}
    )
    return answer


def _balance(stage: Stage, customer: str, feature: str) -> dict[str, Any]:
    path = f"/v1/customers/{segment(customer)}/balances/{segment(feature)}"
    balance: dict[str, Any] = stage.remote.call("GET", path)
    return balance


def _number(text: object) -> int:
    """Return a decimal of two places in hundredths."""
    whole, _, rest = str(text).partition(".")
    return int(whole) * 100 + int(f"{rest:0<2}")


def _hundredths(number: int) -> str:
    """Return hundredths as they are written: without zeros at the end."""
    return f"{number // 100}.{number % 100:02}".rstrip("0").rstrip(".")
