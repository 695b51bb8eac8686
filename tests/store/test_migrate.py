"""The migrations runner, on a real server: order, one transaction each, refusals, several processes at once."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from licet.store.migrate import MigrationError, create_database, load_migrations, migrate, pending
from tests.store.databases import Database

pytestmark = pytest.mark.postgres

FIRST = "CREATE TABLE one (id int);\nINSERT INTO one VALUES (1);\n"
SECOND = "CREATE TABLE two (id int);\n"


def write(folder: Path, **files: str) -> Path:
    """Put files into `folder`; keyword `m0001_x` becomes 0001_x.sql."""
    folder.mkdir(exist_ok=True)
    for name, sql in files.items():
        (folder / f"{name.removeprefix('m')}.sql").write_text(sql)
    return folder


async def tables(conn: "asyncpg.Connection[asyncpg.Record]") -> set[str]:
    """The names of the tables in schema public."""
    rows = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row["tablename"] for row in rows}


async def test_applies_in_order_once(bare_database: Database, tmp_path: Path) -> None:
    """Pending files are applied by number and recorded; a second run applies nothing; a new file alone is applied."""
    folder = write(tmp_path / "sql", m0001_first=FIRST, m0002_second=SECOND)
    conn = await bare_database.connect()
    try:
        assert [one.title for one in await pending(conn, folder)] == ["0001_first", "0002_second"]
        assert [one.title for one in await migrate(conn, folder)] == ["0001_first", "0002_second"]
        assert await migrate(conn, folder) == []
        write(folder, m0003_third="ALTER TABLE one ADD COLUMN note text;")
        assert [one.number for one in await pending(conn, folder)] == [3]
        assert [one.number for one in await migrate(conn, folder)] == [3]
        assert await pending(conn, folder) == []
        rows = await conn.fetch("SELECT number, name, checksum, applied_at FROM schema_migration ORDER BY number")
        assert [(row["number"], row["name"]) for row in rows] == [(1, "first"), (2, "second"), (3, "third")]
        assert [row["checksum"] for row in rows] == [one.checksum for one in load_migrations(folder)]
        assert all(row["applied_at"].tzinfo is not None for row in rows)
    finally:
        await conn.close()


async def test_pending_writes_nothing(bare_database: Database, tmp_path: Path) -> None:
    """Asking what is pending on an untouched database creates no table."""
    conn = await bare_database.connect()
    try:
        await pending(conn, write(tmp_path / "sql", m0001_first=FIRST))
        assert await tables(conn) == set()
    finally:
        await conn.close()


async def test_failing_file_leaves_no_half(bare_database: Database, tmp_path: Path) -> None:
    """A file that fails is rolled back whole and named; the ones before stay; mended, it is applied."""
    folder = write(tmp_path / "sql", m0001_first=FIRST, m0002_bad="CREATE TABLE half (id int); SELECT nonsense;")
    conn = await bare_database.connect()
    try:
        with pytest.raises(MigrationError, match=r"0002_bad failed and was rolled back.*nonsense"):
            await migrate(conn, folder)
        assert await tables(conn) == {"one", "schema_migration"}
        write(folder, m0002_bad=SECOND)
        assert [one.number for one in await migrate(conn, folder)] == [2]
    finally:
        await conn.close()


async def test_changed_file_is_refused(bare_database: Database, tmp_path: Path) -> None:
    """An applied file that differs by one character is refused by migrate and by pending, and nothing is applied."""
    folder = write(tmp_path / "sql", m0001_first=FIRST)
    conn = await bare_database.connect()
    try:
        await migrate(conn, folder)
        write(folder, m0001_first=FIRST + " ", m0002_second=SECOND)
        for refused in (migrate, pending):
            with pytest.raises(MigrationError, match=r"0001_first was changed after it was applied"):
                await refused(conn, folder)
        assert "two" not in await tables(conn)
        (folder / "0001_first.sql").write_bytes(FIRST.replace("\n", "\r\n").encode())
        assert [one.number for one in await migrate(conn, folder)] == [2]
    finally:
        await conn.close()


async def test_newer_database_is_refused(bare_database: Database, tmp_path: Path) -> None:
    """A database migrated by a newer version is refused by an older one, with both numbers named."""
    folder = write(tmp_path / "sql", m0001_first=FIRST, m0002_second=SECOND)
    conn = await bare_database.connect()
    try:
        await migrate(conn, folder)
        (folder / "0002_second.sql").unlink()
        with pytest.raises(MigrationError, match=r"0002_second.*does not know.*newest is 0001"):
            await migrate(conn, folder)
    finally:
        await conn.close()


async def test_renamed_file_and_edited_record_are_refused(bare_database: Database, tmp_path: Path) -> None:
    """A renamed file and a hole in the recorded numbers are each refused and named."""
    folder = write(tmp_path / "sql", m0001_first=FIRST, m0002_second=SECOND)
    conn = await bare_database.connect()
    try:
        await migrate(conn, folder)
        (folder / "0002_second.sql").rename(folder / "0002_other.sql")
        with pytest.raises(MigrationError, match=r"0002_other was applied as 0002_second"):
            await migrate(conn, folder)
        await conn.execute("DELETE FROM schema_migration WHERE number = 1")
        with pytest.raises(MigrationError, match=r"without number 0001"):
            await migrate(conn, folder)
    finally:
        await conn.close()


async def test_many_processes_at_once(bare_database: Database, tmp_path: Path) -> None:
    """Eight runners started together apply each file exactly once and all end with the same schema."""
    files = {f"m{number:04d}_step": f"CREATE TABLE step_{number} (id int);" for number in range(1, 7)}
    folder = write(tmp_path / "sql", **files)

    async def run() -> list[int]:
        conn = await bare_database.connect()
        try:
            return [one.number for one in await migrate(conn, folder)]
        finally:
            await conn.close()

    done = await asyncio.gather(*(run() for _ in range(8)))
    assert sorted(number for one in done for number in one) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"m0001_first": FIRST, "m0003_third": SECOND}, r"0003_third stands where number 0002 must"),
        ({"m0001_first": FIRST, "m0001_twin": SECOND}, r"0001_twin stands where number 0002 must"),
        ({"m1_first": FIRST}, r"1_first.sql is not a migration's name"),
        ({"m0001_first": "CREATE TABLE x (id int);\nCOMMIT;"}, r"contains 'COMMIT;'"),
        ({"m0001_first": "start transaction ;"}, r"contains 'start transaction ;'"),
    ],
)
def test_unacceptable_files(tmp_path: Path, files: dict[str, str], message: str) -> None:
    """Gaps, doubled numbers, odd names and transaction control are refused before anything touches a database."""
    with pytest.raises(MigrationError, match=message):
        load_migrations(write(tmp_path / "sql", **files))


def test_plpgsql_blocks_and_comments_are_no_transaction_control(tmp_path: Path) -> None:
    """`begin … end;` inside a function body, and the word in a comment, are accepted."""
    sql = "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $body$\nBEGIN\n NULL;\nEND;\n$body$;\n-- commit;\n"
    assert len(load_migrations(write(tmp_path / "sql", m0001_f=sql))) == 1


def test_missing_folder_is_named(tmp_path: Path) -> None:
    """A missing folder is an incomplete installation, not an empty list of migrations."""
    with pytest.raises(MigrationError, match=r"there is no folder .*nowhere"):
        load_migrations(tmp_path / "nowhere")


async def test_create_database_once(bare_database: Database) -> None:
    """Four callers at once make one database between them; a bad name is refused with the rule."""
    name = f"{bare_database.name[:40]}_new"
    admin = bare_database.endpoint.admin_dsn()
    made = await asyncio.gather(*(create_database(admin, name) for _ in range(4)))
    try:
        assert sorted(made) == [False, False, False, True]
    finally:
        conn = await bare_database.connect()
        await conn.execute(f'DROP DATABASE "{name}"')
        await conn.close()
    with pytest.raises(MigrationError, match=r"'x\"; --' is not a database name"):
        await create_database(admin, 'x"; --')
