"""Ten broken set-ups, each really broken: the doctor names what it found, why it matters and what mends it."""

import asyncio
import re
import shutil
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from licet.core.instant import to_datetime
from licet.seal.keyring import new_keyring
from licet.services.catalogs import apply_catalog
from licet.services.keys import CreateKey, create_key
from licet.services.rows import Actor, Workspace
from licet.store.bundled.locate import locate
from licet.store.migrate import migrate
from licet.store.postgres import PostgresStorage, real_time
from licet.store.setup import MIGRATIONS, create_workspaces, prepare
from tests.cli.terminal import Ran, licet
from tests.store.databases import Database

CATALOG = Path(__file__).parents[2] / "examples" / "meridian" / "catalog.yaml"
OPERATOR = Actor(id="local:tester", scopes=frozenset({"admin"}))
DAY = 86_400_000_000


class Clinic(NamedTuple):
    """A home and a database to be broken; the doctor is asked by its command."""

    home: Path
    dsn: str

    def doctor(self, *arguments: str, **env: str) -> Ran:
        """Ask the doctor, on any free port unless said."""
        told = {"LICET_HOME": str(self.home), "LICET_DATABASE_URL": self.dsn, "LICET_PORT": "0"} | env
        return licet("doctor", *arguments, env={name: value for name, value in told.items() if value})

    def checks(self, *arguments: str, code: int = 1, **env: str) -> dict[str, list[Any]]:
        """Ask for JSON and return what was found by name."""
        ran = self.doctor(*arguments, "--json", **env)
        assert ran.code == code, ran
        assert ran.err == ""
        found: dict[str, list[Any]] = {}
        for check in ran.document["checks"]:
            found.setdefault(check["name"], []).append(check)
        return found

    def broken(self, name: str, *arguments: str, **env: str) -> Any:
        """Return the one thing that is broken, which is of ``name``, and has a reason and a step that mends it."""
        checks = self.checks(*arguments, code=1, **env)
        found = [one for group in checks.values() for one in group if one["ok"] is False]
        assert [one["name"] for one in found] == [name], found
        assert found[0]["why"]
        assert found[0]["advice"]
        return found[0]

    def run(self, *statements: str) -> None:
        """Do something to the database behind Licet's back."""

        async def act() -> None:
            conn = await asyncpg.connect(self.dsn)
            for statement in statements:
                await conn.execute(statement)
            await conn.close()

        asyncio.run(act())


@pytest.fixture
def clinic(database: Database, tmp_path: Path) -> Clinic:
    """A home and a database that are well: both workspaces, a released catalog in live."""

    async def furnish() -> None:
        access = await prepare(database.dsn)
        keyring = new_keyring()
        await create_workspaces(access, keyring, OPERATOR)
        async with PostgresStorage(access, keyring, size=1) as storage, storage.write("live", OPERATOR) as tx:
            await apply_catalog(tx, CATALOG.read_bytes(), 0)

    home = tmp_path / "home"
    home.mkdir()
    asyncio.run(furnish())
    return Clinic(home, database.dsn)


def with_login(dsn: str, login: str) -> str:
    """The same database under another login."""
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{login}@"))


