"""Which Licet this is."""


def version() -> str:
    """Return the installed distribution's version."""
    from importlib import metadata

    try:
        return metadata.version("licet")
    except metadata.PackageNotFoundError:
        return "0+unknown"


def version_line() -> str:
    """Return what ``licet --version`` prints."""
    return f"licet {version()}"
