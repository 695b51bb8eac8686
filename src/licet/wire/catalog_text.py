"""The catalog as text: YAML (1.2 core schema) or JSON in, canonical YAML out.

Whoever writes a catalog is told everything that is wrong with it at once, each with line, column and what was
probably meant.
"""

import msgspec
from msgspec import inspect, structs

from licet.core.catalog import MAX_CATALOG_BYTES, Catalog
from licet.core.catalog_check import check_catalog
from licet.core.catalog_release import with_release
from licet.core.normal import normal_catalog
from licet.core.problem import Problem, Problems, Step, path_text, quoted
from licet.wire.shape import Places, ShapeReader
from licet.wire.yaml_text import yaml_text
from licet.wire.yaml_tree import Mapping, Node, Scalar, TreeError, read_tree

_SHAPE = inspect.type_info(Catalog)


class CatalogTextError(Exception):
    """A catalog that cannot be used; ``problems`` in the order of the text, ``name`` of the document.

    ``catalog`` is what was read where it is sound and only changes what is released.
    """

    def __init__(self, name: str, problems: list[Problem], catalog: Catalog | None = None) -> None:
        self.name = name
        self.catalog = catalog
        self.problems = tuple(sorted(problems, key=lambda each: (each.line or 0, each.column or 0)))
        super().__init__("\n".join(f"{name}:{problem}" for problem in self.problems))


def read_catalog(text: bytes | str, name: str = "catalog", *, released: Catalog | None = None) -> Catalog:
    """Return the catalog written as YAML or JSON, in normal form (see :func:`normal_catalog`).

    Raises :class:`CatalogTextError` with all problems found: of the text, of its shape, of what the parts whose shape
    is right say (``check_catalog``), and of what they change about ``released``, the newest release (``check_release``;
    only where no part is left out). ``name`` stands in front of each line of the error's text.
    """
    source = _decoded(text, name)
    try:
        tree, refused = read_tree(source)
    except TreeError as error:
        raise CatalogTextError(name, error.problems) from None
    problems = Problems()
    for problem in refused:
        problems.take(problem)
    _lift_products(tree, problems)
    reader = ShapeReader(problems)
    read = reader.read(tree, _SHAPE, ())
    if refused or not reader.whole:
        raise CatalogTextError(name, problems.found)
    try:
        catalog = msgspec.convert(read, Catalog)
    except msgspec.ValidationError:
        if not problems.found:
            raise
        raise CatalogTextError(name, problems.found) from None
    found = _without_echoes(check_catalog(catalog), reader.dropped)
    sound = None if problems.found or found else normal_catalog(catalog)
    if released is not None and not reader.dropped:
        found = with_release(released, catalog, found)
    if problems.found or found:
        placed = [_placed(problem, reader.places, source) for problem in found]
        raise CatalogTextError(name, problems.found + placed, sound)
    return normal_catalog(catalog)


def _without_echoes(found: list[Problem], dropped: list[tuple[Step, ...]]) -> list[Problem]:
    """Return the problems that are not mere consequences of what was left out because its shape is wrong."""
    names = {quoted(path[-1]) for path in dropped}
    within = {path_text(path) for path in dropped} | {path_text(path[:-1]) for path in dropped}
    return [
        problem
        for problem in found
        if problem.path not in within
        and not (problem.message.startswith("there is no ") and any(name in problem.message for name in names))
    ]


def write_catalog(catalog: Catalog) -> str:
    """Return a catalog as YAML that :func:`read_catalog` reads back to the same (in normal form).

    Parts stand in the order of the document's shape, entries by rank and id, includes in their shortest form.
    """
    return yaml_text(msgspec.to_builtins(normal_catalog(catalog), builtin_types=()))


def _decoded(text: bytes | str, name: str) -> str:
    """Return the text without a byte order mark; refuses what is too large or no UTF-8."""
    try:
        raw = text.encode() if isinstance(text, str) else text
        if len(raw) > MAX_CATALOG_BYTES:
            message = f"the document has {len(raw):,} bytes; at most {MAX_CATALOG_BYTES:,} are read"
            raise CatalogTextError(name, [Problem(path="", message=message, line=1, column=1)])
        source = raw.decode("utf-8-sig")
    except UnicodeError as error:
        message = f"the text is not UTF-8 at byte {getattr(error, 'start', 0)}; save it as UTF-8"
        raise CatalogTextError(name, [Problem(path="", message=message, line=1, column=1)]) from None
    nul = source.find("\0")
    if nul >= 0:
        line, column = source.count("\n", 0, nul) + 1, nul - source.rfind("\n", 0, nul)
        problem = Problem(path="", message="the text contains a NUL character", line=line, column=column)
        raise CatalogTextError(name, [problem])
    return source


def _lift_products(tree: Node, problems: Problems) -> None:
    """Let a plan's versions name its product where the plan itself does not: it is the same for all of them."""
    for plan_id, plan in _entries(_field(tree, "plans")):
        said = {key.text: value for key, value in plan.pairs}.get("product")
        for version_id, version in _entries(_field(plan, "versions")):
            own = _field(version, "product")
            if own is None:
                continue
            version.pairs = [pair for pair in version.pairs if pair[0].text != "product"]
            if said is None:
                said = own
                plan.pairs.append((Scalar("product", True, own.line, own.column), own))
            elif not (isinstance(said, Scalar) and isinstance(own, Scalar) and said.text == own.text):
                path = path_text(("plans", plan_id, "versions", version_id, "product"))
                message = "all versions of a plan belong to one product; name it once, beside versions"
                problems.take(Problem(path=path, message=message, line=own.line, column=own.column))


def _field(node: Node | None, name: str) -> Node | None:
    if not isinstance(node, Mapping):
        return None
    return next((value for key, value in node.pairs if key.text == name), None)


def _entries(node: Node | None) -> list[tuple[str, Mapping]]:
    if not isinstance(node, Mapping):
        return []
    return [(key.text, value) for key, value in node.pairs if isinstance(value, Mapping)]


def _placed(problem: Problem, places: Places, source: str) -> Problem:
    """Return a problem with the line and column of its path, or of the nearest path above it that was written."""
    path = problem.path
    value = places.values.get(path)
    place = places.keys.get(path)
    while path and value is None and place is None:
        path = _above(path)
        value, place = places.values.get(path), places.keys.get(path)
    if isinstance(value, Scalar) and not (problem.of_key and place):
        line, column = _within(value, problem.inside, source)
        return structs.replace(problem, line=line, column=column)
    line, column = place or (value if isinstance(value, tuple) else (1, 1))
    return structs.replace(problem, line=line, column=column)


def _above(path: str) -> str:
    """Return the path one step up."""
    if path.endswith('"]'):
        return path[: path.rfind('["')]
    if path.endswith("]"):
        return path[: path.rfind("[")]
    return path[: max(path.rfind("."), 0)]


def _within(value: Scalar, inside: tuple[int, int] | None, source: str) -> tuple[int, int]:
    """Return where in the document a place within a text stands; the text's own beginning where it was escaped."""
    if inside is None:
        return value.line, value.column
    written = source[value.start : value.end]
    quotes = 0 if value.plain else 1
    if written[quotes : len(written) - quotes] == value.text and inside[0] == 1:
        return value.line, value.column + quotes + inside[1] - 1
    return value.line, value.column
