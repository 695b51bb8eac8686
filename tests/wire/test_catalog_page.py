"""The reference page of the catalog names everything the document can say, and its example is sound."""

import re
from pathlib import Path

import pytest

from licet.core.catalog import LIMITS, MAX_INCLUDES, MAX_ORDER_LINES, MAX_VERSIONS
from licet.wire.catalog_schema import catalog_schema
from licet.wire.catalog_text import CatalogTextError, read_catalog

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "catalog.md").read_text(encoding="utf-8")


def test_every_field_and_choice_is_on_the_page() -> None:
    """Each field of each part and each allowed word stands on the page in code style or as a heading."""
    named = set(re.findall(r"`([^`\n]+)`", PAGE)) | set(re.findall(r"^## (\w+)$", PAGE, re.MULTILINE))
    missing = []
    for part, schema in catalog_schema()["$defs"].items():
        for field, rules in schema["properties"].items():
            if field not in named and part != "Catalog":
                missing.append(f"{part}.{field}")
            choices = [rules, *rules.get("anyOf", []), rules.get("items", {})]
            words = [word for each in choices for word in each.get("enum", []) if isinstance(word, str)]
            missing += [f"{part}.{field}: {word}" for word in words if word not in named and field != "weekdays"]
    assert missing == []
    assert {*LIMITS} <= named


def test_the_stated_limits_are_the_real_ones() -> None:
    """The numbers on the page are those of the code."""
    sentence = next(line for line in PAGE.split("\n\n") if line.startswith("Limits: ")).replace("\n", " ")
    stated = {int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", sentence)}
    assert stated == {2, *LIMITS.values(), MAX_VERSIONS, MAX_INCLUDES, MAX_ORDER_LINES}


def test_the_examples_are_sound() -> None:
    """What a newcomer copies from the page is accepted, alone and with the policies further down."""
    example, policies = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert list(read_catalog(example).plans) == ["team"]
    assert list(read_catalog(example + policies).policies) == ["export_control"]


def test_a_failing_test_of_a_policy_is_told_as_the_page_shows() -> None:
    """The example with one expectation turned gives the problem that stands on the page, but for its place."""
    example, policies = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (shown,) = re.findall(r"```text\ncatalog.yaml:[\d:]+ (.*?)\n```", PAGE)
    turned = policies.replace("{country: DE}}, then: false", "{country: DE}}, then: true")
    with pytest.raises(CatalogTextError) as caught:
        read_catalog(example + turned)
    (problem,) = caught.value.problems
    assert f"{problem.path}: {problem.message}" == shown
    line = (example + turned).splitlines()[(problem.line or 0) - 1]
    assert line[(problem.column or 0) - 1 :].startswith("true}")
