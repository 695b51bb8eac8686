"""What validators say, in sentences for people: no type names of a library, and the value that was given."""

import re
from collections.abc import Callable
from typing import Final

_KINDS: Final = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "nothing",
}
_Said = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]
_RULES: Final[tuple[_Said, ...]] = (
    (re.compile(r"[Oo]bject missing required field `([^`]*)`"), lambda found: f"the field {found[1]} is missing"),
    (re.compile(r"[Oo]bject contains unknown field `([^`]*)`"), lambda found: f"there is no field {found[1]}"),
    (re.compile(r"[Ii]nvalid enum value '([^']*)'"), lambda found: f"{found[1]!r} is not one of the allowed words"),
    (re.compile(r"[Ee]xpected `str` of length >= 1(?!\d)"), lambda _: "it must not be empty"),
    (
        re.compile(r"[Ee]xpected `([a-z |]+)`, got `([a-z]+)`"),
        lambda found: f"it is {_kinds(found[2])} and must be {_kinds(found[1])}",
    ),
    (re.compile(r" at `?\$\.([^`\s;]+)`?"), lambda found: f" (at {found[1]})"),
    (re.compile(r" at `?\$`?(?=$|;)"), lambda _: ""),
    (re.compile(r"Value error, "), lambda _: ""),
    (
        re.compile(r"'([^']*)' is not one of ((?:'[^']*'(?:, )?)+)"),
        lambda found: f"{found[1]!r} is not known; allowed are " + found[2].replace("'", ""),
    ),
    (re.compile(r"Input should be a valid integer[^;]*"), lambda _: "it must be a whole number, such as 10"),
    (re.compile(r"Input should be greater than or equal to (-?\d+)"), lambda found: f"it must be at least {found[1]}"),
    (re.compile(r"Input should be less than or equal to (-?\d+)"), lambda found: f"it must be at most {found[1]}"),
)


def plain_words(text: str) -> str:
    """Return a validator's message as a sentence; what is one already stays as it is."""
    for pattern, said in _RULES:
        text = pattern.sub(said, text)
    return text


def _kinds(names: str) -> str:
    return " or ".join(_KINDS.get(name.strip(), name.strip()) for name in names.split("|"))
