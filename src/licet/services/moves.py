"""Moves of customers from one version of a plan or add-on to another: announced, done in batches, and taken back.

A move goes through its customers by id, so many in one transaction, and keeps the place that it has come to in the
same transaction: killed anywhere, it goes on with the next customer. What it does to a customer is one dated fact in
the terms with its event; nothing that was bought, given or paid is touched.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct, structs, to_builtins

from licet.core.compiled import CompiledCatalog
from licet.core.impact import NO_USES
from licet.core.orders import subject_of
from licet.core.terms import VersionMove
from licet.seal.ids import new_id
from licet.services.customers import business_now
from licet.services.move_commands import ready_move, stand_alone
from licet.services.move_losses import Losing
from licet.services.move_ports import MoveCommand, MovedRow, MoveRow, Sought
from licet.services.move_previews import consent_to_move, consent_to_return
from licet.services.move_terms import MovePlan, move_back
from licet.services.move_views import MoveView, known_move, view_of
from licet.services.normal import invalid
from licet.services.ports import Tx
from licet.services.rows import Draft, Page, TermsRow
from licet.services.terms import next_revision
from licet.services.truth import Catalogs

BATCH: Final = 200
"""Customers that one transaction changes at most."""
LOOK: Final = 5000
"""Customers that one transaction looks through at most."""
MAX_WORDS: Final = 2000


async def create_move(
    tx: Tx, command: MoveCommand, catalogs: Catalogs, *, preview: str | None = None, max_losing: int = 0, note: str = ""
) -> MoveView:
    """Begin a move; ``advance_move`` does it. Leaves ``move.begun``, which names the preview and its numbers.

    Without a ``preview`` only where at most 1,000 customers are concerned and none of them loses anything. Raises
    Invalid, NoCatalog, PreviewRequired, PreviewStale, BlastRadius, or Conflict while another move of the same item is
    not done.
    """
    checked, catalog = await ready_move(tx, command, catalogs)
    allowed = await consent_to_move(tx, catalog, checked, preview, max_losing)
    named, now = checked.customers, business_now(tx)
    row = MoveRow(
        id=new_id("mov", tx.time.wall),
        command=checked,
        base=catalog.revision,
        preview=preview,
        max_losing=max_losing,
        total=await tx.count_customers() if named is None else len(named),
        state="moving",
        actor=tx.actor.id,
        note=note,
        created_at=now,
        changed_at=now,
    )
    await tx.put_move(row)
    begun = {"id": row.id, "command": to_builtins(checked), "base": row.base, "total": row.total}
    consented = None if allowed is None else to_builtins(allowed)
    await tx.record(Draft(type="move.begun", subject=subject_of("move", row.id), after={**begun, "preview": consented}))
    return view_of(row)


async def advance_move(
    tx: Tx, move: str, catalogs: Catalogs, *, look: int = LOOK, max_losing: int | None = None
) -> MoveView:
    """Do the next batch of a move, or of taking it back; nothing where it is done.

    Leaves one event for each subscription and one when all is done; ``move.advanced`` where a batch met nobody. Two at
    once take turns, and each goes on where the other has come to. ``look`` is how many customers it looks through;
    ``max_losing`` raises how many may lose by the move, which leaves ``move.allowed``. Raises NotFound, Invalid, or
    BlastRadius where more would lose with this batch than may: then nobody of it is moved.
    """
    row = await known_move(tx, move)
    if max_losing is not None and row.state in ("moving", "reversing"):
        row = await _allow(tx, row, max_losing)
    if row.state == "moving":
        row = await _forward(tx, row, await catalogs.current(tx), look)
    elif row.state == "reversing":
        row = await _backward(tx, row, await catalogs.current(tx))
    return view_of(row)


async def reverse_move(
    tx: Tx, move: str, catalogs: Catalogs, *, preview: str | None = None, max_losing: int = 0
) -> MoveView:
    """Begin to take a move back, done or not; ``advance_move`` does it. Nothing where that was begun already.

    Leaves ``move.reversing``, which names the preview and its numbers. Without a ``preview`` only where at most 1,000
    subscriptions were moved and nobody loses anything by the way back. Raises NotFound, PreviewRequired, PreviewStale,
    BlastRadius, or Conflict while another move of the same item is not done.
    """
    row = await known_move(tx, move)
    if row.state in ("reversing", "reversed"):
        return view_of(row)
    await stand_alone(tx, row.command, move)
    allowed = await consent_to_return(tx, await catalogs.current(tx), row, preview, max_losing)
    row = structs.replace(row, state="reversing", at_customer="", changed_at=business_now(tx))
    await _keep(tx, row, "move.reversing", {"preview": None if allowed is None else to_builtins(allowed)})
    return view_of(row)


async def _forward(tx: Tx, row: MoveRow, catalog: CompiledCatalog, look: int) -> MoveRow:
    """Move the next customers and keep the place."""
    plan = MovePlan(catalog, row.command, row.id)
    batch = await _next(tx, row, plan, look)
    found: list[MovedRow] = []
    losing, uses = Losing(catalog, row, tx.time.business), await tx.uses_said(batch.customers)
    for customer in batch.customers:
        before = await tx.lock_customer(customer)
        if before is not None:
            losing.judge(before, uses.get(customer, NO_USES))
            found += await _move_one(tx, row, plan, before)
    losing.check()
    await tx.put_moved(found)
    made = sum(one.state == "moved" for one in found)
    row = structs.replace(
        row,
        state="moved" if batch.last else "moving",
        at_customer=batch.reached,
        looked_at=row.looked_at + batch.looked_at,
        moved=row.moved + made,
        left_out=row.left_out + len(found) - made,
        losing=losing.count,
        changed_at=business_now(tx),
    )
    await _keep(tx, row, "move.finished" if batch.last else None if made else "move.advanced")
    return row


async def _allow(tx: Tx, row: MoveRow, max_losing: int) -> MoveRow:
    """Let more customers lose by a move than were allowed so far; raises Invalid for fewer."""
    if row.state == "reversing":
        raise invalid("max_losing", "the move is being taken back", "leave it out: nobody else is moved any more")
    if max_losing < row.max_losing:
        words = f"{max_losing:,} is less than the {row.max_losing:,} that may lose by this move"
        raise invalid("max_losing", words, "it is only ever raised; reverse the move to take it back")
    if max_losing > row.max_losing:
        before, after = {"max_losing": row.max_losing}, {"id": row.id, "max_losing": max_losing, "losing": row.losing}
        await tx.record(Draft(type="move.allowed", subject=subject_of("move", row.id), before=before, after=after))
    return structs.replace(row, max_losing=max_losing)


class _Batch(Struct, frozen=True):
    """The customers whose turn it is, and the place that is reached with them."""

    customers: tuple[str, ...]
    reached: str
    looked_at: int
    last: bool


async def _next(tx: Tx, row: MoveRow, plan: MovePlan, look: int) -> _Batch:
    """Find the next customers to look at closely: those named, else those whose terms name what is sought."""
    named = row.command.customers
    if named is not None:
        left = [one for one in named if one > row.at_customer]
        turn = tuple(left[:BATCH])
        return _Batch(turn, turn[-1] if turn else row.at_customer, len(turn), len(left) <= BATCH)
    origins = tuple(sorted((item, version) for _, item, version in plan.origins))
    sought, after = Sought(items=origins, cohort=row.command.cohort), row.at_customer
    found: list[str] = []
    looked_at, size, last = 0, BATCH, False
    while len(found) < BATCH and looked_at < look and not last:
        size = min(size, look - looked_at)
        page = await tx.seeking(sought, Page(after=after, limit=size))
        last, size = len(page) < size, 2 * size
        for after, named_there in page:
            looked_at += 1
            if named_there:
                found.append(after)
            if len(found) == BATCH:
                last = last and after == page[-1][0]
                break
    return _Batch(tuple(found), after, looked_at, last)


async def _move_one(tx: Tx, row: MoveRow, plan: MovePlan, before: TermsRow) -> list[MovedRow]:
    """Move one locked customer's subscriptions; the fact in the terms and its event are the notice."""
    terms, now = before.terms, business_now(tx)
    done = plan.forward(terms, tx.time.business)
    facts: dict[str, VersionMove] = {}
    for fact in done.moves:
        announced = fact.starts_at > now
        event = await tx.record(
            Draft(
                type="subscription.move_announced" if announced else "subscription.moved",
                subject=subject_of("customer", terms.customer),
                after={**to_builtins(fact), "note": row.note} if row.note else to_builtins(fact),
                effective_at=fact.starts_at,
                revision=next_revision(before),
            )
        )
        facts[fact.subscription] = structs.replace(fact, event=event)
    if facts:
        moves = tuple(facts.get(one.subscription, one) if one.id == row.id else one for one in done.terms.moves)
        await tx.put_terms(terms.customer, structs.replace(done.terms, moves=moves))
    customer = terms.customer
    told = [
        MovedRow(move=row.id, customer=customer, subscription=name, state="moved", effective_at=fact.starts_at)
        for name, fact in facts.items()
    ]
    told += [_left_out(row, customer, one.subscription, one.words) for one in done.left_out]
    if not told and row.command.customers is not None:
        told.append(_left_out(row, customer, "", plan.nothing(terms, tx.time.business).words))
    return told


