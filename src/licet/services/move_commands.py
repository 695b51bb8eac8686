"""The command to move customers between versions, checked against what there is and in its one normal form."""

import hashlib
from typing import Final

from msgspec import Struct, structs

from licet.core.compiled import CompiledCatalog
from licet.core.instant import DAY, instant_words, parse_duration
from licet.core.spelling import nearest
from licet.seal.canonical import canonical
from licet.services.customers import business_now
from licet.services.errors import Conflict
from licet.services.manual import instant_of
from licet.services.move_ports import MoveCommand
from licet.services.move_terms import NOW, PERIOD_END
from licet.services.normal import invalid, normal
from licet.services.ports import View
from licet.services.truth import Catalogs

MAX_NOTICE_DAYS: Final = 3660
"""Ten years."""


def subject_hash(subject: Struct) -> str:
    """Return the SHA-256 of a normal command, or of what else is previewed: a preview holds for exactly this."""
    return hashlib.sha256(canonical(subject)).hexdigest()


async def ready_move(view: View, command: MoveCommand, catalogs: Catalogs) -> tuple[MoveCommand, CompiledCatalog]:
    """Return what ``normal_move`` does, where no other move of the same item is under way.

    Raises Conflict where one is, before anybody was judged.
    """
    checked, catalog = await normal_move(view, command, catalogs)
    await stand_alone(view, checked)
    return checked, catalog


async def stand_alone(view: View, command: MoveCommand, move: str | None = None) -> None:
    """Raise Conflict while a move of the same item, another one than ``move``, is not done."""
    other = await view.unfinished_move(command.kind, command.item)
    if other is not None and other != move:
        raise Conflict(
            f"another move of {command.item} is not done yet: {other}",
            advice=f"go on with it: `licet catalog move resume {other}`, or take it back: "
            f"`licet catalog move reverse {other}`",
        )


async def normal_move(view: View, command: MoveCommand, catalogs: Catalogs) -> tuple[MoveCommand, CompiledCatalog]:
    """Return a command in its normal form, and the newest catalog, which has what it names.

    Raises NoCatalog, or Invalid for what the catalog or the workspace does not have, and for an instant that is past.
    """
    command = normal(command)
    catalog = await catalogs.current(view)
    _check_versions(catalog, command)
    known = catalog.document.cohorts
    if command.cohort is not None and command.cohort not in known:
        raise invalid("cohort", f"the catalog has no cohort {command.cohort!r}", _meant(nearest(command.cohort, known)))
    if command.at not in (NOW, PERIOD_END):
        at, now = instant_of(command.at, "at"), business_now(view)
        if at < now:
            words = f"{instant_words(at)} is past; it is {instant_words(now)}"
            raise invalid("at", words, "name now, period_end or a later instant: the past stays as it was")
        command = structs.replace(command, at=instant_words(at))
    if command.notice is not None:
        _check_notice(command.notice)
    if command.customers is not None:
        named = tuple(sorted(set(command.customers)))
        absent = await view.unknown_customers(named)
        if absent:
            words = f"{absent[0]!r} is no customer" + (f", nor are {len(absent) - 1} more" if absent[1:] else "")
            raise invalid("customers", words, "check the spelling: ids are case-sensitive")
        command = structs.replace(command, customers=named)
    return command, catalog


def _check_versions(catalog: CompiledCatalog, command: MoveCommand) -> None:
    """Raise Invalid where the catalog lacks the item or one of the versions, or both are the same."""
    kind = command.kind
    versions = sorted(version for of, item, version in catalog.versions if (of, item) == (kind, command.item))
    if not versions:
        items = {item for of, item, _ in catalog.versions if of == kind}
        raise invalid("item", f"the catalog has no {kind} {command.item!r}", _meant(nearest(command.item, items)))
    for field, version in (("from_version", command.from_version), ("to_version", command.to_version)):
        if version not in versions:
            raise invalid(field, f"{command.item} has no version {version!r}", f"it has {', '.join(versions[-20:])}")
    if command.from_version == command.to_version:
        raise invalid("to_version", f"{command.item} is to be moved from {command.to_version} to itself")


def _check_notice(text: str) -> None:
    """Raise Invalid for what is no duration, or a longer one than ten years."""
    try:
        span = parse_duration(text)
    except ValueError as wrong:
        raise invalid("notice", str(wrong), "write it as P30D or P1M") from None
    if span.months * 31 + span.days + span.micros // DAY > MAX_NOTICE_DAYS:
        raise invalid("notice", f"{text} is longer than ten years", "write a shorter notice, such as P30D")


def _meant(name: str | None) -> str:
    return f"was {name} meant?" if name else "see what it has: licet catalog pull"
