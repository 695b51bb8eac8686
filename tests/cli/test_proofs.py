"""Proofs from one hand to another: made at the database, verified from files by somebody who has nothing else."""

import io
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from licet.cli.app import build
from licet.cli.failure import Ended, Failure
from licet.cli.output import Output
from licet.cli.proof_check import check_entry, check_growth
from licet.seal.checkpoint import Checkpoint, new_seed, open_checkpoint, sign_checkpoint, verifier_of
from tests.cli.terminal import Ran, Shop, licet

pytestmark = pytest.mark.postgres

OFFLINE: Final = """
import socket, sys
class Poisoned(socket.socket):
    def __new__(cls, *args, **kwargs):
        raise SystemExit("a socket was opened")
socket.socket = Poisoned
socket.create_connection = Poisoned
from licet.cli.main import run
code = run(sys.argv[1:])
known = sorted(name for name in sys.modules if name.startswith(("asyncpg", "licet.")))
print("@" + " ".join(known))
sys.exit(code)
"""


class Handed(NamedTuple):
    """What the vendor handed out: two checkpoints with their line, a proof of one entry, a proof of growth."""

    folder: Path
    verifier: str
    seq: int

    def file(self, name: str) -> str:
        """The path of one of the files."""
        return str(self.folder / name)

    def entry(self, proof: str = "proof.json", point: str = "old.txt", verifier: str | None = None) -> Ran:
        """Verify a proof of an entry."""
        files = self.folder / proof, self.folder / point
        return inside(lambda out: check_entry(out, *files, verifier or self.verifier))

    def growth(self, old: str = "old.txt", new: str = "new.txt", proof: str = "growth.json") -> Ran:
        """Verify a proof of growth."""
        files = self.folder / old, self.folder / new, self.folder / proof
        return inside(lambda out: check_growth(out, *files, self.verifier))

    def forge(self, proof: str, change: Callable[[dict[str, Any]], object]) -> str:
        """Write a changed copy of a proof and return its name."""
        document = json.loads((self.folder / proof).read_text())
        change(document)
        (self.folder / "forged.json").write_text(json.dumps(document))
        return "forged.json"


def inside(command: Callable[[Output], None]) -> Ran:
    """Run what a command does in this process, and tell it as if it were one."""
    printed = io.StringIO()
    try:
        command(Output(stream=printed))
    except Ended as ended:
        return Ran(ended.exit_code, printed.getvalue(), "")
    except Failure as failure:
        return Ran(failure.exit_code, printed.getvalue(), f"{failure.words}; {failure.advice}")
    return Ran(0, printed.getvalue(), "")


def typed(*arguments: str) -> None:
    """Run a command line in this process."""
    build()(args=list(arguments), prog_name="licet", standalone_mode=False)


def outside(*arguments: str) -> Ran:
    """Run a command where no socket can be opened; it ends with the names of the modules that were loaded."""
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, *arguments],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "LICET_URL": "http://127.0.0.1:9", "LICET_HOME": "/nonexistent"},
        timeout=60,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def handed(stocked: Shop, tmp_path_factory: pytest.TempPathFactory) -> Handed:
    """What an auditor of the workspace test has."""
    folder = tmp_path_factory.mktemp("auditor")
    assert stocked.run("customer", "create", "zoë", "--name", "Zoë", "--note", "für Zoë").code == 0
    log = stocked.run("log", "--type", "customer.created", "--json").document["items"]
    seq = next(row["seq"] for row in log if row["subject"] == "customer/zoë")
    old, new = str(folder / "old.txt"), str(folder / "new.txt")
    made = stocked.at_home("audit", "checkpoint", "--out", old, "-w", "test", "--json").document
    assert stocked.run("customer", "create", "later").code == 0
    assert stocked.at_home("audit", "checkpoint", "--out", new, "-w", "test").code == 0
    proof = ["audit", "prove", str(seq), "--checkpoint", old, "--out", str(folder / "proof.json"), "-w", "test"]
    assert stocked.at_home(*proof).code == 0
    grown = stocked.at_home("audit", "consistency", old, new, "--out", str(folder / "growth.json"), "-w", "test")
    assert grown.code == 0, grown
    return Handed(folder, made["verifier"], seq)


