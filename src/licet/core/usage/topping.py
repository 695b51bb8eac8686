"""Automatic top-ups: what is granted by itself where little is left, within a ceiling for each calendar month."""

from collections.abc import Callable, Iterable, Sequence
from datetime import tzinfo

from licet.core.instant import Instant, add_duration, to_datetime, to_instant
from licet.core.usage.admission import ToppedUp
from licet.core.usage.desk import BOUNDLESS, Desk
from licet.core.usage.facts import AccountKey, Funding, GrantGiven


def top_up_of(desk: Desk, now: Instant, funding: Callable[[str], Sequence[Funding]]) -> ToppedUp | None:
    """Return the top-up that an account is due after a batch at ``now``; None where it is due none.

    It takes effect after all that the account holds, so that nothing that was decided changes by it. One at most: what
    it comes to is looked at again only with what comes next. Whoever keeps the accounts decides what was refused for
    want of it once more, after it.
    """
    account = desk.account
    at = max(now, account.newest + 1)
    rule = account.course.top_up_at(at)
    if rule is None:
        return None
    room = account.room(at)
    if room.granted >= BOUNDLESS or room.granted - room.used >= rule.below:
        return None
    zone = account.course.zone
    spent = topped_up(funding(desk.key.customer), desk.key, month_start(at, zone), at)
    if spent + rule.amount > rule.most:
        return None
    expires = None if rule.expires_after is None else add_duration(at, rule.expires_after, zone)
    return ToppedUp(desk.key, rule.rule, GrantGiven(amount=rule.amount, effective=at, expires=expires, cause="top_up"))


def topped_up(funding: Iterable[Funding], key: AccountKey, since: Instant, until: Instant) -> int:
    """Return what automatic top-ups put on a balance in ``[since, until]``, in minor units; voided ones count too."""
    return sum(
        one.doc.amount
        for one in funding
        if (one.feature, one.holder) == (key.feature, key.holder)
        and isinstance(one.doc, GrantGiven)
        and one.doc.cause == "top_up"
        and since <= one.doc.effective <= until
    )


def month_start(at: Instant, zone: tzinfo) -> Instant:
    """Return the first instant of the calendar month of ``at`` on the wall clock of a zone."""
    wall = to_datetime(at).astimezone(zone)
    return to_instant(wall.replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0))
