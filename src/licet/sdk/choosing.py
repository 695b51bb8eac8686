"""Who decides about a use: this process, of quota that it owns, or the server. The same for both clients."""

from typing import TYPE_CHECKING, Any

from licet.sdk.errors import Closed

if TYPE_CHECKING:
    import threading

    from licet.sdk.book import Book
    from licet.sdk.counting import Counting
    from licet.sdk.deciding import Deciding
    from licet.sdk.options import Options
    from licet.sdk.own_quota import OwnQuota
    from licet.sdk.quota import Quota
    from licet.sdk.taps import Held
    from licet.sdk.usage import Usage, Wanted


class Choosing:
    """The part of a client that chooses. Everything is loaded with the first use of a feature that is local."""

    _options: "Options"
    _book: "Book"
    _closed: bool
    _choosing: "threading.Lock"
    _own: "OwnQuota | None" = None
    _deciding: "Deciding | None" = None
    _spends_at_once = True
    """Whether who spends may wait for a disk for a moment; not in an event loop."""

    @property
    def quota(self) -> "Quota":
        """What this process has done with owned quota so far."""
        from licet.sdk.quota import Quota

        own = self._own
        return Quota() if own is None else own.state

    def _decides(self, counting: "Counting", wanted: "Wanted", *, keyed: bool) -> "Counting | Deciding":
        """Return who decides: only the server knows whether a key of the program's own came before."""
        if keyed or not self._options.local:
            return counting
        from licet.sdk.local import is_local

        return self._decider(counting) if is_local(self._book.truth.catalog, wanted) else counting

    def _decider(self, counting: "Counting") -> "Deciding":
        found = self._deciding
        if found is None:
            from licet.sdk.deciding import Deciding
            from licet.sdk.own_quota import OwnQuota

            with self._choosing:
                found = self._deciding
                if found is None:
                    if self._closed:
                        raise Closed
                    self._own = OwnQuota(self._options, self._book, waits=self._spends_at_once)
                    found = self._deciding = Deciding(self._options, self._book, counting, self._own)
        return found

    @staticmethod
    def _held(usage: "Usage") -> "Held | None":
        """What was reserved in this process; None where the server reserved it, or nothing was."""
        from licet.wire.usage import ConsumeAnswer

        told: Any = usage.told
        return None if isinstance(told, ConsumeAnswer) or not hasattr(told, "hold") else told

    def _before_fork(self, seconds: float) -> None:
        if self._own is not None:
            self._own.before_fork(seconds)

    def _after_fork_in_parent(self) -> None:
        if self._own is not None:
            self._own.after_fork_in_parent()

    def _disown(self) -> None:
        """In a forked child: what is owned is the parent's."""
        import threading

        self._choosing = threading.Lock()
        if self._own is not None:
            self._own.after_fork_in_child()