def test_an_outsider_verifies_both_proofs_with_files_alone(handed: Handed) -> None:
    """No socket is opened and no code that knows the database is loaded; the entry is shown, without the name."""
    old, new = ("--checkpoint", handed.file("old.txt")), ("--against", handed.file("new.txt"))
    for ran in (
        outside("audit", "verify", "--proof", handed.file("proof.json"), *old, "--verifier", handed.verifier),
        outside(
            "audit", "verify", "--consistency", handed.file("growth.json"), *old, *new, "--verifier", handed.verifier
        ),
    ):
        assert ran.code == 0, ran
        modules = ran.out.rpartition("@")[2].split()
        far = ("asyncpg", "licet.store", "licet.services", "licet.api", "licet.wiring")
        assert not [name for name in modules if name.startswith(far)]
        assert "licet.seal.proof" in modules
    said = handed.entry().out
    assert f"entry {handed.seq} stands in the log" in said
    assert "customer/zoë" in said
    assert "für Zoë" in said
    assert "the log has only grown" in handed.growth().out
    assert '"Zoë"' not in (handed.folder / "proof.json").read_text().replace("für Zoë", "")


def test_an_entry_is_named_by_its_id_too(stocked: Shop, handed: Handed, tmp_path: Path) -> None:
    """`evt_…` and the sequence name the same entry; a size does for a checkpoint; the server answers the same."""
    log = stocked.run("log", "--type", "customer.created", "--json").document["items"]
    event = next(row for row in log if row["seq"] == handed.seq)
    old = open_checkpoint((handed.folder / "old.txt").read_text(), handed.verifier)
    to = tmp_path / "by-id.json"
    made = ["audit", "prove", event["id"], "--size", str(old.size), "--out", str(to), "-w", "test", "--json"]
    assert stocked.at_home(*made).document["proof"]["seq"] == handed.seq
    assert to.read_text() == (handed.folder / "proof.json").read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one.update(entry=one["entry"].replace("für Zoë", "für Ann")), "leads to another root"),
        (lambda one: one.update(entry=one["entry"] + " "), "leads to another root"),
        (lambda one: one.update(seq=one["seq"] + 1), "does not hold"),
        (lambda one: one.update(seq=one["size"] + 1), "has no leaf"),
        (lambda one: one.update(size=one["size"] + 1), "let it be made for this checkpoint"),
        (lambda one: one.update(path=one["path"][:-1]), "fewer than belong"),
        (lambda one: one.update(path=[*one["path"], "00" * 32]), "more than belong"),
        (lambda one: one.update(path=["00" * 32, *one["path"][1:]]), "leads to another root"),
        (lambda one: one.update(path=[one["path"][0][:62], *one["path"][1:]]), "no such proof"),
        (lambda one: one.update(path=[]), "fewer than belong"),
        (lambda one: one.update(seq=0), "no such proof"),
        (lambda one: one.update(size=0), "no such proof"),
        (lambda one: one.update(origin="licet/live"), "about the log 'licet/live'"),
        (lambda one: one.update(format="licet/consistency-proof/1"), "no such proof"),
        (lambda one: one.update(more=1), "no such proof"),
    ],
)
def test_a_forged_proof_of_an_entry_is_refused(
    handed: Handed, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    """Another entry, place, size, log or path, a hash cut short and a foreign form are each refused in words."""
    ran = handed.entry(handed.forge("proof.json", change))
    assert ran.code == 1, ran
    assert words in ran.out + ran.err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one.update(path=[]), "fewer than belong"),
        (lambda one: one.update(path=[*one["path"], "00" * 32]), "more than belong"),
        (lambda one: one.update(path=["00" * 32, *one["path"][1:]]), "does not lead to the root"),
        (lambda one: one.update(old=one["old"] - 1), "the proof leads from"),
        (lambda one: one.update(new=one["new"] + 1), "the proof leads from"),
        (lambda one: one.update(origin="licet/live"), "about the log 'licet/live'"),
        (lambda one: one.update(old=0), "no such proof"),
    ],
)
def test_a_forged_proof_of_growth_is_refused(
    handed: Handed, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    """An empty or changed path, other sizes and another log are each refused in words."""
    ran = handed.growth(proof=handed.forge("growth.json", change))
    assert ran.code == 1, ran
    assert words in ran.out + ran.err


def test_the_checkpoint_must_be_the_logs_own(handed: Handed) -> None:
    """Another checkpoint, one with the sizes exchanged, and one that somebody else signed under the same name: none
    makes a proof count, also not in `--json`."""
    assert "let it be made for this checkpoint" in handed.entry(point="new.txt").out
    assert "--checkpoint takes the older one" in handed.growth("new.txt", "old.txt").out
    seed = new_seed()
    point = Checkpoint(origin="licet/test", size=9, root=bytes(32))
    (handed.folder / "theirs.txt").write_text(sign_checkpoint(point, seed))
    ran = handed.entry(point="theirs.txt")
    assert (ran.code, "not signed with" in ran.err) == (1, True)
    assert handed.entry(verifier=verifier_of("licet/test", seed)).code == 1
    forged = handed.forge("proof.json", lambda one: one.update(path=[]))
    given = ["--proof", handed.file(forged), "--checkpoint", handed.file("old.txt"), "--verifier", handed.verifier]
    ran = licet("audit", "verify", *given, "--json")
    assert (ran.code, ran.document["ok"]) == (1, False)


def test_a_witness_may_have_signed_too(handed: Handed) -> None:
    """A checkpoint with the line of a witness below the log's own verifies as before."""
    old = (handed.folder / "old.txt").read_text()
    body = old.rpartition("\n\n")[0] + "\n"
    point = open_checkpoint(old, handed.verifier)
    signed = sign_checkpoint(Checkpoint(origin="w.example", size=1, root=point.root), bytes(32)).rpartition("\n\n")[2]
    (handed.folder / "witnessed.txt").write_text(old + signed)
    assert handed.entry(point="witnessed.txt").code == 0
    (handed.folder / "witnessed.txt").write_text(f"{body}\n{signed}")
    assert handed.entry(point="witnessed.txt").code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--proof", "x"], "--checkpoint"),
        (["--proof", "x", "--checkpoint", "x"], "--verifier"),
        (["--against", "x", "--verifier", "x"], "--checkpoint"),
        (["--proof", "x", "--against", "x"], "one of them at a time"),
        (["--proof", "x", "--log", "x"], "one of them at a time"),
        (["--proof", "absent", "--checkpoint", "absent", "--verifier", "x"], "no file absent"),
    ],
)
def test_what_is_missing_is_told(arguments: list[str], words: str) -> None:
    """Each option that a verification needs is asked for by its name; nothing was verified (exit code 2)."""
    ran = inside(lambda _: typed("audit", "verify", *arguments))
    assert ran.code == 2, ran
    assert words in ran.err


