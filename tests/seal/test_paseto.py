"""PASETO v4.public and PASERK against the published vectors; strictness that libraries lack; Ed25519 itself."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
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

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
SEED = bytes(range(32))
PUBLIC = public_of(SEED)


def cases(name: str) -> list[dict[str, Any]]:
    """Return the tests of a file of vectors."""
    found: list[dict[str, Any]] = json.loads((VECTORS / name).read_text())["tests"]
    return found


SIGNED = cases("paseto/v4.public.json")
ED25519 = cases("ed25519/wycheproof.json")


@pytest.mark.parametrize("case", [one for one in SIGNED if not one["expect-fail"]], ids=lambda one: one["name"])
def test_the_published_tokens_open_and_are_made(case: dict[str, Any]) -> None:
    """Each token that must pass opens to its payload, and signing makes the very same token."""
    footer, implicit = case["footer"].encode(), case["implicit-assertion"].encode()
    public, seed = bytes.fromhex(case["public-key"]), bytes.fromhex(case["secret-key-seed"])
    assert open_token(case["token"], public, implicit=implicit, footer=footer) == case["payload"].encode()
    assert sign_token(case["payload"].encode(), seed, footer=footer, implicit=implicit) == case["token"]
    assert footer_of(case["token"]) == footer
    with pytest.raises(TokenError):
        open_token(case["token"], public, implicit=implicit + b"x")
    with pytest.raises(TokenError, match="footer"):
        open_token(case["token"], public, implicit=implicit, footer=footer + b"x")


@pytest.mark.parametrize("case", [one for one in SIGNED if one["expect-fail"]], ids=lambda one: one["name"])
def test_the_published_failures_are_refused(case: dict[str, Any]) -> None:
    """Each token that must fail is refused: other versions, other kinds, signatures that do not fit, odd base64."""
    public = bytes.fromhex(case.get("public-key", "00" * 32))
    with pytest.raises(TokenError):
        open_token(case["token"], public, implicit=case["implicit-assertion"].encode())


def test_the_published_keys_are_written_and_read() -> None:
    """PASERK: keys that must pass are written and read as published, those that must fail are refused."""
    passed = 0
    for case in cases("paseto/k4.public.json"):
        key = bytes.fromhex(case["key"])
        if case["expect-fail"]:
            with pytest.raises(KeyTextError):
                write_public(key)
            continue
        passed += write_public(key) == case["paserk"] and read_public(case["paserk"]) == key
    for case in cases("paseto/k4.pid.json"):
        key = bytes.fromhex(case["key"])
        if case["expect-fail"]:
            with pytest.raises(KeyTextError):
                pid(key)
            continue
        passed += pid(key) == case["paserk"]
    for case in cases("paseto/k4.secret.json"):
        key = bytes.fromhex(case["key"])
        if case["expect-fail"]:
            with pytest.raises(KeyTextError):
                read_secret("k4.secret." + encode64(key))
            continue
        assert public_of(key[:32]) == key[32:]
        passed += write_secret(key[:32]) == case["paserk"] and read_secret(case["paserk"]) == key[:32]
    assert passed == 9


def test_a_secret_key_whose_halves_do_not_fit_is_refused() -> None:
    """A secret key with another public half would sign what nobody can verify."""
    with pytest.raises(KeyTextError, match="do not fit"):
        read_secret("k4.secret." + encode64(SEED + bytes(32)))
    for text in ("k4.public." + encode64(SEED), "k4.secret.", "k3.secret.AAAA"):
        with pytest.raises(KeyTextError):
            read_secret(text)


def test_the_signature_scheme_is_strict() -> None:
    """All 151 published cases for Ed25519: each valid signature verifies, each invalid one is refused."""
    wrong = []
    for case in ED25519:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(case["public"]))
        try:
            key.verify(bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]))
            verdict = "valid"
        except InvalidSignature:
            verdict = "invalid"
        if verdict != case["result"]:
            wrong.append(case["tcId"])
    assert len(ED25519) == 151
    assert wrong == []


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
