"""Writes the reference page of all kinds of findings from their registry: ``python -m tests.core.findings_page``."""

import sys
from pathlib import Path
from typing import Final

from licet.core.finding import KINDS, FindingKind

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "findings.md"
_HEAD: Final = """# Findings

Made from the registry of kinds (`src/licet/core/finding.py`) by `python -m tests.core.findings_page`; a test compares,
and another one that the code makes no kind which is not here.

A finding is a place where what was sold, said or stored does not fit together. Nothing is guessed or merged silently:
somebody decides. How to work through them is told in the [guide](../guides/findings.md).

- **One finding** per kind and subject while it is open: seen again, it is counted up with the newest words and
  evidence.
- **Owner and due date** come from the kind and the severity when it is first seen; days of the workspace's business
  clock. Both can be changed.
- **Money** is what is at stake, where a source said so.
- **Repair** is a command for a POSIX shell, filled from the finding. Ids come from outside, so each is quoted as one
  word. Where one cannot be (it begins with a dash, does not print, or is longer than 300 characters), or the finding
  lacks it, the repair is the advice of the kind instead.
- **States**: `open`; `resolved` (the cause is gone; seen again, it is a new finding); `dismissed` (it may stay so, with
  a note; the very same words, evidence and money again are only counted, anything else is a new finding).
- **In the log**: `finding.opened`, `.changed`, `.resolved`, `.dismissed`, `.reopened`, each about `finding/<id>`. Only
  the counters move without an event.

Due within: days for high / medium / low severity.

"""


def page() -> str:
    """Return the whole page."""
    rows = ["| kind | in words | owner | due within |", "|---|---|---|---|"]
    for name, kind in KINDS.items():
        days = " / ".join(map(str, kind.days))
        rows.append(f"| [`{name}`](#{name}) | {kind.title} | {kind.owner} | {days} |")
    return _HEAD + "\n".join(rows) + "\n" + "".join(_section(*one) for one in KINDS.items())


def _section(name: str, kind: FindingKind) -> str:
    repair = f"\nRepair: `{kind.command}`\n" if kind.command else ""
    code, instead = kind.unless
    repair += f"\nRepair where it is `{code}`: `{instead}`\n" if code else ""
    return f"\n## {name}\n\n{kind.what} {kind.why}\n\n{kind.steps}\n{repair}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    sys.stdout.write(f"{PAGE} is written\n")
