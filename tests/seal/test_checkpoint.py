"""Signed checkpoints: what was signed opens, whatever else does not."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from licet.seal.checkpoint import Checkpoint, CheckpointError, new_seed, open_checkpoint, sign_checkpoint, verifier_of

SEED = bytes(range(32))
POINT = Checkpoint(origin="licet/live", size=42, root=bytes(range(32, 64)), extra=("exported 2026-03-01T09:00:00Z",))
SIGNED = sign_checkpoint(POINT, SEED)
VERIFIER = verifier_of("licet/live", SEED)


def test_what_was_signed_opens() -> None:
    """A signed checkpoint opens with its verifier line and is what was signed, also without extra lines."""
    assert open_checkpoint(SIGNED, VERIFIER) == POINT
    bare = Checkpoint(origin="licet/live", size=1, root=bytes(32))
    assert open_checkpoint(sign_checkpoint(bare, SEED), VERIFIER) == bare


def test_the_text_is_a_signed_note() -> None:
    """Anybody can check it without us: Ed25519 over the text up to the empty line, key hash as C2SP says."""
    body, signature = SIGNED.split("\n\n")
    raw = base64.b64decode(signature.split(" ")[2])
    name, mark, key = VERIFIER.split("+", 2)
    assert body.splitlines()[:2] == ["licet/live", "42"]
    assert (name, mark) == ("licet/live", raw[:4].hex())
    Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[1:]).verify(raw[4:], (body + "\n").encode())


@given(st.integers(0, len(SIGNED) - 1), st.characters(exclude_categories=["Cs"]))
def test_no_changed_character_passes(at: int, char: str) -> None:
    """Changing any one character makes the text something that was not signed."""
    changed = SIGNED[:at] + char + SIGNED[at + 1 :]
    if changed != SIGNED:
        with pytest.raises(CheckpointError):
            open_checkpoint(changed, VERIFIER)


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", SIGNED + "\n", SIGNED + SIGNED.split("\n\n")[1], SIGNED.replace("42", "042"), SIGNED[:-1], "x" * 5000],
)
def test_other_layouts_are_refused(text: str) -> None:
    """Trailing text, a second signature, leading zeros and oversize are no checkpoint of ours."""
    with pytest.raises(CheckpointError):
        open_checkpoint(text, VERIFIER)


def test_another_key_or_name_does_not_open_it() -> None:
    """Neither a fresh key of the same name nor the same key under another name verifies."""
    for verifier in (verifier_of("licet/live", new_seed()), verifier_of("licet/test", SEED)):
        with pytest.raises(CheckpointError):
            open_checkpoint(SIGNED, verifier)


@pytest.mark.parametrize("verifier", ["", "licet/live", VERIFIER.replace("+", "+0", 1), VERIFIER[:-4] + "AAAA"])
def test_a_damaged_verifier_says_so(verifier: str) -> None:
    """A verifier line whose key hash does not fit its key is refused before anything is verified."""
    with pytest.raises(CheckpointError, match=r"no verifier|not base64|not canonical"):
        open_checkpoint(SIGNED, verifier)


@pytest.mark.parametrize(
    "point",
    [
        Checkpoint(origin="licet/live", size=0, root=bytes(32)),
        Checkpoint(origin="licet/live", size=1, root=bytes(31)),
        Checkpoint(origin="two\nlines", size=1, root=bytes(32)),
        Checkpoint(origin="licet/live", size=1, root=bytes(32), extra=("",)),
    ],
)
def test_what_could_not_be_read_back_is_not_signed(point: Checkpoint) -> None:
    """An empty log, a short root and names or lines that break the layout are refused when signing."""
    with pytest.raises(CheckpointError):
        sign_checkpoint(point, SEED)
