"""What was known when: the catalog, a customer's terms and a user's facts as they stood at a sequence of the log.

An instant and a basis both mean a sequence, and everything that an answer rests on is found by that one number.
"""

from datetime import datetime

from msgspec import Struct

from licet.core.compiled import CompiledCatalog
from licet.core.instant import SECOND, Instant, format_instant, to_datetime, to_instant
from licet.core.question import UserFacts
from licet.services.errors import NoCatalog, NoCatalogThen
from licet.services.normal import invalid
from licet.services.ports import View
from licet.services.rows import TermsRow, UserRow, UserThen
from licet.services.truth import Snapshots


class Moment(Struct, frozen=True, kw_only=True):
    """Which truth counts: what is asked ``at`` an instant, by what the log held at a sequence."""

    at: Instant
    seq: int
    newest: bool
    """The sequence is the log's last one, or beyond: the rows of today are the truth."""
    words: str
    """``by 2026-03-01T09:00:00Z`` or ``by basis 1:42``."""


class Known(Struct, frozen=True):
    """What was known of a customer at an instant: its terms (None: no such customer) under a catalog."""

    at: Instant
    catalog: CompiledCatalog
    terms: TermsRow | None
    basis: str


async def moment_of(
    view: View, at: datetime | None = None, known: datetime | None = None, basis: str | None = None
) -> Moment:
    """Return the moment that two times, or a basis, mean.

    ``at`` is now where absent. ``known`` is inclusive and where absent the earlier of ``at`` and now; nothing is known
    beyond now. A basis beats it. Raises Invalid for a basis that is none of this workspace's.
    """
    now = view.time.business
    asked = now if at is None else to_instant(at)
    if basis is not None:
        seq, last = _sequence(view, basis), await view.seq()
        if seq > last:
            raise invalid("basis", f"{basis!r} is beyond the log, which ends at {last}", "is it of another workspace?")
        return Moment(at=asked, seq=seq, newest=seq == last, words=f"by basis {basis}")
    knowing = min(asked if known is None else to_instant(known), now)
    # Nothing is recorded after now, so that now itself needs no looking up.
    seq = await view.seq() if knowing == now else await view.seq_at(to_datetime(knowing))
    return Moment(at=asked, seq=seq, newest=seq >= await view.seq(), words=f"by {format_instant(knowing)}")


async def known_of(view: View, moment: Moment, customer: str, snapshots: Snapshots) -> Known:
    """Return the catalog and terms known at a moment; raises NoCatalog, or NoCatalogThen before the first release."""
    basis = f"{view.workspace.epoch}:{moment.seq}"
    if moment.newest:
        revision, terms, _ = await view.standing_of(customer, None)
        if revision == 0:
            raise NoCatalog(view.workspace.id)
        return Known(moment.at, await snapshots.catalogs.at(view, revision), terms, basis)
    released = await view.catalog_at(moment.seq)
    if released is None:
        raise await _no_catalog(view, moment)
    catalog = await snapshots.catalogs.at(view, released.revision)
    return Known(moment.at, catalog, await view.terms_at(customer, moment.seq), basis)


async def known_at(view: View, customer: str, at: Instant, snapshots: Snapshots) -> Known:
    """Return the catalog and terms known at an instant (inclusive); for now or later, the newest ones."""
    return await known_of(view, await moment_of(view, to_datetime(at)), customer, snapshots)


async def user_known(view: View, moment: Moment, customer: str, user: str | None) -> UserFacts | str | None:
    """Return what conditions could read of a user at a moment; of one not known or not active then, only the id."""
    if user is None:
        return None
    if moment.newest:
        return user_facts(user, await view.user(customer, user))
    return user_facts(user, await view.user_at(customer, user, moment.seq))


def user_facts(customer_user: str | None, row: UserRow | UserThen | None) -> UserFacts | str | None:
    """Return what conditions may read of a user; of one that is not known, or not active, only the id."""
    if row is None or not row.active:
        return customer_user
    return UserFacts(id=row.id, roles=row.roles, attributes=row.attributes)


async def basis_of(view: View) -> str:
    """Return the token that names the truth an answer rests on: epoch and sequence."""
    return f"{view.workspace.epoch}:{await view.seq()}"


def _sequence(view: View, basis: str) -> int:
    """Return the sequence in a basis; raises Invalid for one that is not of this workspace's epoch."""
    epoch, colon, seq = basis.partition(":")
    if not colon or not seq.isascii() or not seq.isdigit() or len(seq) > 18:
        raise invalid("basis", f"{basis!r} is no basis", "take it from a decision; it looks like 1:42")
    if epoch != str(view.workspace.epoch):
        raise invalid(
            "basis",
            f"{basis!r} is of epoch {epoch}; the log is in epoch {view.workspace.epoch}: it was raised when a backup "
            "was restored, and what was recorded after that backup is not there any more",
            "ask by the instant of the decision instead (at)",
        )
    return int(seq)


async def _no_catalog(view: View, moment: Moment) -> NoCatalog | NoCatalogThen:
    """Return the error for a moment before the first release."""
    first = await view.first_release()
    if first is None:
        return NoCatalog(view.workspace.id)
    began = format_instant(to_instant(first))
    # A whole second, never before now: nothing is known beyond now anyway.
    now = format_instant(-(-view.time.business // SECOND) * SECOND)
    return NoCatalogThen(
        f"no catalog had been released {moment.words}; the first one was at {began}",
        advice=f"ask by what is known now: known_at={now} (in a shell: --known-at {now}), without a basis; "
        f"or for an instant from {began} on",
    )