async def _backward(tx: Tx, row: MoveRow, catalog: CompiledCatalog) -> MoveRow:
    """Take the next customers' moves back and keep the place."""
    rows = await tx.still_moved(row.id, Page(after=row.at_customer, limit=BATCH))
    customers = sorted({one.customer for one in rows})
    found = []
    for customer in customers:
        before = await tx.lock_customer(customer)
        if before is not None:
            found += await _unmove_one(tx, catalog, before, [one for one in rows if one.customer == customer])
    await tx.put_moved(found)
    back = sum(one.state == "reversed" for one in found)
    last = len(customers) < BATCH
    row = structs.replace(
        row,
        state="reversed" if last else "reversing",
        at_customer=customers[-1] if customers else row.at_customer,
        reversed=row.reversed + back,
        kept=row.kept + len(found) - back,
        changed_at=business_now(tx),
    )
    await _keep(tx, row, "move.reversed" if last else None if back else "move.advanced")
    return row


async def _unmove_one(tx: Tx, catalog: CompiledCatalog, before: TermsRow, moved: Sequence[MovedRow]) -> list[MovedRow]:
    """Take the moves of one locked customer back, each with its event."""
    terms, now = before.terms, business_now(tx)
    found = []
    for one in moved:
        done = move_back(catalog, terms, one.move, one.subscription, tx.time.business)
        if done.move is not None and done.terms != terms:
            begun = done.move.starts_at < now
            await tx.record(
                Draft(
                    type="subscription.move_ended" if done.words else _TAKEN[begun],
                    subject=subject_of("customer", terms.customer),
                    before=to_builtins(done.move),
                    after=to_builtins(structs.replace(done.move, ends_at=now)) if begun else None,
                    revision=next_revision(before),
                )
            )
        terms = done.terms
        found.append(structs.replace(one, state="kept" if done.words else "reversed", words=done.words[:MAX_WORDS]))
    if terms != before.terms:
        await tx.put_terms(terms.customer, terms)
    return found


_TAKEN: Final = {True: "subscription.moved_back", False: "subscription.move_withdrawn"}
"""By whether it had begun."""


async def _keep(tx: Tx, row: MoveRow, event: str | None, more: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Keep how far a move has come; ``event`` says what that means for it as a whole, where it means anything."""
    await tx.change_move(row)
    if event is not None:
        counts = {name: getattr(row, name) for name in ("looked_at", "moved", "left_out", "reversed", "kept", "losing")}
        about = {"id": row.id, "state": row.state, **counts, **more}
        await tx.record(Draft(type=event, subject=subject_of("move", row.id), after=about))


def _left_out(row: MoveRow, customer: str, subscription: str, words: str) -> MovedRow:
    return MovedRow(
        move=row.id,
        customer=customer,
        subscription=subscription,
        state="left_out",
        effective_at=None,
        words=words[:MAX_WORDS],
    )
