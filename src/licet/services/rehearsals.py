"""Rehearsal: the checks on record of a period asked again under a proposed catalog. Writes nothing.

Each is asked at its own instant, of the terms and the user that were known at its basis.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from msgspec import Struct, structs

from licet.core.catalog import Catalog, decode_catalog
from licet.core.compiled import CompiledCatalog
from licet.core.decision import Decision
from licet.core.derive import Memo
from licet.core.instant import to_datetime, to_instant
from licet.core.offer import feature_scale, feature_type
from licet.core.problem import Problem
from licet.core.rehearsal import Again, Counts, Given, Likeness, Reckoning, ask_again, compare, given_by
from licet.core.snapshot import Snapshot
from licet.services.errors import NoCatalog
from licet.services.known import check_asked, check_feature, check_period
from licet.services.normal import normal
from licet.services.past import user_facts
from licet.services.ports import Storage, View
from licet.services.proposals import catalog_invalid, compile_proposed
from licet.services.rehearsal_ports import Held, UserHeld
from licet.services.rehearsal_views import (
    Difference,
    FeatureRehearsal,
    MissingFact,
    Rehearsal,
    RehearsalLine,
    Rehearsed,
    Undecided,
    WasView,
    WouldView,
)
from licet.services.rows import CheckFilter, CheckRecordRow, UserThen
from licet.services.truth import Recent
from licet.wire.catalog_text import CatalogTextError, read_catalog

PERIOD: Final = timedelta(days=30)
"""How far back questions are asked again, unless something else is said."""
MAX_SHOWN: Final = 1_000
PAGE: Final = 100
"""Records that are read at once: decoding them is one turn."""
DECODED_AT_ONCE: Final = 25
"""Terms that are read from storage in one turn: each may be large."""
MAX_SNAPSHOTS: Final = 1_000
TURN_SECONDS: Final = 0.003
"""How long questions are asked before others have their turn."""
TOLD_SECONDS: Final = 0.5
"""How often progress is told."""
MAX_TOLD: Final = 50
"""So many attributes that were not kept are named, and problems of a catalog that could not be released."""
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)


class Script(Struct, frozen=True, kw_only=True):
    """What is rehearsed: which questions, and how many differences are told one by one."""

    customer: str | None = None
    feature: str | None = None
    since: datetime | None = None
    """The first instant of business time; 30 days before the end where it is not given."""
    until: datetime | None = None
    """The end, exclusive; now, and with it, where it is not given."""
    shown: int = 100


class Plan(Struct, frozen=True, kw_only=True):
    """A rehearsal that can begin: the newest release, the proposed catalog, and which questions."""

    base: int
    newest: Catalog
    proposed: Catalog
    unreleasable: tuple[str, ...]
    only: CheckFilter
    until: datetime
    shown: int


async def plan_rehearsal(view: View, text: bytes, script: Script) -> Plan:
    """Read the proposed catalog (YAML or JSON), and settle the period.

    What could not be released is rehearsed all the same, such as another number in a released version: as if it had
    always been so. Raises CatalogInvalid with every problem of a catalog that is none by itself or that changes what
    quantities mean, NoCatalog before the first release, Invalid for a period that is none and for a feature of neither
    catalog, NotFound for a customer that neither exists nor was asked about: nothing of it could differ.
    """
    script = normal(script)
    until = to_datetime(view.time.business) if script.until is None else script.until
    since = until - PERIOD if script.since is None else script.since
    check_period(since, until, "since")
    newest = await view.catalog()
    if newest is None:
        raise NoCatalog(view.workspace.id)
    old = decode_catalog(newest.doc)
    proposed, problems = _read(text, old)
    compile_proposed(view.workspace, proposed, newest.revision + 1)
    check_feature(script.feature, old.features.keys() | proposed.features.keys())
    await check_asked(view, script.customer)
    return Plan(
        base=newest.revision,
        newest=old,
        proposed=proposed,
        unreleasable=tuple(str(one) for one in problems[:MAX_TOLD]),
        only=CheckFilter(customer=script.customer, feature=script.feature, since=since, until=script.until),
        until=until,
        shown=script.shown,
    )


def _read(text: bytes, old: Catalog) -> tuple[Catalog, Sequence[Problem]]:
    """Return a catalog, and why it cannot be released on top of another one."""
    try:
        return read_catalog(text, released=old), ()
    except CatalogTextError as wrong:
        problems = wrong.problems
    try:
        new = read_catalog(text)
    except CatalogTextError:
        raise catalog_invalid(problems) from None
    kept = new.features.keys() & old.features.keys()
    if any(_measure(old, key) != _measure(new, key) for key in kept):
        raise catalog_invalid(problems)
    return new, problems


def _measure(catalog: Catalog, feature: str) -> tuple[str, int]:
    """What the quantities of a feature mean."""
    found = catalog.features[feature]
    return feature_type(found), feature_scale(catalog, found)


async def rehearse(storage: Storage, workspace: str, plan: Plan) -> AsyncGenerator[RehearsalLine, None]:
    """Ask the checks on record again under the proposed catalog; yields progress, differences, at the end the sums.

    Reads one consistent state from beginning to end. Others have their turn every few milliseconds, and memory does
    not grow with the number of questions. Raises Unavailable where as many go on as may be at once.
    """
    async with storage.read_long(workspace) as view, aclosing(_rehearsed(view, plan)) as lines:
        async for line in lines:
            yield line


async def _rehearsed(view: View, plan: Plan) -> AsyncGenerator[RehearsalLine, None]:
    stage, reckoning, loop = await _staged(view, plan), Reckoning(), asyncio.get_running_loop()
    total, done, shown = await view.count_check_records(plan.only), 0, 0
    yield RehearsalLine(progress=Rehearsed(done=0, of=total))
    told, turn = loop.time(), loop.time() + TURN_SECONDS
    async for page in _pages(view, plan.only):
        await stage.learn(page)
        for row in page:
            if (found := stage.ask(row, reckoning)) is not None and shown < plan.shown:
                shown += 1
                yield RehearsalLine(difference=found.told())
            if loop.time() >= turn:
                await asyncio.sleep(0)
                turn = loop.time() + TURN_SECONDS
        done += len(page)
        if loop.time() - told >= TOLD_SECONDS:
            yield RehearsalLine(progress=Rehearsed(done=done, of=total))
            told = loop.time()
    yield RehearsalLine(rehearsal=_summary(reckoning, plan, shown))


async def _pages(view: View, only: CheckFilter) -> AsyncGenerator[Sequence[CheckRecordRow], None]:
    place = (only.since or _EARLIEST, "")
    while rows := await view.check_records_after(only, place, PAGE):
        yield rows
        if len(rows) < PAGE:
            return
        place = (rows[-1].asked_at, rows[-1].id)


async def _staged(view: View, plan: Plan) -> "_Stage":
    newest = compile_proposed(view.workspace, plan.newest, plan.base)
    proposed = compile_proposed(view.workspace, plan.proposed, plan.base + 1)
    # A customer may be on a ladder that the proposed catalog lacks: nobody gets off one by that.
    proposed = structs.replace(proposed, ladders=newest.ladders | proposed.ladders)
    return _Stage(view, await view.seq(), newest, proposed)


class _Found(NamedTuple):
    """A question that is answered otherwise."""

    row: CheckRecordRow
    was: Given
    would: Given
    decision: Decision
    kind: Likeness
    already: bool

    def told(self) -> Difference:
        """Return it as it is told."""
        row, reasons = self.row, self.decision.would_deny or self.decision.reasons
        return Difference(
            id=row.id,
            asked_at=row.asked_at,
            customer=row.customer,
            user=row.user,
            feature=row.feature,
            kind=self.kind,
            was=WasView(allowed=self.was.allowed, outcome=self.was.outcome, reason=self.was.reason, mode=self.was.mode),
            would=WouldView(
                allowed=self.would.allowed,
                outcome=self.would.outcome,
                reason=self.would.reason,
                reasons=tuple(str(one) for one in reasons),
                mode=self.would.mode,
                message=self.decision.message,
            ),
            already=self.already,
            question=row.question,
            left_out=row.left_out,
            basis=row.basis,
        )


class _Stage:
    """What questions are asked of: two catalogs, and of the customers met last what they had, bounded in number."""

    def __init__(self, view: View, last: int, newest: CompiledCatalog, proposed: CompiledCatalog) -> None:
        self._view = view
        self._last = last
        self._newest = newest
        self._proposed = proposed
        self._memos = {catalog.revision: Memo(catalog) for catalog in (newest, proposed)}
        self._snapshots: Recent[tuple[str, int], Snapshot] = Recent(MAX_SNAPSHOTS)
        self._old_snapshots: Recent[tuple[str, int], Snapshot] = Recent(MAX_SNAPSHOTS)
        self._revisions: Mapping[Held, int] = {}
        self._users: Mapping[UserHeld, UserThen] = {}

    async def learn(self, page: Sequence[CheckRecordRow]) -> None:
        """Read what the answers of some questions rested on."""
        held, users = set[Held](), set[UserHeld]()
        for row in page:
            seq = self._sequence(row)
            if seq is None:
                continue
            held.add(Held(row.customer, seq))
            if row.user is not None:
                users.add(UserHeld(row.customer, row.user, seq))
        self._revisions = await self._view.revisions_held(sorted(held)) if held else {}
        self._users = await self._view.users_held(sorted(users)) if users else {}
        wanted = {(one.customer, revision) for one, revision in self._revisions.items()}
        lacking = sorted(one for one in wanted if self._snapshots.get(one) is None)
        for begin in range(0, len(lacking), DECODED_AT_ONCE):
            for terms in await self._view.terms_at_revisions(lacking[begin : begin + DECODED_AT_ONCE]):
                made = Snapshot(self._proposed, terms.terms, self._memos[self._proposed.revision])
                self._snapshots.put((terms.terms.customer, terms.revision), made)

    def ask(self, row: CheckRecordRow, reckoning: Reckoning) -> _Found | None:
        """Ask one question again and count it; returns it where its answer differs."""
        seq = self._sequence(row)
        if seq is None:
            reckoning.doubted(row.feature, "basis")
            return None
        again = self._asked(row, seq, self._proposed)
        if again.decision is None:
            reckoning.doubted(row.feature, again.doubt or "basis", again.missing)
            return None
        was = Given(outcome=row.outcome, reason=row.reason, mode=row.mode)
        would = given_by(again.decision)
        kind = compare(was, would)
        already = False
        if kind != "same":
            now = self._asked(row, seq, self._newest).decision
            already = now is not None and compare(given_by(now), would) == "same"
        reckoning.compared(row.feature, kind, already=already)
        return None if kind == "same" else _Found(row, was, would, again.decision, kind, already)

    def _asked(self, row: CheckRecordRow, seq: int, catalog: CompiledCatalog) -> Again:
        revision = self._revisions.get(Held(row.customer, seq))
        snapshot = None if revision is None else self._snapshot(row.customer, revision, catalog)
        user = None if row.user is None else self._users.get(UserHeld(row.customer, row.user, seq))
        facts = user_facts(row.user, user)
        return ask_again(catalog, snapshot, row.question, to_instant(row.asked_at), user=facts, left_out=row.left_out)

    def _snapshot(self, customer: str, revision: int, catalog: CompiledCatalog) -> Snapshot:
        """Return what a customer had, under a catalog; it was learned with its page."""
        key = (customer, revision)
        made = self._snapshots.get(key)
        if made is None:
            raise AssertionError(f"the terms of {customer} at revision {revision} were not learned")
        if catalog is self._proposed:
            return made
        old = self._old_snapshots.get(key)
        return old or self._old_snapshots.put(key, Snapshot(catalog, made.terms, self._memos[catalog.revision]))

    def _sequence(self, row: CheckRecordRow) -> int | None:
        """The sequence that an answer rested on; None where it is of another epoch or beyond this log."""
        epoch, _, seq = row.basis.partition(":")
        if epoch != str(self._view.workspace.epoch) or not (seq.isascii() and seq.isdigit()):
            return None
        return int(seq) if int(seq) <= self._last else None


def _summary(reckoning: Reckoning, plan: Plan, shown: int) -> Rehearsal:
    doubts = reckoning.doubts
    missing = sorted(reckoning.missing.items(), key=lambda one: (-one[1], one[0]))
    return Rehearsal(
        base=plan.base,
        unreleasable=plan.unreleasable,
        since=plan.only.since or _EARLIEST,
        until=plan.until,
        shown=shown,
        undecided_for=Undecided(left_out=doubts["left_out"], basis=doubts["basis"], amount=doubts["amount"]),
        missing=tuple(MissingFact(attribute=name, questions=count) for name, count in missing[:MAX_TOLD]),
        by_feature=tuple(FeatureRehearsal(feature=name, **_numbers(counts)) for name, counts in reckoning.by_feature()),
        **_numbers(reckoning.whole),
    )


def _numbers(counts: Counts) -> dict[str, int]:
    return {**structs.asdict(counts), "differing": counts.differing}
