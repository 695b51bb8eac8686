"""Overrides: dated exceptions for one customer, which give or deny one feature."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, structs, to_builtins

from licet.core.catalog import Amount, Catalog, Deployment, Id, Include, Window
from licet.core.check_include import check_conditions, check_include
from licet.core.instant import instant_words
from licet.core.orders import subject_of
from licet.core.problem import Problems
from licet.core.spelling import nearest
from licet.core.terms import MAX_OVERRIDES, Override
from licet.seal.ids import new_id
from licet.services.customers import business_now, lock
from licet.services.errors import Conflict, Invalid, NotFound
from licet.services.normal import invalid, normal
from licet.services.ports import Tx
from licet.services.rows import Draft
from licet.services.terms import next_revision
from licet.services.truth import Catalogs


class AddOverride(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An exception from ``starts_at`` (now by default) until ``ends_at`` (exclusive; open-ended by default)."""

    feature: Id
    effect: Literal["give", "deny"] = "give"
    amount: Amount | None = None
    value: Annotated[str, Meta(max_length=200)] | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    kind: Literal["exception", "promotion", "correction"] = "exception"
    when: Annotated[str, Meta(max_length=4096)] | None = None
    deployments: tuple[Deployment, ...] | None = None
    regions: tuple[Id, ...] | None = None
    window: Window | None = None
    note: Annotated[str, Meta(max_length=2000)] = ""


class EndOverride(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End an override at an instant; now by default."""

    at: datetime | None = None


async def add_override(tx: Tx, customer: str, command: AddOverride, catalogs: Catalogs) -> Override:
    """Add an override; leaves ``override.added`` and a revision of the terms.

    Raises NotFound (customer), Invalid (it does not fit the feature), or Conflict (no catalog, too many overrides).
    """
    command = normal(command)
    catalog = (await catalogs.current(tx)).document
    _check(catalog, command)
    before, now = await lock(tx, customer), business_now(tx)
    starts_at = command.starts_at or now
    if command.ends_at is not None and command.ends_at <= starts_at:
        raise invalid("ends_at", f"{instant_words(command.ends_at)} is not after the start, {instant_words(starts_at)}")
    if len(before.terms.overrides) >= MAX_OVERRIDES:
        raise Conflict(f"customer {customer} has {MAX_OVERRIDES} overrides already", advice="sell an add-on instead")
    override = Override(
        id=new_id("ovr", tx.time.wall),
        feature=command.feature,
        effect=command.effect,
        amount=command.amount,
        value=command.value,
        starts_at=starts_at,
        ends_at=command.ends_at,
        kind=command.kind,
        when=command.when,
        deployments=command.deployments,
        regions=command.regions,
        window=command.window,
        note=command.note,
    )
    event = await tx.record(
        Draft(
            type="override.added",
            subject=subject_of("customer", customer),
            after=to_builtins(override),
            effective_at=starts_at,
            revision=next_revision(before),
        )
    )
    override = structs.replace(override, event=event)
    await tx.put_terms(customer, structs.replace(before.terms, overrides=(*before.terms.overrides, override)))
    return override


async def end_override(tx: Tx, customer: str, override: str, command: EndOverride) -> Override:
    """End an override; leaves ``override.ended``. One that ends before it began never counted.

    Raises NotFound, Invalid (an end before now rewrites the past) or Conflict (it has ended already).
    """
    command = normal(command)
    before, now = await lock(tx, customer), business_now(tx)
    known = next((one for one in before.terms.overrides if one.id == override), None)
    if known is None:
        raise NotFound(f"customer {customer} has no override {override!r}", advice="read the customer's terms")
    ends_at = command.at or now
    if ends_at < now:
        raise invalid(
            "at", f"{instant_words(ends_at)} has passed; it is {instant_words(now)}", "the past stays as it was"
        )
    if known.ends_at is not None and known.ends_at <= ends_at:
        raise Conflict(f"override {override} ends already at {instant_words(known.ends_at)}", advice="add a new one")
    ended = structs.replace(known, ends_at=max(ends_at, known.starts_at))
    kept = tuple(ended if one.id == override else one for one in before.terms.overrides)
    await tx.record(
        Draft(
            type="override.ended",
            subject=subject_of("customer", customer),
            before=to_builtins(known),
            after=to_builtins(ended),
            effective_at=ended.ends_at,
            revision=next_revision(before),
        )
    )
    await tx.put_terms(customer, structs.replace(before.terms, overrides=kept))
    return ended


def _check(catalog: Catalog, command: AddOverride) -> None:
    """Raise Invalid with everything about an override that does not fit its feature."""
    if command.feature not in catalog.features:
        meant = nearest(command.feature, catalog.features)
        raise invalid("feature", f"the catalog has no feature {command.feature!r}", f"write {meant}" if meant else "")
    if command.effect == "deny" and (command.amount is not None or command.value is not None):
        raise invalid("effect", "a denying override takes the whole feature; it has no amount and no value")
    given = Include(
        amount=command.amount,
        value=command.value,
        when=command.when,
        deployments=command.deployments,
        regions=command.regions,
        window=command.window,
    )
    problems = Problems()
    if command.effect == "deny":
        check_conditions(given, (), problems)
    else:
        check_include(catalog, command.feature, given, (), problems)
    if problems.found:
        raise Invalid(
            "the override does not fit: " + "; ".join(str(problem) for problem in problems.found[:3]),
            advice="see problems",
            details={"problems": [to_builtins(problem) for problem in problems.found]},
        )
