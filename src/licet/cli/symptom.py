"""What the doctor says about one thing it looked at: how it is, why that matters, and the one step that mends it."""

import re
from collections.abc import Iterable
from typing import Any, Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct, structs

from licet.cli.output import BAD, BOLD, DIM, GOOD, WARN, Line

State = Literal["well", "note", "broken", "unseen"]
_TOKEN: Final = re.compile(r"lct_(?:live|test)_[A-Za-z0-9_]+")
_MARKS: Final[dict[State, tuple[str, str]]] = {
    "well": ("✓", GOOD),
    "note": ("·", WARN),
    "broken": ("✗", BAD),
    "unseen": ("?", WARN),
}
_INDENT: Final = " " * 15


class Symptom(Struct, frozen=True, kw_only=True):
    """One thing that was looked at. ``unseen``: it could not be; ``note``: worth knowing, nothing is broken."""

    name: str
    state: State
    words: str
    why: str = ""
    advice: str = ""

    @property
    def ok(self) -> bool | None:
        """True where it is well, False where it is broken, None where there is nothing to say."""
        return {"well": True, "broken": False}.get(self.state)


def well(name: str, words: str) -> Symptom:
    """Return that something is as it should be."""
    return Symptom(name=name, state="well", words=words)


def unseen(name: str, words: str, advice: str = "") -> Symptom:
    """Return that something could not be looked at."""
    return Symptom(name=name, state="unseen", words=words, advice=advice)


def broken(name: str, words: str, *, why: str, advice: str) -> Symptom:
    """Return that something is broken, why that matters, and what mends it."""
    return Symptom(name=name, state="broken", words=words, why=why, advice=advice)


def without_secrets(found: Iterable[Symptom], secrets: Iterable[str]) -> list[Symptom]:
    """Return the symptoms with every API key and each of ``secrets`` blotted out, wherever it may have come from."""
    known = sorted({secret for secret in secrets if len(secret) > 2}, key=len, reverse=True)

    def blot(text: str) -> str:
        for secret in known:
            text = text.replace(secret, "***")
        return _TOKEN.sub("lct_***", text)

    return [structs.replace(one, words=blot(one.words), why=blot(one.why), advice=blot(one.advice)) for one in found]


def secrets_of(dsn: str | None) -> set[str]:
    """Return what is secret in a database's address, as it is written and as it is meant."""
    if dsn is None:
        return set()
    try:
        parts = urlsplit(dsn)
    except ValueError:
        return {dsn}
    login = parts.netloc.rpartition("@")[0]
    written = {login.partition(":")[2], *parse_qs(parts.query).get("password", [])}
    return {form for secret in written for form in (secret, unquote(secret))} - {""}


def document(found: Iterable[Symptom]) -> list[dict[str, Any]]:
    """Return symptoms as ``--json`` shows them."""
    return [{**structs.asdict(one), "ok": one.ok} for one in found]


def shown(one: Symptom) -> list[Line]:
    """Return a symptom as lines."""
    lines: list[Line] = [[_MARKS[one.state], (f" {one.name:<11}", BOLD), f" {one.words}"]]
    if one.why and one.state != "well":
        lines.append([(f"{_INDENT}why:  ", DIM), one.why])
    if one.advice and one.state != "well":
        lines.append([(f"{_INDENT}next: ", DIM), one.advice])
    return lines
