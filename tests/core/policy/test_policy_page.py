"""The reference page of the condition language says what is so."""

import re
from pathlib import Path

import pytest

from licet.core.policy import STANDARD_ENVIRONMENT, RecordType, StringType, compile_condition
from licet.core.policy.checker import FUNCTIONS
from licet.core.policy.syntax import PRECEDENCE

_PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "conditions.md").read_text(encoding="utf-8")
_EXAMPLES = [line for block in re.findall(r"```text\n(.*?)```", _PAGE, re.DOTALL) for line in block.splitlines()]
_MISSING = re.findall(r"^\| `(.*)`[^|`]* \| (yes|no) \|(.*)\|$", _PAGE, re.MULTILINE)


@pytest.mark.parametrize("source", _EXAMPLES)
def test_example_compiles(source: str) -> None:
    """Each line of the examples is a condition of the standard environment."""
    assert compile_condition(source, STANDARD_ENVIRONMENT).reads


@pytest.mark.parametrize(("source", "holds", "missing"), _MISSING)
def test_missing_facts_behave_as_the_table_says(source: str, holds: str, missing: str) -> None:
    """Each row of the table gives the verdict written in it, with its missing names."""
    verdict = compile_condition(source.replace("\\|", "|"), STANDARD_ENVIRONMENT).evaluate({})
    assert (verdict.holds, " ".join(verdict.missing)) == (holds == "yes", missing.strip(" `"))


def test_page_is_complete() -> None:
    """The table has rows, and every fact, allowed value, operator and function stands on the page."""
    assert len(_MISSING) == 8
    assert len(_EXAMPLES) == 4
    words = [*FUNCTIONS, *(sign.replace("||", "\\|\\|") for sign in PRECEDENCE)]
    for name, declared in STANDARD_ENVIRONMENT.names.items():
        inner = declared.fields if isinstance(declared, RecordType) else {"": declared}
        for field, kind in inner.items():
            words.append(f"`{name}.{field}".rstrip(".") if field != "attributes" else f"`{name}.attributes.…`")
            words += [f"`{value}`" for value in kind.allowed] if isinstance(kind, StringType) else []
    assert [word for word in words if word not in _PAGE] == []
