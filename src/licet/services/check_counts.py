"""Check telemetry: how often was asked what, and how it was answered; single checks where a feature says so.

:class:`CheckCounter` counts in memory and writes batches; the rest reads what was written.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

import msgspec
from msgspec import structs

from licet.core.instant import HOUR, to_datetime, to_instant
from licet.core.question import Question
from licet.core.tally import MAX_KEYS, CheckKey, SaidUse, SaidUses, Tally, UseKey, counted_reason, key_of, outcome_of
from licet.seal.ids import new_id
from licet.services.checks import Answered
from licet.services.errors import Unavailable
from licet.services.known import check_period
from licet.services.normal import normal
from licet.services.ports import Storage, View
from licet.services.rows import (
    Actor,
    CheckBatch,
    CheckCountRow,
    CheckFilter,
    CheckGroups,
    CheckRecordRow,
    ChecksLost,
    Page,
)

MAX_RECORDS: Final = 5_000
"""Recorded checks of one workspace that wait to be written in one process."""
MAX_RECORD_BYTES: Final = 8 * 1024 * 1024
"""Bytes of the questions in them."""
COUNTS_KEPT: Final = timedelta(days=400)
"""How long counts are kept, and what callers last said is used, in business time."""
RECORDS_KEPT: Final = timedelta(days=90)
"""How long recorded checks are kept, in business time."""
FORGET_AT_ONCE: Final = 1_000
"""Rows of each kind that one transaction deletes."""
COUNTING: Final = Actor(id="system:checks")


class _Book:
    """What one workspace has gathered, and the batch that is under way: repeated as it is until it is written."""

    def __init__(self, most: int) -> None:
        self.tally = Tally(most)
        self.said = SaidUses(most)
        self.records: list[CheckRecordRow] = []
        self.record_bytes = 0
        self.lost_records = 0
        self.number = 0
        self.written = 0
        self.under_way: CheckBatch | None = None

    @property
    def gathered(self) -> bool:
        """Whether there is anything for another batch."""
        return bool(len(self.tally) or len(self.said) or self.records or self.tally.lost or self.lost_records)

    def record(self, row: CheckRecordRow) -> None:
        """Keep one check, or only note that there is no room."""
        size = len(msgspec.json.encode(row.question))
        if len(self.records) >= MAX_RECORDS or self.record_bytes + size > MAX_RECORD_BYTES:
            self.lost_records += 1
            return
        self.records.append(row)
        self.record_bytes += size

    def batch(self, counter: str) -> CheckBatch:
        """Return the batch under way, made of all that has gathered if there is none."""
        if self.under_way is None:
            self.number += 1
            counts, lost = self.tally.take()
            self.under_way = CheckBatch(
                counter=counter,
                number=self.number,
                counts=counts,
                records=tuple(self.records),
                said=self.said.take(),
                lost_checks=lost,
                lost_records=self.lost_records,
            )
            self.records, self.record_bytes, self.lost_records = [], 0, 0
        return self.under_way

    def give_up(self) -> None:
        """Count the batch under way as lost: storage will never take it."""
        if self.under_way is not None:
            self.tally.lose(sum(self.under_way.counts.values()) + self.under_way.lost_checks)
            self.lost_records += len(self.under_way.records) + self.under_way.lost_records
            self.under_way = None


class CheckCounter:
    """Counts the checks of one process by workspace. ``name`` is new for each process. For one event loop.

    Bounded: per workspace ``most`` keys, as many uses that were said (twice while a batch is under way) and MAX_RECORDS
    records. What finds no room is counted as lost and written with the next batch; of uses, only the newest count.
    """

    def __init__(self, storage: Storage, name: str, *, most: int = MAX_KEYS) -> None:
        self._storage = storage
        self._name = name
        self._most = most
        self._books: dict[str, _Book] = {}

    def note(self, view: View, answers: Iterable[Answered]) -> None:
        """Count what was answered from one state, at its business time; reads and writes no storage."""
        book = self._books.get(view.workspace.id)
        if book is None:
            book = self._books[view.workspace.id] = _Book(self._most)
        for one in answers:
            book.tally.add(key_of(one.decision, one.question.user, view.time.business))
            if one.said is not None:
                key = UseKey(one.decision.customer, one.decision.feature)
                book.said.add(key, SaidUse(one.said, view.time.business))
            if one.record is not None:
                book.record(_record(view, one, *one.record))

    def again(self, workspace: str, key: CheckKey) -> None:
        """Count an answer of which nothing is kept but the count."""
        book = self._books.get(workspace)
        if book is None:
            book = self._books[workspace] = _Book(self._most)
        book.tally.add(key)

    def waiting(self) -> list[str]:
        """Return the workspaces with something to write."""
        return [workspace for workspace, book in self._books.items() if book.under_way or book.gathered]

    def newest(self, workspace: str) -> int:
        """Return the number of the batch that holds the newest check of a workspace, made already or not."""
        book = self._books.get(workspace)
        return 0 if book is None else book.number + book.gathered

    def written(self, workspace: str) -> int:
        """Return the number of the newest batch that was written."""
        book = self._books.get(workspace)
        return 0 if book is None else book.written

    async def flush(self, workspace: str) -> None:
        """Write one batch in one transaction; not to be called twice at once for one workspace.

        Raises Unavailable or OSError where it may or may not have been written: then the next call writes the very
        same batch, and what comes in between waits for the one after, so that each check is counted once. Raises
        whatever else storage raises; that batch is given up and counted as lost.
        """
        book = self._books.get(workspace)
        if book is None or not (book.under_way or book.gathered):
            return
        try:
            async with self._storage.write(workspace, COUNTING) as tx:
                await tx.keep_checks(book.batch(self._name))
        except (Unavailable, OSError):
            raise
        except Exception:
            book.give_up()
            raise
        book.under_way = None
        book.written = book.number


async def forget_old_checks(storage: Storage, workspace: str) -> bool:
    """Delete some counts and records that have been kept long enough; returns whether there may be more of them."""
    async with storage.write(workspace, COUNTING) as tx:
        now = to_datetime(tx.time.business)
        return await tx.forget_checks(now - COUNTS_KEPT, now - RECORDS_KEPT, FORGET_AT_ONCE) == FORGET_AT_ONCE


async def list_check_counts(
    view: View, only: CheckFilter, groups: CheckGroups, page: Page
) -> tuple[Sequence[CheckCountRow], ChecksLost]:
    """Return how many checks there were, summed up by ``groups``, and what could not be counted.

    Counts are by whole hours of business time: the hour that holds ``since`` counts whole, and so does that before
    ``until``. Users are told apart within their customer. Raises Invalid.
    """
    only = normal(only)
    check_period(only.since, only.until)
    if only.since is not None:
        since = to_instant(only.since)
        only = structs.replace(only, since=to_datetime(since - since % HOUR))
    if "user" in groups.by:
        groups = structs.replace(groups, by=groups.by | {"customer"})
    return await view.check_counts(only, groups, page), await view.checks_lost()


async def list_check_records(view: View, only: CheckFilter, page: Page) -> Sequence[CheckRecordRow]:
    """List recorded checks, newest first. Raises Invalid for a period that ends before it begins."""
    only = normal(only)
    check_period(only.since, only.until)
    return await view.check_records(only, page)


def _record(view: View, one: Answered, question: Question, left_out: tuple[str, ...]) -> CheckRecordRow:
    decision = one.decision
    return CheckRecordRow(
        id=new_id("chk", view.time.wall),
        asked_at=to_datetime(view.time.business),
        customer=decision.customer,
        user=one.question.user,
        feature=decision.feature,
        reason=counted_reason(decision),
        outcome=outcome_of(decision),
        mode=decision.mode,
        basis=decision.basis or "",
        question=question,
        left_out=left_out,
    )
