"""How both clients begin and end: the book they open, the one that is closed, and why there is no truth."""

from pathlib import Path
from time import monotonic, time_ns
from typing import TYPE_CHECKING

from licet.core.instant import Instant
from licet.sdk.book import Book
from licet.sdk.decision import NOWHERE
from licet.sdk.errors import NoTruth, Unreachable
from licet.sdk.flow import Following
from licet.sdk.options import Options
from licet.sdk.pacing import Pace

if TYPE_CHECKING:
    from licet.sdk.keeping import Keeping
    from licet.sdk.sending import Sending
    from licet.sdk.tally import CheckTally


def wall() -> Instant:
    """Return real time by this machine's clock."""
    return time_ns() // 1000


def open_book(options: Options) -> Book:
    """Return the truth to begin with: what the cache kept, or nothing."""
    book = Book(
        wall,
        root=options.root,
        most_customers=options.most_customers if options.on_demand else None,
        keeping=_keeping(options),
        scope=options.customers,
    )
    book.open()
    return book


def closed_book() -> Book:
    """Return a book with nothing in it."""
    return Book(wall)


def is_ready(book: Book, following: Following) -> bool:
    """Whether there is a truth, and in it everybody who is to be held."""
    return book.page is not NOWHERE and (following.settled or not book.missing())


def is_decided(book: Book, following: Following, *, patient: bool) -> bool:
    """Whether waiting for a truth is over: there is one, or there will be none before somebody does something.

    Whoever is not patient goes on as well once it did not work, or there is nothing to answer from yet.
    """
    if is_ready(book, following) or following.hopeless:
        return True
    return not patient and (following.error is not None or following.settled)


def why_not(options: Options, following: Following) -> NoTruth:
    """Return the error that says why there is no truth yet."""
    if following.error is not None:
        return following.error.fresh()
    if following.settled:
        return NoTruth(f"the workspace at {options.place.url} has no catalog yet: `licet catalog apply` releases one")
    return Unreachable(f"nothing has come from {options.place.url} yet; is it up? wait_ready() waits for it")


def new_tally(options: Options) -> "CheckTally | None":
    """Return what counts checks, unless telemetry is off."""
    if not options.telemetry:
        return None
    from licet.sdk.tally import CheckTally

    return CheckTally()


def new_sending(options: Options, tally: "CheckTally", pace: Pace, book: Book) -> "Sending":
    """Return what tells the server of the counts."""
    from licet.sdk.sending import Sending

    return Sending(
        tally,
        pace,
        monotonic,
        lambda: book.page.business(max(wall(), book.page.issued_at)),
        lambda: book.audience,
        url=options.place.url,
        seconds=options.timeout,
        tempo=options.tempo,
    )


def outbox_place(options: Options) -> tuple[Path, str]:
    """Return the folder of caches, and the name in it of the outboxes of a server's workspace. Raises OSError.

    It is not the key's: what waits must find its way to the server also after the key was exchanged.
    """
    from licet.sdk.folder import default_folder, name_of

    base = default_folder() if options.cache is None or options.cache is True else Path(str(options.cache))
    return base, name_of(options.place.url, options.place.workspace, "reports")


def has_leftovers(options: Options) -> bool:
    """Whether outboxes lie in their folder: of processes that run, or of those that are gone. Makes nothing."""
    if options.cache is False:
        return False
    try:
        base, name = outbox_place(options)
        return any((base.expanduser() / name).glob("outbox-*.db"))
    except (OSError, RuntimeError):
        return False


def has_unsaid(options: Options, book: Book) -> bool:
    """Whether journals of owned quota lie in their folder: of processes that run, or of those that are gone.

    Before there is a truth nothing is taken over: it is not known whom the key speaks for.
    """
    if options.cache is False or not options.local or book.page is NOWHERE:
        return False
    try:
        base, name = outbox_place(options)
        return any((base.expanduser() / name).glob("quota-*.db"))
    except (OSError, RuntimeError):
        return False


def _keeping(options: Options) -> "Keeping | None":
    """The cache, unless it is off."""
    if options.cache is False:
        return None
    from licet.sdk.cache import Cache, Identity
    from licet.sdk.keeping import Keeping

    folder = None if isinstance(options.cache, bool) else options.cache
    identity = Identity(
        url=options.place.url, key=options.place.key_id, holding="picked" if options.picked else "whole"
    )
    return Keeping(Cache(folder, identity), partial=options.picked)
