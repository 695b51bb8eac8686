"""Which keys sign what evaluators believe: keysets, released under a root that is kept apart, and who signs now.

A keyset names its keys newest first. The newest one signs; the ones before it are believed until their overlap ends.
The seed of the key that signs is sealed in the database, the seed of the root never is: whoever releases a keyset
brings it. All instants here are real time.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from msgspec import Struct, structs, to_builtins

from licet.core.instant import HOUR, Instant, add_duration, parse_duration, to_datetime, to_instant
from licet.seal.checkpoint import new_seed
from licet.seal.keyset import MAX_KEYS, KeyEntry, Keyset, SealError, open_keyset, sign_keyset, sign_with
from licet.seal.paserk import pid, public_of, read_public, write_public
from licet.services.errors import Conflict, Invalid, NotFound
from licet.services.normal import check_duration, invalid
from licet.services.ports import Storage, Tx, View
from licet.services.rows import Actor, Draft
from licet.services.signing_ports import KeysetRow

FEED: Final = "signing/feed"
"""Under which purpose the seed of the key that signs feeds is sealed."""
OVERLAP: Final = "P30D"
VALID: Final = "P2Y"
LONGEST_OVERLAP: Final = "P1Y"
LONGEST_VALID: Final = "P10Y"
SHORTEST_VALID: Final = "P1D"
SLACK: Final = HOUR
"""A key counts from so long before it was made, so that a machine whose clock is a little behind can sign with it."""
EPOCH_STEP: Final = 1000
"""Versions that an epoch has for itself: the first keyset after a restore is newer than any that was there before."""

KeyState = Literal["signs", "believed", "revoked", "ended"]


class RotateFeedKey(Struct, frozen=True, kw_only=True):
    """How long the old key is believed after the new one signs, and how long the new one will be."""

    overlap: str = OVERLAP
    valid: str = VALID


class SigningKeyView(Struct, frozen=True, kw_only=True):
    """One key of a keyset, as it stands now."""

    id: str
    purposes: tuple[str, ...]
    state: KeyState
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None


class SigningView(Struct, frozen=True, kw_only=True):
    """Who signs for a workspace. ``root`` is what followers pin, ``root_id`` its short name."""

    workspace: str
    root: str
    root_id: str
    version: int
    issued_at: datetime
    keys: tuple[SigningKeyView, ...]


class Signer:
    """Signs the feed of one workspace, as its newest keyset says."""

    def __init__(self, row: KeysetRow, key: str, seed: bytes) -> None:
        self.root = row.root
        """The public root that followers pin."""
        self.keyset = row.token
        """The signed keyset that names the key."""
        self.version = row.version
        self.key = key
        """The id of the key (``k4.pid.…``)."""
        self._seed = seed

    def sign(self, payload: bytes) -> str:
        """Return a message signed for the feed."""
        return sign_with(payload, self._seed, "feed")

    def __repr__(self) -> str:
        return f"Signer({self.key}, version {self.version})"


class Signers:
    """The signers of a process, one for each workspace, each read anew when its keyset is another one."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[tuple[int, int], Signer]] = {}

    async def of(self, view: View) -> Signer:
        """Return who signs for the view's workspace; raises NotFound where nobody does, Conflict for a broken keyset.

        Costs nothing where nothing was committed since the last time, else one look at the keyset's version.
        """
        name = view.workspace.id
        at = (view.workspace.epoch, await view.seq())
        held = self._held.get(name)
        if held is not None and (held[0] == at or held[1].version == await view.keyset_version()):
            signer = held[1]
        else:
            signer = await read_signer(view)
        self._held[name] = (at, signer)
        return signer

    def forget(self, workspace: str) -> None:
        """Let a workspace's signer be read anew."""
        self._held.pop(workspace, None)


async def read_signer(view: View) -> Signer:
    """Return who signs for a workspace now; raises NotFound where nobody does, Conflict where the seed is not there."""
    row = await _row(view)
    seeds = {_id_of(seed): seed for seed in await view.secrets(FEED)}
    newest = _newest(_opened(row, view.workspace.id))
    seed = None if newest is None else seeds.get(newest.id)
    if newest is None or seed is None:
        raise Conflict(
            f"no key is there that may sign the feed of workspace {view.workspace.id} (keyset version {row.version})",
            advice="make one: licet signing rotate --root FILE",
        )
    return Signer(row, newest.id, seed)


async def read_signing(view: View) -> SigningView:
    """Return the keys of a workspace and how each stands now; raises NotFound before the first keyset."""
    return _view(view, await _row(view))


