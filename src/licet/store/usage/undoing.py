"""What an hour or a day comes to once something was taken back as if it had never been told: the rest tells it."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from licet.core.instant import DAY, HOUR, Instant, to_datetime, to_instant
from licet.core.usage.facts import Fact
from licet.seal.canonical import canonical
from licet.store.session import Reading, Writing
from licet.store.usage.tally import Place, Sum, Unit, begin_of, split_of, value_hash

NEWEST: Final = 2**63 - 1
_LENGTHS: Final[dict[Unit, int]] = {"hour": HOUR, "day": DAY}
# What undoes a report stands at its instant, so the same index finds both.
_STANDS: Final = """
    f.workspace_id = $1 AND f.customer = $2 AND f.effective_at >= $4 AND f.effective_at < $5 AND f.serial <= $6
        AND f.kind IN ('consume', 'report', 'settle', 'return') AND NOT EXISTS (
            SELECT FROM usage_fact u WHERE u.workspace_id = $1 AND u.customer = $2
                AND u.effective_at = f.effective_at AND u.serial <= $6 AND u.kind = 'refund'
                AND u.doc ->> 'of' = encode(f.id, 'hex') AND jsonb_exists((u.doc -> 'undoes')::jsonb, $3)
        )
"""
REST: Final = f"""
    SELECT max((f.doc #>> ARRAY['metered', $3])::bigint) AS highest,
        (array_agg((f.doc #>> ARRAY['metered', $3])::bigint ORDER BY f.effective_at DESC, f.id DESC))[1] AS latest,
        max(f.effective_at) AS latest_at,
        (array_agg(f.id ORDER BY f.effective_at DESC, f.id DESC))[1] AS latest_id
    FROM usage_fact f WHERE {_STANDS}
        AND f.doc #> ARRAY['metered', $3] IS NOT NULL
        AND coalesce((f.doc -> 'dimensions')::jsonb, jsonb_build_object()) = $7::jsonb
"""
REST_VALUE: Final = f"""
    SELECT min(f.effective_at) AS first_at, max(f.effective_at) AS last_at
    FROM usage_fact f WHERE {_STANDS} AND f.doc #>> ARRAY['values', $3] = $7
"""
_SET: Final = """
    UPDATE usage_{unit} u SET highest = $6, latest = $7, latest_at = $8, latest_id = $9
    WHERE u.workspace_id = $1 AND u.customer = $2 AND u.meter = $3 AND u.{unit} = $4 AND u.split = $5
"""
SET: Final[dict[Unit, str]] = {"hour": _SET.format(unit="hour"), "day": _SET.format(unit="day")}
SET_VALUE: Final = """
    UPDATE usage_value u SET first_at = $6, last_at = $7
    WHERE u.workspace_id = $1 AND u.customer = $2 AND u.meter = $3 AND u.hour = $4 AND u.value = $5
"""
# Sums are never deleted: what is counted at no time is not counted, and told again it is.
FORGET_VALUE: Final = """
    UPDATE usage_value u SET first_at = 'infinity', last_at = '-infinity'
    WHERE u.workspace_id = $1 AND u.customer = $2 AND u.meter = $3 AND u.hour = $4 AND u.value = $5
"""


class Undone(NamedTuple):
    """Something of a customer that a meter does not count any more."""

    customer: str
    meter: str
    at: Instant
    dimensions: dict[str, str]
    value: str | None

    def place(self, unit: Unit) -> Place:
        """Return the hour or day that it was told in."""
        return self.customer, self.meter, begin_of(self.at, unit), split_of(self.dimensions)


def undone_of(facts: Iterable[Fact]) -> Iterator[Undone]:
    """Yield what facts undo."""
    for fact in facts:
        for meter in fact.undoes:
            yield Undone(fact.customer, meter, fact.effective, fact.dimensions, fact.values.get(meter))


class UndoneReads(Reading):
    """Reading what remains."""

    async def rest_of(self, one: Undone, unit: Unit, by: int = NEWEST) -> Sum:
        """Return highest and latest of what remains of an hour or day among facts up to a serial; no counts."""
        begin = begin_of(one.at, unit)
        row = await self._row(
            REST,
            one.customer,
            one.meter,
            to_datetime(begin),
            to_datetime(begin + _LENGTHS[unit]),
            by,
            canonical(one.dimensions).decode(),
        )
        found = Sum(dimensions=one.dimensions)
        if row is not None and row["latest_at"] is not None:
            found.highest, found.latest = row["highest"], row["latest"]
            found.latest_at, found.latest_id = to_instant(row["latest_at"]), row["latest_id"]
        return found

    async def value_within(
        self, one: Undone, since: Instant, until: Instant, by: int = NEWEST
    ) -> tuple[Instant, Instant] | None:
        """Return when a value that was taken back is counted first and last all the same; None where it is not."""
        row = await self._row(
            REST_VALUE, one.customer, one.meter, to_datetime(since), to_datetime(until), by, one.value
        )
        if row is None or row["first_at"] is None:
            return None
        return to_instant(row["first_at"]), to_instant(row["last_at"])


class UndoneWrites(UndoneReads, Writing):
    """Writing sums of what remains."""

    async def _undo(self, facts: Iterable[Fact], by: int, border: Instant) -> None:
        """Let sums say what remains of sealed facts (up to a serial) once these are sealed.

        What was told by ``border`` stays: of then not all facts are there any more.
        """
        units: tuple[Unit, Unit] = ("hour", "day")
        for one in undone_of(facts):
            for unit in units:
                customer, meter, begin, split = one.place(unit)
                if begin <= border:
                    continue
                rest = await self.rest_of(one, unit, by)
                at = None if rest.latest_at is None else to_datetime(rest.latest_at)
                told = (rest.highest, rest.latest, at, rest.latest_id)
                await self._execute(SET[unit], customer, meter, to_datetime(begin), split, *told)
            if one.value is not None and begin_of(one.at, "hour") > border:
                await self._undo_value(one, one.value, by)

    async def _undo_value(self, one: Undone, value: str, by: int) -> None:
        begin = begin_of(one.at, "hour")
        place = (one.customer, one.meter, to_datetime(begin), value_hash(value))
        within = await self.value_within(one, begin, begin + HOUR, by)
        if within is None:
            await self._execute(FORGET_VALUE, *place)
        else:
            await self._execute(SET_VALUE, *place, *map(to_datetime, within))
