"""What the client takes for an id: what the server takes, said in words before anything is asked."""

import enum

import pytest

from licet.sdk.ids import read_id


class Marked(str):
    """A text of a framework's own kind."""

    __slots__ = ()


class Who(enum.StrEnum):
    """Customers of a test."""

    ACME = "acme"


@pytest.mark.parametrize(
    ("what", "value", "words"),
    [
        ("user", 7, r"the user must be text, like str\(request.user.pk\); it is 7"),
        ("customer", None, "the customer must be text.*None"),
        ("customer", b"acme", "must be text"),
        ("feature", "", "the feature is empty"),
        ("customer", "x" * 129, "129 characters"),
        ("customer", "a\x00b", r"'a\\x00b' holds the character U\+0000"),
        ("customer", "a\x7fb", r"U\+007F"),
        ("customer", "a\ud800", r"U\+D800"),
    ],
)
def test_what_is_no_id_is_refused(what: str, value: object, words: str) -> None:
    """What no server takes is refused with its kind and value; the words can be printed anywhere."""
    with pytest.raises(ValueError, match=words) as refused:
        read_id(what, value)
    assert str(refused.value).isascii() or "…" in str(refused.value)


def test_an_id_is_a_plain_text_in_its_normal_form() -> None:
    """Tabs and any letters are taken; letters come out composed, texts of other kinds plain."""
    assert read_id("user", "cafe\u0301") == "caf\u00e9"
    assert read_id("user", "a\tb") == "a\tb"
    assert read_id("user", "x" * 128) == "x" * 128
    for one in (Marked("acme"), Who.ACME):
        assert read_id("customer", one) == "acme"
        assert type(read_id("customer", one)) is str
