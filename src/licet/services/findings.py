"""Findings: discrepancies with an owner. The same kind about the same subject is one finding, counted up."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType, structs, to_builtins

from licet.core.finding import KINDS, days_of, owner_of, repair_of
from licet.core.orders import FindingDraft
from licet.core.spelling import nearest
from licet.seal.ids import new_id
from licet.services.customers import business_now
from licet.services.errors import Conflict, NotFound
from licet.services.normal import invalid, normal
from licet.services.ports import Tx, View
from licet.services.rows import Draft, FindingFilter, FindingRow, FindingState, Page

MAX_SUBJECT: Final = 400
MAX_WORDS: Final = 4000
_VERBS: Final[dict[FindingState, str]] = {"open": "reopened", "resolved": "resolved", "dismissed": "dismissed"}


class ChangeFinding(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes; what is left out stays."""

    owner: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType | None = UNSET
    """Who settles it, a role or a short name; null gives it back to the role of its kind."""
    due_at: datetime | UnsetType | None = UNSET
    """By when; null for no date."""
    state: FindingState | UnsetType = UNSET
    """``resolved`` (the cause is gone), ``dismissed`` (it may stay so; needs a note) or ``open`` again."""
    note: Annotated[str, Meta(max_length=2000)] = ""
    """Why; kept with the finding and in the log."""


async def list_findings(view: View, only: FindingFilter, page: Page, *, overdue: bool = False) -> Sequence[FindingRow]:
    """List the findings that a filter keeps, by id, which is the order in which they were opened.

    ``overdue`` keeps the open ones that are due, in business time. Raises Invalid for a kind that does not exist.
    """
    if only.kind is not None and only.kind not in KINDS:
        meant = nearest(only.kind, KINDS)
        advice = f"did you mean {meant}?" if meant else "docs/reference/findings.md lists the kinds"
        raise invalid("kind", f"{only.kind!r} is no kind of finding", advice)
    if overdue:
        if only.state not in (None, "open"):
            raise invalid("overdue", f"a finding that is {only.state} is never overdue", "ask for one of the two")
        only = structs.replace(only, state="open", overdue_at=business_now(view))
    return await view.findings(only, page)


async def get_finding(view: View, finding: str) -> FindingRow:
    """Return one finding; raises NotFound."""
    row = await view.finding(finding)
    if row is None:
        raise NotFound(f"there is no finding {finding!r} in this workspace", advice="list them: licet findings --all")
    return row


async def put_findings(tx: Tx, drafts: Sequence[FindingDraft], *, customer: str | None = None) -> None:
    """Keep what a rule noticed; each that is new leaves ``finding.opened``, one that is open already is counted up.

    So is one that was dismissed, where it says the very same again.

    ``customer`` is whom those are about that do not say. The owner and the due date (in business time) are those of
    the kind and severity when it is first seen.
    """
    now = business_now(tx)
    for draft in drafts:
        about = draft.customer or customer
        row = FindingRow(
            id=new_id("fnd", tx.time.wall),
            kind=draft.kind,
            severity=draft.severity,
            subject=_subject(draft.subject),
            words=draft.words[:MAX_WORDS],
            evidence=dict(draft.evidence),
            first_seen=now,
            last_seen=now,
            customer=about,
            money=draft.money,
            owner=owner_of(draft.kind),
            due_at=now + timedelta(days=days_of(draft.kind, draft.severity)),
            repair=repair_of(draft.kind, draft.subject, draft.evidence, about),
        )
        if await tx.put_finding(row):
            await tx.record(_draft("opened", row, None, _opened(row)))


async def settle_finding(tx: Tx, kind: str, subject: str, words: str) -> bool:
    """Resolve the open finding of a kind about a subject, whose cause is gone; leaves ``finding.resolved``.

    ``words`` say what made it go and become its note. Returns False, and writes nothing, where none is open.
    """
    row = await tx.open_finding(kind, _subject(subject))
    if row is None:
        return False
    await change_finding(tx, row.id, ChangeFinding(state="resolved", note=words[:2000]))
    return True


async def change_finding(tx: Tx, finding: str, command: ChangeFinding) -> FindingRow:
    """Assign, date, annotate, resolve, dismiss or reopen a finding, and return it as it is then.

    Leaves ``finding.resolved``, ``.dismissed``, ``.reopened`` or, where the state stays, ``.changed``; nothing at all
    if nothing changes. Raises NotFound, Invalid (dismissed without a note), or Conflict: it is in that state already,
    it is settled and only an owner or a date would change, or it would be open beside another open one.
    """
    command = normal(command)
    before = await get_finding(tx, finding)
    _check(before, command)
    row = _apply(before, command, business_now(tx))
    if row == before:
        return before
    await tx.change_finding(row)
    verb = "changed" if command.state is UNSET else _VERBS[command.state]
    await tx.record(_draft(verb, row, _changeable(before), _changeable(row)))
    return row


def _check(before: FindingRow, command: ChangeFinding) -> None:
    """Raise Invalid or Conflict for a change that means nothing in the finding's state."""
    if command.state == before.state:
        raise Conflict(f"finding {before.id} is {before.state} already", advice="nothing needs to be done")
    if command.state == "dismissed" and not command.note.strip():
        raise invalid("note", "a finding is dismissed with a note", "say why it may stay as it is")
    moved = command.owner is not UNSET or command.due_at is not UNSET
    if before.state != "open" and command.state is UNSET and moved:
        raise Conflict(f"finding {before.id} is {before.state}: nobody owes it any more", advice="reopen it first")


def _apply(before: FindingRow, command: ChangeFinding, now: datetime) -> FindingRow:
    """Return the finding with the command's fields in place."""
    row = before
    if command.owner is not UNSET:
        row = structs.replace(row, owner=command.owner or owner_of(before.kind))
    if command.due_at is not UNSET:
        row = structs.replace(row, due_at=command.due_at)
    if command.state is not UNSET:
        settled = None if command.state == "open" else now
        return structs.replace(row, state=command.state, settled_at=settled, note=command.note)
    return structs.replace(row, note=command.note) if command.note or row.owner != before.owner else row


def _subject(subject: str) -> str:
    """Return a subject that fits its column; a longer one keeps its beginning and stays distinct by its hash."""
    if len(subject) <= MAX_SUBJECT:
        return subject
    return f"{subject[: MAX_SUBJECT - 33]}~{hashlib.sha256(subject.encode()).hexdigest()[:32]}"


def _opened(row: FindingRow) -> dict[str, object]:
    """Return what the log holds of a new finding. Words and evidence stay with the row: they are its newest ones."""
    fields = ("kind", "severity", "customer", "money", "owner", "due_at")
    return {"about": row.subject} | {name: to_builtins(getattr(row, name)) for name in fields}


def _changeable(row: FindingRow) -> dict[str, object]:
    """Return what people change about a finding."""
    return {name: to_builtins(getattr(row, name)) for name in ("state", "owner", "due_at", "note")}


def _draft(verb: str, row: FindingRow, before: object, after: object) -> Draft:
    return Draft(type=f"finding.{verb}", subject=f"finding/{row.id}", before=before, after=after)
