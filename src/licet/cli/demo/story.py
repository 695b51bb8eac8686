"""The story of the example vendor Meridian, chapter by chapter. Every outcome is told before it is looked at."""

import time
from datetime import datetime, timedelta
from typing import Any

from licet.cli.demo.counting import the_cap, the_credits
from licet.cli.demo.owning import the_kills
from licet.cli.demo.stage import SECRET, SOURCE, Stage, catalog_path, stricter_catalog, verdict_of
from licet.cli.demo.teller import WIDTH, Teller, Watch
from licet.cli.failure import Failure
from licet.cli.output import pieces
from licet.cli.releasing import PREVIEWS
from licet.testing.stripe import StripeStory


def tell(stage: Stage, teller: Teller) -> None:
    """Tell all chapters that the server plays by HTTP alone."""
    the_catalog(stage, teller)
    acme = the_order(stage, teller)
    the_reasons(stage, teller)
    before = the_upgrade(stage, teller, acme)
    the_trial(stage, teller)
    the_payment(stage, teller)
    the_credits(stage, teller)
    the_cap(stage, teller)
    the_kills(stage, teller)
    the_release(stage, teller)
    the_explanation(stage, teller, before)


def the_catalog(stage: Stage, teller: Teller) -> None:
    """Apply the catalog."""
    teller.chapter(
        "A catalog, as a file", "What is sold is data under version control; the vendor's program knows none of it."
    )
    text = catalog_path().read_bytes()
    as_yaml: dict[str, str | bytes] = {"Content-Type": "application/yaml"}
    watch = Watch()
    preview = stage.remote.raw("POST", "/v1/catalog/preview", body=text, headers=as_yaml).json()
    teller.step(
        "preview examples/meridian/catalog.yaml", "0 problems", f"{len(preview['problems'])} problems", ms=watch.ms
    )
    watch = Watch()
    applied = stage.remote.raw("PUT", "/v1/catalog", query={"base": 0}, body=text, headers=as_yaml).json()
    teller.step("apply it", "revision 1", f"revision {applied.get('revision')}", ms=watch.ms)
    stale = stage.remote.raw("PUT", "/v1/catalog", query={"base": 0}, body=text, headers=as_yaml)
    teller.step("apply a preview that has become stale", "409 · stale_base", f"{stale.status} · {stale.json()['code']}")


def the_order(stage: Stage, teller: Teller) -> StripeStory:
    """Configure the Stripe source; a signed order becomes access."""
    teller.chapter(
        "A signed order becomes access", "Stripe's own webhook, verified by its signature; nobody provisions anything."
    )
    source = {"kind": "stripe", "secrets": [SECRET]}
    watch = Watch()
    made = stage.remote.call("PUT", f"/v1/sources/{SOURCE}", source)
    teller.step("configure the source, its secret sealed", "stripe · active", _source(made), ms=watch.ms)
    stage.ask("acme, before: scenario planning?", "refused · unknown_customer", "acme", "scenario_planning")
    acme = stage.seller("acme", name="Acme Inc.", seed=7)
    bought = acme.subscribe("price_team_monthly", 10)
    forged = bought.signed("whsec_somebody_else", int(time.time()))
    teller.step("the same order with a forged signature", "400 · bad_signature", stage.deliver(forged))
    stage.sold(
        "acme buys Team for 10 editors",
        bought,
        "acme may plan scenarios",
        "allowed · entitled",
        "acme",
        "scenario_planning",
    )
    teller.step("Stripe delivers it once more", "200 · duplicate", stage.deliver(acme.again(bought)))
    return acme


def the_reasons(stage: Stage, teller: Teller) -> None:
    """Ask what acme may do, and why not."""
    teller.chapter("Every answer has a reason", "And a refusal says what would change it.")
    refused = stage.ask("single sign-on?", "refused · not_entitled", "acme", "sso")
    _remedy(teller, refused)
    limit = int(stage.verdict("acme", "projects")[1]["limit"]["amount"])
    stage.ask(f"one more project, {limit - 1} in use?", "allowed · within_limit", "acme", "projects", used=limit - 1)
    refused = stage.ask(f"one more project, {limit} in use?", "refused · limit_reached", "acme", "projects", used=limit)
    _remedy(teller, refused)
    stage.ask(
        "the desktop program, asked from the cloud?",
        "refused · deployment_not_allowed",
        "acme",
        "desktop",
        context={"deployment": "saas"},
    )


def the_upgrade(stage: Stage, teller: Teller, acme: StripeStory) -> datetime:
    """Upgrade: access changes with the order. Returns a business time before it."""
    teller.chapter(
        "An upgrade counts at once",
        "Rights are derived from catalog and terms whenever somebody asks: nothing to keep in step.",
    )
    before = stage.now()
    stage.sold(
        "acme upgrades to Business",
        acme.upgrade("price_business_monthly"),
        "acme may use single sign-on",
        "allowed · entitled",
        "acme",
        "sso",
    )
    decision = stage.verdict("acme", "projects")[1]
    teller.step("projects it may have now", "200", str(decision["limit"]["amount"]))
    observed = stage.ask(
        "Autopilot, in observe mode, for a viewer?", "allowed · observed", "acme", "autopilot", user="vic"
    )
    teller.aside(f"enforced, it would be refused: {', '.join(observed['would_deny'] or ())}")
    return before


