"""An exported log, verified by an outsider: without database, server, home or key."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.terminal import Ran, Shop, licet

pytestmark = pytest.mark.postgres


class Exported(NamedTuple):
    """What the vendor hands out."""

    log: Path
    checkpoint: Path
    verifier: str

    def verify(self, log: Path, *more: str) -> Ran:
        """Verify a log as an outsider, whose home does not even exist."""
        env = {"LICET_HOME": str(self.log.parent / "no-home"), "LICET_URL": "http://127.0.0.1:9"}
        given = ["--checkpoint", str(self.checkpoint), "--verifier", self.verifier]
        return licet("audit", "verify", "--log", str(log), *given, *more, env=env)


@pytest.fixture(scope="module")
def exported(stocked: Shop, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The log of the workspace test with a checkpoint that covers it."""
    folder = tmp_path_factory.mktemp("exported")
    log, point = folder / "log.jsonl", folder / "point.txt"
    assert stocked.run("customer", "create", "zoë", "--name", "Zoë", "--note", "für Zoë").code == 0
    made = stocked.at_home("audit", "checkpoint", "--out", str(point), "-w", "test", "--json").document
    said = stocked.at_home("audit", "export", "--out", str(log), "-w", "test", "--json").document
    assert said["events"] == len(log.read_text().splitlines())
    return Exported(log, point, made["verifier"])


def test_an_outsider_verifies_the_exported_log(exported: Exported) -> None:
    """With file, checkpoint and verifier alone the log is whole and every entry covered; no home is made."""
    ran = exported.verify(exported.log)
    assert ran.code == 0, ran
    assert "the log is whole" in ran.out
    assert "every entry is covered" in ran.out
    assert "workspace test" in ran.out
    assert not (exported.log.parent / "no-home").exists()


def test_the_export_has_no_personal_values(exported: Exported) -> None:
    """A customer's name stands in the file as a commitment only."""
    made = next(line for line in exported.log.read_text().splitlines() if "customer.created" in line and "zoë" in line)
    assert '"Zoë"' not in made
    assert json.loads(made)["after"]["private"]["name"]


def test_what_is_written_can_go_to_standard_output(stocked: Shop, exported: Exported, tmp_path: Path) -> None:
    """Log, checkpoint, proof, a customer's export and a catalog: alone on standard output, the words beside them."""
    for command, begin in [
        ("audit export", "{"),
        ("audit checkpoint", "licet/test"),
        ("audit prove 1", "{"),
        ("customer export acme", "{"),
        ("catalog pull", "version: 1"),
    ]:
        ran = stocked.at_home(*command.split(), "-w", "test", "-o", "/dev/stdout")
        assert (ran.code, ran.out[: len(begin)]) == (0, begin), ran
        assert ("wrote" in ran.out, "/dev/stdout" in ran.err) == (False, True)
        if command == "audit export":
            (tmp_path / "log").write_text(ran.out)
    assert exported.verify(tmp_path / "log").code == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"für Zoë"', '"für Ann"'),
        ('"note":"für Zoë"', '"note":"für Zoë","more":1'),
        ('"note":"für Zoë"', '"note":"für Ann","note":"für Zoë"'),
        ('{"actor"', '{ "actor"'),
    ],
)
def test_any_edit_of_the_file_is_named(exported: Exported, tmp_path: Path, before: str, after: str) -> None:
    """A changed value, a field of no event, a key given twice and even a space are told with the entry's number."""
    lines = exported.log.read_text().splitlines(keepends=True)
    place = next(number for number, line in enumerate(lines) if "für Zoë" in line)
    lines[place] = lines[place].replace(before, after, 1)
    forged = tmp_path / "forged.jsonl"
    forged.write_text("".join(lines))
    ran = exported.verify(forged)
    assert ran.code == 1, ran
    assert f"entry {place + 1} was edited" in ran.out


def test_a_cut_end_is_found_by_the_checkpoint(exported: Exported, tmp_path: Path) -> None:
    """Without its last line the file's chain still fits; the checkpoint tells that the end was cut off."""
    lines = exported.log.read_text().splitlines(keepends=True)
    cut = tmp_path / "cut.jsonl"
    cut.write_text("".join(lines[:-1]))
    ran = exported.verify(cut)
    assert ran.code == 1
    assert "cut off" in ran.out
    alone = licet("audit", "verify", "--log", str(cut), "-w", "test")
    assert alone.code == 0
    assert "no checkpoint was given" in alone.out


def test_what_is_no_log_and_what_is_missing_is_told(exported: Exported, tmp_path: Path) -> None:
    """A line that is no event is placed; a checkpoint without its verifier, and an absent file, are told."""
    other = tmp_path / "other.jsonl"
    other.write_text("{}\n")
    ran = exported.verify(other)
    assert ran.code == 1
    assert "other.jsonl:1" in ran.err
    bare = licet("audit", "verify", "--log", str(exported.log), "--checkpoint", str(exported.checkpoint))
    assert bare.code == 2
    assert "--verifier" in bare.err
    assert exported.verify(tmp_path / "absent").code == 2
    assert exported.verify(exported.log, "-w", "live").code == 1
