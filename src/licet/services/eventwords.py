"""What an event says, in a sentence for support: about whom and what, never a personal value."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from licet.wire.event import Event

RELEASED: Final = "catalog revision "
"""How the sentence about a release begins."""
_MOST: Final = 4
_OUTCOMES: Final = {
    "applied": "",
    "recorded": "",
    "stale": ": older than what is known, nothing changed",
    "refused": ": refused, see findings",
    "conflict": ": contradicts another of the same time, see findings",
}


def event_words(event: Event) -> str:
    """Return an event as a sentence; of a type that nobody has written one for, its type in words."""
    content = event.after if isinstance(event.after, dict) else {}
    noun, _, verb = event.type.partition(".")
    tell = _TOLD.get(event.type) or _TOLD.get(noun)
    return f"{noun} {verb}".replace("_", " ") if tell is None else tell(event, content)


def _order(event: Event, content: Mapping[str, Any]) -> str:
    document = content.get("document") or {}
    bought = [one for one in content.get("items") or () if "from" not in one]
    later = len({one["from"] for one in content.get("items") or () if "from" in one})
    text = f"order {document.get('external_id')} from {document.get('source')}"
    text += (
        f": {', '.join(map(_item, bought))}" if bought else ": nothing any more" if document.get("lines") == [] else ""
    )
    if later:
        text += f", {later} later {'phase' if later == 1 else 'phases'}"
    if document.get("ends_at"):
        text += f", ends {_date(document['ends_at'])}"
    return text + _outcome(event)


def _schedule(event: Event, content: Mapping[str, Any]) -> str:
    notice = content.get("notice") or {}
    return f"{notice.get('source')} planned changes of {notice.get('external_id')}{_outcome(event)}"


def _outcome(event: Event) -> str:
    verb = event.type.partition(".")[2]
    return _OUTCOMES.get(verb, f": {verb}")


def _item(item: Mapping[str, Any]) -> str:
    many = item.get("quantity", 1)
    return str(item.get("id")) + (f" × {many}" if many != 1 else "")


def _payment(event: Event, content: Mapping[str, Any]) -> str:
    facts = content.get("payments") or ()
    told = [f"invoice {one.get('invoice')} {_PAID.get(one.get('kind', ''), one.get('kind'))}" for one in facts]
    due = [f", due {_date(one['at'])}" for one in facts[:1] if one.get("kind") == "due"]
    rest = f" and {len(told) - _MOST} more" if len(told) > _MOST else ""
    return ", ".join(told[:_MOST]) + rest + "".join(due) + (": refused" if event.type.endswith("refused") else "")


_PAID: Final = {
    "due": "was issued",
    "failed": "was not paid",
    "disputed": "is disputed",
    "uncollectible": "is given up",
    "voided": "was voided",
    "paid": "was paid",
}


def _override(event: Event, content: Mapping[str, Any]) -> str:
    feature, name = content.get("feature"), content.get("id")
    if event.type == "override.ended":
        return f"override {name} of {feature} ends {_date(content.get('ends_at'))}"
    if content.get("effect") == "deny":
        text = f"{feature} is denied by override {name}"
    else:
        given = content.get("amount", content.get("value"))
        text = f"{feature} is given by override {name}" + (f": {given}" if given is not None else "")
    return text + (f", until {_date(content['ends_at'])}" if content.get("ends_at") else "")


def _catalog(_: Event, content: Mapping[str, Any]) -> str:
    changes = content.get("changes") or ()
    text = f"{RELEASED}{content.get('revision')} released"
    if changes:
        rest = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
        text += f": {changes[0]}{rest}"
    return text


def _customer(event: Event, content: Mapping[str, Any]) -> str:
    if event.type == "customer.created":
        return "the customer was created"
    before = event.before if isinstance(event.before, dict) else {}
    parts = [words for name, words in _RECORD if before.get(name) != content.get(name)]
    return f"the customer's {' and '.join(parts) or 'name or email'} changed"


_RECORD: Final = (("profile", "profile"), ("external_ids", "foreign ids"))


def _erased(event: Event, content: Mapping[str, Any]) -> str:
    users = content.get("users")
    whose = "the customer" if not users else f"the customer and {users} user{'s' if users != 1 else ''}"
    if event.type == "user.erased":
        whose = f"user {content.get('id')}"
    return f"personal values of {whose} were erased: {content.get('values')} beside the log"


def _leniency(event: Event, content: Mapping[str, Any]) -> str:
    said = {
        "promise.made": "a promise to pay",
        "promise.withdrawn": "the promise to pay was withdrawn",
        "dunning.paused": "dunning is paused",
        "dunning.resumed": "dunning goes on",
    }
    until = content.get("ends_at")
    begins = event.type in ("promise.made", "dunning.paused")
    return said.get(event.type, event.type) + (f", until {_date(until)}" if until and begins else "")


def _ladder(event: Event, content: Mapping[str, Any]) -> str:
    if event.type == "ladder.cleared":
        return "no ladder is chosen any more: cohort and plan count"
    name = content.get("ladder")
    return "non-payment has no consequences: no ladder" if name is None else f"ladder {name} chosen"


def _cohort(event: Event, content: Mapping[str, Any]) -> str:
    return f"{'joined' if event.type == 'cohort.joined' else 'left'} cohort {content.get('cohort')}"


def _subscription(event: Event, content: Mapping[str, Any]) -> str:
    verb = event.type.partition(".")[2]
    return f"subscription {content.get('id')} {verb}"


def _move(event: Event, content: Mapping[str, Any]) -> str:
    """A move between versions, from the fact in the terms; one that was taken out leaves only what was before."""
    fact = content or (event.before if isinstance(event.before, dict) else {})
    item, source, target = fact.get("item"), fact.get("from_version"), fact.get("to_version")
    moved = f"{item} moved from version {source} to {target}"
    return {
        "subscription.moved": moved,
        "subscription.move_announced": f"{item} will be moved from version {source} to {target} "
        f"on {_date(fact.get('starts_at'))}",
        "subscription.moved_back": f"{item} moved back from version {target} to {source}",
        "subscription.move_withdrawn": f"{item} will not be moved from version {source} to {target}",
    }.get(event.type, f"the move of {item} from version {source} to {target} ended")


def _balance(event: Event, content: Mapping[str, Any]) -> str:
    """What was put on a balance, or said about it."""
    feature = content.get("feature")
    whose = f"{feature} of {content['holder']}" if content.get("holder") else str(feature)
    until = f", until {_date(content['expires_at'])}" if content.get("expires_at") else ""
    amount = content.get("amount")
    return {
        "balance.granted": f"{amount} put on {whose}{until}",
        "balance.topped_up": f"{whose} was topped up by {amount} by its rule{until}",
        "balance.grant_voided": f"grant {content.get('grant')} of {whose} counts no longer",
        "balance.reset": f"{whose} is whole again",
        "balance.spend_limited": f"no spend limit on {whose} any more"
        if amount is None
        else f"at most {amount} of {whose} beyond what there is",
        "balance.top_up_ruled": f"{whose} is topped up by {amount} below {content.get('below')}"
        if amount
        else f"{whose} is not topped up by itself any more",
        "balance.threshold_crossed": f"{' and '.join(f'{one}%' for one in content.get('percents') or ())} of {whose} "
        f"used: {content.get('used')} of {content.get('granted')}",
    }.get(event.type, event.type.replace(".", " ").replace("_", " "))


def _date(text: object) -> str:
    said = str(text)
    return said[:10] if said[10:16] in ("T00:00", "") else said[:16].replace("T", " ") + " UTC"


_TOLD: Final[dict[str, Callable[[Event, Mapping[str, Any]], str]]] = {
    "order": _order,
    "schedule": _schedule,
    "payment": _payment,
    "invoice": _payment,
    "balance": _balance,
    "override": _override,
    "catalog": _catalog,
    "customer.created": _customer,
    "customer.changed": _customer,
    "customer.erased": _erased,
    "user.erased": _erased,
    "promise": _leniency,
    "dunning": _leniency,
    "ladder": _ladder,
    "cohort": _cohort,
    "subscription": _subscription,
    "subscription.moved": _move,
    "subscription.moved_back": _move,
    "subscription.move_announced": _move,
    "subscription.move_withdrawn": _move,
    "subscription.move_ended": _move,
}
