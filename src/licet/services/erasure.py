"""Erasing personal values of a customer, or of one user of it. What was agreed, decided and recorded stays.

The log holds commitments only, so it stays whole; what is deleted stands beside it. Ids, attributes and notes are not
personal values here: they are the vendor's own names, and stay.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct, structs

from licet.core.orders import CustomerReferences, name_parts, subject_of
from licet.services.customers import business_now, unknown_customer
from licet.services.erasure_ports import KeptAnswer, PersonalValue, Place
from licet.services.errors import Conflict, NotFound, ServiceError
from licet.services.inbound import Connector
from licet.services.matching import match_customer
from licet.services.ports import Tx, View
from licet.services.rows import DeliveryRow, Draft, FindingRow, Page, SourceRow

INSTEAD: Final = "(erased)"
"""What stands where a personal value was quoted."""
WORDS_OF_ERASED: Final = "its body was erased with personal values"
_PAGE: Final = 200
_SHORTEST: Final = 3
"""A value of fewer characters is looked for as a whole text only: inside of others it would be found everywhere."""
_TOLD: Final = 5


class Erase(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether it is only counted what would be erased."""

    dry_run: bool = False
    """Count what there is, and erase nothing."""


class Removed(Struct, frozen=True, kw_only=True):
    """How much was erased, or would be, of each kind."""

    names: int = 0
    """Rows of today (the customer's, its users') that hold a name or a mail address."""
    values: int = 0
    """Personal values beside the log, with their salts."""
    check_records: int = 0
    """Recorded checks."""
    check_counts: int = 0
    """Counts of checks that name a user; what was counted stays, without the user."""
    deliveries: int = 0
    """Messages of foreign systems, whose bodies are replaced by a marker."""
    answers: int = 0
    """Answers kept under idempotency keys."""
    findings: int = 0
    """Findings that quote a personal value."""


class Erased(Struct, frozen=True, kw_only=True):
    """What became of the personal values of a customer, or of one user."""

    customer: str
    user: str | None
    dry_run: bool
    removed: Removed
    nothing_left: bool
    """There was nothing to erase (any more): nothing was written."""
    erased_at: datetime | None
    """When it was erased, now or before; None where it never was."""
    not_applied: int = 0
    """Messages about the customer that failed or wait. While there are any, nothing is erased."""


class Holding(NamedTuple):
    """What else erasing needs: what reads messages, and the routes whose kept answers hold names."""

    connectors: Mapping[str, Connector]
    routes: Sequence[str]


class _Found(NamedTuple):
    """Everything that holds a personal value."""

    values: Sequence[PersonalValue]
    users: frozenset[str]
    """Users whose rows are emptied or marked."""
    deliveries: Sequence[DeliveryRow]
    """Without their bodies."""
    answers: Sequence[KeptAnswer]
    """Without their contents."""
    findings: Sequence[FindingRow]
    """As they are once nothing is quoted any more."""
    words: frozenset[str]
    removed: Removed


async def erase(tx: Tx, holding: Holding, customer: str, user: str | None, command: Erase) -> Erased:
    """Erase the personal values of a customer and all its users, or of one user; all of it or nothing.

    Whoever was only asked about, and stands in checks alone, is erased from them: no customer or user row is needed.
    Leaves ``customer.erased`` or ``user.erased`` with the numbers, and nothing at all where nothing is left. Raises
    NotFound, or Conflict while a message that holds some has failed or waits: erased, it could not be applied any more.
    """
    if not command.dry_run:
        await tx.lock_customer(customer)
    before = await _erased_before(tx, customer, user)
    found = await _find(tx, holding, customer, user)
    undone = [one for one in found.deliveries if one.outcome in ("failed", "waiting")]
    nothing = found.removed == Removed()
    answer = Erased(
        customer=customer,
        user=user,
        dry_run=command.dry_run,
        removed=found.removed,
        nothing_left=nothing,
        erased_at=before,
        not_applied=len(undone),
    )
    if command.dry_run or nothing:
        return answer
    if undone:
        raise _not_applied(undone)
    now = business_now(tx)
    await _remove(tx, customer, user, found, now)
    subject = _subject(customer, user)
    told = {"id": customer if user is None else user} | msgspec.to_builtins(found.removed)
    if user is None:
        told["users"] = len(found.users)
    kind = f"{'customer' if user is None else 'user'}.erased"
    await tx.record(Draft(type=kind, subject=subject, after=told, effective_at=now))
    return structs.replace(answer, erased_at=now)


