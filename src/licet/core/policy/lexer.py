"""Text to tokens: names, literals and operators of the condition language, each with its place."""

import re
from typing import Final

from msgspec import Struct

from licet.core.policy.errors import error_at

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
RESERVED: Final = frozenset(
    ["as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop",
     "null", "package", "namespace", "return", "true", "var", "void", "while"]
)  # fmt: skip
"""Words that cannot name a fact; CEL keeps them for itself."""
NOT_A_FIELD: Final = frozenset({"true", "false", "null", "in"})
"""Words that cannot follow a dot either."""

_SKIP: Final = re.compile(r"(?:[ \t\r\n\f]|//[^\n]*)*")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER: Final = re.compile(r"[0-9]+")
_OPERATORS: Final = ("||", "&&", "==", "!=", "<=", ">=", *"!<>+-*/%?:()[],.")
_MEANT: Final = {"&": "&&", "|": "||", "=": "==", "{": None, "}": None, ";": None, "`": '"', "“": '"', "”": '"'}
_ESCAPES: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "`": "`", "?": "?",
}  # fmt: skip
_CODED: Final = {"x": 2, "X": 2, "u": 4, "U": 8}


class Token(Struct, frozen=True):
    """One word of a condition. ``kind`` is name, int, string, operator or end; offsets are code points from 0."""

    kind: str
    text: str
    start: int
    end: int
    value: str | int = ""


def tokens_of(source: str) -> list[Token]:
    """All tokens, the last of kind ``end``. Raises ConditionError at the first character that begins none."""
    found: list[Token] = []
    place = 0
    while True:
        skipped = _SKIP.match(source, place)
        place = skipped.end() if skipped else place
        if place >= len(source):
            found.append(Token("end", "the end", place, place))
            return found
        token = _token_at(source, place)
        found.append(token)
        place = token.end


def _token_at(source: str, place: int) -> Token:
    first = source[place]
    if name := _NAME.match(source, place):
        if source[name.end() : name.end() + 1] in ("'", '"') and name[0].lower() in ("r", "b", "br", "rb"):
            raise error_at(
                source,
                place,
                f"prefixed strings ({name[0]}…) are not part of the language; write the text in plain quotes",
            )
        return Token("name", name[0], place, name.end())
    if number := _NUMBER.match(source, place):
        return _int_token(source, place, number.end())
    if first in "'\"":
        return _string_token(source, place)
    for operator in _OPERATORS:
        if source.startswith(operator, place):
            return Token("operator", operator, place, place + len(operator))
    raise error_at(source, place, f"unexpected character {_shown(first)}", _MEANT.get(first))


def _int_token(source: str, place: int, end: int) -> Token:
    rest = source[end : end + 2]
    if rest[:1] == "." and rest[1:].isdigit():
        raise error_at(source, place, "numbers are whole here; write an int of the smallest unit")
    if _NAME.match(source, end):
        raise error_at(source, place, f"{source[place : end + 1]}… is not a number here; ints are plain decimal digits")
    text = source[place:end]
    # One more than INT_MAX may still become INT_MIN: the parser, which sees the sign, decides.
    if len(text.lstrip("0")) > 19 or int(text) > INT_MAX + 1:
        raise error_at(source, place, f"{text[:24]} is beyond int64 ({INT_MIN} to {INT_MAX})")
    return Token("int", text, place, end, int(text))


def _string_token(source: str, place: int) -> Token:
    quote = source[place]
    if source.startswith(quote * 3, place):
        raise error_at(source, place, "triple-quoted strings are not part of the language; write \\n for a line break")
    parts: list[str] = []
    here = place + 1
    while here < len(source) and source[here] not in "\r\n":
        char = source[here]
        if char == quote:
            return Token("string", source[place : here + 1], place, here + 1, "".join(parts))
        if char == "\\":
            char, here = _escape(source, here)
        else:
            here += 1
        if char == "\0" or "\ud800" <= char <= "\udfff":
            raise error_at(source, here - 1, f"a string cannot hold {_shown(char)}")
        parts.append(char)
    raise error_at(source, place, f"this string is not closed; expected {quote} before the end of the line")


def _escape(source: str, place: int) -> tuple[str, int]:
    """The character that the escape at ``place`` stands for, and the offset after it (CEL's list of escapes)."""
    letter = source[place + 1 : place + 2]
    if letter and letter in _ESCAPES:
        return _ESCAPES[letter], place + 2
    start, length, base = (place + 2, _CODED[letter], 16) if letter in _CODED else (place + 1, 3, 8)
    digits = source[start : start + length]
    pattern = r"[0-3][0-7]{2}" if base == 8 else r"[0-9A-Fa-f]+"
    if len(digits) < length or not re.fullmatch(pattern, digits):
        raise error_at(
            source,
            place,
            f"\\{letter} begins no escape; allowed are \\n \\t \\\\ \\' \\\" \\xHH \\uHHHH \\UHHHHHHHH \\ooo",
        )
    code = int(digits, base)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise error_at(source, place, f"\\{letter}{digits} is no Unicode character")
    return chr(code), start + length


def _shown(char: str) -> str:
    return repr(char) if char.isprintable() else f"U+{ord(char):04X}"
