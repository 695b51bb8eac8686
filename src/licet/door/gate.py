"""The one gate: a Bearer key becomes a caller with scopes, or a refusal that says what is missing.

Every path into the service asks here, so that none can forget to. A looked-up key is remembered for some seconds; a
notice of a commit in its workspace ends that early, which makes a revocation effective everywhere within a second.
:meth:`Gate.admit_now` is the same gate for whoever cannot wait: it lets in whom :meth:`Gate.admit` has let in, as long
as that is remembered, and knows no other answer.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from licet.core.instant import instant_words
from licet.door.limits import FAILED_BURST, FAILED_PER_SECOND, KEY_CACHE_SECONDS, KEY_CACHE_SIZE
from licet.door.problems import Refusal, too_often
from licet.door.rate import Rate, neighborhood
from licet.seal.apikey import fits, key_id_of

_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="licet"'}
_UNKNOWN: Final = "this key is unknown: its id or its secret is wrong"
_ADVICE: Final = "Send `Authorization: Bearer lct_…`; `licet keys create` makes a key."


class KeyFacts(Protocol):
    """What the gate reads of a stored key; storage's own row has it."""

    @property
    def id(self) -> str:
        """The key's id, the part of the token before its secret."""
        ...

    @property
    def workspace(self) -> str:
        """Where it opens."""
        ...

    @property
    def scopes(self) -> frozenset[str]:
        """What it may do."""
        ...

    @property
    def customer(self) -> str | None:
        """The only customer it may see, if bound."""
        ...

    @property
    def expires_at(self) -> datetime | None:
        """From then on it opens nothing."""
        ...

    @property
    def revoked_at(self) -> datetime | None:
        """Set once it was taken back."""
        ...


LookUp = Callable[[str], Awaitable[tuple[KeyFacts, bytes] | None]]
"""Key id → the key and the SHA-256 of its whole token, whatever the workspace; None for an unknown one."""


class Caller(NamedTuple):
    """Who asks, as the gate found out."""

    key: str
    workspace: str
    scopes: frozenset[str]
    customer: str | None

    def need(self, scopes: Sequence[str]) -> None:
        """Raise Refusal unless one of ``scopes`` is held; ``admin`` holds every scope."""
        if "admin" in self.scopes or not self.scopes.isdisjoint(scopes):
            return
        held = ", ".join(sorted(self.scopes)) or "none"
        raise Refusal(
            "forbidden",
            f"this needs the scope {' or '.join(scopes)}; the key {self.key} has {held}",
            advice=f"Use a key with the scope {scopes[0]}: `licet keys create --scope {scopes[0]}`.",
        )

    def may_see(self, customer: str | None) -> None:
        """Raise Refusal if the key is bound to another customer than ``customer`` (None: something of all)."""
        if self.customer is None or self.customer == customer:
            return
        about = "more than one customer" if customer is None else f"the customer {customer!r}"
        raise Refusal(
            "forbidden",
            f"the key {self.key} is bound to the customer {self.customer!r}; this is about {about}",
            advice=f"Ask about {self.customer!r}, or use a key that is bound to no customer.",
        )


class _Entry(NamedTuple):
    facts: KeyFacts | None
    digest: bytes
    until: float


