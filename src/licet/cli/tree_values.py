"""A YAML document as plain values, by the same reader as catalogs: no aliases, no tags, no duplicate keys."""

from pathlib import Path
from typing import Any

from licet.cli.failure import NO, Failure
from licet.wire.yaml_tree import Decimal, Mapping, Node, Scalar, TreeError, read_tree, resolve


def read_yaml(file: Path, text: str) -> Any:
    """Return a YAML file's content; decimals as text. Raises Failure with the first problem's line and column."""
    try:
        tree, problems = read_tree(text)
    except TreeError as error:
        problems = error.problems
        tree = None
    if problems or tree is None:
        problem = problems[0]
        place = ":".join([str(file), *(str(part) for part in (problem.line, problem.column) if part)])
        raise Failure(f"{place}: {problem.message}", code="file", exit_code=NO)
    return _value(tree)


def _value(node: Node) -> Any:
    if isinstance(node, Scalar):
        value = resolve(node)
        return value.text if isinstance(value, Decimal) else value
    if isinstance(node, Mapping):
        return {key.text: _value(value) for key, value in node.pairs}
    return [_value(item) for item in node.items]
