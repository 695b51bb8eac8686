"""Counting the checks of one process, cheaply, and telling the server of them in numbered batches.

A check that was seen before within these seconds costs one look-up and one addition; everything else happens when a
batch is made. A batch is the same until it is acknowledged, so that each check counts once.
"""

import os
import re
import threading
from typing import Final, Literal, get_args

import msgspec
from msgspec import Struct

from licet.core.case import AnyCase
from licet.core.decision import Decision as Ruled
from licet.core.instant import DAY, HOUR, SECOND, Instant, to_datetime, to_instant
from licet.core.quantity import parse_quantity
from licet.core.question import Context, Question
from licet.core.reason import Reason
from licet.core.recorded import recorded_question
from licet.core.tally import MAX_KEYS, CheckKey, Outcome, SaidUse, SaidUses, Tally, UseKey
from licet.sdk.ids import plain, read_id
from licet.wire.check_upload import (
    AHEAD_MINUTES,
    MAX_BYTES,
    MAX_COUNTS,
    MAX_RECORDS,
    MAX_SAID,
    MAX_TIMES,
    OLDEST_DAYS,
    CheckTold,
    CheckUpload,
    CountTold,
    LostChecks,
    Mode,
    UseTold,
)

UPLOAD_SECONDS: Final = 10.0
"""From one batch to the next, on average; see :func:`pause`."""
MOST_CELLS: Final = 20_000
"""Different answers that are counted apart before they are summed up."""
MOST_RECORDS: Final = 5_000
"""Single checks that wait to be told; while a batch is under way, as many again."""
MOST_RECORD_BYTES: Final = 8 * 1024 * 1024
"""Bytes of their questions."""
MOST_ATTRIBUTES: Final = 100
"""Attributes of one question, and texts of a list in them, beyond which no server takes it."""
MOST_ATTRIBUTE_TEXT: Final = 1_000
"""Characters of a text in them."""
_AT_ONCE: Final = 2_000
"""Cells that are summed up each time that there are as many new ones, where too many rest: some milliseconds."""
PATH: Final = "/v1/checks/counts"
"""Where batches are posted to."""
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_MODES: Final[dict[str, Mode]] = {mode: mode for mode in get_args(Mode)}
_OTHERS: Final[tuple[Literal["user", "customer", "feature"] | None, ...]] = (None, "user", "customer", "feature")


def pause(draw: float) -> float:
    """Return the seconds until the next batch, for a number drawn from [0, 1): so that not all come at once."""
    return UPLOAD_SECONDS * (0.8 + 0.4 * draw)


class _Cell(Struct, gc=False, eq=False):
    """How often one prepared answer was given to one user."""

    ruled: Ruled
    reason: Reason
    user: str | None
    slow: bool
    times: int = 0
    used: int | str | None = None
    said_at: Instant = 0


_Cells = dict[AnyCase | tuple[AnyCase, str | None] | tuple[AnyCase, str | None, str], _Cell]
"""By the case, which equals only itself, with the user if there is one; a further reason stands under all three, and
what observe mode allowed only there."""


