"""Reading the log: what happened in a workspace, in commit order."""

from collections.abc import Sequence

from licet.services.ports import View
from licet.services.rows import Page
from licet.wire.event import Event


async def list_events(
    view: View,
    page: Page,
    *,
    subject: str | None = None,
    type: str | None = None,  # noqa: A002 the field's name
) -> Sequence[Event]:
    """List events in sequence order, of one subject or type if named; ``page.after`` is the last sequence seen."""
    return await view.events(page, subject=subject, type=type)
