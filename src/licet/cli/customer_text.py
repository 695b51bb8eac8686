"""A customer and its terms in words for a terminal."""

from collections.abc import Mapping
from typing import Any

from licet.cli.dunning_text import choice_words, leniency_words
from licet.cli.output import BOLD, DIM, WARN, Line
from licet.cli.words import day, label, number


def customer_lines(row: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Line]:
    """Return a customer's facts, subscriptions, overrides and suspensions, one line each."""
    lines: list[Line] = [[(row["id"], BOLD), f"  {row.get('name') or ''}"]]
    if row.get("email"):
        lines.append(label("mail", row["email"]))
    if row.get("erased_at"):
        what = "earlier name and mail address" if row.get("name") or row.get("email") else "name and mail address"
        lines.append(label("erased", (f"{what}, {day(row['erased_at'])}", WARN)))
    for source, foreign in (row.get("external_ids") or {}).items():
        lines.append(label("known as", f"{foreign} ({source})"))
    for name, value in (row.get("profile") or {}).items():
        if isinstance(value, dict):
            lines.extend(label(f"{name[:-1]}", f"{key} = {given}") for key, given in value.items())
        elif value:
            lines.append(label(name, str(value)))
    terms = answer.get("terms") or {}
    for subscription in terms.get("subscriptions") or ():
        lines.extend(_subscription(subscription))
    for override in terms.get("overrides") or ():
        lines.append(label("override", _override(override)))
    for suspension in terms.get("suspensions") or ():
        until = f" until {day(suspension['ends_at'])}" if suspension.get("ends_at") else ""
        lines.append(label("suspended", (f"since {day(suspension['starts_at'])}{until}", WARN)))
    for membership in terms.get("cohorts") or ():
        until = f" until {day(membership['ends_at'])}" if membership.get("ends_at") else ""
        lines.append(label("cohort", f"{membership['cohort']} from {day(membership['starts_at'])}{until}"))
    for choice in terms.get("ladders") or ():
        lines.append(label("ladder", choice_words(choice)))
    for leniency in terms.get("leniencies") or ():
        began = f"{leniency['kind']} from {day(leniency['starts_at'])}"
        lines.append(label("patience", f"{began} {leniency_words(leniency).partition(' ')[2]}"))
    lines.append(label("terms", f"revision {answer.get('revision')}"))
    return lines


def _subscription(subscription: Mapping[str, Any]) -> list[Line]:
    lines: list[Line] = []
    for phase in subscription["phases"]:
        items = ", ".join(
            f"{item['id']}@{item['version']}" + (f" × {item['quantity']}" if item.get("quantity", 1) != 1 else "")
            for item in phase["items"]
        )
        lines.append(label("bought", [f"{items} from {day(phase['starts_at'])}", (f"  {subscription['id']}", DIM)]))
    if subscription.get("trial_end"):
        then = subscription.get("trial_end_behavior", "convert")
        lines.append(label("trial", f"until {day(subscription['trial_end'])}, then {then}"))
    if subscription.get("ends_at"):
        lines.append(label("ends", day(subscription["ends_at"])))
    for fact in subscription.get("payments") or ():
        lines.append(label("payment", f"{fact['kind']} {day(fact['at'])} ({fact['invoice']})"))
    return lines


def _override(override: Mapping[str, Any]) -> str:
    given = override.get("amount", override.get("value"))
    what = f"{override.get('effect', 'give')} {override['feature']}" + (
        f" {number(given)}" if given is not None else ""
    )
    until = f" until {day(override['ends_at'])}" if override.get("ends_at") else ""
    return f"{what} from {day(override['starts_at'])}{until}  {override['id']}"
