"""Tells a story in numbered chapters: each step says what it expects, what it saw, and how long it took."""

import time
from typing import Any, Final

from msgspec import Struct

from licet.cli.output import ACCENT, BAD, BOLD, DIM, GOOD, Line, Output
from licet.cli.problem_text import cells

WIDTH: Final = 96
_STEP_WIDTH: Final = 47
_SEEN_WIDTH: Final = 33


class Step(Struct, kw_only=True):
    """One thing that was done: what was told to happen and what happened. ``ms`` is real time."""

    what: str
    expected: str
    seen: str
    ok: bool
    ms: float | None = None


class Chapter(Struct, kw_only=True):
    """A few steps under one title, with one line of why."""

    number: int
    title: str
    why: str
    steps: list[Step] = []


class Teller:
    """Prints a story while it happens and keeps it, as lines (for the picture) and as values (for ``--json``)."""

    def __init__(self, out: Output) -> None:
        self.out = out
        self.told: list[Line] = []
        self.chapters: list[Chapter] = []
        self._began = time.monotonic()

    @property
    def ok(self) -> bool:
        """Whether everything so far went as told."""
        return all(step.ok for chapter in self.chapters for step in chapter.steps)

    @property
    def steps(self) -> int:
        """How many outcomes were compared."""
        return sum(len(chapter.steps) for chapter in self.chapters)

    def say(self, line: Line = "") -> None:
        """Tell one line."""
        self.told.append(line)
        self.out.line(line)

    def aside(self, text: str) -> None:
        """Tell one quiet line."""
        self.say((f"     {text}", DIM))

    def chapter(self, title: str, why: str) -> None:
        """Begin a chapter."""
        chapter = Chapter(number=len(self.chapters) + 1, title=title, why=why, steps=[])
        self.chapters.append(chapter)
        self.say()
        self.say([(f" {chapter.number}  ", f"{BOLD} {ACCENT}"), (title, BOLD)])
        self.say((f"    {why}", DIM))

    def step(self, what: str, expected: str, seen: str, *, ms: float | None = None) -> bool:
        """Compare what was seen with what was told; a difference is shown and makes the story fail."""
        ok = expected == seen
        self.chapters[-1].steps.append(Step(what=what, expected=expected, seen=seen, ok=ok, ms=ms))
        line: list[Any] = ["  ", ("✓", GOOD) if ok else ("✗", BAD), "  ", _fit(what, _STEP_WIDTH), "  "]
        line.append(seen if ok else (seen, BAD))
        if ms is not None:
            line.append((" " * max(1, _SEEN_WIDTH - cells(seen)) + f"{_time(ms):>9}", DIM))
        self.say(line)
        if not ok:
            self.say([("       told: ", DIM), expected])
        return ok

    def document(self, **more: Any) -> dict[str, Any]:
        """Return the story as one JSON object."""
        return {
            "ok": self.ok,
            "seconds": round(time.monotonic() - self._began, 3),
            "chapters": [
                {
                    "number": chapter.number,
                    "title": chapter.title,
                    "why": chapter.why,
                    "steps": [
                        {
                            "what": step.what,
                            "expected": step.expected,
                            "seen": step.seen,
                            "ok": step.ok,
                            "ms": None if step.ms is None else round(step.ms, 2),
                        }
                        for step in chapter.steps
                    ],
                }
                for chapter in self.chapters
            ],
            **more,
        }


class Watch:
    """Measures real time in milliseconds from its making."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    @property
    def ms(self) -> float:
        """Milliseconds since the beginning."""
        return (time.perf_counter() - self._began) * 1000


def _fit(text: str, width: int) -> str:
    return text + " " * max(0, width - cells(text))


def _time(ms: float) -> str:
    return f"{ms / 1000:.2f} s" if ms >= 1000 else f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"
