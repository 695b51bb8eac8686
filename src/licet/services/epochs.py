"""The epoch of a workspace: one number that says which life of the database a sequence is of. Restores raise it."""

from typing import Final

from msgspec import Struct

from licet.services.normal import invalid
from licet.services.ports import Tx, View
from licet.services.rows import Draft

HIGHEST: Final = 2**31 - 1


class EpochView(Struct, frozen=True, kw_only=True):
    """The epoch in force and the newest sequence in it."""

    workspace: str
    epoch: int
    seq: int


async def read_epoch(view: View) -> EpochView:
    """Return a workspace's epoch."""
    return EpochView(workspace=view.workspace.id, epoch=view.workspace.epoch, seq=await view.seq())


async def raise_epoch(tx: Tx, to: int | None = None) -> EpochView:
    """Raise a workspace's epoch by one, or to a higher number; leaves ``workspace.epoch_raised``.

    Followers of an older epoch begin anew, and never go back to it. Raises Invalid for a number that is not higher.
    """
    before = await tx.lock_epoch()
    after = before + 1 if to is None else to
    if not before < after <= HIGHEST:
        raise invalid("to", f"the epoch is {before}; {after} is not higher", f"name {before + 1} to {HIGHEST}")
    await tx.raise_epoch(after)
    await tx.record(
        Draft(type="workspace.epoch_raised", subject="workspace", before={"epoch": before}, after={"epoch": after})
    )
    return EpochView(workspace=tx.workspace.id, epoch=after, seq=await tx.flush())
