"""Why a truth gives no answer."""


class NoTruth(Exception):
    """Nothing can be answered: no catalog is known yet."""


class NotUnderstood(NoTruth, ValueError):
    """Nothing can be answered about one customer: its terms are of a kind that this version cannot read."""
