"""Breaks the rules in every small way a program can think of, and says which of it no test sees.

``python -m tests.mutation.generated [PART …]`` (``make mutation``; ``FULL=1`` for all parts). Each part is copied to
``.cache/mutation``, and mutmut runs there: one mutant after another, each against the tests of its room alone.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
PLACE: Final = ROOT / ".cache" / "mutation"
EQUIVALENT: Final = Path(__file__).with_name("equivalent.toml")
COPIED: Final = ("src", "tests", "spec", "examples")
OUTCOMES: Final = {0: "survived", 1: "caught", 3: "caught", 5: "no test", 33: "no test"}
"""What mutmut's exit codes mean; any other is a mutant that never ended, or that ended its process."""


class Part(NamedTuple):
    """What is mutated, and the tests that have to see it."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]
    full: bool = False
    """Whether it takes so long that only ``FULL=1`` runs it."""


USAGE: Final = ("tests/core/usage",)
CLOSING: Final = tuple(
    f"tests/core/usage/test_{name}.py" for name in ("admit_closing", "admit_vectors", "mutated_closing")
)
EFFECTS: Final = tuple(f"tests/core/usage/test_{name}.py" for name in ("mutated_effects", "rate", "undone"))
LEASING: Final = ("tests/core/usage/test_leasing.py",)
PARTS: Final = {
    "hub": Part(("hub/*",), ("tests/hub",)),
    "effects": Part(("core/usage/effects.py", "core/usage/rate.py"), EFFECTS),
    "closing": Part(("core/usage/closing.py",), CLOSING),
    "quantity": Part(("core/quantity.py",), ("tests/core/test_quantity.py",)),
    "leasing": Part(("core/usage/leasing.py",), LEASING),
    "desk": Part(("core/usage/desk.py",), USAGE, full=True),
    "ledger": Part(("core/usage/ledger.py", "core/usage/drawing.py"), USAGE, full=True),
    "admit": Part(("core/usage/admit.py", "core/usage/admission.py"), USAGE, full=True),
}


class Survivor(NamedTuple):
    """A mutant that no test saw."""

    module: str
    function: str
    was: str
    became: str


def prepare(name: str, part: Part) -> Path:
    """Copy what a part needs into a folder of its own, with mutmut's settings; return the folder."""
    place = PLACE / name
    shutil.rmtree(place, ignore_errors=True)
    for folder in COPIED:
        shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    chosen = json.dumps([f"src/licet/{module}" for module in part.modules])
    settings = f"""
[tool.mutmut]
source_paths = ["src"]
only_mutate = {chosen}
also_copy = ["spec", "examples"]
pytest_add_cli_args = ["-p", "no:cacheprovider"]
pytest_add_cli_args_test_selection = {json.dumps(part.tests)}
track_dependencies = false
use_git_change_detection = false
"""
    (place / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text("utf-8") + settings, "utf-8")
    return place


def run(place: Path, children: int) -> None:
    """Let mutmut try all mutants in a folder; raises CalledProcessError where its tests fail without any."""
    with (place / "mutmut.log").open("wb") as log:
        subprocess.run(
            [sys.executable, "-m", "mutmut", "run", "--max-children", str(children)],
            cwd=place,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=True,
        )


def outcomes(place: Path) -> Iterator[tuple[str, str, str]]:
    """Yield what became of each mutant: module, mutmut's name of it, outcome."""
    for page in sorted(place.glob("mutants/src/licet/**/*.meta")):
        module = str(page.relative_to(place / "mutants" / "src" / "licet")).removesuffix(".meta")
        for mutant, code in json.loads(page.read_text("utf-8"))["exit_code_by_key"].items():
            yield module, mutant, OUTCOMES.get(code, "ended badly")


def describe(place: Path, module: str, mutant: str) -> Survivor:
    """Return what a mutant changes: its function, the lines that went and the lines that came."""
    shown = subprocess.run(
        [sys.executable, "-m", "mutmut", "show", mutant], cwd=place, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    lines = [line for line in shown if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    was, became = (" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    function = re.sub(r".*\.x_|.*\.xǁ|__mutmut_\d+$", "", mutant).replace("ǁ", ".")
    return Survivor(module, function, was, became)


def known() -> dict[Survivor, str]:
    """Return the mutants that change nothing anybody could see, each with the reason."""
    pages = tomllib.loads(EQUIVALENT.read_text("utf-8")).get("mutant", [])
    return {Survivor(one["module"], one["function"], one["was"], one["became"]): one["why"] for one in pages}


def report(found: dict[str, Counter[str]], left: list[Survivor]) -> str:
    """Return the table, and below it every survivor that nothing explains."""
    columns = ("caught", "ended badly", "equivalent", "survived", "no test")
    lines = [f"{'module':32}{'mutants':>10}" + "".join(f"{column:>13}" for column in columns)]
    for module, counts in [*sorted(found.items()), ("all", sum(found.values(), Counter()))]:
        lines.append(f"{module:32}{counts.total():>10}" + "".join(f"{counts[column]:>13}" for column in columns))
    for one in left:
        lines += ["", f"{one.module} {one.function}", f"  - {one.was}", f"  + {one.became}"]
    return "\n".join([*lines, ""])


def main(arguments: list[str]) -> int:
    """Run the chosen parts and print the report; it says what is left, and fails only where mutmut does."""
    asked = argparse.ArgumentParser(prog="python -m tests.mutation.generated")
    asked.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; those that are quick if none")
    asked.add_argument("--full", action="store_true", help="all parts")
    asked.add_argument("--children", type=int, default=1, help="how many mutants at once")
    said = asked.parse_args(arguments)
    if wrong := [name for name in said.parts if name not in PARTS]:
        asked.error(f"there is no part {wrong[0]!r}; there are {', '.join(PARTS)}")
    names = said.parts or [name for name, part in PARTS.items() if said.full or not part.full]
    reasons, found, left = known(), dict[str, Counter[str]](), list[Survivor]()
    for name in names:
        sys.stderr.write(f"{name} ...\n")
        place = prepare(name, PARTS[name])
        try:
            run(place, said.children)
        except subprocess.CalledProcessError:
            sys.stderr.write(f"mutmut did not come to an end; what it said is in {place / 'mutmut.log'}\n")
            return 1
        for module, mutant, outcome in outcomes(place):
            became = outcome
            if outcome in ("survived", "no test"):
                one = describe(place, module, mutant)
                became = "equivalent" if one in reasons else outcome
                left += [] if one in reasons else [one]
            found.setdefault(module, Counter())[became] += 1
    said_all = report(found, left)
    (PLACE / "report.txt").write_text(said_all, "utf-8")
    sys.stdout.write(said_all)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
