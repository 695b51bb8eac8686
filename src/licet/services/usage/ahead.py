"""What is ahead of refused requests: when more comes to the balance that refuses, found once for equal refusals."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from licet.core.decision import Decision
from licet.core.instant import SECOND, Instant
from licet.core.question import Context
from licet.core.snapshot import Snapshot
from licet.core.usage.account import Account
from licet.core.usage.admit import Purse
from licet.core.usage.course import course_of
from licet.core.usage.facts import AccountKey
from licet.core.usage.outlook import BY_AMOUNT, NOTHING_AHEAD, Asker, Outlook, Stake, look_ahead, with_outlook
from licet.core.usage.reach import holder_of
from licet.core.usage.recalled import Recalled
from licet.services.truth import Recent
from licet.services.usage.grounds import UsageGrounds

_KEPT: Final = 2_000
_AGAIN: Final = 60 * SECOND
"""Where nothing is known to come, it is looked for again after this."""
_Key = tuple[AccountKey, int, Instant, int, int, int]


class Outlooks:
    """What is ahead of refusals of one workspace. As long as a balance stays what it is, it is worked out once."""

    def __init__(self) -> None:
        self._kept: Recent[_Key, tuple[Decision, Instant, Outlook]] = Recent(_KEPT)

    def told(
        self,
        decision: Decision,
        team: str | None,
        grounds: UsageGrounds,
        accounts: Mapping[AccountKey, Purse],
        now: Instant,
    ) -> Decision:
        """Return a refusal with what is ahead of its balance, one of those that were opened for the posting."""
        if decision.reason not in BY_AMOUNT:
            return decision
        case = decision.case
        holder = holder_of(grounds.metering.each_of.get(case.feature, "customer"), decision.user, team)
        key = AccountKey(case.customer, case.feature, holder or "")
        purse = accounts.get(key)
        account = purse.account if isinstance(purse, Recalled) else purse
        if holder is None or not isinstance(account, Account):
            return decision
        used, granted = decision.used or 0, decision.granted or 0
        place = key, id(case), account.newest, used, granted, decision.quantity
        known = self._kept.get(place)
        # The case is kept with it, so that its identity stays its own.
        if known is None or known[0].case is not case or now >= known[1]:
            found = _outlook(decision, account, grounds, now)
            until = now + _AGAIN if found.resets_at is None else min(found.resets_at, case.good_until)
            known = self._kept.put(place, (decision, until, found))
        return with_outlook(decision, known[2])


def _outlook(decision: Decision, account: Account, grounds: UsageGrounds, now: Instant) -> Outlook:
    """Look ahead for one balance."""
    ground, catalog, key = grounds.ground(decision.case.customer), grounds.catalog, account.course.key
    if ground.terms is None:
        return NOTHING_AHEAD
    terms = ground.terms.terms
    ahead = partial(course_of, catalog, terms, ground.funding, key)
    stake = Stake(key.feature, account, decision.quantity, ahead, ground.funding)
    return look_ahead([stake], Asker(Snapshot(catalog, terms), decision.user, decision.context or Context()), now)