class Gate:
    """Authenticates; safe for one event loop. Clocks are given: ``now`` monotonic seconds, ``wall`` real time."""

    def __init__(self, look_up: LookUp, seconds: float = KEY_CACHE_SECONDS, most: int = KEY_CACHE_SIZE) -> None:
        self._look_up = look_up
        self._seconds = seconds
        self._most = most
        self._failed = Rate(FAILED_PER_SECOND, FAILED_BURST)
        self._known: OrderedDict[str, _Entry] = OrderedDict()
        # By the hash of the whole header: whoever times the look-up learns nothing of a secret, and none is kept.
        self._admitted: OrderedDict[bytes, tuple[_Entry, Caller]] = OrderedDict()
        self._round = 0

    async def admit(self, authorization: str | None, now: float, wall: datetime, client: str = "") -> Caller:
        """Return who asks; raises Refusal (401). An unknown id and a wrong secret look the same from outside.

        After too many of these from one address (``client``) there is no more looking up for it (429) until some time
        has passed; a key that is remembered goes on working from there.
        """
        key, token = _parse(authorization)
        entry = self._known.get(key)
        if entry is None or entry.until <= now:
            wait = self._failed.wait(neighborhood(client), now)
            if wait > 0:
                raise _too_many(wait)
            entry = await self._fetch(key, now)
        facts = entry.facts
        if not fits(token, entry.digest) or facts is None:
            wait = self._failed.take(neighborhood(client), now)
            raise _too_many(wait) if wait > 0 else _refuse(_UNKNOWN)
        return self._let_in(authorization, entry, facts, wall)

    async def admit_again(self, authorization: str | None, now: float, wall: datetime) -> Caller:
        """Return who was let in before and is still being answered; raises Refusal (401) once that is over.

        It counts as no attempt of an address: nobody has sent anything.
        """
        key, token = _parse(authorization)
        entry = self._known.get(key)
        if entry is None or entry.until <= now:
            entry = await self._fetch(key, now)
        if entry.facts is None or not fits(token, entry.digest):
            raise _refuse(_UNKNOWN)
        return self._let_in(authorization, entry, entry.facts, wall)

    def _let_in(self, authorization: str | None, entry: _Entry, facts: KeyFacts, wall: datetime) -> Caller:
        """Return who asks with a key that fits; raises Refusal (401) where it has ended."""
        key = facts.id
        if facts.revoked_at is not None and facts.revoked_at <= wall:
            raise _refuse(f"the key {key} was revoked at {instant_words(facts.revoked_at)}")
        if facts.expires_at is not None and facts.expires_at <= wall:
            raise _refuse(f"the key {key} expired at {instant_words(facts.expires_at)}")
        caller = Caller(facts.id, facts.workspace, facts.scopes, facts.customer)
        if self._known.get(key) is entry and authorization is not None:
            self._admitted[mark_of(authorization.encode("latin-1", "replace"))] = (entry, caller)
            if len(self._admitted) > self._most:
                self._admitted.popitem(last=False)
        return caller

    def admit_now(self, mark: bytes, now: float, wall: Callable[[], datetime]) -> Caller | None:
        """Return who asks, if a header of this :func:`mark_of` was let in and is remembered; None: ask :meth:`admit`.

        Never refuses and never looks up: what is unknown, forgotten, expired or revoked is for :meth:`admit` to say.
        ``wall`` is asked only where the key has an end.
        """
        found = self._admitted.get(mark)
        if found is None:
            return None
        entry, caller = found
        facts = entry.facts
        if entry.until <= now or facts is None or self._known.get(caller.key) is not entry:
            return None
        if facts.revoked_at is not None and facts.revoked_at <= wall():
            return None
        if facts.expires_at is not None and facts.expires_at <= wall():
            return None
        return caller

    def forget(self, workspace: str) -> None:
        """Drop what is remembered of a workspace's keys, and every unknown key: something was committed there."""
        self._round += 1
        gone = [key for key, entry in self._known.items() if entry.facts is None or entry.facts.workspace == workspace]
        for key in gone:
            del self._known[key]

    async def _fetch(self, key: str, now: float) -> _Entry:
        before = self._round
        found = await self._look_up(key)
        entry = _Entry(None, bytes(32), now + self._seconds) if found is None else _Entry(*found, now + self._seconds)
        if before == self._round:  # else a commit came meanwhile, and what was read may be older than it
            self._known[key] = entry
            self._known.move_to_end(key)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return entry


def mark_of(authorization: bytes) -> bytes:
    """Return what stands for a whole Authorization header where it is remembered: its SHA-256."""
    return hashlib.sha256(authorization).digest()


def _parse(authorization: str | None) -> tuple[str, str]:
    if not authorization:
        raise _refuse("there is no Authorization header")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise _refuse(f"the Authorization scheme is {scheme[:20]!r}; only Bearer is read here")
    token = token.strip(" ")
    named = key_id_of(token)
    if named is None:
        raise _refuse("what follows Bearer does not look like a key: lct_<live|test>_<id>_<secret>")
    return named[1], token


def _too_many(wait: float) -> Refusal:
    advice = "Wait for as many seconds as Retry-After says, and use a key that is known here."
    return too_often("too many wrong keys came from this address", wait, advice)


def _refuse(detail: str) -> Refusal:
    return Refusal("unauthenticated", detail, advice=_ADVICE, headers=_CHALLENGE)
