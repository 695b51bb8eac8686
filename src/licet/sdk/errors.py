"""What a program catches: each error says what was wrong and what to do about it."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from licet.sdk.decision import Decision


class LicetError(Exception):
    """Whatever the client raises."""


class Misconfigured(LicetError, ValueError):
    """The client was made with values that cannot be meant; nothing was started."""


class Closed(LicetError, RuntimeError):
    """The client was asked after ``close()``."""

    def __init__(self) -> None:
        super().__init__("the client was closed and answers no more; make another one, or close it later")


class NotEntitled(LicetError):
    """Raised for a refusal by what must not go on: ``require``, ``gate``, ``reserve``, ``metered``.

    ``decision`` tells everything about it.
    """

    def __init__(self, decision: "Decision") -> None:
        super().__init__(decision.message)
        self.decision = decision

    def __reduce__(self) -> "tuple[type[NotEntitled], tuple[Decision]]":
        """To other processes it goes with a copy of the decision."""
        return type(self), (self.decision,)


class NoTruth(LicetError):
    """There is nothing to answer with: no truth was ever loaded. ``code`` is stable and says why."""

    code = "no_truth"

    def fresh(self) -> "NoTruth":
        """Return the same error without a traceback: many may raise what went wrong once."""
        return type(self)(*self.args)


class Unreachable(NoTruth):
    """Nobody answered at the server's address, or it could not serve just now."""

    code = "unreachable"


class Unanswered(Unreachable):
    """Nobody said whether use was recorded. Asking again with the same ``key`` counts it once at most."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message, key)
        self.key = key

    def __str__(self) -> str:
        return str(self.args[0])


class Invalid(LicetError, ValueError):
    """The server cannot take what was asked of it, and will not later: ``code`` is that of its problem."""

    def __init__(self, message: str, code: str = "invalid") -> None:
        super().__init__(message, code)
        self.code = code

    def __str__(self) -> str:
        return str(self.args[0])


class ReservationEnded(Invalid):
    """It was settled or released before (``reservation_closed``), or lasted no longer (``reservation_expired``)."""


class BufferFull(LicetError):
    """As much waits to be told as may, or the disk takes no more: nothing was kept of it (``report_full="error"``)."""


class WrongUrl(NoTruth):
    """Somebody answered who is no Licet server."""

    code = "wrong_url"


class WrongKey(NoTruth):
    """The server does not know the key, or takes it no more."""

    code = "wrong_key"


class MissingScope(NoTruth):
    """The key opens, but may not ask: it lacks the scope ``check``, or is bound to another customer."""

    code = "missing_scope"


class ServerTooOld(NoTruth):
    """The server has no feed to follow."""

    code = "server_too_old"


class NotBelieved(NoTruth):
    """What arrived is not believed: its signature, order or content is not what the pinned root vouches for."""

    code = "not_believed"


class NotHeld(NoTruth):
    """This client does not hold that customer, because it could not be loaded just now or is none of its own."""

    code = "not_held"


class NeverHeld(NotHeld):
    """This customer is not held and trying again changes nothing: the client was made for others, or used wrongly."""


class NotUnderstood(NoTruth):
    """This version of licet cannot read the terms of that customer; a newer one can. Others are answered as ever."""

    code = "not_understood"


CAUSES: Final[dict[str, type[NoTruth]]] = {
    one.code: one
    for one in (
        NoTruth,
        Unreachable,
        WrongUrl,
        WrongKey,
        MissingScope,
        ServerTooOld,
        NotBelieved,
        NotHeld,
        NotUnderstood,
    )
}
"""The errors by their code."""
