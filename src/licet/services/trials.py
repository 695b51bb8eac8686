"""Trials of a subscription sold by hand: a longer one, or one that becomes paid before its end."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from licet.services.errors import Conflict
from licet.services.manual import (
    Agreed,
    ChangeResult,
    Moment,
    agreed_on,
    carry_out,
    check_running,
    instant_of,
    told,
    whole_order,
)
from licet.services.normal import invalid, normal
from licet.services.ports import Tx
from licet.services.truth import Catalogs

_OVER: Final = "give what they still need as an override with an end, or sell anew with another trial"


class ExtendTrial(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let a trial last longer."""

    until: Moment
    """Its new end, exclusive: an instant after the present one."""
    dry_run: bool = False
    """Write nothing; answer what becomes different at the present end."""


class ConvertTrial(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End a trial now: from then on the subscription is paid."""

    dry_run: bool = False
    """Write nothing; answer what becomes different."""


async def extend_trial(
    tx: Tx, customer: str, subscription: str, command: ExtendTrial, catalogs: Catalogs
) -> ChangeResult:
    """Let a trial that is not over end later; what follows it stays the same. Leaves what an order leaves.

    Raises NotFound; Invalid (not later than its present end, or after the subscription's); Conflict (no trial, it is
    over so that what followed has taken place already, or a change is planned for the time that would become trial).
    """
    command = normal(command)
    agreed = await agreed_on(tx, customer, subscription, catalogs)
    check_running(agreed)
    _check_trial(agreed)
    known, until = agreed.known, instant_of(command.until, "until")
    if known.trial_end is None or until <= known.trial_end:
        ends = "" if known.trial_end is None else told(known.trial_end)
        raise invalid("until", f"{told(until)} is not after the present end of the trial, {ends}")
    if known.ends_at is not None and until > known.ends_at:
        raise invalid("until", f"{told(until)} is after the end of the subscription, {told(known.ends_at)}")
    _check_planned(agreed, until)
    order = whole_order(agreed, agreed.blocks, trial_end=until, trial_end_behavior=known.trial_end_behavior)
    return await carry_out(tx, agreed, order, known.trial_end, catalogs, dry_run=command.dry_run)


async def convert_trial(
    tx: Tx, customer: str, subscription: str, command: ConvertTrial, catalogs: Catalogs
) -> ChangeResult:
    """End a running trial now into what is paid, whatever was to follow it. Leaves what an order leaves.

    Raises NotFound or Conflict (no trial, it is over, or it has not begun).
    """
    agreed = await agreed_on(tx, customer, subscription, catalogs)
    check_running(agreed)
    _check_trial(agreed)
    known = agreed.known
    begins = known.trial_start or known.phases[0].starts_at
    if begins > agreed.now:
        raise Conflict(f"the trial of {known.id} begins only at {told(begins)}", advice="convert it from then on")
    order = whole_order(agreed, agreed.blocks, trial_start=begins, trial_end=agreed.now, trial_end_behavior="convert")
    return await carry_out(tx, agreed, order, agreed.now, catalogs, dry_run=command.dry_run)


def _check_planned(agreed: Agreed, until: datetime) -> None:
    """Raise Conflict where a change that is planned for after the trial would become part of it."""
    ends_at = agreed.known.trial_end
    within = [one for one in agreed.scheduled if ends_at is not None and ends_at <= one.effective_at < until]
    if within:
        at = told(within[0].effective_at)
        raise Conflict(
            f"a change is scheduled for {at}, after the present end of the trial; it would be part of the longer one",
            advice=f"let it last until {at} at most, or take the change back first (unschedule)",
        )


def _check_trial(agreed: Agreed) -> None:
    """Raise Conflict unless there is a trial that is not over."""
    known = agreed.known
    if known.trial_end is None:
        raise Conflict(f"subscription {known.id} has no trial", advice="trials are sold: sell with trial, such as P14D")
    if known.trial_end <= agreed.now:
        raise Conflict(f"the trial of {known.id} was over at {told(known.trial_end)}", advice=_OVER)
