"""Reads what people write for quantities, durations, ids and words of a closed list; says what is allowed."""

import re
from collections.abc import Iterable
from typing import Final

from licet.cli.failure import Failure

_DECIMAL: Final = re.compile(r"([0-9]+)(\.[0-9]{1,9})?", re.ASCII)
_USE: Final = re.compile(r"(use|res)_[0-9a-f]{32}", re.ASCII)
_LARGEST: Final = 2**63 - 1
_LONGEST_ID: Final = 128


def amount_of(option: str, text: str | None) -> int | str | None:
    """Return a quantity as the service reads it; raises Failure that names the option."""
    if text is None:
        return None
    found = _DECIMAL.fullmatch(text)
    if found is None:
        raise Failure(
            f"{option} {text!r} is not a quantity",
            advice="write 0 or more, as a whole number such as 5 or a decimal such as 12.50",
            code="usage",
        )
    # Compared by length first: Python refuses to read thousands of digits.
    if len(found[1].lstrip("0")) > 19 or int(found[1]) > _LARGEST:
        raise Failure(f"{option} {text} is too large", advice=f"at most {_LARGEST} is counted", code="usage")
    return f"{int(found[1])}{found[2]}" if found[2] else int(found[1])


def known_word(option: str, word: str | None, allowed: Iterable[str]) -> str | None:
    """Return the word if it is allowed (or None); raises Failure that lists what is."""
    names = tuple(allowed)
    if word is not None and word not in names:
        raise Failure(f"{option} {word!r} is not known", advice=f"allowed are {', '.join(names)}", code="usage")
    return word


def id_of(what: str, text: str) -> str:
    """Return an id; raises Failure for an empty or an over-long one."""
    if not text.strip() or len(text) > _LONGEST_ID:
        said = f"has {len(text)} characters" if text.strip() else "is empty"
        raise Failure(f"the {what} {said}", advice=f"an id has 1 to {_LONGEST_ID} characters", code="usage")
    return text


def holder_of(user: str | None, team: str | None) -> str | None:
    """Return whose balance is meant, None for the customer's own; raises Failure where both are named."""
    if user is not None and team is not None:
        raise Failure("a balance is of a user or of a team", advice="name one of them: --user or --team", code="usage")
    if user is not None:
        return f"user:{id_of('user', user)}"
    return None if team is None else f"team:{id_of('team', team)}"


def use_of(text: str) -> str:
    """Return the id of a use; raises Failure that says what one looks like."""
    if _USE.fullmatch(text):
        return text
    raise Failure(
        f"{text!r} is not the id of a use",
        advice="one is use_ or res_ and 32 hexadecimal digits, as `licet consume` answers and `licet usage facts`"
        " lists; where it is the id of an event, name its --source, too",
        code="usage",
    )


def forward_span(text: str) -> str:
    """Return a duration by which time moves on; raises Failure for none, or one of no length."""
    from licet.core.instant import Duration, parse_duration

    try:
        span = parse_duration(text)
    except ValueError as error:
        raise Failure(str(error), code="usage") from None
    if span == Duration():
        raise Failure(f"{text} would not move the clock", advice="write a duration such as P14D or PT12H", code="usage")
    return text
