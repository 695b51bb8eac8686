"""API keys, ids and commitments."""

import hashlib
import re
from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.seal.apikey import fits, key_id_of, make_api_key, token_hash
from licet.seal.commitment import commit, new_salt, opens
from licet.seal.ids import new_id


def test_an_api_key_has_its_shape_and_is_kept_as_a_hash() -> None:
    """Kind, id and 160 bits in base32; what is kept is SHA-256 of the whole token; repr hides the secret."""
    key = make_api_key("live")
    assert re.fullmatch(r"lct_live_[a-z2-7]{16}_[a-z2-7]{32}", key.token)
    assert key_id_of(key.token) == ("live", key.id)
    assert key.hash == hashlib.sha256(key.token.encode()).digest() == token_hash(key.token)
    assert fits(key.token, key.hash)
    assert key.token not in repr(key)
    assert make_api_key("test").token != key.token


@given(st.text(max_size=70))
def test_other_text_is_no_key(text: str) -> None:
    """Whatever somebody sends as a token, it is refused without an error and fits no kept hash."""
    key = make_api_key("test", bytes)
    assert text == key.token or not fits(text, key.hash)
    assert key_id_of(text) is None or re.fullmatch(r"lct_(live|test)_\w{49}", text)


@pytest.mark.parametrize(
    "change", [str.upper, lambda token: token + "\n", lambda token: token[:-1], lambda token: " " + token]
)
def test_nearly_a_key_is_none(change: Callable[[str], str]) -> None:
    """Another case, a line end, a missing or an added character: none of them is the key."""
    token = make_api_key("live").token
    assert key_id_of(change(token)) is None


@given(st.integers(0, 2**47 * 1000), st.integers(0, 2**47 * 1000))
def test_ids_are_version_7_and_sort_by_time(one: int, other: int) -> None:
    """An id is a UUIDv7 with its prefix; ids of different milliseconds sort as their instants do."""
    first, second = new_id("evt", one), new_id("evt", other)
    number = UUID(first.removeprefix("evt_"))
    assert (number.version, number.variant) == (7, "specified in RFC 4122")
    assert number.int >> 80 == one // 1000
    if one // 1000 < other // 1000:
        assert first < second


def test_ids_of_one_instant_differ() -> None:
    """Two ids of the same microsecond are told apart by their random part."""
    assert len({new_id("sub", 1_700_000_000_000_000) for _ in range(1000)}) == 1000


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_a_commitment_opens_with_its_value_only(value: str, other: str, field: str) -> None:
    """Salt, event, field and value must all be the same; nothing can be shifted between them."""
    salt = new_salt()
    made = commit(salt, "evt_1", field, value)
    assert opens(made, salt, "evt_1", field, value)
    assert not opens(made, new_salt(), "evt_1", field, value)
    assert not opens(made, salt, "evt_2", field, value)
    assert opens(made, salt, "evt_1", field, other) is (value == other)
    assert commit(salt, "evt_1", field + "x", value) != commit(salt, "evt_1", field, "x" + value)


def test_a_commitment_needs_a_whole_salt() -> None:
    """Without a full salt a short value could be guessed, so there is no commitment."""
    with pytest.raises(ValueError, match="32 bytes"):
        commit(b"short", "evt_1", "name", "Ann")
    assert not opens("00" * 32, b"short", "evt_1", "name", "Ann")