def the_trial(stage: Stage, teller: Teller) -> None:
    """End a trial: the clock moves, nothing runs."""
    teller.chapter(
        "A trial ends by itself", "Expiry is arithmetic, not a job: a dead worker can neither grant nor remove a right."
    )
    at = stage.just_now().isoformat()
    order: dict[str, Any] = {
        "source": "crm",
        "external_id": "deal-2031",
        "customer": {"id": "initech"},
        "occurred_at": at,
        "lines": [{"line": "1", "price": "MER-TEAM", "quantity": 5}],
        "trial_start": at,
        "trial_end_behavior": "fall",
    }
    watch = Watch()
    placed = stage.remote.call("POST", "/v1/orders", order)
    teller.step("initech tries Team, an order from the CRM", "applied", placed["outcome"], ms=watch.ms)
    stage.ask("scenario planning?", "allowed · in_trial", "initech", "scenario_planning")
    stage.clock({"advance": "P14D"})
    events = stage.events()
    teller.aside(f"14 days pass on this test workspace's clock: it is {_date(stage)}")
    stage.ask("scenario planning?", "refused · trial_expired", "initech", "scenario_planning")
    decision = stage.verdict("initech", "projects")[1]
    item = next((source.get("item") for source in decision["sources"] if source.get("permits")), None)
    teller.step("what it fell to", "free@2026-01", str(item))
    teller.step("events that this took", "none", "none" if stage.events() == events else "some")


def the_payment(stage: Stage, teller: Teller) -> None:
    """A payment fails and comes: grace, restriction, restoration."""
    teller.chapter(
        "A payment fails, and comes",
        "The ladder is data: warn at once, restrict after 7 days, suspend after 14; paid is restored.",
    )
    hooli = stage.seller("hooli", name="Hooli Ltd.", seed=11)
    stage.sold(
        "hooli buys Team",
        hooli.subscribe("price_team_monthly", 5),
        "hooli may plan scenarios",
        "allowed · entitled",
        "hooli",
        "scenario_planning",
    )
    renewal = hooli.renew()
    stage.clock({"to": _iso(hooli, 120)})
    teller.aside(f"a month later the card is declined: it is {_date(stage)}")
    teller.step("the subscription renews", "200 · applied", stage.deliver(renewal))
    stage.sold(
        "the payment fails",
        hooli.fail_payment(),
        "scenario planning goes on, in grace",
        "allowed · in_grace",
        "hooli",
        "scenario_planning",
    )
    stage.clock({"advance": "P7D"})
    teller.aside(f"7 days later: it is {_date(stage)}")
    stage.ask("AI credits?", "refused · restricted", "hooli", "ai")
    stage.ask("scenario planning?", "allowed · in_grace", "hooli", "scenario_planning")
    hooli.wait(until=stage.just_now())
    stage.sold("the invoice is paid", hooli.pay(), "AI credits are back", "allowed · within_limit", "hooli", "ai")


def the_release(stage: Stage, teller: Teller) -> None:
    """Foresee a release; it is refused, since it would take something from somebody."""
    teller.chapter(
        "A release is foreseen on live customers",
        "Who would gain or lose what is known before it is made, and too many losers stop it.",
    )
    body, sent = stricter_catalog(), "application/json"
    watch = Watch()
    found = [line for line in stage.remote.lines("POST", PREVIEWS, body, media_type=sent) if "preview" in line]
    view = found[-1]["preview"]
    summary = view["summary"]
    seen = f"{summary['losing']} of {summary['customers']} customers loses something"
    teller.step("preview: webhooks only from Business on", "1 of 3 customers loses something", seen, ms=watch.ms)
    for group in summary["groups"]:
        what = "; ".join(f"{one['title']}: {one['was']} → {one['becomes']}" for one in group["changes"])
        teller.aside(f"{', '.join(group['examples'])}: {what}")
    query = {"base": view["base"], "preview": view["id"]}
    refused = stage.remote.raw("PUT", "/v1/catalog", query=query, body=body, headers={"Content-Type": sent})
    teller.step("release it without a word", "409 · blast_radius", f"{refused.status} · {refused.json()['code']}")


def the_explanation(stage: Stage, teller: Teller, before: datetime) -> None:
    """Explain a decision, now and in the past."""
    from licet.cli.explanation_text import explanation_lines

    teller.chapter(
        "Why? From the order line to the decision", "Support answers in one look, also for a moment in the past."
    )
    watch = Watch()
    explanation = stage.explain("acme", "sso")
    teller.step(
        "why may acme use single sign-on?", "allowed · entitled", verdict_of(explanation["decision"]), ms=watch.ms
    )
    for line in explanation_lines(explanation, width=WIDTH - 5):
        teller.say(["     ", *pieces(line)])

    watch = Watch()
    past = verdict_of(stage.explain("acme", "sso", at=before.isoformat())["decision"])
    teller.step(f"and on {_day(before)}, before the upgrade?", "refused · not_entitled", past, ms=watch.ms)


def _date(stage: Stage) -> str:
    return _day(stage.now(), year=True)


def _day(at: datetime, *, year: bool = False) -> str:
    return f"{at.day} {at:%B}" + (f" {at.year}" if year else "")


def _remedy(teller: Teller, decision: dict[str, Any]) -> None:
    remedy = decision.get("remedy")
    teller.aside(f"remedy: {remedy['words']}" if remedy else decision["message"])


def _source(made: Any) -> str:
    if not isinstance(made, dict):
        raise Failure("the source was not configured")
    return f"{made['kind']} · {'disabled' if made.get('disabled') else 'active'}"


def _iso(story: StripeStory, seconds: int) -> str:
    return (story.time + timedelta(seconds=seconds)).isoformat()
