"""Recorded feeds are read by this version: verified, put together, and decided on as when they were recorded."""

from typing import Any

import msgspec
import pytest

from licet.core.audience import for_audience
from licet.core.catalog import decode_catalog, encode_catalog
from licet.core.instant import to_instant
from licet.core.terms import Terms
from licet.seal.canonical import canonical
from licet.seal.keyset import Keyset, open_keyset, sign_keyset, sign_with
from licet.seal.paserk import pid, public_of
from licet.seal.paseto import footer_of
from licet.wire.feed import CatalogDocument, Frame, Head, Line
from tests.compat import feeds
from tests.compat.place import VERSIONS, Keys, read_json, read_lines
from tests.compat.reader import decide, issued
from tests.compat.transcripts import TOLD, reading

WHOLE = [(version, name) for version, name in TOLD if name not in ("picked", "for_one", "later")]


@pytest.mark.parametrize(("version", "name"), TOLD)
def test_a_recorded_feed_decides_as_it_did(version: str, name: str) -> None:
    """Every signature, chain and hash holds, and what was asked then is answered as it was then."""
    reader = reading(version, name)
    assert reader.heads
    assert issued(reader) >= to_instant(feeds.ISSUED)
    truth = reader.truth()
    recorded: list[dict[str, Any]] = read_json(version, f"decisions/{name}.json")
    assert recorded
    for one in recorded:
        assert decide(truth, reader.users, one["asked"]) == one["decision"], one["asked"]


@pytest.mark.parametrize(("version", "name"), WHOLE)
def test_the_digest_of_recorded_rows_is_the_one_that_was_told(version: str, name: str) -> None:
    """Rows add up to what the recorded head says: followers of any version find themselves right."""
    reader = reading(version, name)
    assert reader.heads[-1].digest is not None
    assert reader.digest() == reader.heads[-1].digest.sum


@pytest.mark.parametrize(("version", "name"), [pair for pair in TOLD if pair[1] != "later"])
def test_a_recorded_message_is_written_as_it_was(version: str, name: str) -> None:
    """The same content, written and signed again with the same key, is the recorded token to the last byte."""
    seeds = {pid(public_of(seed)): seed for seed in Keys(version).feed}
    reader = reading(version, name)
    assert {type(message) for message, _, _ in reader.payloads} == {Head, Frame, CatalogDocument}
    for message, payload, token in reader.payloads:
        assert msgspec.json.encode(message) == payload
        footer = msgspec.json.decode(footer_of(token))
        assert sign_with(payload, seeds[footer["kid"]], footer["typ"]) == token


@pytest.mark.parametrize("version", VERSIONS)
def test_a_recorded_keyset_is_written_as_it_was(version: str) -> None:
    """A keyset, signed again by the same root, is the recorded one; as a line of a feed too."""
    keys = Keys(version)
    seen: list[Keyset] = []
    for name in ("full", "changes"):
        for raw in read_lines(version, f"feed/{name}.ndjson"):
            line = msgspec.json.decode(raw, type=Line)
            assert msgspec.json.encode(line) == raw
            if line.keyset is not None and line.root is not None:
                keyset = open_keyset(line.keyset, [line.root], feeds.WORKSPACE)
                assert sign_keyset(keyset, keys.root) == line.keyset
                seen.append(keyset)
    assert [keyset.version for keyset in seen] == [1, 2]
    assert [key.revoked_at is None for key in seen[1].keys] == [False, True]


@pytest.mark.parametrize("version", VERSIONS)
def test_recorded_documents_keep_their_bytes(version: str) -> None:
    """Terms and catalogs, decoded and written again, are the same bytes: hashes and digests in the field stay right."""
    reader = reading(version, "full")
    for row in reader.terms.values():
        assert canonical(msgspec.json.decode(row.doc, type=Terms)) == bytes(row.doc)
    for whose in ("full", "for_one"):
        documents = [one for one, _, _ in reading(version, whose).payloads if isinstance(one, CatalogDocument)]
        for document in documents:
            catalog = decode_catalog(bytes(document.doc))
            assert encode_catalog(catalog) == bytes(document.doc)
            assert for_audience(catalog, document.audience) == catalog


@pytest.mark.parametrize("version", VERSIONS)
def test_a_message_of_a_later_version_is_read(version: str) -> None:
    """A field that nobody knows, in messages, rows and documents, changes nothing unless it is named as critical."""
    reader = reading(version, "later")
    assert all(b'"x_later"' in payload for _, payload, _ in reader.payloads)
    assert len(reader.payloads) == 4
    assert reader.catalog is not None
    assert all(b"x_later" in bytes(doc) for doc in [reader.catalog.doc, *(row.doc for row in reader.terms.values())])
    assert reader.heads[-1].digest is not None
    assert reader.digest() == reader.heads[-1].digest.sum
