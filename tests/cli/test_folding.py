"""Long lines on a terminal: broken between words at its width; commands can still be copied."""

import io
import random
import shlex
import subprocess

import pytest

from licet.cli.audit_report import report_lines
from licet.cli.decision_text import show_entitlements
from licet.cli.output import BOLD, DIM, Line, Output, Piece, pieces, plain
from licet.cli.words import folded, labeled_command
from licet.seal.audit import Entry, LogVerifier
from licet.seal.checkpoint import Checkpoint


class Narrow(Output):
    """Output on 80 columns, without the colors."""

    @property
    def width(self) -> int | None:
        """Say how wide the screen is."""
        return 80


@pytest.mark.parametrize("width", [40, 57, 80])
def test_words_and_styles_stay_and_no_line_is_too_long(width: int) -> None:
    """Random lines: the same words in the same styles, each line within the width, piped nothing is broken."""
    chance = random.Random(width)
    for _ in range(300):
        line: list[Piece] = [("  " + "label".ljust(10), DIM)]
        for _ in range(chance.randint(1, 8)):
            text = "".join(chance.choice(["a", "bc", " ", " ", "  ", "defgh"]) for _ in range(chance.randint(1, 12)))
            line.append(text if chance.random() < 0.5 else (text, BOLD))
        broken = folded(line, width, 12)
        assert [plain(one).split() for one in folded(line, None, 12)] == [plain(line).split()]
        assert " ".join(plain(one) for one in broken).split() == plain(line).split()
        assert styles(broken) == styles([line])
        longest = max(len(word) for word in plain(line).split())
        assert all(len(plain(one).rstrip()) <= max(width, 12 + longest) for one in broken)
        assert all(plain(one).startswith(" " * 12) and plain(one).strip() for one in broken[1:])


def styles(lines: list[Line]) -> list[tuple[str, str]]:
    """The styled characters that can be seen."""
    return [
        (character, "" if isinstance(piece, str) else piece[1])
        for line in lines
        for piece in pieces(line)
        for character in (piece if isinstance(piece, str) else piece[0])
        if character != " "
    ]


def test_an_audit_report_fits_a_terminal() -> None:
    """Verdict, faults and limits of a report stay within 80 columns, and are one line each where they are piped."""
    check = LogVerifier("test", Checkpoint(origin="licet/test", size=400, root=bytes(32)))
    check.add(Entry(seq=3, content=b"{}", prev=bytes(32), hash=bytes(32)))
    for report in (check.report(), LogVerifier("test").report()):
        on_terminal = [plain(line) for line in report_lines(report, 80)]
        assert max(map(len, on_terminal)) <= 80
        piped = [plain(line) for line in report_lines(report)]
        assert any(len(line) > 160 for line in piped)
        assert " ".join(on_terminal).split() == " ".join(piped).split()


def test_a_command_can_be_copied_from_a_narrow_terminal() -> None:
    """Below its label it goes on with backslashes, and a shell reads it as the one that is piped."""
    verifier = "licet/test+6f837ca1+ATDCrwYprpswa7R+31N8CHqQtIBzgT5e4WlpimDx9wO2"
    words = ["audit", "verify", "-w", "test", "--checkpoint", "my june.txt", "--verifier", verifier]
    head, *lines = (plain(line) for line in labeled_command("later", words, 80))
    assert head.strip() == "later"
    assert len(lines) > 1
    assert max(map(len, lines)) <= 80
    shell = "licet() { printf '%s\\n' \"$@\"; }\n" + "\n".join(lines)
    read = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True, timeout=10).stdout
    assert read.splitlines() == words
    (piped,) = (plain(line) for line in labeled_command("later", words, None))
    assert shlex.split(piped) == ["later", "licet", *words]


def test_what_comes_next_fits_a_terminal() -> None:
    """The last line of entitlements, with the subscription's long id, and a note are broken between words."""
    screen = io.StringIO()
    upcoming = {"at": "2026-02-01T09:30:00Z", "kind": "change", "subscription": "sub_0199f3a2c5d07c6e8a31b2f4d6e8a0c2x"}
    answer = {
        "customer": "acme",
        "at": "2026-01-01T00:00:00Z",
        "catalog_revision": 1,
        "entitlements": [],
        "upcoming": [upcoming],
        "breaches": [{"words": "two of them are more than what was bought, " * 3}],
    }
    show_entitlements(Narrow(stream=screen), answer)
    said = screen.getvalue()
    assert upcoming["subscription"] in said
    assert max(map(len, said.splitlines())) <= 80
