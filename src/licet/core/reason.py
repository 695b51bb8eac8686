"""The closed list of reasons a decision can give, in documented precedence (highest first)."""

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why a question was answered as it was. Refusing reasons come first, in precedence; permitting ones after."""

    UNKNOWN_CUSTOMER = "unknown_customer"
    UNKNOWN_FEATURE = "unknown_feature"
    CLOCK_ROLLED_BACK = "clock_rolled_back"
    SNAPSHOT_EXPIRED = "snapshot_expired"
    LICENSE_REVOKED = "license_revoked"
    CUSTOMER_SUSPENDED = "customer_suspended"
    SUSPENDED = "suspended"
    ENDED = "ended"
    TRIAL_EXPIRED = "trial_expired"
    PAUSED = "paused"
    MAINTENANCE_ENDED = "maintenance_ended"
    NOT_STARTED = "not_started"
    NOT_ENTITLED = "not_entitled"
    DENIED_BY_OVERRIDE = "denied_by_override"
    DEPLOYMENT_NOT_ALLOWED = "deployment_not_allowed"
    REGION_NOT_ALLOWED = "region_not_allowed"
    POLICY_DENIED = "policy_denied"
    RESTRICTED = "restricted"
    CHECK_IN_OVERDUE = "check_in_overdue"
    FINGERPRINT_MISMATCH = "fingerprint_mismatch"
    MACHINE_NOT_ACTIVATED = "machine_not_activated"
    MACHINE_LIMIT_REACHED = "machine_limit_reached"
    OUTSIDE_WINDOW = "outside_window"
    SEAT_REQUIRED = "seat_required"
    SEAT_LIMIT_REACHED = "seat_limit_reached"
    FLOATING_LEASE_REQUIRED = "floating_lease_required"
    PLACE_LIMIT_REACHED = "place_limit_reached"
    LIMIT_REACHED = "limit_reached"
    SPEND_LIMIT_REACHED = "spend_limit_reached"
    CREDIT_EXHAUSTED = "credit_exhausted"

    ENTITLED = "entitled"
    IN_TRIAL = "in_trial"
    IN_GRACE = "in_grace"
    WITHIN_LIMIT = "within_limit"
    SOFT_LIMIT_EXCEEDED = "soft_limit_exceeded"
    OVERAGE = "overage"
    LAST_KNOWN = "last_known"
    OBSERVED = "observed"
    NOT_ENFORCED = "not_enforced"


PERMITTING: Final[frozenset[Reason]] = frozenset(list(Reason)[list(Reason).index(Reason.ENTITLED) :])
"""The reasons that go with an allowed decision."""
PRECEDENCE: Final[dict[Reason, int]] = {reason: place for place, reason in enumerate(Reason)}
"""Place of each reason; the lower place wins among refusing reasons."""