async def make_keysets(storage: Storage, actor: Actor, root: Callable[[str], bytes]) -> list[str]:
    """Give every workspace without a keyset its first one; returns which these were.

    ``root`` returns the seed of a workspace's root, and has kept it for good when it returns: it is asked for before
    anything is written, so that there never is a keyset whose root nobody has.
    """
    made = []
    for workspace in await storage.workspaces():
        async with storage.read(workspace.id) as view:
            if await view.keyset_version():
                continue
        async with storage.write(workspace.id, actor, note="first keyset") as tx:
            if await make_keyset(tx, root):
                made.append(workspace.id)
    return made


async def make_keyset(tx: Tx, root: Callable[[str], bytes]) -> bool:
    """Release the first keyset with one feed key, which leaves ``keyset.released``; False where there is one already.

    Of two at once one waits and then finds that of the other.
    """
    await tx.claim(FEED)
    if await tx.keyset_version():
        return False
    now = tx.time.wall
    await _release(tx, root(tx.workspace.id), None, (), add_duration(now, parse_duration(VALID), ZoneInfo("UTC")))
    return True


async def rotate_feed_key(tx: Tx, root: bytes, command: RotateFeedKey) -> SigningView:
    """Let a new key sign from now on; the old ones are believed until the overlap ends. Leaves ``keyset.released``.

    ``root`` is the seed of the root. Raises Invalid for another root or a duration out of bounds, NotFound without a
    keyset, Conflict where there are too many keys.
    """
    row = await _claimed(tx, root)
    now = _now(tx, row)
    ends = _reached(now, command.overlap, "overlap", "PT0S", LONGEST_OVERLAP)
    until = _reached(now, command.valid, "valid", SHORTEST_VALID, LONGEST_VALID)
    kept = tuple(
        structs.replace(entry, not_after=min(entry.not_after, to_datetime(ends)))
        for entry in _alive(_opened(row, tx.workspace.id), now)
    )
    return await _release(tx, root, row, kept, until)


async def revoke_feed_key(tx: Tx, root: bytes, key: str) -> SigningView:
    """Let nothing be believed any more that a key has signed; leaves ``keyset.released``.

    ``key`` is its id, or the beginning of it where that is only one's. Where it is the key that signs, a new one takes
    its place in the same step. Raises NotFound, Invalid for another root, Conflict for one that is revoked already.
    """
    row = await _claimed(tx, root)
    now = _now(tx, row)
    entries = _alive(_opened(row, tx.workspace.id), now)
    entry = _named(entries, key)
    if entry.revoked_at is not None:
        raise Conflict(f"the key {entry.id} was revoked at {entry.revoked_at:%Y-%m-%d %H:%M} UTC", advice="leave it")
    kept = tuple(structs.replace(one, revoked_at=to_datetime(now)) if one.id == entry.id else one for one in entries)
    if entry.id != entries[0].id:
        return await _release(tx, root, row, kept, None)
    return await _release(tx, root, row, kept, add_duration(now, parse_duration(VALID), ZoneInfo("UTC")))


async def replace_root(tx: Tx, root: bytes) -> SigningView:
    """Begin anew under another root, with a new feed key; leaves ``keyset.released``.

    Nobody who has pinned the old root believes anything from then on, until the new one is pinned. Raises Conflict
    where it is the root already.
    """
    await tx.claim(FEED)
    row = await tx.keyset()
    if row is not None and row.root == write_public(public_of(root)):
        raise Conflict(
            f"that is the root of workspace {tx.workspace.id} already", advice="licet signing rotate uses it"
        )
    now = _now(tx, row)
    until = add_duration(now, parse_duration(VALID), ZoneInfo("UTC"))
    return await _release(tx, root, row, (), until)


async def _claimed(tx: Tx, root: bytes) -> KeysetRow:
    """Let only this transaction decide about the keys, and return the newest keyset if ``root`` is that of it."""
    await tx.claim(FEED)
    row = await _row(tx)
    check_root(row.root, root, tx.workspace.id)
    return row


def check_root(pinned: str, root: bytes, workspace: str) -> None:
    """Raise Invalid unless a seed is that of the root that a workspace has."""
    given = write_public(public_of(root))
    if given != pinned:
        raise Invalid(
            f"the root in the file is {given}; that of workspace {workspace} is {pinned}",
            advice="name the file of that root; if it is lost, licet signing new-root says what that means",
        )


