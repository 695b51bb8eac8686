"""Which database a command works at, in words that hold no password, and what to do where it cannot be reached."""

from urllib.parse import parse_qs, unquote, urlsplit

from licet.cli.failure import Failure
from licet.settings import Settings
from licet.wiring import home_of


def database_words(settings: Settings) -> str:
    """Return where the database of these settings is; never a password."""
    if settings.database_url is None:
        return f"the bundled one in {home_of(settings)}"
    host, port, name, user = _parts(settings.database_url)
    return f"{name} on {host}:{port}, as {user} (LICET_DATABASE_URL)"


def not_reached(settings: Settings, error: BaseException) -> Failure | None:
    """Return the failure for a database of yours that cannot be used; None for any other error."""
    if settings.database_url is None or not _is_about_reaching(error):
        return None
    said = str(error.__cause__ or error) or type(error.__cause__ or error).__name__
    password = _password(settings.database_url)
    if password:
        said = said.replace(password, "…")
    host, port, name, user = _parts(settings.database_url)
    return Failure(
        f"the database {name} on host {host}, port {port} cannot be used as {user}: {said}",
        advice="check that PostgreSQL runs there and that LICET_DATABASE_URL "
        "(postgresql://user:password@host:port/database) is right; without it the bundled database is used",
        code="database_unreachable",
    )


def _is_about_reaching(error: BaseException) -> bool:
    import asyncpg

    from licet.services.errors import Unavailable

    kinds = (Unavailable, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
    return isinstance(error, kinds) and getattr(error, "filename", None) is None


def _parts(url: str) -> tuple[str, str, str, str]:
    parts = urlsplit(url)
    given = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    user = unquote(parts.username or given.get("user", "")) or "the operating system's user"
    name = unquote(parts.path.lstrip("/")) or given.get("dbname", "") or user
    try:
        port = parts.port
    except ValueError:
        port = None
    return parts.hostname or given.get("host", "localhost"), str(port or given.get("port", 5432)), name, user


def _password(url: str) -> str:
    parts = urlsplit(url)
    given = parse_qs(parts.query).get("password", [""])[-1]
    return unquote(parts.password or "") or given
