"""What a decision says to the customer: no internal rule, no id, and always what it means for them."""

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Final

from licet.core.case import AnyCase, Ask, Judgement
from licet.core.catalog import Credits, Metered
from licet.core.compiled import UNBOUNDED, CompiledCatalog, CompiledFeature, Gate
from licet.core.instant import SECOND, Instant, parse_duration, to_datetime
from licet.core.offer import UNLIMITED
from licet.core.quantity import format_quantity
from licet.core.reason import Reason

if TYPE_CHECKING:
    from licet.core.usage.facts import Want

MESSAGES: Final[Mapping[Reason, str]] = {
    Reason.UNKNOWN_CUSTOMER: "This account is not known.",
    Reason.UNKNOWN_FEATURE: "This feature does not exist.",
    Reason.CLOCK_ROLLED_BACK: "The clock of this machine was set back; correct it to go on.",
    Reason.SNAPSHOT_EXPIRED: "The last known rights are too old; connect to renew them.",
    Reason.LICENSE_REVOKED: "This license was withdrawn.",
    Reason.CUSTOMER_SUSPENDED: "This account is suspended.",
    Reason.SUSPENDED: "{title}: suspended because a payment is overdue.",
    Reason.ENDED: "{title}: the subscription that included this has ended.",
    Reason.TRIAL_EXPIRED: "{title}: the trial that included this is over.",
    Reason.PAUSED: "{title}: the subscription that includes this is paused.",
    Reason.MAINTENANCE_ENDED: "Maintenance has ended; this version came out later.",
    Reason.NOT_STARTED: "{title}: the subscription that includes this has not begun.",
    Reason.NOT_ENTITLED: "Not included: {title}.",
    Reason.DENIED_BY_OVERRIDE: "{title}: switched off for this account.",
    Reason.DEPLOYMENT_NOT_ALLOWED: "{title}: not available in this kind of installation.",
    Reason.REGION_NOT_ALLOWED: "{title}: not available in this region.",
    Reason.POLICY_DENIED: "{title}: not available under these circumstances.",
    Reason.RESTRICTED: "{title}: restricted because a payment is overdue.",
    Reason.CHECK_IN_OVERDUE: "This machine has not reported for too long; connect it to go on.",
    Reason.FINGERPRINT_MISMATCH: "This license belongs to another machine.",
    Reason.MACHINE_NOT_ACTIVATED: "This machine is not activated.",
    Reason.MACHINE_LIMIT_REACHED: "All machines of this license are activated.",
    Reason.OUTSIDE_WINDOW: "{title}: not available at this time.",
    Reason.SEAT_REQUIRED: "{title}: this needs a seat, and this user has none.",
    Reason.SEAT_LIMIT_REACHED: "{title}: {taken}; {more}.",
    Reason.FLOATING_LEASE_REQUIRED: "{title}: this needs a place, and none is held.",
    Reason.PLACE_LIMIT_REACHED: "{title}: all places are in use.",
    Reason.LIMIT_REACHED: "{title}: {taken}; {more}.",
    Reason.SPEND_LIMIT_REACHED: "{title}: the spending limit is reached.",
    Reason.CREDIT_EXHAUSTED: "{title}: {taken}; {more}.",
    Reason.ENTITLED: "Included: {title}.",
    Reason.IN_TRIAL: "Included in your trial: {title}.",
    Reason.IN_GRACE: "Included: {title}; a payment is overdue.",
    Reason.WITHIN_LIMIT: "{title}: {amount} included.",
    Reason.SOFT_LIMIT_EXCEEDED: "{title}: this is more than what is included, {amount}.",
    Reason.OVERAGE: "{title}: this is more than what is included, {amount}, and is charged.",
    Reason.LAST_KNOWN: "{title}: included as far as was last known.",
    Reason.OBSERVED: "Available: {title}.",
    Reason.NOT_ENFORCED: "Available: {title}.",
}
"""One sentence for each reason, correct English for any title; what stands in braces is filled in."""
UNKNOWN_FACTS: Final = "{title}: cannot be decided without {facts}."
"""The sentence where a condition is not met and facts that it needs are not known."""
_GATED: Final = frozenset({Reason.POLICY_DENIED, Reason.DEPLOYMENT_NOT_ALLOWED, Reason.REGION_NOT_ALLOWED})
_FACTS: Final[Mapping[str, str]] = {
    "context.deployment": "the kind of installation",
    "context.region": "the region",
    "context.country": "the country",
    "context.version": "the version of the program",
    "customer.id": "the id of this account",
    "customer.region": "the region of this account",
    "customer.country": "the country of this account",
    "user": "the user",
    "user.id": "the user",
    "user.roles": "the roles of the user",
}
_OWNERS: Final = {"context": "", "customer": " of this account", "user": " of the user"}
_MINUTE: Final = 60 * SECOND


