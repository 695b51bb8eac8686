"""Under which account the server runs: PostgreSQL refuses root, and initdb refuses a user without a name."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict

import msgspec

from licet.store.bundled.errors import OWN_DATABASE, BundledError
from licet.store.bundled.tether import tether

DEDICATED = ("licet", "nobody")
OVERFLOW_UID = 65534
# chown, dac_override, kill, setgid, setuid: what a root must hold to run, watch and stop a server of another user.
NEEDED_CAPABILITIES = sum(1 << bit for bit in (0, 1, 5, 6, 7))

How = Literal["self", "switch", "nested"]


class Switch(TypedDict, total=False):
    """The keyword arguments of Popen that change the user; empty when the user stays."""

    user: int
    group: int
    extra_groups: list[int]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The user of the server as seen from here: `self`, another one (`switch`), or a name in a `nested` user namespace.

    `uid` and `gid` own the data directory.
    """

    uid: int
    gid: int
    name: str
    how: How
    inner_uid: int

    def command(self, argv: Sequence[str]) -> list[str]:
        """`argv`, wrapped where a namespace has to give the user a name first (the process id stays the same)."""
        if self.how != "nested":
            return list(argv)
        inner = str(self.inner_uid)
        return ["unshare", "--user", f"--map-user={inner}", f"--map-group={inner}", "--", *argv]

    def switch(self) -> Switch:
        """Keyword arguments for Popen."""
        if self.how != "switch":
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def run(self, argv: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a short program to its end as this account, output captured, and return how it went."""
        return subprocess.run(
            self.command(argv),
            env=dict(env),
            cwd="/",
            umask=0o077,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            preexec_fn=tether(signal.SIGKILL),
            **self.switch(),
        )

    def own(self, path: Path) -> None:
        """Give `path` to this account; nothing to do where we are that account."""
        if self.how == "switch":
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def barrier(self, path: Path) -> Path | None:
        """The first folder on the way to `path` (itself included) that this account may not enter, or None."""
        if self.how != "switch":
            return None
        for folder in [*reversed(path.parents), path]:
            status = folder.stat()
            if status.st_uid == self.uid:
                bit = 0o100
            elif status.st_gid == self.gid:
                bit = 0o010
            else:
                bit = 0o001
            if not status.st_mode & bit:
                return folder
        return None


def choose_account() -> Account:
    """The account for this process: itself, a dedicated one or nobody for root, else a name inside a namespace.

    Raises BundledError when none of these is possible.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0:
        name = _name_of(uid)
        if name is not None:
            return Account(uid=uid, gid=gid, name=name, how="self", inner_uid=uid)
    elif _holds_capabilities():
        for name in DEDICATED:
            found = _find(name)
            if (
                found is not None
                and found.pw_uid != 0
                and _mapped("uid", found.pw_uid)
                and _mapped("gid", found.pw_gid)
            ):
                return Account(uid=found.pw_uid, gid=found.pw_gid, name=name, how="switch", inner_uid=found.pw_uid)
    return _nested(uid, gid)


def _nested(uid: int, gid: int) -> Account:
    who = "root with no other user to drop to" if uid == 0 else f"user id {uid}, which has no name on this machine"
    if shutil.which("unshare", path=os.defpath) is None:
        raise BundledError(
            f"the bundled PostgreSQL cannot run as {who}: "
            "the program `unshare` (util-linux 2.36 or newer) is missing; install it, "
            f"run as a named user, {OWN_DATABASE}"
        )
    inner = _named_inner_uid()
    account = Account(uid=uid, gid=gid, name=f"uid {uid}", how="nested", inner_uid=inner)
    probe = account.run(["true"], {"PATH": os.defpath})
    if probe.returncode != 0:
        raise BundledError(
            f"the bundled PostgreSQL cannot run as {who}: a user namespace was refused "
            f"({probe.stderr.strip() or 'no reason given'}); run as a named user, {OWN_DATABASE}"
        )
    return account


def _named_inner_uid() -> int:
    if _name_of(OVERFLOW_UID) is not None:
        return OVERFLOW_UID
    for entry in pwd.getpwall():
        if entry.pw_uid != 0:
            return entry.pw_uid
    raise BundledError(
        "the bundled PostgreSQL needs one user besides root in /etc/passwd and found none; "
        f"add one (for example `nobody`), {OWN_DATABASE}"
    )


def _find(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _name_of(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def _holds_capabilities() -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16) & NEEDED_CAPABILITIES == NEEDED_CAPABILITIES
    return False


def _mapped(kind: Literal["uid", "gid"], number: int) -> bool:
    for line in Path(f"/proc/self/{kind}_map").read_text().splitlines():
        first, _, count = (int(part) for part in line.split())
        if first <= number < first + count:
            return True
    return False
