"""Making a data directory once: whole or not at all."""

import contextlib
import secrets
import shutil

from licet.seal.private_file import sync_folder, write_private
from licet.store.bundled.account import Account
from licet.store.bundled.endpoint import SUPERUSER
from licet.store.bundled.errors import BundledError
from licet.store.bundled.home import Home
from licet.store.bundled.locate import Binaries
from licet.store.bundled.pidfile import clear_pid_file

TEMPORARY = ".init-"
BUILTIN_LOCALE_SINCE = 17
LOG_TAIL_LINES = 12


def ensure_cluster(home: Home, binaries: Binaries, account: Account) -> str:
    """The superuser's password of the data directory, which is made first if there is none. The caller holds the lock.

    An interrupted earlier attempt is removed and made anew.
    """
    for leftover in home.path.glob(f"{TEMPORARY}*"):
        # The programs initdb had started may still be writing.
        clear_pid_file(leftover / "data")
        shutil.rmtree(leftover)
    if home.data_major() is None:
        _refuse_unknown_data(home)
        _make_cluster(home, binaries, account)
    try:
        return home.secret.read_text()
    except FileNotFoundError as error:
        raise BundledError(
            f"{home.secret} is missing, so nobody can log in to the data directory beside it: "
            "put the file back from a backup, or remove the home (`make clean`) to begin anew"
        ) from error


def _refuse_unknown_data(home: Home) -> None:
    if home.data.exists():
        raise BundledError(f"{home.data} has no PG_VERSION: it is damaged, restore it from a backup or remove it")


def _make_cluster(home: Home, binaries: Binaries, account: Account) -> None:
    work = home.path / f"{TEMPORARY}{secrets.token_hex(4)}"
    work.mkdir()
    work.chmod(0o711 if account.how == "switch" else 0o700)
    password = secrets.token_urlsafe(32)
    # initdb runs as the server's user and cannot read a pipe or file of root's.
    given, data = work / "password", work / "data"
    write_private(given, password.encode())
    data.mkdir(mode=0o700)
    for path in (given, data):
        account.own(path)
    command = [
        str(binaries.folder / "initdb"),
        f"--pgdata={data}",
        f"--username={SUPERUSER}",
        f"--pwfile={given}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--data-checksums",
        "--no-instructions",
        *_locale(binaries.major),
    ]
    outcome = account.run(command, binaries.environment(home.path))
    if outcome.returncode != 0:
        shutil.rmtree(work)
        said = "\n".join((outcome.stdout + outcome.stderr).strip().splitlines()[-LOG_TAIL_LINES:])
        raise BundledError(
            f"initdb of {binaries.version} ({binaries.origin}) failed as {account.name} in {home.path}:\n{said}"
        )
    write_private(home.secret, password.encode())
    data.rename(home.data)
    sync_folder(home.path)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(work)


def _locale(major: int) -> list[str]:
    # The built-in provider sorts alike on every operating system; before 17 only the C library has C.UTF-8.
    if major >= BUILTIN_LOCALE_SINCE:
        return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=C.UTF-8"]
