"""Recorded exports are read by this version, and the same life is exported as it was: whoever kept one can use it."""

import io
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from licet.cli.audit_file import verify_file
from licet.cli.output import Output
from licet.cli.proof_check import check_entry
from licet.core.terms import Terms
from licet.seal.canonical import canonical
from licet.services.exports import ExportLine
from licet.wire.event import Event
from tests.api.house import House, open_house
from tests.compat.exports import export, live
from tests.compat.place import FOLDER, VERSIONS, read_lines
from tests.store.databases import Server
from tests.store.worlds import fresh_world

Shape = dict[str, set[str]]
"""The fields of the rows of each kind."""


def export_of(version: str) -> Path:
    """Return where a version's exports lie."""
    return FOLDER / version / "export"


@pytest.fixture(scope="module")
def now(exported: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same exports, as this version makes them."""
    folder = tmp_path_factory.mktemp("export")
    for name, content in exported.items():
        (folder / name).write_bytes(content)
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def exported(house: House) -> dict[str, bytes]:
    """What this version exports of the recorded life."""
    return await export(house, await live(house))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(pg_server: Server) -> AsyncIterator[House]:
    """A running server for this module."""
    with fresh_world(pg_server) as world:
        async with open_house(world) as opened:
            yield opened


@pytest.mark.parametrize("version", VERSIONS)
def test_a_recorded_log_is_whole(version: str) -> None:
    """A recorded log fits its hashes, and the checkpoint that was signed over it."""
    folder = export_of(version)
    verifier = (folder / "verifier.txt").read_text().strip()
    report = verify_file(folder / "log.ndjson", None, folder / "checkpoint.txt", verifier)
    assert report.ok
    assert report.workspace == "test"
    assert report.size == len(read_lines(version, "export/log.ndjson"))
    assert report.checked_against is not None
    assert f"{report.size}" in report.checked_against


@pytest.mark.parametrize("version", VERSIONS)
def test_a_recorded_log_that_was_edited_is_found_out(version: str, tmp_path: Path) -> None:
    """The same file with one name changed is not whole: the verification reads what it says it reads."""
    edited = tmp_path / "log"
    edited.write_bytes((export_of(version) / "log.ndjson").read_bytes().replace(b'"crm"', b'"crx"', 1))
    assert not verify_file(edited, None, None, None).ok


@pytest.mark.parametrize("version", VERSIONS)
def test_a_recorded_event_is_written_as_it_was(version: str) -> None:
    """Each event of a recorded log, decoded and written again, is the same line: its hash goes on fitting."""
    for line in read_lines(version, "export/log.ndjson"):
        assert canonical(msgspec.json.decode(line, type=Event)) == line


@pytest.mark.parametrize("version", VERSIONS)
def test_a_recorded_proof_holds(version: str) -> None:
    """A recorded proof of one entry holds against the recorded checkpoint."""
    folder, stream = export_of(version), io.StringIO()
    verifier = (folder / "verifier.txt").read_text().strip()
    check_entry(Output(as_json=True, stream=stream), folder / "proof.json", folder / "checkpoint.txt", verifier)
    assert msgspec.json.decode(stream.getvalue())["ok"] is True


@pytest.mark.parametrize("version", VERSIONS)
def test_recorded_terms_are_read(version: str) -> None:
    """What a customer's recorded export holds of its terms is read as terms, none of it lost."""
    documents = [row["doc"] for section, row in rows(export_of(version)) if section == "terms" and row]
    assert len(documents) > 1
    for document in documents:
        terms = msgspec.convert(document, Terms)
        assert msgspec.json.decode(canonical(terms)) == document


@pytest.mark.parametrize("version", VERSIONS)
def test_an_export_has_what_it_had(version: str, now: Path) -> None:
    """The same life's export has every section and every field of the recorded one."""
    lacking = missing(shapes(rows(export_of(version))), shapes(rows(now)))
    assert lacking == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_log_says_what_it_said(version: str, now: Path) -> None:
    """The same life leaves events of every recorded type, with every recorded field of what they say."""
    lacking = missing(shapes(events(export_of(version))), shapes(events(now)))
    assert lacking == {}


def rows(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each row of a customer's export with its section; the export must be whole."""
    lines = [msgspec.json.decode(one) for one in (folder / "customer.ndjson").read_bytes().splitlines()]
    typed = [msgspec.convert(line, ExportLine) for line in lines]
    assert typed[0].begin
    assert typed[-1].end
    assert sum(typed[-1].end.sections.values()) == len(lines) - 2
    for line in lines[1:-1]:
        yield line["section"], line["row"]
    for section in lines[-1]["end"]["sections"]:
        yield section, {}


def events(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the fields of each event of a log with its type, and those of what it says of before and after."""
    for line in (folder / "log.ndjson").read_bytes().splitlines():
        event = msgspec.json.decode(line)
        yield event["type"], event
        for part in ("before", "after"):
            for said in event[part] if isinstance(event[part], list) else [event[part] or {}]:
                yield f"{event['type']} {part}", said


def shapes(found: Iterator[tuple[str, dict[str, Any]]]) -> Shape:
    """Return the fields that all rows of a kind have together."""
    fields: Shape = defaultdict(set)
    for kind, row in found:
        fields[kind] |= set(row)
    return dict(fields)


def missing(was: Shape, is_now: Shape) -> Shape:
    """Return what there was and is no longer."""
    gone = {kind: fields - is_now.get(kind, set()) for kind, fields in was.items()}
    return {kind: fields for kind, fields in gone.items() if fields or kind not in is_now}
