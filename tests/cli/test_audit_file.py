"""An exported log, verified by an outsider: without database, server, home or key."""

import json
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import msgspec
import pytest

from licet.cli.audit_file import verify_file
from licet.cli.failure import Failure
from licet.seal.canonical import canonical
from licet.seal.chain import genesis, leaf_hash, link_hash
from licet.seal.checkpoint import Checkpoint, new_seed, sign_checkpoint, verifier_of
from licet.wire.event import Event, content_of
from tests.cli.terminal import Ran, Shop, licet

pytestmark = pytest.mark.postgres
PLAIN: Final = {
    "id": "evt_1",
    "recorded_at": "2026-02-01T00:00:00Z",
    "wall_at": "2026-02-01T00:00:00Z",
    "effective_at": "2026-02-01T00:00:00Z",
    "actor": "local:ann",
    "note": "",
    "cause": None,
    "subject": "workspace",
    "revision": None,
    "before": None,
    "after": None,
    "schema": 1,
}


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


def test_a_log_says_itself_of_which_workspace_it_is(exported: Exported, tmp_path: Path) -> None:
    """A genuine log is whole without -w, also where a key of another workspace is at hand; the report names its own."""
    report = ["audit", "verify", "--log", str(exported.log), "--json"]
    for env in ({}, {"LICET_KEY": "lct_live_abc_def"}):
        ran = licet(*report, env=env)
        assert (ran.code, ran.document["workspace"], ran.document["ok"]) == (0, "test", True)
    lines = exported.log.read_text().splitlines(keepends=True)
    cut = tmp_path / "cut.jsonl"
    cut.write_text("".join(lines[1:]))
    ran = licet("audit", "verify", "--log", str(cut))
    assert ran.code == 1
    assert "of which workspace cannot be told" in ran.out
    assert "entry 1 is missing" in ran.out


def chain(workspace: str, *drafts: dict[str, Any]) -> str:
    """A genuine log of a workspace as it is exported."""
    hash_, lines = genesis(workspace), []
    for seq, draft in enumerate(drafts, start=1):
        event = msgspec.convert({**PLAIN, "seq": seq, **draft, "prev": hash_.hex(), "hash": ""}, Event)
        hash_ = link_hash(hash_, leaf_hash(canonical(content_of(event))))
        lines.append(canonical(msgspec.structs.replace(event, hash=hash_.hex())).decode() + "\n")
    return "".join(lines)


def refused(log: Path, workspace: str | None = None, *given: object) -> str:
    """The words by which a verification of what does not belong together is refused."""
    point, verifier = given or (None, None)
    with pytest.raises(Failure) as failed:
        verify_file(log, workspace, cast("Path | None", point), cast("str | None", verifier))
    assert failed.value.exit_code == 2
    return failed.value.words


def test_what_does_not_belong_together_is_no_tampering(tmp_path: Path) -> None:
    """Another workspace's log or checkpoint, a log that cannot say whose it is, an empty file: each in words."""
    log, other, point, seed = tmp_path / "log", tmp_path / "other", tmp_path / "point", new_seed()
    log.write_text(chain("test", {"type": "workspace.created"}))
    point.write_text(sign_checkpoint(Checkpoint(origin="licet/live", size=1, root=bytes(32)), seed))
    signed = point, verifier_of("licet/live", seed)
    assert "is the log of workspace test, and the workspace named by -w is live" in refused(log, "live")
    assert f"{point} is a checkpoint of workspace live" in refused(log, None, *signed)
    assert "-w is test and" in refused(log, "test", *signed)
    assert verify_file(log, None, None, None).workspace == "test"
    other.write_text(chain("other", {"type": "workspace.created"}))
    assert "does not say of which workspace" in refused(other)
    assert "begins no log of that" in refused(other, "test")
    assert verify_file(other, "other", None, None).ok
    key = {"type": "log.key_created", "after": {"verifier": "licet/other+00000000+AAAA"}}
    other.write_text(chain("other", {"type": "workspace.created"}, {"type": "log.key_created"}, key))
    assert verify_file(other, None, None, None).workspace == "other"
    assert "is the log of workspace other" in refused(other, "test")
    log.write_text("")
    assert "is empty" in refused(log)


def test_a_changed_beginning_is_tampering_under_any_name(tmp_path: Path) -> None:
    """A first entry that does not fit its own hash is a fault, whichever workspace is named."""
    log = tmp_path / "log"
    log.write_text(chain("test", {"type": "workspace.created"}).replace('"note":""', '"note":"x"'))
    for workspace in (None, "test", "live"):
        report = verify_file(log, workspace, None, None)
        assert [fault.kind for fault in report.faults] == ["edited"]


def test_a_checkpoint_of_another_workspace_at_the_database(exported: Exported, stocked: Shop) -> None:
    """The log of `live` is not called tampered with because a checkpoint of `test` was given for it."""
    ran = stocked.at_home("audit", "verify", "--checkpoint", str(exported.checkpoint), "-w", "live")
    assert ran.code == 2
    assert "is a checkpoint of workspace test, this is the log of workspace live" in ran.err


def test_an_auditor_without_a_database_is_told_how(exported: Exported) -> None:
    """A checkpoint and a verifier alone verify a database; who has none is told which files do without one."""
    given = ["--checkpoint", str(exported.checkpoint), "--verifier", exported.verifier, "-w", "test"]
    ran = licet("audit", "verify", *given, env={"LICET_HOME": str(exported.log.parent / "no-home")})
    assert ran.code == 2
    assert "add --log FILE, --proof FILE, or --against FILE with --consistency FILE" in ran.err
