"""What is ahead of refused requests: when more comes to the balance that refuses, found once for equal refusals."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from licet.core.case import AnyCase
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
_Place = tuple[AccountKey, int, Instant, int, int, int]
_Key = tuple[int, tuple[_Place, ...]]


class _Short(NamedTuple):
    """A refusal for want of what a balance holds, and that balance."""

    decision: Decision
    account: Account

    @property
    def place(self) -> _Place:
        """What it is about: as long as all of that stays, so does what is ahead of it."""
        said, account = self.decision, self.account
        return account.course.key, id(said.case), account.newest, said.used or 0, said.granted or 0, said.quantity


class Outlooks:
    """What is ahead of refusals of one workspace. As long as a balance stays what it is, it is worked out once."""

    def __init__(self) -> None:
        self._kept: Recent[_Key, tuple[list[AnyCase], Instant, Outlook]] = Recent(_KEPT)

    def told(
        self,
        decisions: Sequence[Decision],
        team: str | None,
        grounds: UsageGrounds,
        accounts: Mapping[AccountKey, Purse],
        now: Instant,
    ) -> list[Decision]:
        """Return the refusals of one request, each with what is ahead of its balance.

        Their balances are those that were opened for the posting. Waiting helps where it helps against all of them.
        """
        found = [_short(one, team, grounds, accounts) for one in decisions]
        alone = [NOTHING_AHEAD if one is None else self._outlook((one,), grounds, now) for one in found]
        fits = alone[0].fits_at if len(alone) == 1 else None
        if len(alone) > 1 and all(one.fits_at is not None for one in alone):
            fits = self._outlook(tuple(one for one in found if one is not None), grounds, now).fits_at
        return [
            with_outlook(decision, Outlook(outlook.resets_at, fits))
            for decision, outlook in zip(decisions, alone, strict=True)
        ]

    def _outlook(self, shorts: tuple[_Short, ...], grounds: UsageGrounds, now: Instant) -> Outlook:
        customer = shorts[0].decision.case.customer
        place = grounds.ground(customer).funding_seq, tuple(one.place for one in shorts)
        known = self._kept.get(place)
        # The cases are kept with it, so that their identities stay their own.
        if known is None or now >= known[1]:
            found = _look(shorts, grounds, now)
            cases = [one.decision.case for one in shorts]
            ends = [one.good_until for one in cases]
            until = now + _AGAIN if found.resets_at is None else min(found.resets_at, *ends)
            known = self._kept.put(place, (cases, until, found))
        return known[2]


def _short(
    decision: Decision, team: str | None, grounds: UsageGrounds, accounts: Mapping[AccountKey, Purse]
) -> _Short | None:
    """The balance that is against a request; None where it is not for want of what that holds."""
    if decision.reason not in BY_AMOUNT:
        return None
    case = decision.case
    holder = holder_of(grounds.metering.each_of.get(case.feature, "customer"), decision.user, team)
    if holder is None:
        return None
    purse = accounts.get(AccountKey(case.customer, case.feature, holder))
    account = purse.account if isinstance(purse, Recalled) else purse
    return _Short(decision, account) if isinstance(account, Account) else None


def _look(shorts: Sequence[_Short], grounds: UsageGrounds, now: Instant) -> Outlook:
    """Look ahead for some balances of one customer."""
    first, catalog = shorts[0].decision, grounds.catalog
    ground = grounds.ground(first.case.customer)
    if ground.terms is None:
        return NOTHING_AHEAD
    terms = ground.terms.terms
    stakes = []
    for decision, account in shorts:
        key = account.course.key
        ahead = partial(course_of, catalog, terms, ground.funding, key)
        stakes.append(Stake(key.feature, account, decision.quantity, ahead, ground.funding))
    return look_ahead(stakes, Asker(Snapshot(catalog, terms), first.user, first.context or Context()), now)