def test_what_cannot_be_proven_is_told(stocked: Shop, handed: Handed, tmp_path: Path) -> None:
    """Entries that are not there, sizes exchanged, and a checkpoint of another log: told, and no file is written."""
    to = str(tmp_path / "none.json")
    for arguments, words in [
        (["prove", "99999"], "there is no entry 99999"),
        (["prove", "evt_nothing"], "there is no entry 'evt_nothing'"),
        (["consistency", "5", "3"], "must be 1 to 3"),
        (["consistency", "absent", "3"], "no file absent"),
    ]:
        ran = stocked.at_home("audit", *arguments, "--out", to, "-w", "test")
        assert ran.code in (1, 2), ran
        assert words in ran.err
    other = stocked.at_home("audit", "prove", "1", "--checkpoint", handed.file("old.txt"), "--out", to, "-w", "live")
    assert other.code in (1, 2)
    assert not Path(to).exists()


def test_what_verifies_a_proof_can_be_copied(stocked: Shop, handed: Handed, tmp_path: Path) -> None:
    """The command that is printed verifies as it stands; for a checkpoint of which only the size was given it has a
    placeholder, which is explained."""
    to, old, new = tmp_path / "my proof.json", handed.file("old.txt"), handed.file("new.txt")
    ran = stocked.at_home("audit", "consistency", old, new, "--out", str(to), "-w", "test")
    command = shlex.split(next(line for line in ran.out.splitlines() if line.startswith("  verify")))
    assert command[1] == "licet"
    assert licet(*command[2:]).code == 0
    ran = stocked.at_home("audit", "consistency", "3", new, "--out", str(to), "-w", "test")
    assert f"--checkpoint OLD --against {new} " in ran.out
    assert "OLD is the checkpoint of 3 entries" in ran.out
    ran = stocked.at_home("audit", "prove", "1", "--size", "4", "--out", str(to), "-w", "test")
    assert f"--checkpoint CHECKPOINT --verifier {handed.verifier}" in ran.out
    assert "CHECKPOINT is the checkpoint of 4 entries" in ran.out