async def _erased_before(tx: Tx, customer: str, user: str | None) -> datetime | None:
    """Return when it was erased last; raises NotFound for who stands in no row, in no check and never was erased."""
    row = await tx.customer(customer) if user is None else await tx.user(customer, user)
    if row is not None:
        return row.erased_at
    subject = _subject(customer, user)
    events = await tx.events(Page(limit=500), subject=subject, type=f"{'customer' if user is None else 'user'}.erased")
    if not events and not any(await tx.checks_about(customer, user)):
        raise unknown_customer(customer) if user is None else await _unknown_user(tx, customer, user)
    return events[-1].effective_at if events else None


async def _unknown_user(view: View, customer: str, user: str) -> NotFound:
    if await view.customer(customer) is None:
        return unknown_customer(customer)
    return NotFound(
        f"customer {customer} has no user {user!r}, and no check on record or counted names one",
        advice="ids are case-sensitive; list the customer's users, or look with: licet checks --by user",
    )


def _subject(customer: str, user: str | None) -> str:
    return subject_of("customer", customer, *(() if user is None else ("user", user)))


async def _find(tx: Tx, holding: Holding, customer: str, user: str | None) -> _Found:
    values = await tx.personal_values_of(customer, user)
    named = await tx.named_rows(customer, user)
    whose = {one.user for one in values} | {one.user for one in named}
    told = {one.value for one in values} | {text for row in named for text in (row.name, row.email) if text}
    words = frozenset(told)
    deliveries = [
        structs.replace(row, body=b"")
        async for row in deliveries_about(tx, holding.connectors, customer)
        if user is None or _quotes(texts_in(row.body), words)
    ]
    answers = [one async for one in _answers(tx, holding.routes, customer, user)]
    findings = [one async for one in _findings(tx, customer, deliveries, words)]
    records, counts = await tx.checks_about(customer, user)
    removed = Removed(
        names=len(named),
        values=len(values),
        check_records=records,
        check_counts=counts,
        deliveries=len(deliveries),
        answers=len(answers),
        findings=len(findings),
    )
    users = frozenset(one for one in whose if one is not None)
    return _Found(values, users, deliveries, answers, findings, words, removed)


async def _remove(tx: Tx, customer: str, user: str | None, found: _Found, now: datetime) -> None:
    await tx.drop_values(found.values)
    users = sorted(found.users) if user is None else [user]
    await tx.drop_names(customer, whole=user is None, users=users, at=now)
    for source in {one.source for one in found.deliveries}:
        rows = [one for one in found.deliveries if one.source == source]
        words = {one.id: _without(one.words, found.words) or WORDS_OF_ERASED for one in rows}
        await tx.blank_deliveries(source, words, now)
    await tx.blank_answers(found.answers)
    for one in found.findings:
        await tx.scrub_finding(one)
    await tx.drop_checks(customer, user)


async def deliveries_about(
    view: View, connectors: Mapping[str, Connector], customer: str
) -> AsyncIterator[DeliveryRow]:
    """Yield the messages, not erased yet, that name a customer as their source does: by any foreign name it has had,
    by one of its subscriptions or payments, or by our own id.

    Every kept message is looked through. One that names another customer besides is about both.
    """
    known = await view.foreign_names(customer)
    for source in await view.sources():
        names = known.get(source.id, frozenset())
        place: Place | None = None
        while True:
            ids, place = await view.deliveries_naming(source.id, [*names, customer], place)
            for one in ids:
                row = await view.delivery(source.id, one)
                if row is None:
                    continue
                named = not names.isdisjoint(texts_in(row.body))
                if named or await _means(view, connectors.get(source.kind), source, row, customer):
                    yield row
            if place is None:
                break


