"""Canonical JSON against an implementation of RFC 8785 that shares nothing with ours."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from licet.seal.canonical import LARGEST, NotCanonical, canonical

# RFC 8785 section 3.2.2.2: the two-character escapes; other controls as \u00xx in lower case; nothing else escaped.
ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-LARGEST, LARGEST) | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=25,
)


def reference(value: Any) -> str:
    """RFC 8785, character by character, for values without floats."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        escaped = (ESCAPES.get(char) or (f"\\u{ord(char):04x}" if char < " " else char) for char in value)
        return f'"{"".join(escaped)}"'
    if isinstance(value, list):
        return f"[{','.join(reference(item) for item in value)}]"
    keys = sorted(value, key=lambda key: [*memoryview(key.encode("utf-16-be")).cast("B")])
    return "{" + ",".join(f"{reference(key)}:{reference(value[key])}" for key in keys) + "}"


@given(VALUES)
def test_it_equals_an_independent_implementation(value: Any) -> None:
    """Whatever the value, our bytes are those of the reference, and they read back as the same value."""
    assert canonical(value) == reference(value).encode()
    assert json.loads(canonical(value)) == value


def test_keys_are_ordered_as_the_rfc_says() -> None:
    """The example of RFC 8785 section 3.2.3: order by UTF-16 units, where an emoji comes before U+FB33."""
    given_keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    wanted = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(canonical(dict.fromkeys(given_keys, 0)))) == wanted


class Sample(Struct, frozen=True, kw_only=True):
    """A struct with a set and an instant."""

    zeta: frozenset[str]
    alpha: datetime


def test_structs_sets_and_instants_have_one_form() -> None:
    """Fields and sets are sorted, instants are RFC 3339 in UTC with Z, whatever order they were made in."""
    when = datetime(2026, 3, 1, 9, 0, 0, 1, tzinfo=UTC)
    forward = Sample(zeta=frozenset(["b", "a", "c"]), alpha=when)
    backward = Sample(zeta=frozenset(["c", "a", "b"]), alpha=when)
    assert canonical(forward) == canonical(backward)
    assert canonical(forward) == b'{"alpha":"2026-03-01T09:00:00.000001Z","zeta":["a","b","c"]}'


DEEP: Any = []
for _ in range(70):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "value", [1.0, float("nan"), 2**53, -(2**53), {"a": [1.5]}, "\ud800", {"\udfff": 1}, object(), DEEP]
)
def test_what_readers_disagree_about_is_refused(value: Any) -> None:
    """Floats, large integers, lone surrogates, foreign types and absurd depth have no canonical form."""
    with pytest.raises(NotCanonical):
        canonical(value)