async def _release(
    tx: Tx, root: bytes, before: KeysetRow | None, kept: tuple[KeyEntry, ...], until: Instant | None
) -> SigningView:
    """Sign and write the next keyset: a new feed key valid until ``until`` (None: no new one) before those kept."""
    now = _now(tx, before)
    fresh = () if until is None else (new_seed(),)
    keys = (*(_entry(seed, now, until) for seed in fresh if until is not None), *kept)
    if len(keys) > MAX_KEYS:
        raise Conflict(f"a keyset has at most {MAX_KEYS} keys", advice="wait until the overlap of some has ended")
    keyset = Keyset(
        workspace=tx.workspace.id,
        version=_version(0 if before is None else before.version, tx.workspace.epoch),
        issued_at=to_datetime(now),
        keys=keys,
    )
    row = KeysetRow(
        version=keyset.version,
        root=write_public(public_of(root)),
        token=sign_keyset(keyset, root),
        issued_at=keyset.issued_at,
    )
    await tx.put_keyset(row)
    if fresh:
        await tx.put_secrets(FEED, fresh)
    after = {"version": row.version, "root": row.root, "keys": to_builtins(keys)}
    old = None if before is None else {"version": before.version, "root": before.root}
    await tx.record(Draft(type="keyset.released", subject="keyset", before=old, after=after))
    return _view(tx, row)


def _version(newest: int, epoch: int) -> int:
    """Return the version of the next keyset. What followers saw before a restore is below that of a newer epoch."""
    return max(newest + 1, (epoch - 1) * EPOCH_STEP + 1)


def _entry(seed: bytes, now: Instant, until: Instant) -> KeyEntry:
    public = public_of(seed)
    return KeyEntry(
        id=pid(public),
        public=write_public(public),
        purposes=("feed",),
        not_before=to_datetime(now - SLACK),
        not_after=to_datetime(until),
    )


def _alive(keyset: Keyset, now: Instant) -> tuple[KeyEntry, ...]:
    """Return the keys that somebody might still believe or must still refuse; never without the newest."""
    return tuple(entry for place, entry in enumerate(keyset.keys) if not place or to_instant(entry.not_after) > now)


def _named(entries: tuple[KeyEntry, ...], key: str) -> KeyEntry:
    found = [entry for entry in entries if entry.id.startswith(key)]
    if len(found) == 1:
        return found[0]
    many = f"{key[:80]!r} begins the ids of {len(found)} keys" if found else f"there is no key {key[:80]!r} here"
    raise NotFound(f"{many}; the keyset has {', '.join(entry.id for entry in entries)}", advice="name one of these")


async def _row(view: View) -> KeysetRow:
    row = await view.keyset()
    if row is None:
        raise NotFound(
            f"workspace {view.workspace.id} has no keyset yet", advice="start the server once: `licet up` makes it"
        )
    return row


def _opened(row: KeysetRow, workspace: str) -> Keyset:
    try:
        return open_keyset(row.token, [row.root], workspace)
    except SealError as error:
        raise Conflict(
            f"keyset version {row.version} of workspace {workspace} cannot be believed ({error})",
            advice="the database was changed behind Licet's back: restore a backup that `licet audit verify` accepts",
        ) from None


def _newest(keyset: Keyset) -> KeyEntry | None:
    """Return the key that signs: the newest one, if it may."""
    first = keyset.keys[0] if keyset.keys else None
    return first if first is not None and "feed" in first.purposes and first.revoked_at is None else None


def _view(view: View, row: KeysetRow) -> SigningView:
    keyset = _opened(row, view.workspace.id)
    signs = _newest(keyset)
    return SigningView(
        workspace=view.workspace.id,
        root=row.root,
        root_id=_short(row.root),
        version=row.version,
        issued_at=row.issued_at,
        keys=tuple(_key_view(entry, entry is signs, view.time.wall) for entry in keyset.keys),
    )


def _key_view(entry: KeyEntry, signs: bool, now: Instant) -> SigningKeyView:
    state: KeyState = "signs" if signs else "believed"
    if entry.revoked_at is not None:
        state = "revoked"
    elif to_instant(entry.not_after) <= now:
        state = "ended"
    return SigningKeyView(
        id=entry.id,
        purposes=entry.purposes,
        state=state,
        not_before=entry.not_before,
        not_after=entry.not_after,
        revoked_at=entry.revoked_at,
    )


def _now(tx: Tx, row: KeysetRow | None) -> Instant:
    """Return real time; never before the newest keyset, whatever the clock of this machine says."""
    return tx.time.wall if row is None else max(tx.time.wall, to_instant(row.issued_at))


def _reached(now: Instant, span: str, path: str, least: str, most: str) -> Instant:
    """Return the instant a duration later; raises Invalid for one that is none, too short or too long."""
    check_duration(span, path)
    reached, first, last = (add_duration(now, parse_duration(each), ZoneInfo("UTC")) for each in (span, least, most))
    if not first <= reached <= last:
        raise invalid(path, f"{span} is too {'short' if reached < first else 'long'}", f"write {least} to {most}")
    return reached


def _id_of(seed: bytes) -> str:
    return pid(public_of(seed))


def _short(root: str) -> str:
    return pid(read_public(root))
