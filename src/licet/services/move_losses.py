"""Who loses by a move while it is carried out: whoever comes to it after it was agreed to is counted as well."""

from typing import Final

from licet.core.compiled import CompiledCatalog
from licet.core.impact import Uses
from licet.core.instant import Instant
from licet.services.errors import BlastRadius
from licet.services.move_ports import MoveRow
from licet.services.move_previews import MoveJudge
from licet.services.preview_guard import SHOWN_LOSSES, Tally
from licet.services.rows import TermsRow

_NAMED: Final = 5
"""Customers that a refusal names."""


class Losing:
    """The losses of one batch, on top of those of the batches before it."""

    def __init__(self, catalog: CompiledCatalog, row: MoveRow, now: Instant) -> None:
        self._judge = MoveJudge(catalog, row.command, now, row.id).judge
        self._row = row
        self._tally = Tally()
        self._who: list[str] = []

    @property
    def count(self) -> int:
        """Customers who have lost something by the move, those of this batch included."""
        return self._row.losing + len(self._who)

    def judge(self, before: TermsRow, uses: Uses) -> None:
        """Look at one customer of the batch, before it is moved."""
        judged = self._judge(before, uses)
        if judged is not None and judged.impact.loses:
            self._who.append(before.terms.customer)
            self._tally.count(judged.impact)

    def check(self) -> None:
        """Raise BlastRadius where more lose with this batch than may."""
        row = self._row
        if not self._who or self.count <= row.max_losing:
            return
        words = [*self._tally.words()][:SHOWN_LOSSES]
        who = ", ".join(self._who[:_NAMED]) + (", …" if len(self._who) > _NAMED else "")
        earlier = f" and {row.losing:,} did before them" if row.losing else ""
        raise BlastRadius(
            f"{len(self._who):,} customer{'' if len(self._who) == 1 else 's'} of the next batch would lose something "
            f"({who}): {'; '.join(words)}{earlier}; at most {row.max_losing:,} may by this move",
            advice=f"nobody of this batch was moved; allow it with max_losing={self.count}: licet catalog move "
            f"resume {row.id} --max-losing {self.count}, or take the move back: licet catalog move reverse {row.id}",
            details={"losing": self.count, "max_losing": row.max_losing, "losses": words},
        )
