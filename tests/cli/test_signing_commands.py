"""`licet signing` and `licet epoch`: what they refuse and how they say it, and that no step loses a root."""

import json
import stat
from pathlib import Path

import pytest

from licet.cli.signing_symptoms import signing_symptoms
from licet.core.instant import DAY, HOUR, Instant, to_instant
from licet.seal.paserk import public_of, write_public
from licet.seal.rootfile import read_root, write_root
from licet.services.signing import make_keysets, read_signing
from licet.store.postgres import PostgresStorage, real_time
from tests.cli.terminal import Ran, Shop, licet
from tests.store.databases import Server
from tests.store.worlds import KEYRING, OPERATOR, fresh_world

pytestmark = pytest.mark.postgres


def fails(ran: Ran, *words: str) -> None:
    """Assert that a command failed with these words and with advice, and showed no root."""
    assert ran.code == 2, ran
    assert "next: " in ran.err, ran
    for word in words:
        assert word in ran.err, ran
    assert "k4.secret.A" not in ran.out + ran.err
    assert "Traceback" not in ran.err


def root_at(shop: Shop, workspace: str = "test") -> Path:
    """Where the first start wrote a workspace's root."""
    return shop.home / "roots" / f"{workspace}.root"


def test_show_tells_the_same_to_people_and_programs(shop: Shop) -> None:
    """The table and the JSON name root, version and keys of the workspace that is asked about."""
    shown = shop.at_home("signing", "show", "-w", "test", "--json").document
    text = shop.at_home("signing", "show", "-w", "test").out
    assert shown["workspace"] == "test"
    assert shown["root"] == write_public(public_of(read_root(root_at(shop))))
    assert shown["root_file"] == str(root_at(shop))
    for each in (shown["root"], shown["root_id"], shown["keys"][0]["id"], "licet signing move-root -w test FILE"):
        assert each in text
    live = shop.at_home("signing", "show", "--json").document
    assert live["root"] != shown["root"]


def test_wrong_files_are_named(shop: Shop, tmp_path: Path) -> None:
    """A missing file, one that holds something else, another workspace's root: each is told apart; nothing changes."""
    before = shop.at_home("signing", "show", "-w", "test", "--json").document
    other, odd = tmp_path / "other.root", tmp_path / "odd"
    write_root(other, bytes(32))
    odd.write_text("hunter2")
    key = before["keys"][0]["id"]
    for command in (["rotate"], ["revoke", key]):
        for path, words in (
            (tmp_path / "nowhere", ["there is no file", "new-root"]),
            (odd, ["holds no root key", "new-root"]),
            (other, [write_public(public_of(bytes(32))), before["root"]]),
            (root_at(shop, "live"), [before["root"]]),
        ):
            fails(shop.at_home("signing", *command, "--root", str(path), "-w", "test"), *words)
    fails(shop.at_home("signing", "revoke", "k4.pid.nobody", "-w", "test"), "there is no key", key)
    fails(shop.at_home("signing", "show", "-w", "nowhere"), "known are live, test")
    fails(shop.at_home("signing", "rotate", "--overlap", "P2Y", "-w", "test"), "overlap: P2Y is too long")
    assert shop.at_home("signing", "show", "-w", "test", "--json").document == before


def test_a_root_moves_whole_or_not_at_all(shop: Shop, tmp_path: Path) -> None:
    """A name that is taken, the same name and a folder that is not there leave it where it is; a copy that is there
    already is enough."""
    place, held = root_at(shop), read_root(root_at(shop))
    taken, gone, good = tmp_path / "taken", tmp_path / "no" / "x", tmp_path / "good"
    taken.write_text("precious")
    other = tmp_path / "other"
    write_root(other, bytes(32))
    for to in (taken, gone, place, other):
        fails(shop.at_home("signing", "move-root", str(to), "-w", "test"), str(to))
        assert read_root(place) == held
    assert taken.read_text() == "precious"
    fails(
        shop.at_home("signing", "move-root", str(tmp_path / "y"), "--from", str(other), "-w", "test"),
        "the root in the file",
    )
    assert read_root(other) == bytes(32)
    write_root(good, held)  # cut off after the copy, before the removal
    moved = shop.at_home("signing", "move-root", str(good), "-w", "test", "--json").document
    assert (moved["file"], moved["removed"]) == (str(good), str(place))
    assert not place.exists()
    assert read_root(good) == held
    assert stat.S_IMODE(good.stat().st_mode) == 0o600
    fails(shop.at_home("signing", "move-root", str(tmp_path / "z"), "-w", "test"), "is not in this home", "--from FILE")
    fails(shop.at_home("signing", "rotate", "-w", "test"), "is not in this home", "--root FILE")
    back = shop.at_home("signing", "move-root", str(place), "--from", str(good), "-w", "test")
    assert back.code == 0, back
    assert read_root(place) == held


