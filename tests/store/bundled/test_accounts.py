"""Every kind of user the server may have to run under, from a root with a closed home to a number without a name."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from licet.store.bundled import Bundled, BundledError, default_home
from licet.store.bundled.account import choose_account
from licet.store.bundled.locate import locate
from tests.store.bundled.lives import (
    NAMELESS_UID,
    NOBODY_UID,
    Life,
    alive,
    folder_of,
    postmaster_of,
    query,
    remember,
    remembered,
    wait_until,
)

ROOT = os.geteuid() == 0
MAP_ROOT = ("unshare", "--user", "--map-root-user", "--")
NAMESPACES = subprocess.run([*MAP_ROOT, "true"], capture_output=True, check=False).returncode == 0

pytestmark = pytest.mark.postgres
root_only = pytest.mark.skipif(not ROOT, reason="only root can start processes as other users")
needs_namespaces = pytest.mark.skipif(not NAMESPACES, reason="this machine refuses user namespaces")


def test_this_user(new_home: Path, binaries: Path) -> None:
    """Whoever runs the suite gets a server that runs as an unprivileged user."""
    with Bundled(new_home, binaries=binaries) as bundled:
        assert query(bundled.endpoint.admin_dsn(), "SELECT 1") == 1
        uid = Path(f"/proc/{postmaster_of(new_home)}").stat().st_uid
        assert uid == choose_account().uid
        assert uid != 0 or choose_account().how == "nested"


@root_only
@pytest.mark.parametrize("uid", [NOBODY_UID, NAMELESS_UID])
@needs_namespaces
def test_other_users(place: Path, binaries: Path, uid: int) -> None:
    """An ordinary user, and a user id without a name, own a server in their closed folder and find their rows again."""
    home = folder_of(uid, place) / "home"
    for attempt in ("first", "second"):
        with Life(home, binaries=binaries, uid=uid) as life:
            endpoint = life.endpoint()
            if attempt == "first":
                remember(endpoint)
            assert remembered(endpoint)
            assert Path(f"/proc/{postmaster_of(home)}").stat().st_uid == uid
            assert (home / "data").stat().st_uid == uid
            assert stat.S_IMODE(home.stat().st_mode) == 0o700
            assert life.finish() == 0


@root_only
@needs_namespaces
def test_nameless_orphan_is_found(place: Path, binaries: Path) -> None:
    """Also inside a user namespace the server ends with its killed owner, and the next owner finds the rows."""
    home = folder_of(NAMELESS_UID, place) / "home"
    with Life(home, binaries=binaries, uid=NAMELESS_UID) as life:
        remember(life.endpoint())
        pid = postmaster_of(home)
        life.kill()
        wait_until(lambda: not alive(pid), 5.0)
    with Life(home, binaries=binaries, uid=NAMELESS_UID) as life:
        assert remembered(life.endpoint())


@needs_namespaces
def test_root_with_no_other_user(place: Path, binaries: Path) -> None:
    """A root of a namespace where only uid 0 is mapped gets a server, twice, in a home it owns."""
    home = place / "home"
    for attempt in ("first", "second"):
        with Life(home, binaries=binaries, before=MAP_ROOT) as life:
            endpoint = life.endpoint()
            if attempt == "first":
                remember(endpoint)
            assert remembered(endpoint)
            assert Path(f"/proc/{postmaster_of(home)}").stat().st_uid == os.geteuid()
            assert life.finish() == 0


@needs_namespaces
def test_no_way_to_run_is_said_with_the_way_out(place: Path, binaries: Path) -> None:
    """Where user namespaces are forbidden too, the refusal says why and names LICET_DATABASE_URL."""
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    with Life(place / "home", binaries=binaries, before=[*MAP_ROOT, "sh", "-c", script, "sh"]) as life:
        said = life.error()
    assert "a user namespace was refused" in said
    assert "LICET_DATABASE_URL" in said
    assert not (place / "home").exists()


@root_only
def test_programs_in_a_closed_folder_are_published(place: Path, binaries: Path) -> None:
    """Programs that the server's user cannot reach run from a copy in the home; no folder's mode is changed for it."""
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    parts = locate(binaries).parts
    if not parts:
        # The system's own programs lie where everyone may go: close a copy of the bundled ones instead.
        parts = locate(None).parts
        binaries = locate(None).folder
    for part in parts:
        shutil.copytree(part, closed / part.name, symlinks=True)
    inside = closed / binaries.relative_to(parts[0].parent)
    home = place / "home"
    with Bundled(home, binaries=inside) as bundled:
        program = Path(f"/proc/{postmaster_of(home)}/exe").readlink()
        assert program.is_relative_to(home)
        assert query(bundled.endpoint.admin_dsn(), "SELECT 1") == 1
        published = program.parent.stat()
        assert published.st_uid == 0
        remember(bundled.endpoint)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    (home / ".publish-999").mkdir()
    (home / "pg-1.0-old").mkdir()
    with Bundled(home, binaries=inside) as bundled:
        assert remembered(bundled.endpoint)
        again = Path(f"/proc/{postmaster_of(home)}/exe").readlink()
        assert (again, again.parent.stat().st_ino) == (program, published.st_ino)
        assert len([entry for entry in home.iterdir() if entry.name.startswith((".publish-", "pg-"))]) == 1


@root_only
def test_home_in_a_closed_folder_is_refused(place: Path, binaries: Path) -> None:
    """A home that the server's user cannot enter is refused with the folder in the way, whose mode stays as it was."""
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(BundledError, match=rf"may not enter {closed}: choose a home outside"):
        Bundled(closed / "home", binaries=binaries).start()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_default_home_depends_on_checkout_and_user(place: Path) -> None:
    """Each checkout has its own home; root's lie below /var/lib/licet, another user's in the XDG data folder."""
    one, two = (default_home(place / name, data_home=place / "xdg") for name in ("one", "two"))
    assert one != two
    assert one == default_home(place / "one" / ".." / "one", data_home=place / "xdg")
    expected = Path("/var/lib/licet") if choose_account().how == "switch" else place / "xdg" / "licet"
    assert one.parent == expected
    assert not one.exists()
