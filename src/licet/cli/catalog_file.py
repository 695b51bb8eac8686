"""Reads a catalog file on this machine and shows everything that is wrong with it."""

from pathlib import Path
from typing import Any

from licet.cli.documents import read_text
from licet.cli.failure import NO, Ended
from licet.cli.output import Output
from licet.cli.problem_text import problem_lines
from licet.core.catalog import Catalog
from licet.core.problem import Problem
from licet.wire.catalog_text import CatalogTextError, read_catalog


def load_catalog(file: Path, out: Output) -> Catalog:
    """Return the catalog in a file; prints every problem and ends with exit code 1 where there are any."""
    text = read_text(file)
    try:
        return read_catalog(text, str(file))
    except CatalogTextError as error:
        problems = [_document(problem) for problem in error.problems]
        out.document({"file": str(file), "problems": problems})
        out.lines(problem_lines(str(file), text, problems))
        raise Ended(NO) from None


def _document(problem: Problem) -> dict[str, Any]:
    fields = ("path", "line", "column", "message", "suggestion")
    values = {name: getattr(problem, name) for name in fields}
    return {name: value for name, value in values.items() if value is not None}
