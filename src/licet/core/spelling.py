"""What somebody probably meant: the known word most like a misspelled one."""

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 128
"""Characters of a word that are compared; the search takes time that grows with its length."""


def nearest(word: str, known: Iterable[str], *, surely: bool = False) -> str | None:
    """Return the known word that ``word`` most likely means, or None; case and ``-``/``_`` are overlooked.

    ``surely``: only one that differs in little, for names that programs make up and that look alike.
    """
    by_fold = {_folded(candidate): candidate for candidate in sorted(known, reverse=True)}
    found = get_close_matches(_folded(word[:LONGEST]), by_fold, n=1, cutoff=0.8 if surely else 0.6)
    return by_fold[found[0]] if found else None


def _folded(text: str) -> str:
    return text.casefold().replace("-", "").replace("_", "")
