"""What a decision says to the customer: no internal rule, no id, and always what it means for them."""

from collections.abc import Mapping
from typing import Final

from licet.core.case import Case, Judgement
from licet.core.compiled import UNBOUNDED, CompiledFeature, Gate
from licet.core.offer import UNLIMITED
from licet.core.quantity import format_quantity
from licet.core.reason import Reason

MESSAGES: Final[Mapping[Reason, str]] = {
    Reason.UNKNOWN_CUSTOMER: "This account is not known.",
    Reason.UNKNOWN_FEATURE: "This feature does not exist.",
    Reason.CLOCK_ROLLED_BACK: "The clock of this machine was set back; correct it to go on.",
    Reason.SNAPSHOT_EXPIRED: "The last known rights are too old; connect to renew them.",
    Reason.LICENSE_REVOKED: "This license was withdrawn.",
    Reason.CUSTOMER_SUSPENDED: "This account is suspended.",
    Reason.SUSPENDED: "{title} is suspended because a payment is overdue.",
    Reason.ENDED: "The subscription that included {title} has ended.",
    Reason.TRIAL_EXPIRED: "The trial that included {title} is over.",
    Reason.PAUSED: "The subscription that includes {title} is paused.",
    Reason.MAINTENANCE_ENDED: "Maintenance has ended; this version came out later.",
    Reason.NOT_STARTED: "The subscription that includes {title} has not begun.",
    Reason.NOT_ENTITLED: "{title} is not part of what you have.",
    Reason.DENIED_BY_OVERRIDE: "{title} is switched off for this account.",
    Reason.DEPLOYMENT_NOT_ALLOWED: "{title} is not available in this kind of installation.",
    Reason.REGION_NOT_ALLOWED: "{title} is not available in this region.",
    Reason.POLICY_DENIED: "{title} is not available under these circumstances.",
    Reason.RESTRICTED: "{title} is restricted because a payment is overdue.",
    Reason.CHECK_IN_OVERDUE: "This machine has not reported for too long; connect it to go on.",
    Reason.FINGERPRINT_MISMATCH: "This license belongs to another machine.",
    Reason.MACHINE_NOT_ACTIVATED: "This machine is not activated.",
    Reason.MACHINE_LIMIT_REACHED: "All machines of this license are activated.",
    Reason.OUTSIDE_WINDOW: "{title} is not available at this time.",
    Reason.SEAT_REQUIRED: "{title} needs a seat, and this user has none.",
    Reason.SEAT_LIMIT_REACHED: "All {amount} of {title} are taken.",
    Reason.FLOATING_LEASE_REQUIRED: "{title} needs a place, and none is held.",
    Reason.PLACE_LIMIT_REACHED: "All places of {title} are in use.",
    Reason.LIMIT_REACHED: "{title}: {amount} are included, and this would be more.",
    Reason.SPEND_LIMIT_REACHED: "The spending limit for {title} is reached.",
    Reason.CREDIT_EXHAUSTED: "{title}: {amount} are included, and this would need more.",
    Reason.ENTITLED: "{title} is included.",
    Reason.IN_TRIAL: "{title} is included in your trial.",
    Reason.IN_GRACE: "{title} is included; a payment is overdue.",
    Reason.WITHIN_LIMIT: "{title} is included: {amount}.",
    Reason.SOFT_LIMIT_EXCEEDED: "{title}: this is more than the {amount} that are included.",
    Reason.OVERAGE: "{title}: this is more than the {amount} that are included and is charged.",
    Reason.LAST_KNOWN: "{title} is included as far as was last known.",
    Reason.OBSERVED: "{title} is available.",
    Reason.NOT_ENFORCED: "{title} is available.",
}
"""One sentence for each reason; ``{title}`` and ``{amount}`` are filled in."""


def customer_message(case: Case, judgement: Judgement) -> str:
    """Return the sentence for the first reason of a decision."""
    feature = case.catalog.features.get(case.feature)
    if feature is None:
        return MESSAGES[judgement.reasons[0]]
    text = MESSAGES[judgement.reasons[0]]
    return text.format(title=feature.title, amount=amount_words(feature, judgement.amount))


def amount_words(feature: CompiledFeature, amount: int | None) -> str:
    """Return an amount with its unit, ``20 projects`` or ``unlimited``."""
    if amount is None:
        return ""
    text = UNLIMITED if amount >= UNBOUNDED else format_quantity(amount, feature.scale)
    if feature.unit is None:
        return text
    return f"{text} {feature.unit.one if text == '1' else feature.unit.many}"


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
