"""Signed notes: published ones open and are signed alike; witnesses may sign too; nobody else's word counts."""

import base64
import json
from typing import Any, Final

import pytest

from licet.seal.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from licet.seal.note import MOST_SIGNATURES, NoteError, open_note, sign_note, verifier_of
from tests.tidy.source import ROOT

NOTES: Final[list[dict[str, Any]]] = json.loads((ROOT / "spec" / "vectors" / "seal" / "note.json").read_text())["notes"]
SEED: Final = bytes(range(32))
OTHER: Final = bytes(range(32, 64))
OWN: Final = verifier_of("licet/live", SEED)
NOTE: Final = sign_note("licet/live\n1\n", "licet/live", SEED)


def signature(note: str) -> str:
    """The signature line of a note that has one."""
    return note.rpartition("\n\n")[2]


@pytest.mark.parametrize("case", NOTES, ids=lambda case: str(case["name"]))
def test_published_notes(case: dict[str, Any]) -> None:
    """A published note opens with its verifier and is what we sign with its seed, to the last character."""
    assert open_note(case["note"], case["verifier"]) == (case["text"], case["verifier"].partition("+")[0])
    if case["seed"] is not None:
        name = case["verifier"].partition("+")[0]
        assert sign_note(case["text"], name, bytes.fromhex(case["seed"])) == case["note"]
        assert verifier_of(name, bytes.fromhex(case["seed"])) == case["verifier"]
    with pytest.raises(NoteError, match="it was changed"):
        open_note(case["note"].replace("is", "was", 1), case["verifier"])


def test_witnesses_may_sign_too() -> None:
    """Lines of other keys are passed over, before or after ours, also those of our name and another key."""
    body = NOTE.rpartition("\n\n")[0] + "\n"
    witness = signature(sign_note(body, "witness.example/w1", OTHER))
    longer = f"— witness.example/w2 {base64.b64encode(bytes(76)).decode()}\n"
    namesake = signature(sign_note(body, "licet/live", OTHER))
    for lines in (signature(NOTE) + witness, witness + longer + signature(NOTE), namesake + signature(NOTE)):
        assert open_note(f"{body}\n{lines}", OWN) == (body, "licet/live")


def test_a_witness_alone_is_not_enough() -> None:
    """Without our own signature, or with a wrong one beside a witness's right one, the note does not open."""
    body = NOTE.rpartition("\n\n")[0] + "\n"
    witness = signature(sign_note(body, "witness.example/w1", OTHER))
    with pytest.raises(NoteError, match=r"not signed with .*but by witness\.example/w1"):
        open_note(f"{body}\n{witness}", OWN)
    stolen = signature(sign_note("another\n", "licet/live", SEED))
    with pytest.raises(NoteError, match="it was changed"):
        open_note(f"{body}\n{stolen}{witness}", OWN)
    for twice in (signature(NOTE) * 2, stolen + signature(NOTE), signature(NOTE) + stolen):
        with pytest.raises(NoteError, match="2 signatures of licet/live"):
            open_note(f"{body}\n{twice}", OWN)
    with pytest.raises(NoteError, match="at most"):
        open_note(f"{body}\n{signature(NOTE)}{witness * MOST_SIGNATURES}", OWN)


@pytest.mark.parametrize(
    "line", ["", "— x", "- x AAAAAAAAAAA=", "— x AAAAAAAAAAB=", "— x y AAAAAAAAAAA=", "— x+y AAAAAAAAAAA=", "words"]
)
def test_a_line_that_is_no_signature_spoils_the_note(line: str) -> None:
    """Beside a genuine signature stand signatures only: no empty line, no words, no lenient base64."""
    with pytest.raises(NoteError):
        open_note(f"{NOTE}{line}\n", OWN)


@pytest.mark.parametrize("body", ["", "no end", "tab\there\n", "nul\0\n", "return\r\n"])
def test_what_is_no_text_is_not_signed(body: str) -> None:
    """Control characters and a text without a last line's end are refused when signing."""
    with pytest.raises(NoteError, match="control characters"):
        sign_note(body, "licet/live", SEED)


def test_a_text_may_hold_what_looks_like_an_end() -> None:
    """The last empty line ends the text: earlier ones, and what looks like a signature before it, belong to it."""
    body = f"one\n\n{signature(NOTE)}"
    assert open_note(sign_note(body, "licet/live", SEED), OWN)[0] == body


def test_a_checkpoint_of_another_log_does_not_open_under_our_name() -> None:
    """Who signs with our key a checkpoint that names another log has made no checkpoint of ours."""
    point = Checkpoint(origin="licet/test", size=3, root=bytes(32))
    assert open_checkpoint(sign_checkpoint(point, SEED), verifier_of("licet/test", SEED)) == point
    with pytest.raises(Exception, match="of 'licet/test', the key of 'licet/live'"):
        open_checkpoint(sign_note(point.body(), "licet/live", SEED), OWN)
    with pytest.raises(Exception, match="is no checkpoint"):
        open_checkpoint(sign_note("licet/live\n0\n", "licet/live", SEED), OWN)