class CheckTally:
    """The checks of one client. Any thread may :meth:`note`, without a lock; one at a time takes batches.

    ``bound``: the customer that the key is bound to, so that nothing may be told of others, or of who gave way.
    """

    def __init__(self, *, bound: str | None = None, most: int = MAX_KEYS) -> None:
        self.bound = bound
        self._most = most
        self._begin()

    def _begin(self) -> None:
        self._counter = f"ctr_{os.urandom(16).hex()}"
        self._number = 0
        self._cells: _Cells = {}
        self._resting: list[tuple[Instant, _Cells]] = []
        self._overdue: list[tuple[Instant, list[_Cell]]] = []
        self._from = self._until = 0
        self._room = MOST_CELLS
        self._lock = threading.Lock()
        """Held for moments only: whoever checks may wait for it."""
        self._sums = threading.Lock()
        """Held while cells are summed up: whoever checks never waits for it."""
        self._tally = Tally(self._most)
        self._said = SaidUses(self._most)
        self._records: list[CheckTold] = []
        self._records_before: list[CheckTold] = []
        self._record_bytes = 0
        self._rows: list[CountTold] = []
        self._uses: list[UseTold] = []
        self._kept: list[CheckTold] = []
        self._lost_checks = self._lost_records = 0
        self._under_way: CheckUpload | None = None

    def note(  # noqa: PLR0917 - given in place: by name they would cost as much as counting
        self,
        ruled: Ruled,
        now: Instant,
        user: str | None = None,
        basis: str = "",
        context: Context | None = None,
        quantity: int | str = 1,
        used: int | str | None = None,
        team: str | None = None,
    ) -> None:
        """Count one answer, given at ``now`` (business time). ``basis`` is the truth it rests on, like ``1:42``.

        The rest is the question as it was asked, quantities in major units.
        """
        if not self._from <= now < self._until:
            self._turn(now)
        cells = self._cells
        cell = cells.get(ruled.case if user is None else (ruled.case, user))
        # From the last of these comparisons to the addition nothing is called, so that no other thread comes between.
        if cell is None or cell.reason is not ruled.reason or cell.slow or self._cells is not cells:
            where = Context() if context is None else context
            self._note_slowly(ruled, now, basis, user, where, quantity, used, team)
            return
        cell.times += 1
        if used is not None:
            cell.used, cell.said_at = used, now

    def take(self, now: Instant) -> CheckUpload | None:
        """Return the batch under way, or the next one; None where there is nothing to tell.

        ``now`` is business time. It stays under way until :meth:`acknowledge` or :meth:`give_up`.
        """
        if self._under_way is None:
            if not (self._rows or self._kept or self._uses):
                self._gather(now)
            upload = self._next()
            told = upload.counts or upload.records or upload.said or upload.lost != LostChecks()
            if told:
                self._under_way, self._number = upload, upload.number
        return self._under_way

    def acknowledge(self) -> None:
        """Forget the batch under way: the server has it."""
        self._under_way = None

    def give_up(self) -> None:
        """Count the batch under way as lost: the server will never take it."""
        upload, self._under_way = self._under_way, None
        if upload is not None:
            self._lost_checks += sum(one.checks for one in upload.counts) + upload.lost.checks
            lost = len(upload.records) + upload.lost.records
            self._lost_records += lost

    def rest(self) -> None:
        """Call before the last :meth:`take`, when nobody asks any more: what was just counted is told too."""
        self._turn(self._from)
        self._records_before, self._records = self._records_before + self._records, []

    def after_fork(self) -> None:
        """Begin anew in a child: what was counted before it is its parent's to tell."""
        self._begin()

    @property
    def lost(self) -> LostChecks:
        """What could not be counted or recorded and was not told yet."""
        return LostChecks(checks=self._lost_checks + self._tally.lost, records=self._lost_records)

    def _turn(self, now: Instant) -> None:
        """Lay what was counted aside: another hour has begun, or there is no more room. Nobody adds to it any more."""
        with self._lock:
            begun = now - now % HOUR
            if self._cells:
                self._resting.append((self._from, self._cells))
                self._cells = {}
            self._from, self._until, self._room = begun, begun + HOUR, MOST_CELLS
            if len(self._resting) > 4:
                begun, cells = self._resting.pop(0)
                self._overdue.append((begun, [*cells.values()]))

    def _note_slowly(  # noqa: PLR0917 - the question, as note() was given it
        self,
        ruled: Ruled,
        now: Instant,
        basis: str,
        user: str | None,
        context: Context,
        quantity: int | str,
        used: int | str | None,
        team: str | None,
    ) -> None:
        """Count an answer that is the first of its kind, or of which more is told than how often it was given."""
        while True:
            cells = self._cells
            cell = self._cell(cells, ruled, user)
            if self._cells is cells:
                # As above: what was laid aside is not added to, since it may be summed up already.
                cell.times += 1
                if used is not None:
                    cell.used, cell.said_at = used, now
                break
        case = ruled.case
        feature = case.catalog.features.get(case.feature)
        if feature is not None and feature.record == "each":
            asked = Question(
                customer=case.customer,
                feature=case.feature,
                user=user,
                team=team,
                quantity=quantity,
                used=used,
                context=context,
            )
            self._record(ruled, now, basis, asked)

    def _cell(self, cells: _Cells, ruled: Ruled, user: str | None) -> _Cell:
        """Return the cell of an answer, made where it is the first of its kind.

        What observe mode allowed is counted apart for each reason with which it would have been refused.
        """
        case, observed = ruled.case, ruled.reason is Reason.OBSERVED
        apart = (case, user, f"observed {_key(ruled, user, 0).reason}" if observed else ruled.reason.value)
        place = apart if observed else case if user is None else (case, user)
        found = cells.get(place)
        if found is not None and found.reason is not ruled.reason:
            found = cells.get(apart)
        if found is not None:
            return found
        told = None if user is None else read_id("user", user)
        feature = case.catalog.features.get(case.feature)
        if self._room <= 0:
            self._turn(self._from)
        self._room -= 1
        if self._overdue and not self._room % _AT_ONCE:
            self._settle_some()
        cell = _Cell(ruled, ruled.reason, told, feature is not None and feature.record == "each")
        first = cells.setdefault(place, cell)
        return first if first.reason is ruled.reason else cells.setdefault(apart, cell)

    def _record(self, ruled: Ruled, now: Instant, basis: str, question: Question) -> None:
        told = _recorded(ruled, now, basis, question)
        size = 0 if told is None else len(msgspec.json.encode(told))
        full = len(self._records) >= MOST_RECORDS or self._record_bytes + size > MOST_RECORD_BYTES
        if told is None or full:
            self._lost_records += 1
            return
        self._records.append(told)
        self._record_bytes += size

    def _gather(self, now: Instant) -> None:
        """Sum up what has rested, lay aside what was counted since, and drop what nobody would take any more."""
        with self._lock:
            rested = [*self._overdue, *((begun, [*cells.values()]) for begun, cells in self._resting)]
            self._resting, self._overdue = [], []
            if self._cells:
                self._resting.append((self._from, self._cells))
                self._cells, self._room = {}, MOST_CELLS
            records = self._records_before
            self._records_before, self._records, self._record_bytes = self._records, [], 0
        with self._sums:
            for begun, cells in rested:
                for cell in cells:
                    self._settle(begun, cell)
            counts, lost = self._tally.take()
            said = self._said.take()
            self._lost_checks += lost
        earliest, latest = now - OLDEST_DAYS * DAY, now + AHEAD_MINUTES * 60 * SECOND
        for key, times in counts.items():
            timely = earliest <= key.hour <= latest
            if timely and self._may_tell(key.customer) and _plain(key.customer, key.user, key.feature):
                self._rows.append(_told(key, times))
            else:
                self._lost_checks += times
        self._uses = [
            UseTold(customer=key.customer, feature=key.feature, used=use.used, at=to_datetime(use.said_at))
            for key, use in said.items()
            if earliest <= use.said_at <= latest and self._may_tell(key.customer) and _plain(key.customer, key.feature)
        ]
        self._kept = [
            one for one in records if earliest <= to_instant(one.at) <= latest and self._may_tell(one.question.customer)
        ]
        left_out = len(records) - len(self._kept)
        self._lost_records += left_out

    def _may_tell(self, customer: str) -> bool:
        """Whether this key may tell of a customer (empty: of several); else the server refuses the whole batch."""
        return self.bound is None or customer == self.bound

    def _next(self) -> CheckUpload:
        """Make the next batch of what was gathered, as large as one may be."""
        counts, records, said = MAX_COUNTS, MAX_RECORDS, MAX_SAID
        lost = LostChecks(checks=min(self._lost_checks, MAX_TIMES), records=min(self._lost_records, MAX_TIMES))
        while True:
            upload = CheckUpload(
                counter=self._counter,
                number=self._number + 1,
                counts=tuple(self._rows[:counts]),
                records=tuple(self._kept[:records]),
                said=tuple(self._uses[:said]),
                lost=lost,
            )
            if len(msgspec.json.encode(upload, enc_hook=plain)) <= MAX_BYTES:
                break
            counts, records, said = counts // 2, records // 2, said // 2
        del self._rows[:counts], self._kept[:records], self._uses[:said]
        self._lost_checks -= lost.checks
        self._lost_records -= lost.records
        return upload

    def _settle_some(self) -> None:
        """Sum up some of what has rested too long: no check waits until all of it is.

        Whoever gathers waits until nobody does this, so that none is summed up twice.
        """
        if not self._sums.acquire(blocking=False):
            return
        try:
            overdue = self._overdue
            if overdue:
                # The first: others may be appended meanwhile.
                begun, cells = overdue[0]
                for cell in cells[-_AT_ONCE:]:
                    self._settle(begun, cell)
                del cells[-_AT_ONCE:]
                if not cells:
                    overdue.pop(0)
        finally:
            self._sums.release()

    def _settle(self, begun: Instant, cell: _Cell) -> None:
        if cell.times:
            self._tally.add(_key(cell.ruled, cell.user, begun), cell.times)
        if cell.used is not None:
            self._say(cell.ruled, cell.used, cell.said_at)

    def _say(self, ruled: Ruled, used: int | str, said_at: Instant) -> None:
        """Keep how much of a limit is used, where the caller said so; nothing about customers that nobody knows."""
        case = ruled.case
        feature = case.catalog.features.get(case.feature)
        if feature is not None and feature.type == "limit" and case.terms is not None:
            use = SaidUse(parse_quantity(used, feature.scale), said_at)
            self._said.add(UseKey(case.customer, case.feature), use)


