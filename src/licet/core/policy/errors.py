"""What goes wrong when a condition is written: one error, placed in the text, with what to do next."""


class ConditionError(Exception):
    """A condition that cannot be accepted. ``line`` and ``column`` count from 1, columns in code points.

    ``message`` says what was wrong and what is allowed; ``suggestion`` is a replacement for a misspelled name or
    literal, when one is near.
    """

    def __init__(self, message: str, line: int, column: int, suggestion: str | None = None) -> None:
        hint = "" if suggestion is None else f"; did you mean {suggestion}?"
        super().__init__(f"line {line}, column {column}: {message}{hint}")
        self.message = message
        self.line = line
        self.column = column
        self.suggestion = suggestion

    def __reduce__(self) -> "tuple[type[ConditionError], tuple[str, int, int, str | None]]":
        return type(self), (self.message, self.line, self.column, self.suggestion)


def error_at(source: str, offset: int, message: str, suggestion: str | None = None) -> ConditionError:
    """The error for the character of ``source`` at ``offset`` (code points from 0)."""
    before = source[:offset]
    return ConditionError(message, before.count("\n") + 1, offset - before.rfind("\n"), suggestion)
