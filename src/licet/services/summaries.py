"""What a foreign system believes that a customer may use: a hint, compared with what was sold; it changes no right.

No false alarms, so only this is told, about features that are switches and that the catalog knows by the same name:

- the system entitles to a feature of which nothing here speaks, apart from what has ended or not begun. A ladder, a
  pause or an override that denies it is a difference that was wanted, and is not told;
- where the source's setting ``entitlements`` is ``all`` (every switch exists there, too): a subscription from this very
  source gives a feature here, trialing or active, that the system does not name.

Only a summary that is newer than every order of the source for that customer is compared, by what holds at its own
instant. The finding is settled by a later summary that agrees, and by an order that explains it or is newer.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from licet.core.compiled import CompiledCatalog
from licet.core.derive import Entitlements, derive
from licet.core.instant import to_instant
from licet.core.orders import EntitlementSummary, FindingDraft, name_parts
from licet.core.terms import Terms
from licet.services.endings import Ending
from licet.services.findings import put_findings, settle_finding
from licet.services.matching import match_customer
from licet.services.ports import Tx
from licet.services.rows import FindingRow, SourceRow
from licet.services.truth import Catalogs

DIFFERS: Final = "entitlement_summary_differs"
MAX_NAMED: Final = 50
"""How many features of each kind of difference a finding names."""


class Difference(NamedTuple):
    """Features that only the foreign system gives, and that only we give."""

    there: tuple[str, ...]
    here: tuple[str, ...]


async def receive_summary(tx: Tx, source: SourceRow, summary: EntitlementSummary, catalogs: Catalogs) -> Ending:
    """Compare a summary with what was sold: a difference is a finding, agreement settles one.

    About a customer who is unknown here, or who has nothing from this source, it says nothing.
    """
    match = await match_customer(tx, source.id, summary.customer)
    row = None if match.customer is None else await tx.terms(match.customer)
    if match.customer is None or row is None:
        return Ending("ignored", "it is about a customer who is not known here")
    newest = _newest_order(row.terms, source.id)
    if newest is None:
        return Ending("ignored", f"customer {match.customer} has nothing from {source.id} to compare with")
    subject = _subject(source.id, summary.customer.external_id or match.customer)
    known = await tx.open_finding(DIFFERS, subject)
    if newest >= summary.at or (known is not None and _time_of(known) > summary.at):
        return Ending("stale", f"something newer is known of customer {match.customer}")
    catalog = await catalogs.current(tx)
    holds = derive(catalog, row.terms, to_instant(summary.at))
    difference = _compare(catalog, holds, source, summary.features)
    if not any(difference):
        await settle_finding(tx, DIFFERS, subject, "a later summary agrees")
        return Ending("applied", f"agrees with what customer {match.customer} bought")
    await put_findings(tx, [_finding(source.id, subject, match.customer, difference, summary.at)])
    return Ending("finding", f"differs from what customer {match.customer} bought: {_words(difference)}")


async def review_summary(tx: Tx, source: str, customer: str, catalogs: Catalogs) -> None:
    """After an order: settle an open finding about this customer's summary that the order explains or outdates."""
    row = await tx.customer(customer)
    subject = _subject(source, customer if row is None else row.external_ids.get(source, customer))
    known = await tx.open_finding(DIFFERS, subject)
    terms = None if known is None else await tx.terms(customer)
    if known is None or terms is None:
        return
    newest, at = _newest_order(terms.terms, source), _time_of(known)
    if newest is not None and newest >= at:
        await settle_finding(tx, DIFFERS, subject, "an order came that is newer; the next summary is compared again")
        return
    holds = derive(await catalogs.current(tx), terms.terms, to_instant(at))
    left = [one for one in _names(known.evidence.get("only_there")) if _unspoken(holds, one)]
    left += [one for one in _names(known.evidence.get("only_here")) if _sold_by(holds, one, source)]
    if not left:
        await settle_finding(tx, DIFFERS, subject, "an order that came late explains it")


def _compare(catalog: CompiledCatalog, holds: Entitlements, source: SourceRow, features: Iterable[str]) -> Difference:
    """Return what differs, by the rules of this module."""
    named = frozenset(features)
    switches = sorted(one.id for one in catalog.features.values() if one.type == "switch")
    there = tuple(one for one in switches if one in named and _unspoken(holds, one))
    if source.settings.get("entitlements") != "all":
        return Difference(there, ())
    return Difference(there, tuple(one for one in switches if one not in named and _sold_by(holds, one, source.id)))


def _unspoken(holds: Entitlements, feature: str) -> bool:
    """Whether nothing speaks of a feature, apart from subscriptions that have ended or not begun."""
    right = holds.rights.get(feature)
    return right is None or (
        not right.denials and all(one.standing in ("ended", "not_started") for one in right.sources)
    )


def _sold_by(holds: Entitlements, feature: str, source: str) -> bool:
    """Whether a subscription from ``source`` gives a feature, trialing or active."""
    right = holds.rights.get(feature)
    return right is not None and any(
        one.standing in ("trialing", "active") and holds.held[one.place].subscription.source == source
        for one in right.sources
        if one.standing is not None
    )


def _newest_order(terms: Terms, source: str) -> datetime | None:
    """Return when the newest order of a source for this customer happened."""
    times = [one.occurred_at for one in terms.subscriptions if one.source == source and one.occurred_at is not None]
    return max(times, default=None)


def _finding(source: str, subject: str, customer: str, difference: Difference, at: datetime) -> FindingDraft:
    return FindingDraft(
        kind=DIFFERS,
        severity="low",
        subject=subject,
        words=f"{source} entitles customer {customer} to something else than was sold: {_words(difference)}",
        evidence={
            "source": source,
            "customer": customer,
            "at": at.isoformat(),
            "only_there": list(difference.there[:MAX_NAMED]),
            "only_here": list(difference.here[:MAX_NAMED]),
        },
        customer=customer,
    )


def _words(difference: Difference) -> str:
    sides = [("only there", difference.there), ("only here", difference.here)]
    return "; ".join(f"{name}: {_listed(features)}" for name, features in sides if features)


def _listed(features: Sequence[str]) -> str:
    more = len(features) - MAX_NAMED
    return ", ".join(features[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _subject(source: str, name: str) -> str:
    return ":".join(name_parts(source, name))


def _time_of(known: FindingRow) -> datetime:
    """Return the instant of the summary that a finding is about."""
    return datetime.fromisoformat(str(known.evidence["at"]))


def _names(listed: object) -> tuple[str, ...]:
    return tuple(str(one) for one in listed) if isinstance(listed, list) else ()