def customer_message(case: AnyCase, judgement: Judgement, ask: Ask) -> str:
    """Return the sentence for the first reason of a decision."""
    feature, reason = case.catalog.features.get(case.feature), judgement.reasons[0]
    if feature is None:
        return MESSAGES[reason]
    decided = [one.policy for one in judgement.restraints if one.policy.denies and one.decided]
    if reason is Reason.POLICY_DENIED and decided:
        return decided[0].text or MESSAGES[reason].format(title=feature.title)
    if reason in _GATED and judgement.missing:
        facts = " and ".join(dict.fromkeys(map(fact_words, judgement.missing)))
        return UNKNOWN_FACTS.format(title=feature.title, facts=facts)
    taken = more = ""
    if judgement.amount is not None:
        used = format_quantity(ask.used or 0, feature.scale)
        taken = f"{number_words(used)} of {amount_words(feature, judgement.amount)} used"
        wanted = format_quantity(ask.quantity, feature.scale)
        more = f"{number_words(wanted)} more {'does' if wanted == '1' else 'do'} not fit"
    return MESSAGES[reason].format(
        title=feature.title, amount=amount_words(feature, judgement.amount), taken=taken, more=more
    )


def asked_words(catalog: CompiledCatalog, wants: "Sequence[Want]") -> str:
    """Return what was asked for, as a sentence of its own after a space; nothing where nothing else was."""
    told = []
    for want in wants:
        feature = catalog.features[want.feature]
        words = amount_words(feature, want.quantity)
        told.append(words if feature.unit is not None else f"{words} {feature.title}")
    return f" Asked for: {', '.join(told)}." if told else ""


def unnamed_words(unnamed: Sequence[str]) -> str:
    """Return whom a question has to name, as sentences after a space: each has a balance that was not counted."""
    return "".join(f" Name the {one}: each {one} has a balance of its own." for one in unnamed)


def amount_words(feature: CompiledFeature, amount: int | None) -> str:
    """Return an amount with its unit, ``20,000 projects``, ``1 project`` or ``unlimited``."""
    if amount is None:
        return ""
    text = UNLIMITED if amount >= UNBOUNDED else number_words(format_quantity(amount, feature.scale))
    if feature.unit is None:
        return text
    return f"{text} {feature.unit.one if text == '1' else feature.unit.many}"


def number_words(text: str) -> str:
    """Return a plain decimal with its thousands grouped: ``1,234,567.5``."""
    sign = "-" if text.startswith("-") else ""
    whole, point, decimals = text.removeprefix("-").partition(".")
    return f"{sign}{int(whole):,}{point}{decimals}"


def moment_words(at: Instant) -> str:
    """Return an instant to the minute with its zone, never before it: ``2026-03-01 09:00 UTC``."""
    return f"{to_datetime(-(-at // _MINUTE) * _MINUTE):%Y-%m-%d %H:%M} UTC"


def wall_words(at: Instant, zone: tzinfo) -> str:
    """Return an instant to the minute on a wall clock, never before it: ``1 December 2026 00:00 Europe/Berlin``."""
    local = to_datetime(-(-at // _MINUTE) * _MINUTE).astimezone(zone)
    return f"{local.day} {local:%B %Y %H:%M} {getattr(zone, 'key', None) or local.tzname()}"


def fact_words(path: str, *, of: bool = True) -> str:
    """Return what a fact is called for customers; ``of`` says of whom an attribute is."""
    if path in _FACTS:
        return _FACTS[path]
    owner, _, name = path.partition(".")
    return f"“{name.removeprefix('attributes.') or owner}”" + (_OWNERS.get(owner, "") if of else "")


def window_length(catalog: CompiledCatalog, feature: str) -> str | None:
    """Return how long a feature's window is, as the catalog says it (``PT5H``); None for one that has none."""
    found = catalog.document.features.get(feature)
    if not isinstance(found, Metered | Credits) or found.per not in ("rolling", "session"):
        return None
    return found.length


def window_words(per: str | None, length: str | None) -> str:
    """Return a kind of window with its length, ``rolling 24 h`` or ``session 5 h``; empty for what is no window."""
    if per not in ("rolling", "session"):
        return ""
    return per if length is None else f"{per} {length_words(length)}"


def length_words(length: str) -> str:
    """Return an ISO 8601 duration in short words: ``24 h``, ``7 days``, ``1 h 30 min``."""
    span = parse_duration(length)
    seconds = span.micros // SECOND
    parts = [
        (span.months // 12, "year", "years"),
        (span.months % 12, "month", "months"),
        (span.days, "day", "days"),
        (seconds // 3600, "h", "h"),
        (seconds // 60 % 60, "min", "min"),
        (seconds % 60, "s", "s"),
    ]
    return " ".join(f"{count} {one if count == 1 else many}" for count, one, many in parts if count) or "0 s"


def gate_words(gate: Gate) -> str:
    """Return the conditions of a gate as text."""
    parts = []
    if gate.deployments is not None:
        parts.append(f"deployment in {sorted(gate.deployments)}")
    if gate.regions is not None:
        parts.append(f"region in {sorted(gate.regions)}")
    if gate.condition is not None:
        parts.append(gate.condition.source)
    return " and ".join(parts)
