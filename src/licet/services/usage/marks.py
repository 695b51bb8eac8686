"""What postings leave besides facts: events of thresholds and automatic top-ups, and records of refusals."""

from collections.abc import Mapping, Sequence

from licet.core.compiled import CompiledCatalog
from licet.core.instant import Instant, to_datetime
from licet.core.orders import subject_of
from licet.core.quantity import MAX_QUANTITY
from licet.core.reason import Reason
from licet.core.usage.admit import Crossing, Outcome, Step, ToppedUp
from licet.core.usage.facts import AccountKey, Funding, Request
from licet.seal.ids import new_id
from licet.services.rows import Draft
from licet.services.usage.answers import units
from licet.services.usage.funding_views import recorded
from licet.services.usage.ports import Posting, Refused

_NOBODY = frozenset({Reason.UNKNOWN_CUSTOMER, Reason.UNKNOWN_FEATURE})


async def record_crossings(tx: Posting, catalog: CompiledCatalog, crossings: Sequence[Crossing]) -> None:
    """Leave one event ``balance.threshold_crossed`` for each balance, naming all thresholds crossed at once."""
    for one in crossings:
        feature = one.key.feature
        after = {
            "feature": feature,
            "holder": one.key.holder,
            "percents": list(one.percents),
            "used": units(catalog, feature, one.used),
            "granted": units(catalog, feature, one.granted),
        }
        await tx.record(_draft(one.key, "balance.threshold_crossed", after, one.at))


async def record_top_ups(tx: Posting, catalog: CompiledCatalog, top_ups: Sequence[ToppedUp]) -> None:
    """Put automatic top-ups on their balances; each leaves ``balance.topped_up``."""
    for one in top_ups:
        key = one.key
        funding = Funding(id=new_id("grt", tx.time.wall), feature=key.feature, holder=key.holder, doc=one.grant)
        await tx.put_funding(key.customer, funding)
        made = catalog.features.get(key.feature)
        after = {**recorded(key.customer, funding, 0 if made is None else made.scale), "rule": one.rule}
        await tx.record(_draft(key, "balance.topped_up", after, one.grant.effective))


def refused_row(step: Step, outcome: Outcome, now: Instant) -> Refused | None:
    """Return what is kept of a refused request; nothing about customers and features that nobody knows."""
    if not isinstance(step, Request) or not outcome.refusals or outcome.reason in _NOBODY:
        return None
    refused = outcome.refusals[0]
    return Refused(
        id=step.id,
        customer=step.customer,
        feature=refused.case.feature,
        user=step.user,
        quantity=min(refused.quantity, MAX_QUANTITY),
        reason=str(outcome.reason),
        refused_at=now,
    )


def _draft(key: AccountKey, kind: str, after: Mapping[str, object], at: Instant) -> Draft:
    return Draft(type=kind, subject=subject_of("customer", key.customer), after=after, effective_at=to_datetime(at))
