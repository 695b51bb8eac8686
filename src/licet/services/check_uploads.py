"""Checks that programs answered themselves: what they tell of them is added to what the server counts.

Nothing is verified against catalog or customers: a program may know of either what the server does not know any more.
"""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain
from typing import Final

from msgspec import structs

from licet.core.instant import HOUR, Instant, format_instant, to_datetime, to_instant
from licet.core.tally import FOLDED, CheckKey, SaidUse, UseKey, fold
from licet.seal.ids import new_id
from licet.services.normal import check_attributes, invalid, normal
from licet.services.ports import Tx
from licet.services.rows import CheckBatch, CheckRecordRow
from licet.wire.check_upload import AHEAD_MINUTES, OLDEST_DAYS, CheckTold, CheckUpload, CountTold

_AT_ONCE: Final = 100
"""Of how many rows the normal form is made before others get their turn."""
_OLDEST: Final = timedelta(days=OLDEST_DAYS)
_AHEAD: Final = timedelta(minutes=AHEAD_MINUTES)


async def keep_upload(tx: Tx, key: str, upload: CheckUpload) -> None:
    """Add a batch, unless its number or a higher one of the same counter and API key came before.

    Raises Invalid for instants too far from business time, an hour that is none, and attributes beyond their bounds.
    """
    upload = await _normal(upload)
    _check_times(upload, tx.time.business)
    await tx.keep_checks(
        CheckBatch(
            # Under the key's own name: nobody takes the numbers of somebody else's counter away.
            counter=f"{key}/{upload.counter}",
            number=upload.number,
            counts=_counts(upload),
            records=tuple(_record(one, place, tx) for place, one in enumerate(upload.records)),
            said=_said(upload),
            lost_checks=upload.lost.checks,
            lost_records=upload.lost.records,
        )
    )


async def _normal(upload: CheckUpload) -> CheckUpload:
    """Return a batch in its normal form; others get their turn in between, for it may take some 200 ms in all."""
    parts: list[CheckUpload] = []
    for place in range(0, max(len(upload.counts), len(upload.records), len(upload.said)), _AT_ONCE):
        part = slice(place, place + _AT_ONCE)
        parts.append(
            normal(
                structs.replace(
                    upload, counts=upload.counts[part], records=upload.records[part], said=upload.said[part]
                )
            )
        )
        await asyncio.sleep(0)
    return structs.replace(
        upload,
        counts=tuple(chain.from_iterable(part.counts for part in parts)),
        records=tuple(chain.from_iterable(part.records for part in parts)),
        said=tuple(chain.from_iterable(part.said for part in parts)),
    )


def customers_of(upload: CheckUpload) -> Iterator[str | None]:
    """Yield whom a batch is about; None for counts that are about several, or nobody."""
    for count in upload.counts:
        yield None if count.others in ("customer", "feature") else count.customer
    for record in upload.records:
        yield record.question.customer
    for said in upload.said:
        yield said.customer


def _counts(upload: CheckUpload) -> dict[CheckKey, int]:
    counts: dict[CheckKey, int] = {}
    for one in upload.counts:
        key = _key(one)
        counts[key] = counts.get(key, 0) + one.checks
    return counts


def _key(one: CountTold) -> CheckKey:
    key = CheckKey(
        to_instant(one.hour),
        one.customer or "",
        one.user or "",
        one.feature or "",
        one.reason,
        one.outcome,
        one.mode or "",
    )
    return fold(key, FOLDED.index(one.others or ""))


def _record(one: CheckTold, place: int, tx: Tx) -> CheckRecordRow:
    check_attributes(one.question.context.attributes, f"records[{place}].question.context.attributes")
    asked = to_instant(one.at)
    # By its id a record is listed among those of its time, not of its arrival.
    wall = min(tx.time.wall, tx.time.wall - (tx.time.business - asked))
    return CheckRecordRow(
        id=new_id("chk", wall),
        asked_at=one.at,
        customer=one.question.customer,
        user=one.question.user,
        feature=one.question.feature,
        reason=one.reason,
        outcome=one.outcome,
        mode=one.mode,
        basis=one.basis,
        question=one.question,
        left_out=one.left_out,
    )


def _said(upload: CheckUpload) -> dict[UseKey, SaidUse]:
    said: dict[UseKey, SaidUse] = {}
    for one in upload.said:
        key, use = UseKey(one.customer, one.feature), SaidUse(one.used, to_instant(one.at))
        if key not in said or said[key].said_at <= use.said_at:
            said[key] = use
    return said


def _check_times(upload: CheckUpload, business: Instant) -> None:
    now = to_datetime(business)
    for name, rows, field in (("counts", upload.counts, "hour"), ("records", upload.records, "at")):
        for place, one in enumerate(rows):
            _check_time(getattr(one, field), now, f"{name}[{place}].{field}")
    for place, said in enumerate(upload.said):
        _check_time(said.at, now, f"said[{place}].at")
    for place, count in enumerate(upload.counts):
        if to_instant(count.hour) % HOUR:
            words = f"{format_instant(to_instant(count.hour))} is not the beginning of an hour"
            raise invalid(f"counts[{place}].hour", words, "count by the whole hours of UTC")


def _check_time(at: datetime, now: datetime, path: str) -> None:
    if now - _OLDEST - timedelta(hours=1) <= at <= now + _AHEAD:
        return
    told, today = format_instant(to_instant(at)), format_instant(to_instant(now))
    if at > now:
        words = f"{told} is more than {AHEAD_MINUTES} minutes ahead of the workspace's time, {today}"
        raise invalid(path, words, "set the clock of the program's machine")
    words = f"{told} is more than {OLDEST_DAYS} days before the workspace's time, {today}"
    raise invalid(path, words, "count what is older as lost")