async def _means(view: View, connector: Connector | None, source: SourceRow, row: DeliveryRow, customer: str) -> bool:
    """Whether a message that holds our own id means our customer by it."""
    if connector is None:
        return False
    try:
        reading = connector.read(row.body, source.id, source.settings)
    except ServiceError:
        return False
    references = getattr(reading, "customer", None)
    if not isinstance(references, CustomerReferences):
        return False
    match = await match_customer(view, source.id, references, getattr(reading, "external_id", None))
    return customer in (match.customer, match.create)


def texts_in(body: bytes) -> frozenset[str]:
    """Return every text in a JSON body, names of fields included; the words of one that is no JSON."""
    try:
        left = [msgspec.json.decode(body)]
    except (msgspec.DecodeError, RecursionError):
        return frozenset(body.decode("utf-8", "replace").replace('"', " ").split())
    found: set[str] = set()
    while left:
        value = left.pop()
        if isinstance(value, str):
            found.add(value)
        elif isinstance(value, dict):
            found.update(value)
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
    return frozenset(found)


async def _answers(tx: Tx, routes: Sequence[str], customer: str, user: str | None) -> AsyncIterator[KeptAnswer]:
    """Yield the kept answers that show the customer's record or a user's, without their contents."""
    place: tuple[str, str] | None = ("", "")
    while place is not None:
        found, place = await tx.kept_answers(routes, customer, place, _PAGE)
        for one in found:
            if _shows(one.content, customer, user):
                yield structs.replace(one, content=b"")


def _shows(content: bytes, customer: str, user: str | None) -> bool:
    try:
        told = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return False
    if not isinstance(told, dict) or not {"name", "email"} <= told.keys():
        return False
    if told.get("customer") == customer:
        return user in (None, told.get("id"))
    return user is None and "external_ids" in told and told.get("id") == customer


async def _findings(
    view: View, customer: str, deliveries: Iterable[DeliveryRow], words: frozenset[str]
) -> AsyncIterator[FindingRow]:
    """Yield the findings that quote a personal value, as they are without it."""
    subjects = [":".join(name_parts(one.source, one.id)) for one in deliveries]
    after: str | None = ""
    while after is not None:
        rows = await view.findings_about(customer, subjects, after, _PAGE)
        for row in rows:
            clean = structs.replace(
                row,
                words=_without(row.words, words),
                repair=_without(row.repair, words),
                evidence={name: _clean(value, words) for name, value in row.evidence.items()},
            )
            if clean != row:
                yield clean
        after = rows[-1].id if len(rows) == _PAGE else None


def _clean(value: Any, words: frozenset[str]) -> Any:
    """Return a value of evidence without what it quotes."""
    if isinstance(value, str):
        return _without(value, words)
    return [_clean(one, words) for one in value] if isinstance(value, list) else value


def _without(text: str, words: frozenset[str]) -> str:
    """Return a text in which something else stands for each personal value, the longest first."""
    if text in words:
        return INSTEAD
    for word in sorted((one for one in words if len(one) >= _SHORTEST and one in text), key=len, reverse=True):
        text = text.replace(word, INSTEAD)
    return text


def _quotes(texts: Iterable[str], words: frozenset[str]) -> bool:
    """Whether any of these texts holds a personal value, in any case."""
    plain = [one.casefold() for one in texts]
    whole = set(plain)
    wanted = {one.casefold() for one in words}
    return not wanted.isdisjoint(whole) or any(
        word in one for word in wanted if len(word) >= _SHORTEST for one in plain
    )


def _not_applied(undone: Sequence[DeliveryRow]) -> Conflict:
    named = ", ".join(f"{one.id} of {one.source} ({one.outcome})" for one in undone[:_TOLD])
    more = f" and {len(undone) - _TOLD} more" if len(undone) > _TOLD else ""
    return Conflict(
        f"{len(undone)} messages that may hold personal values were not applied yet: {named}{more}",
        advice="try them again or give them up first: once erased, they cannot be applied",
    )