def test_a_new_root_asks_first_and_can_be_repeated(shop: Shop, tmp_path: Path) -> None:
    """Without consent nothing is made; a root that is in the file already is taken; the one in force is refused."""
    path = tmp_path / "new.root"
    fails(shop.at_home("signing", "new-root", str(path), "-w", "live"), "--yes")
    fails(shop.at_home("signing", "new-root", str(path), "-w", "nowhere", "--yes"), "known are live, test")
    assert not path.exists()
    write_root(path, bytes([9] * 32))  # cut off after the file was written
    made = shop.at_home("signing", "new-root", str(path), "--yes", "--json").document
    assert made["root"] == write_public(public_of(bytes([9] * 32)))
    assert [key["state"] for key in made["keys"]] == ["signs"]
    fails(shop.at_home("signing", "new-root", str(path), "--yes"), "that is the root")
    assert shop.at_home("audit", "verify").code == 0


def test_the_epoch_is_raised_on_purpose(shop: Shop) -> None:
    """Without consent it is not; with it the log says so; a number that is not higher is refused."""
    fails(shop.at_home("epoch", "raise", "-w", "test"), "--yes")
    assert shop.at_home("epoch", "show", "-w", "test", "--json").document["epoch"] == 1
    raised = shop.at_home("epoch", "raise", "-w", "test", "--yes", "--note", "restored", "--json").document
    assert raised["epoch"] == 2
    fails(shop.at_home("epoch", "raise", "-w", "test", "--yes", "--to", "2"), "2 is not higher")
    events = shop.run("log", "--type", "workspace.epoch_raised", "--json").document["items"]
    assert [(event["seq"], event["note"]) for event in events] == [(raised["seq"], "restored")]
    assert shop.at_home("audit", "verify", "-w", "test").code == 0


def test_the_doctor_reminds_of_a_root_that_is_still_here(shop: Shop, tmp_path: Path) -> None:
    """It says where it is, why that matters and how to take it away, until it is gone; open to others it is broken."""
    place = root_at(shop)

    def told() -> list[tuple[str, str, str]]:
        ran = licet(
            "doctor", "--json",
            env={"LICET_HOME": str(shop.home), "LICET_DATABASE_URL": shop.dsn, "LICET_PORT": "0"},
        )  # fmt: skip
        assert "k4.secret" not in ran.out
        checks = json.loads(ran.out)["checks"]
        found = [one for one in checks if one["name"] == "signing" and one["words"].startswith("test:")]
        return [(one["state"], one["words"], one["advice"]) for one in found]

    assert [state for state, _, _ in told()] == ["well", "note"]
    _, words, advice = told()[1]
    assert str(place) in words
    assert "licet signing move-root FILE -w test" in advice
    place.chmod(0o644)
    assert [state for state, _, _ in told()] == ["well", "broken"]
    assert f"chmod 600 {place}" in told()[1][2]
    place.chmod(0o600)
    assert shop.at_home("signing", "move-root", str(tmp_path / "away"), "-w", "test").code == 0
    assert [state for state, _, _ in told()] == ["well"]
    write_root(place, bytes(32))
    assert "another root" in told()[1][1]


async def test_the_doctor_warns_before_a_key_runs_out(pg_server: Server, tmp_path: Path) -> None:
    """Sixty days before its end a key is worth a word; from its end on nobody signs, and that is broken."""
    with fresh_world(pg_server) as world:

        async def told(wall: Instant) -> list[tuple[str, str]]:
            later = PostgresStorage(world.access, KEYRING, size=1, wall=lambda: wall)
            async with later, later.read("test") as view:
                found = await signing_symptoms(view, tmp_path / "none")
            return [(one.state, one.words) for one in found]

        assert await told(real_time()) == [("note", "test: no keyset yet, so nobody can follow")]
        async with world.storage() as storage:
            await make_keysets(storage, OPERATOR, lambda _: bytes(32))
            async with storage.read("test") as view:
                ends = to_instant((await read_signing(view)).keys[0].not_after)
        for wall, state, word in (
            (real_time(), "well", "keyset version 1"),
            (ends - 60 * DAY - HOUR, "well", "signs until"),
            (ends - 60 * DAY, "note", "runs out on"),
            (ends - 1, "note", "runs out on"),
            (ends, "broken", "no key may sign any more: the last one was good until"),
        ):
            assert [(one, word in words) for one, words in await told(wall)] == [(state, True)]