def _key(ruled: Ruled, user: str | None, now: Instant) -> CheckKey:
    """Return what an answer is counted under, as the server does it."""
    case, would = ruled.case, ruled.would_deny if ruled.reason is Reason.OBSERVED else None
    feature = case.catalog.features.get(case.feature)
    outcome: Outcome = "would_deny" if would else "allowed" if ruled.allowed else "denied"
    reason = would[0] if would else ruled.reason
    mode = "" if feature is None else feature.mode
    return CheckKey(now - now % HOUR, case.customer, user or "", case.feature, reason.value, outcome, mode)


def _told(key: CheckKey, times: int) -> CountTold:
    return CountTold(
        hour=to_datetime(key.hour),
        customer=key.customer or None,
        user=key.user or None,
        feature=key.feature or None,
        reason=key.reason,
        outcome=key.outcome,
        mode=_MODES.get(key.mode),
        others=_OTHERS[key.folded],
        checks=min(times, MAX_TIMES),
    )


def _recorded(ruled: Ruled, now: Instant, basis: str, question: Question) -> CheckTold | None:
    """Return a check as it is told: only what decides. None for one that no server would take."""
    kept, left_out = recorded_question(question, ruled)
    key = _key(ruled, question.user, now)
    told = CheckTold(
        at=to_datetime(now),
        question=kept,
        left_out=left_out,
        reason=key.reason,
        outcome=key.outcome,
        mode=_MODES.get(key.mode),
        basis=basis,
    )
    given = kept.context.attributes
    texts = [text for one in given.values() for text in (one if isinstance(one, list) else [one])]
    if len(given) > MOST_ATTRIBUTES or any(
        isinstance(one, list) and len(one) > MOST_ATTRIBUTES for one in given.values()
    ):
        return None
    if not _plain(*(text for text in texts if isinstance(text, str)), most=MOST_ATTRIBUTE_TEXT):
        return None
    try:
        return msgspec.json.decode(msgspec.json.encode(told, enc_hook=plain), type=CheckTold)
    except (msgspec.MsgspecError, UnicodeEncodeError, TypeError):
        return None


def _plain(*texts: str, most: int = 128) -> bool:
    """Whether a server takes these texts: real ones, not too long, without control characters and halves of pairs."""
    return all(issubclass(type(one), str) and len(one) <= most and _FORBIDDEN.search(one) is None for one in texts)
