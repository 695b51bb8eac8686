"""PASETO v4.public and PASERK against the published vectors; strictness that libraries lack; Ed25519 itself."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from licet.seal.paserk import KeyTextError, pid, public_of, read_public, read_secret, write_public, write_secret
from licet.seal.paseto import (
    MAX_FOOTER,
    TokenError,
    authenticated,
    decode64,
    encode64,
    footer_of,
    open_token,
    sign_token,
)

VECTORS = Path(__file__).parents[2] / "spec" / "vectors" / "seal"
SEED = bytes(range(32))
PUBLIC = public_of(SEED)
PASETO: dict[str, Any] = json.loads((VECTORS / "paseto.json").read_text())
ED25519: dict[str, Any] = json.loads((VECTORS / "ed25519.json").read_text())
THEIRS = bytes.fromhex(PASETO["public"])


@pytest.mark.parametrize("case", PASETO["tokens"], ids=lambda one: one["name"])
def test_the_published_tokens(case: dict[str, Any]) -> None:
    """A token that must open does, and signing makes the very same one; other kinds and odd signatures are refused."""
    footer, implicit, payload = case["footer"].encode(), case["implicit"].encode(), PASETO["payload"].encode()
    if not case["opens"]:
        with pytest.raises(TokenError):
            open_token(case["token"], THEIRS, implicit=implicit)
        return
    assert open_token(case["token"], THEIRS, implicit=implicit, footer=footer) == payload
    assert sign_token(payload, bytes.fromhex(PASETO["seed"]), footer=footer, implicit=implicit) == case["token"]
    assert footer_of(case["token"]) == footer
    with pytest.raises(TokenError):
        open_token(case["token"], THEIRS, implicit=implicit + b"x")
    with pytest.raises(TokenError, match="footer"):
        open_token(case["token"], THEIRS, implicit=implicit, footer=footer + b"x")


@pytest.mark.parametrize("case", PASETO["pids"], ids=lambda one: one["key"][-6:])
def test_the_published_names_of_keys(case: dict[str, Any]) -> None:
    """PASERK: a key has the published name; one of another length has none, and is neither written nor read."""
    key = bytes.fromhex(case["key"])
    if case["pid"] is None:
        for refuse in (pid, write_public, lambda one: read_public("k4.public." + encode64(one))):
            with pytest.raises(KeyTextError):
                refuse(key)
        return
    assert pid(key) == case["pid"]
    assert read_public(write_public(key)) == key


def test_a_secret_key_is_its_seed_and_its_public_key() -> None:
    """PASERK writes both halves; a key with another public half would sign what nobody can verify, and is refused."""
    seed = bytes.fromhex(PASETO["seed"])
    assert public_of(seed) == THEIRS
    assert write_secret(seed) == "k4.secret." + encode64(seed + THEIRS)
    assert read_secret(write_secret(seed)) == seed
    with pytest.raises(KeyTextError, match="do not fit"):
        read_secret("k4.secret." + encode64(seed + bytes(32)))
    for text in ("k4.public." + encode64(seed), "k4.secret.", "k3.secret.AAAA", "k4.secret." + encode64(seed)):
        with pytest.raises(KeyTextError):
            read_secret(text)


@pytest.mark.parametrize("case", ED25519["valid"], ids=lambda one: one["name"])
def test_published_signatures_are_made_and_verify(case: dict[str, Any]) -> None:
    """Ed25519 as RFC 8032 says: the same keys and signatures."""
    seed, message = bytes.fromhex(case["seed"]), bytes.fromhex(case["message"])
    assert public_of(seed).hex() == case["public"]
    assert Ed25519PrivateKey.from_private_bytes(seed).sign(message).hex() == case["signature"]
    Ed25519PublicKey.from_public_bytes(public_of(seed)).verify(bytes.fromhex(case["signature"]), message)


@pytest.mark.parametrize("case", ED25519["invalid"], ids=lambda one: one["name"])
def test_published_forgeries_are_refused(case: dict[str, Any]) -> None:
    """A signature has one form: a scalar beyond the group's order is refused although the equation holds."""
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(case["public"]))
    with pytest.raises(InvalidSignature):
        key.verify(bytes.fromhex(case["signature"]), bytes.fromhex(case["message"]))


@given(st.binary(max_size=200), st.binary(max_size=40), st.binary(max_size=40))
def test_what_was_signed_opens(payload: bytes, footer: bytes, implicit: bytes) -> None:
    """Any payload, footer and implicit assertion come back; with another key nothing does."""
    token = sign_token(payload, SEED, footer=footer, implicit=implicit)
    assert open_token(token, PUBLIC, implicit=implicit, footer=footer) == payload
    with pytest.raises(TokenError):
        open_token(token, public_of(bytes(32)), implicit=implicit)


TOKEN = sign_token(b'{"a":"bcd"}', SEED, footer=b'{"kid":"k"}', implicit=b"i")


def test_no_changed_character_passes() -> None:
    """Whichever one character is changed to whichever other of the alphabet, cut off or put in, it is refused."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ "
    tried = 0
    for at in range(len(TOKEN)):
        changed = [TOKEN[:at] + char + TOKEN[at + 1 :] for char in alphabet]
        for text in (*changed, TOKEN[:at], TOKEN[:at] + "A" + TOKEN[at:], TOKEN[:at] + TOKEN[at + 1 :]):
            if text != TOKEN:
                tried += 1
                with pytest.raises(TokenError):
                    open_token(text, PUBLIC, implicit=b"i")
    assert tried > 8_000
    for more in ("=", ".", " ", "\n", ".e30", "A"):
        with pytest.raises(TokenError):
            open_token(TOKEN + more, PUBLIC, implicit=b"i")


@given(st.binary(max_size=50))
def test_content_has_one_spelling(content: bytes) -> None:
    """Base64url without padding: one text for each content, and every other one that a lenient decoder takes fails."""
    text = encode64(content)
    assert decode64(text) == content
    odd = [text + "=", text + "==", text.replace("-", "+"), text.replace("_", "/"), text + "\n", " " + text]
    if len(content) % 3:
        digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        odd.append(text[:-1] + digits[digits.index(text[-1]) + 1])
    for other in odd:
        if other != text:
            with pytest.raises(TokenError):
                decode64(other)


@given(st.lists(st.binary(max_size=20), max_size=5), st.lists(st.binary(max_size=20), max_size=5))
def test_no_two_lists_sign_the_same(first: list[bytes], second: list[bytes]) -> None:
    """Pieces cannot be moved from payload to footer or back: the encoding that is signed tells all lists apart."""
    assert (authenticated(*first) == authenticated(*second)) == (first == second)


def test_what_is_too_long_is_refused() -> None:
    """A footer and a token have a bound, told before anything is decoded."""
    with pytest.raises(TokenError, match="4096"):
        sign_token(b"", SEED, footer=bytes(MAX_FOOTER + 1))
    with pytest.raises(TokenError, match="4096"):
        footer_of(TOKEN.rpartition(".")[0] + "." + "A" * (MAX_FOOTER * 2))
    assert footer_of(sign_token(b"", SEED, footer=bytes(MAX_FOOTER))) == bytes(MAX_FOOTER)
