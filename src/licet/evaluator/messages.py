"""Messages of a feed: nothing of one is read before it is verified, nor where this version would not understand it."""

from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from licet.core.catalog import Catalog, decode_catalog
from licet.evaluator.later import read_later
from licet.evaluator.trust import FeedError, Trust
from licet.wire.feed import FORMAT, Audience, Frame

UNDERSTOOD: Final[frozenset[str]] = frozenset()
"""Critical fields, beyond those of the format, that this version understands."""
S = TypeVar("S", bound=Struct)


class _Envelope(Struct, frozen=True):
    """What every format of a message has."""

    v: int
    crit: tuple[str, ...] = ()


class Messages:
    """Opens what comes, and refuses what is not for whom this follows; raises FeedError."""

    def __init__(self, trust: Trust) -> None:
        """``trust`` knows the keys, and who follows."""
        self._trust = trust

    def frame(self, token: str) -> tuple[Frame, str]:
        """Return a frame, for whom this follows and with rows of nobody else, and the id of its key."""
        frame, key = self.open(token, Frame)
        self.whose(frame.workspace, frame.audience)
        if frame.kind != "pick" or frame.audience == "customer":
            self.about(frame.audience, frame.customer)
        rows = [*(one.customer for one in frame.terms), *(one.customer for one in frame.users)]
        if frame.customer is not None and any(one != frame.customer for one in rows):
            raise FeedError("malformed", f"the frame is about {frame.customer!r} and has rows of others")
        if any(one.seq > frame.seq for one in frame.terms) or any(one.seq > frame.seq for one in frame.users):
            raise FeedError("malformed", "the frame has rows from beyond where it ends")
        return frame, key

    def whose(self, workspace: str, audience: Audience) -> None:
        """Refuse what is of another workspace, or for another audience."""
        kept = self._trust.kept()
        if workspace != kept.workspace:
            raise FeedError("wrong_workspace", f"the message is of workspace {workspace!r}, not {kept.workspace!r}")
        if kept.audience not in (None, audience):
            raise FeedError("wrong_audience", f"the message is for {audience}, this follows as {kept.audience}")

    def about(self, audience: Audience, customer: str | None) -> None:
        """Refuse what is for another customer, or for one where it cannot be."""
        kept = self._trust.kept()
        if kept.audience is not None and customer != kept.customer:
            raise FeedError("wrong_audience", f"the message is for {customer!r}, this follows as {kept.customer!r}")
        if (audience == "customer") != (customer is not None):
            raise FeedError("malformed", f"a message for {audience} with the customer {customer!r}")

    def open(self, token: str, kind: type[S]) -> tuple[S, str]:
        """Return a verified message and the id of its key."""
        payload, key = self._trust.open(token)
        try:
            envelope = msgspec.json.decode(payload, type=_Envelope)
            unknown = sorted(set(envelope.crit) - UNDERSTOOD)
            if envelope.v != FORMAT or unknown:
                what = f"format {envelope.v}" if envelope.v != FORMAT else f"the fields {', '.join(unknown)[:200]}"
                raise FeedError("not_understood", f"the message needs a version that understands {what}")
            return msgspec.json.decode(payload, type=kind), key
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise FeedError("malformed", f"the message cannot be read: {error}") from None


def read_catalog(document: bytes) -> Catalog:
    """Return a catalog, also of a later version where all that counts in it is understood; raises ValueError if not."""
    try:
        return decode_catalog(document)
    except msgspec.ValidationError:
        return read_later(document, Catalog)
