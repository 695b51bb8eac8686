"""PostgreSQL for the first minute: finds the binaries, owns a data directory and keeps one server alive in it."""

from licet.store.bundled.endpoint import Endpoint
from licet.store.bundled.errors import BundledError
from licet.store.bundled.home import default_home
from licet.store.bundled.report import Description, describe, remove
from licet.store.bundled.supervisor import Bundled

__all__ = ["Bundled", "BundledError", "Description", "Endpoint", "default_home", "describe", "remove"]
