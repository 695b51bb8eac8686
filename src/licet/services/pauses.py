"""Pauses of a subscription sold by hand: a time in which it gives nothing, from now or a later instant on."""

from msgspec import Struct, structs

from licet.core.succession import newest_pauses
from licet.core.terms import MAX_PAUSES, Pause, Subscription
from licet.services.errors import Conflict
from licet.services.manual import (
    ChangeResult,
    Moment,
    agreed_on,
    carry_out,
    check_running,
    instant_of,
    moment_of,
    told,
    whole_order,
)
from licet.services.normal import invalid, normal
from licet.services.ports import Tx
from licet.services.truth import Catalogs


class PauseSubscription(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let a subscription give nothing for a while; from now on where nothing else is said."""

    at: Moment | None = None
    """``now``, ``period_end`` or a later instant."""
    until: Moment | None = None
    """An instant at which it goes on by itself; where absent it is paused until it is resumed."""
    dry_run: bool = False
    """Write nothing; answer what the customer would lose."""


class ResumeSubscription(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End a pause; now where nothing else is said."""

    at: Moment | None = None
    """``now``, ``period_end`` or a later instant. When a planned pause would begin: that pause falls away."""
    dry_run: bool = False
    """Write nothing; answer what the customer would have again."""


async def pause(
    tx: Tx, customer: str, subscription: str, command: PauseSubscription, catalogs: Catalogs
) -> ChangeResult:
    """Pause a subscription sold by hand; leaves what an order leaves.

    Raises NotFound; Invalid (a past instant, an end before the start); Conflict (it has ended, or is paused then).
    """
    command = normal(command)
    agreed = await agreed_on(tx, customer, subscription, catalogs)
    check_running(agreed)
    known = agreed.known
    at = moment_of(agreed, command.at)
    until = None if command.until is None else instant_of(command.until, "until")
    if until is not None and until <= at:
        raise invalid("until", f"{told(until)} is not after {told(at)}, when the pause begins")
    if until is not None and known.ends_at is not None and until > known.ends_at:
        raise invalid("until", f"{told(until)} is after the end of the subscription, {told(known.ends_at)}")
    for one in _pauses(known):
        if (one.ends_at is None or at < one.ends_at) and (until is None or one.starts_at < until):
            raise Conflict(
                f"subscription {subscription} is paused {_words(one)} already",
                advice=f"resume it first, from {told(max(one.starts_at, agreed.now))} on for another pause",
            )
    if len(known.pauses) >= MAX_PAUSES:
        raise Conflict(f"subscription {subscription} was paused {MAX_PAUSES} times; more are not kept")
    pauses = _sorted((*known.pauses, Pause(starts_at=at, ends_at=until)))
    order = whole_order(agreed, agreed.blocks, pauses=pauses)
    return await carry_out(tx, agreed, order, at, catalogs, dry_run=command.dry_run)


async def resume(
    tx: Tx, customer: str, subscription: str, command: ResumeSubscription, catalogs: Catalogs
) -> ChangeResult:
    """End a pause of a subscription sold by hand, that after a trial too; leaves what an order leaves.

    Raises NotFound; Invalid (a past instant); Conflict (it has ended, or is not paused then).
    """
    command = normal(command)
    agreed = await agreed_on(tx, customer, subscription, catalogs)
    check_running(agreed)
    known = agreed.known
    at = moment_of(agreed, command.at)
    held = next(
        (one for one in _pauses(known) if one.starts_at <= at and (one.ends_at is None or at < one.ends_at)), None
    )
    if held is None:
        later = [one for one in _pauses(known) if one.starts_at > at]
        raise Conflict(
            f"subscription {subscription} is not paused at {told(at)}"
            + (f"; it will be {_words(later[0])}" if later else ""),
            advice=f"resume it at {told(later[0].starts_at)} to take that pause back" if later else "",
        )
    rest = tuple(one for one in known.pauses if one != held)
    ended = (structs.replace(held, ends_at=at),) if held.starts_at < at else ()
    changed: dict[str, object] = {"pauses": _sorted((*rest, *ended))}
    if held not in known.pauses:
        changed["trial_end_behavior"] = "convert"
    order = whole_order(agreed, agreed.blocks, **changed)
    return await carry_out(tx, agreed, order, at, catalogs, dry_run=command.dry_run)


def _pauses(known: Subscription) -> tuple[Pause, ...]:
    """The pauses that were agreed, and the one that follows a trial which ends in a pause."""
    found = [*known.pauses]
    if known.trial_end is not None and known.trial_end_behavior == "pause":
        found.append(Pause(starts_at=known.trial_end))
    return _sorted(found)


def _sorted(pauses: "list[Pause] | tuple[Pause, ...]") -> tuple[Pause, ...]:
    return newest_pauses(sorted(pauses, key=lambda one: one.starts_at))


def _words(pause: Pause) -> str:
    """From when until when."""
    return f"from {told(pause.starts_at)} " + ("on" if pause.ends_at is None else f"until {told(pause.ends_at)}")