def contents(folder: Path) -> list[tuple[str, int]]:
    """Every file of a folder with its time of change."""
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_a_healthy_set_up_is_well_and_left_as_it_is(clinic: Clinic) -> None:
    """Nothing is broken, the code is 0; no file of the home changes, and a database that takes no writes will do."""
    name = urlsplit(clinic.dsn).path.lstrip("/")
    clinic.run(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    before = contents(clinic.home)
    checks = clinic.checks("--catalog", str(CATALOG), code=0)
    assert contents(clinic.home) == before
    assert {"home", "disk", "port", "database", "clock", "migrations", "keys", "log", "catalog"} <= checks.keys()
    assert [one["words"][:5] for one in checks["log"]] == ["live:", "test:"]


def test_no_space_is_found(clinic: Clinic) -> None:
    """Less free disk than must be is broken; the place is named."""
    enough = shutil.disk_usage(clinic.home).free // 1024**2 + 10_000
    found = clinic.broken("disk", "--min-free", str(enough))
    assert str(clinic.home) in found["words"]
    assert "PostgreSQL stops" in found["why"]
    text = clinic.doctor("--min-free", str(enough))
    assert text.code == 1
    # What is free changes while others write: only the number may differ.
    free, words = found["words"].split(" GiB free ", 1)
    assert float(free) > 0
    assert re.search(rf"^✗ disk        [0-9.]+ GiB free {re.escape(words)}$", text.out, re.MULTILINE)
    assert f"why:  {found['why']}" in text.out
    assert f"next: {found['advice']}" in text.out


def test_the_wrong_major_version_is_found(clinic: Clinic) -> None:
    """Data made by another PostgreSQL than the programs found name both, and the setting that mends it."""
    data = clinic.home / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("9\n")
    found = clinic.broken("programs", LICET_DATABASE_URL="")
    assert "made by PostgreSQL 9" in found["words"]
    assert "LICET_PG_BIN" in found["advice"]
    (data / "PG_VERSION").write_text("nonsense\n")
    assert "not a version number" in clinic.broken("programs")["words"]
    assert [path.name for path in clinic.home.rglob("*")] == ["data", "PG_VERSION"]


def test_a_taken_port_is_found(clinic: Clinic) -> None:
    """A port on which somebody else listens is named with the command that takes another one."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = clinic.broken("port", LICET_PORT=str(port))
    assert f"127.0.0.1:{port} is taken" in found["words"]
    assert "licet up --port 0" in found["advice"]
    assert clinic.doctor(LICET_PORT=str(port)).code == 0


def test_an_unreachable_database_is_found(clinic: Clinic) -> None:
    """Where nothing answers, place and setting are named, never the password; what lies behind is not judged."""
    url = "postgresql://licet:hunter2%21@127.0.0.1:9/licet"
    found = clinic.broken("database", LICET_DATABASE_URL=url)
    assert "127.0.0.1:9/licet cannot be reached" in found["words"]
    assert "LICET_DATABASE_URL" in found["advice"]
    ran = clinic.doctor("--json", LICET_DATABASE_URL=url)
    assert "hunter2" not in ran.out + ran.err
    assert {one["state"] for one in ran.document["checks"] if one["name"] in ("keys", "log")} == {"unseen"}
    for odd in ("postgresql://licet:hunter2/x@127.0.0.1:9/licet", "postgresql://licet@[::1/licet?password=hunter2"):
        ran = clinic.doctor(LICET_DATABASE_URL=odd)
        assert ran.code in (1, 2)
        assert "hunter2" not in ran.out + ran.err
        assert "Traceback" not in ran.err


def test_a_wrong_password_is_found(clinic: Clinic) -> None:
    """A login that is refused for its password is told so, and the password is not shown."""
    url = with_login(clinic.dsn, "postgres:hunter2")
    found = clinic.broken("database", LICET_DATABASE_URL=url)
    assert "password" in found["words"]
    assert "wrong" in found["words"]
    assert "hunter2" not in clinic.doctor(LICET_DATABASE_URL=url).out


def test_a_clock_that_is_off_is_found(clinic: Clinic) -> None:
    """A database whose clock is an hour ahead of this machine's is told with how far and in which direction."""
    name = urlsplit(clinic.dsn).path.lstrip("/")
    clinic.run(
        "CREATE SCHEMA skew; GRANT USAGE ON SCHEMA skew TO PUBLIC",
        "CREATE FUNCTION skew.clock_timestamp() RETURNS timestamptz LANGUAGE sql "
        "AS $$ SELECT pg_catalog.clock_timestamp() + interval '3 hours' $$",
        f'ALTER DATABASE "{name}" SET search_path = skew, pg_catalog, public',
    )
    found = clinic.broken("clock")
    assert "3 hours ahead" in found["words"]
    assert "timedatectl" in found["advice"]


def test_the_clocks_of_workspaces_are_told(clinic: Clinic) -> None:
    """A test workspace's moved clock is only told; a live log that reaches into the future is broken."""
    month, ahead = timedelta(days=30), timedelta(hours=5)
    clinic.run(f"UPDATE workspace SET clock_offset = {30 * DAY} WHERE workspace_id = 'test'")
    told = [one["words"] for one in clinic.checks(code=0)["clock"]]
    assert f"test: business time is {month.days} days ahead of real time" in told
    clinic.run(f"UPDATE log_tip SET recorded_at = now() + interval '{ahead}' WHERE workspace_id = 'live'")
    assert "live: the log's newest entry" in clinic.broken("clock")["words"]


def test_expired_and_expiring_keys_are_found(clinic: Clinic) -> None:
    """An expired key is broken until it is revoked, one that expires soon is told, the home's own is told apart."""
    then = real_time() - 2 * DAY

    async def make(name: str, days: float, since: int) -> str:
        access = await prepare(clinic.dsn)
        expires = to_datetime(real_time() + round(days * DAY))
        command = CreateKey(name=name, scopes=frozenset({"admin"}), expires_at=expires)
        storage = PostgresStorage(access, new_keyring(), size=1, wall=lambda: since)
        async with storage, storage.write("live", OPERATOR) as tx:
            return (await create_key(tx, command)).secret

    soon = asyncio.run(make("shop", 5, real_time()))
    note, none = clinic.checks(code=0)["keys"]
    assert none["words"] == "test: 0 in use, none expires within 14 days"
    assert note["state"] == "note"
    assert "(shop, " in note["words"]
    assert f"licet keys rotate {soon.split('_')[2]} -w live" in note["advice"]
    old = asyncio.run(make("crm", -1, then))
    found = clinic.broken("keys")
    assert "expired: " in found["words"]
    assert "(crm, " in found["words"]
    kept = clinic.home / "keys.json"
    kept.write_text(f'{{"live": "{old}"}}')
    kept.chmod(0o600)
    assert "the key that this home keeps for commands expired" in clinic.broken("keys")["words"]
    assert old not in clinic.doctor().out
    kept.write_text(f'{{"live": "{soon}"}}')
    assert "(crm, " in clinic.broken("keys")["words"]
    kept.unlink()
    env = {"LICET_HOME": str(clinic.home), "LICET_DATABASE_URL": clinic.dsn}
    assert licet(*found["advice"].split(" if ")[0].split()[1:], env=env).code == 0
    assert clinic.doctor().code == 0


def test_a_pending_migration_is_found(clinic: Clinic, bare_database: Database, tmp_path: Path) -> None:
    """A schema of an earlier version names what is pending, one of a later version says that; an empty one is new."""
    assert clinic.doctor(LICET_DATABASE_URL=bare_database.dsn).code == 0
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    for path in sorted(MIGRATIONS.glob("*.sql"))[:-1]:
        shutil.copy(path, earlier)
    old = Clinic(clinic.home, bare_database.dsn)

    async def make_old() -> None:
        await prepare(clinic.dsn)  # the roles that the files name
        conn = await bare_database.connect()
        await migrate(conn, earlier)
        await conn.close()

    asyncio.run(make_old())
    found = old.broken("migrations")
    assert "pending: " + sorted(MIGRATIONS.glob("*.sql"))[-1].stem in found["words"]
    assert "licet up" in found["advice"]
    env = {"LICET_HOME": str(clinic.home), "LICET_DATABASE_URL": bare_database.dsn}
    refused = licet("audit", "verify", env=env)
    assert refused.code != 0
    assert "1 migration pending" in refused.err
    assert "licet up" in refused.err
    assert old.broken("migrations") == found
    number = len(list(MIGRATIONS.glob("*.sql"))) + 1
    clinic.run(f"INSERT INTO schema_migration (number, name, checksum) VALUES ({number}, 'of_tomorrow', 'x')")
    newer = clinic.broken("migrations")
    assert "of_tomorrow" in newer["words"]
    assert "newer" in newer["advice"]


def test_an_unverified_log_is_found(clinic: Clinic, tmp_path: Path) -> None:
    """A log that goes on for weeks without a checkpoint is told, until one is exported as advised."""

    async def make() -> None:
        access = await prepare(clinic.dsn)
        then = real_time() - 20 * DAY
        async with PostgresStorage(access, new_keyring(), size=1, wall=lambda: then) as storage:
            await storage.create_workspace(Workspace(id="old", kind="live"), OPERATOR)

    asyncio.run(make())
    found = clinic.broken("log")
    assert "old: no checkpoint was exported in 20 days" in found["words"]
    command = found["advice"].split(",")[0].replace("FILE", str(tmp_path / "point")).split()[1:]
    env = {"LICET_HOME": str(clinic.home), "LICET_DATABASE_URL": clinic.dsn}
    assert licet(*command, env=env).code == 0
    assert clinic.doctor().code == 0


def test_a_log_that_was_changed_is_found(clinic: Clinic) -> None:
    """An entry that the database's owner rewrote is named."""
    clinic.run("ALTER TABLE event DISABLE TRIGGER ALL", "UPDATE event SET note = 'as if' WHERE seq = 2")
    found = clinic.broken("log")
    assert "live: entry 2 was edited" in found["words"]
    assert "licet audit verify -w live" in found["advice"]


def test_a_stale_catalog_is_found(clinic: Clinic, tmp_path: Path) -> None:
    """A file that differs from the release, or was never released, is told with the command that releases it."""
    file = tmp_path / "catalog.yaml"
    file.write_text(CATALOG.read_text().replace("title: Stored data", "title: Data kept", 1))
    assert file.read_text() != CATALOG.read_text()
    found = clinic.broken("catalog", "--catalog", str(file))
    assert "differs by 1 change" in found["words"]
    assert f"licet catalog apply {file}" in found["advice"]
    none = clinic.broken("catalog", "--catalog", str(CATALOG), "-w", "test")
    assert "test: none released" in none["words"]
    assert "-w test" in none["advice"]


def test_a_login_without_rights_is_told(clinic: Clinic) -> None:
    """A login that may enter but read nothing leads to a sentence and code 2, not to a crash."""
    name = f"stranger_{urlsplit(clinic.dsn).path[-12:]}"
    clinic.run(f"CREATE ROLE {name} LOGIN PASSWORD 'hunter2'")
    ran = clinic.doctor("--json", LICET_DATABASE_URL=with_login(clinic.dsn, f"{name}:hunter2"))
    clinic.run(f"DROP ROLE {name}")
    assert ran.code == 2, ran
    assert "permission denied" in next(one["words"] for one in ran.document["checks"] if one["state"] == "unseen")
    assert "hunter2" not in ran.out


def test_what_cannot_be_looked_at_is_told_apart(clinic: Clinic) -> None:
    """A missing catalog file, an unknown workspace and a stopped database end with code 2, and nothing is started."""
    assert "no file" in clinic.checks("--catalog", str(clinic.home / "none"), code=2)["catalog"][-1]["words"]
    unknown = clinic.checks("--catalog", str(CATALOG), "-w", "nowhere", code=2)["catalog"][-1]
    assert unknown["advice"] == "known are live, test"
    data = clinic.home / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text(f"{locate(None).major}\n")
    stopped = clinic.checks(code=2, LICET_DATABASE_URL="")
    assert stopped["log"][0]["state"] == "unseen"
    assert [path.name for path in clinic.home.rglob("*")] == ["data", "PG_VERSION"]
