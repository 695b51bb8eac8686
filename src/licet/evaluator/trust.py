"""What a follower must never go back behind, and whom it believes: a root key, its newest keyset, the newest head."""

import msgspec
from msgspec import Struct

from licet.core.instant import Instant, to_instant
from licet.seal.keyset import MAX_KEYSET, Footer, Keyset, SealError, open_keyset, open_with
from licet.seal.paseto import HEADER, SIGNATURE_BYTES, TokenError, decode64
from licet.wire.feed import Audience


class FeedError(Exception):
    """What a feed said is not believed; the last good truth stays. ``code`` is stable."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


class OtherRoot(FeedError):
    """The keyset is signed by another root than the one believed: nobody but a person can say which is right."""


class Kept(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of a trust that outlives a process."""

    root: str | None = None
    """``k4.public.…``: pinned by whoever set it up, or taken at first use."""
    workspace: str | None = None
    keyset: str | None = None
    """The newest signed keyset that was accepted."""
    version: int = 0
    """The keyset's version."""
    audience: Audience | None = None
    customer: str | None = None
    epoch: int = 0
    seq: int = 0
    issued_at: Instant = 0
    """When the newest head that was believed was issued; microseconds, of the server's clock."""


class _Whose(Struct):
    workspace: str


class Trust:
    """Whom a follower believes. With no root given, the first one that a feed names is taken and kept."""

    def __init__(self, root: str | None = None, workspace: str | None = None, kept: Kept | None = None) -> None:
        """A root and workspace that are given beat those that were kept; then what was kept of others is forgotten."""
        known = kept or Kept()
        if (root or known.root) != known.root or (workspace or known.workspace) != known.workspace:
            known = Kept(root=root, workspace=workspace)
        self._kept = known
        self._keyset: Keyset | None = None
        if known.keyset is not None and known.root is not None and known.workspace is not None:
            self._keyset = open_keyset(known.keyset, [known.root], known.workspace, newest=known.version)

    def kept(self) -> Kept:
        """Return what must be kept for the next process."""
        return self._kept

    @property
    def workspace(self) -> str | None:
        """The id of the workspace followed; None before the first keyset."""
        return self._kept.workspace

    def take_keyset(self, token: str, root: str | None) -> bool:
        """Take a signed keyset; ``root`` is what the feed names. Return whether it is newer than the one known.

        Raises FeedError with a code of ``seal.keyset.open_keyset``, or ``no_root``; OtherRoot where it is signed by
        another root than the one that is pinned or was taken before.
        """
        pinned = self._kept.root or root
        if pinned is None:
            raise FeedError("no_root", "the feed names no root key and none is pinned: give the client one")
        try:
            workspace = self._kept.workspace or _workspace_of(token)
            keyset = open_keyset(token, [pinned], workspace, newest=self._kept.version)
        except SealError as error:
            if error.code == "unknown_key":
                raise OtherRoot(error.code, f"{error}; the one that is believed is {pinned}") from None
            raise FeedError(error.code, str(error)) from None
        if self._keyset is not None and keyset.version == self._keyset.version:
            if keyset != self._keyset:
                raise FeedError("rolled_back", f"there are two keysets of version {keyset.version}")
            return False
        self._keyset = keyset
        self._kept = msgspec.structs.replace(
            self._kept, root=pinned, workspace=workspace, keyset=token, version=keyset.version
        )
        return True

    def open(self, token: str) -> tuple[bytes, str]:
        """Return a message's payload and the id of the key that signed it, valid at whatever time.

        Raises FeedError with a code of ``seal.keyset.open_with``, or ``no_keyset``.
        """
        if self._keyset is None:
            raise FeedError("no_keyset", "the feed sent no keyset before its first message")
        try:
            key = _key_of(token)
            # Whether the key was valid is judged by the head, which says when: see check_time.
            starts = [to_instant(entry.not_before) for entry in self._keyset.keys if entry.id == key]
            return open_with(token, self._keyset, "feed", starts[0] if starts else 0), key
        except SealError as error:
            raise FeedError(error.code, str(error)) from None

    def check_time(self, ids: frozenset[str], issued_at: Instant) -> None:
        """Raise FeedError unless all keys are valid at the instant that a head says it was issued at.

        That instant and the validity are both of the server's clock: what clocks of followers say means nothing.
        """
        keys = () if self._keyset is None else self._keyset.keys
        for entry in keys:
            if entry.id in ids and issued_at < to_instant(entry.not_before):
                raise FeedError("not_yet_valid", f"the key {entry.id} signed before it was valid")
            if entry.id in ids and issued_at >= to_instant(entry.not_after):
                raise FeedError("expired", f"the key {entry.id} signed after it was valid")

    def believe(self, *, audience: Audience, customer: str | None, epoch: int, seq: int, issued_at: Instant) -> None:
        """Remember the head that is now the newest."""
        self._kept = msgspec.structs.replace(
            self._kept, audience=audience, customer=customer, epoch=epoch, seq=seq, issued_at=issued_at
        )


def _key_of(token: str) -> str:
    """The id of the key that a token says it is signed with; not verified."""
    try:
        return msgspec.json.decode(decode64(token.rpartition(".")[2]), type=Footer).kid
    except (TokenError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SealError("malformed", f"the text is nothing signed by Licet: {error}") from None


def _workspace_of(token: str) -> str:
    """The workspace that a keyset is of; not verified: the very same bytes are verified before anything is believed."""
    if len(token) > MAX_KEYSET:
        raise SealError("malformed", f"a keyset has at most {MAX_KEYSET} characters, this text has {len(token)}")
    try:
        body = decode64(token[len(HEADER) :].partition(".")[0])
        return msgspec.json.decode(body[:-SIGNATURE_BYTES], type=_Whose).workspace
    except (TokenError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SealError("malformed", f"the keyset cannot be read: {error}") from None
