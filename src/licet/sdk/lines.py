"""Cuts what arrives into the feed's messages: lines of NDJSON, or server-sent events (WHATWG HTML, section 9.2)."""

from typing import Final, Literal

from licet.wire.feed import MAX_LINE

Form = Literal["lines", "events"]
_EVENTS: Final = "text/event-stream"
_LINES: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})


class TooLong(Exception):
    """A line that does not end: more than ``MAX_LINE`` bytes."""


def form_of(kind: str) -> Form | None:
    """Return how an answer of this content type is cut; None for what is no feed."""
    return "events" if kind == _EVENTS else "lines" if kind in _LINES else None


class Lines:
    """Takes bytes as they come and returns each whole message; what is not whole yet waits, bounded."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._rest: list[bytes] = []
        self._held = 0
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the messages that ``chunk`` completes; raises TooLong."""
        if b"\n" not in chunk:
            self._hold(chunk)
            return []
        head, *middle, rest = chunk.split(b"\n")
        whole = [b"".join((*self._rest, head)), *middle]
        self._rest, self._held = [], 0
        self._hold(rest)
        return [found for line in whole if (found := self._line(line.removesuffix(b"\r"))) is not None]

    def _hold(self, part: bytes) -> None:
        self._held += len(part)
        if self._held > MAX_LINE:
            raise TooLong(f"a line of the feed has more than {MAX_LINE} bytes")
        if part:
            self._rest.append(part)

    def _line(self, line: bytes) -> bytes | None:
        """The message that a line ends; None where it is a comment, an empty line, or not the last of its event."""
        if self._form == "lines":
            return line or None
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
            return None
        if line or not self._data:
            return None
        found, self._data = b"\n".join(self._data), []
        return found
