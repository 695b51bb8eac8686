"""Finds where in a text the path of a problem is written, for problems that were found in the document's meaning."""

import re
from collections.abc import Mapping as Values
from collections.abc import Sequence as Several
from typing import Any, Final

from licet.wire.yaml_tree import Mapping, Node, Sequence, TreeError, read_tree

_STEP: Final = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|([^.\[]+)')


def placed(text: str, problems: Several[Values[str, Any]]) -> list[dict[str, Any]]:
    """Return problems with line and column wherever their path, or its nearest part, is written in ``text``."""
    try:
        tree, _ = read_tree(text)
    except TreeError:
        return [dict(problem) for problem in problems]
    return [dict(problem) | _place(tree, problem) for problem in problems]


def _place(tree: Node, problem: Values[str, Any]) -> dict[str, int]:
    if problem.get("line") or not problem.get("path"):
        return {}
    node, found = tree, None
    for quoted, index, name in _STEP.findall(problem["path"]):
        if isinstance(node, Mapping):
            pair = next((pair for pair in node.pairs if pair[0].text == (quoted or name)), None)
            if pair is None:
                break
            found, node = pair[0], pair[1]
        elif isinstance(node, Sequence) and index and int(index) < len(node.items):
            node = node.items[int(index)]
        else:
            break
    return {} if found is None else {"line": found.line, "column": found.column}
