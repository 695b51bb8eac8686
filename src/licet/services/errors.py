"""What can go wrong in a use case, for the doors to translate. Every error has a stable code and helpful words."""

from typing import Any


class ServiceError(Exception):
    """The request cannot be carried out; nothing was written. ``code`` is stable, ``advice`` says what to do next."""

    code = "failed"

    def __init__(self, words: str, *, advice: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(words)
        self.words = words
        self.advice = advice
        self.details = details or {}


class NotFound(ServiceError):
    """There is no such thing in this workspace."""

    code = "not_found"


class UnknownWorkspace(NotFound):
    """There is no such workspace. Only who asks for a keyset names one: a key has its own, and a delivery's path is
    answered as one to an unknown source."""


class Conflict(ServiceError):
    """The state is another than the request assumes (a stale base, a taken external id, a moved clock)."""

    code = "conflict"


class Invalid(ServiceError):
    """The content does not fit; ``details['problems']`` lists each place."""

    code = "invalid"


class NoCatalog(Conflict):
    """No catalog has been released in this workspace, so that nothing can be answered or sold."""

    code = "no_catalog"

    def __init__(self, workspace: str) -> None:
        super().__init__(
            f"no catalog has been released in workspace {workspace}",
            advice="release one with: licet catalog apply catalog.yaml",
        )


class NoCatalogThen(Conflict):
    """A catalog has been released, but only after the instant that is asked about."""

    code = "no_catalog_then"


class Unsellable(Invalid):
    """The catalog speaks against a sale; ``details['problems']`` lists each place with what would be right."""

    code = "unprocessable"


class StaleBase(Conflict):
    """The catalog was changed since the revision on which a change is based."""

    code = "stale_base"


class PreviewRequired(Conflict):
    """A release or move could touch what live customers have, and no preview of it is named."""

    code = "preview_required"


class PreviewStale(Conflict):
    """The named preview is of another base or content, is not finished, or is too old."""

    code = "preview_stale"


class BlastRadius(Conflict):
    """More customers lose something than was allowed."""

    code = "blast_radius"


class CatalogInvalid(Invalid):
    """The catalog cannot be released; ``details['problems']`` lists every place."""

    code = "catalog_invalid"


class ReservationClosed(Conflict):
    """The reservation was settled or released before."""

    code = "reservation_closed"


class QuotaDisagreement(Conflict):
    """An evaluator told of a quota lease what cannot be."""

    code = "quota_disagreement"


class ReservationExpired(Conflict):
    """The reservation ended by itself."""

    code = "reservation_expired"


class Forbidden(ServiceError):
    """The actor may not do this."""

    code = "forbidden"


class BadSignature(ServiceError):
    """A delivery is not signed with a secret of its source, or was signed too long ago or in the future."""

    code = "bad_signature"


class KeyReused(ServiceError):
    """The idempotency key came before with another body."""

    code = "idempotency_key_reused"


class KeyBusy(ServiceError):
    """The first request with this idempotency key is still under way."""

    code = "idempotency_key_busy"


class Unavailable(ServiceError):
    """The database cannot be reached just now; try again."""

    code = "unavailable"
