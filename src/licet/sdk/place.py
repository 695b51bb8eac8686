"""Where a client asks and with which key: from arguments or the environment, refused with words if it cannot be."""

import os
import re
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from licet.sdk.errors import Misconfigured

URL: Final = "LICET_URL"
KEY: Final = "LICET_KEY"
ROOT: Final = "LICET_ROOT"
_KEY: Final = re.compile(r"lct_(live|test)_([a-z2-7]{16})_[a-z2-7]{32}", re.ASCII)

_ROOT: Final = re.compile(r"k4\.public\.[A-Za-z0-9_-]{43}", re.ASCII)


class Place(Struct, frozen=True, kw_only=True):
    """A server's address and the key that opens it. The key never shows in ``repr``."""

    secure: bool
    host: str
    port: int
    prefix: str
    """What comes before ``/v1`` in a path; empty, or beginning with a slash."""
    key: str

    @property
    def url(self) -> str:
        """The address in words, without any secret."""
        return f"{'https' if self.secure else 'http'}://{self.authority}{self.prefix}"

    @property
    def authority(self) -> str:
        """Host and port, as in a request's ``Host``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def key_id(self) -> str:
        """The id of the key: the part before its secret."""
        found = _KEY.fullmatch(self.key)
        return found[2] if found else ""

    @property
    def workspace(self) -> str:
        """The workspace that the key opens, ``live`` or ``test``."""
        found = _KEY.fullmatch(self.key)
        return found[1] if found else "live"

    def headers(self) -> dict[str, str]:
        """Return what goes with every request."""
        return {"Authorization": f"Bearer {self.key}", "Accept-Encoding": "identity", "User-Agent": "licet-python"}

    def __repr__(self) -> str:
        return f"Place({self.url!r}, key {self.key_id!r})"


def find_place(url: str | None, key: str | None) -> Place:
    """Return the place that arguments, or else the environment, name; raises Misconfigured with what is missing."""
    address = url or os.environ.get(URL, "")
    secret = (key or os.environ.get(KEY, "")).strip()
    if not address:
        raise Misconfigured(f"no server is named: give url= or set {URL}, like https://licet.example.com")
    if not secret:
        raise Misconfigured(f"no key is given: give key= or set {KEY}; `licet keys create --scope check` makes one")
    if _KEY.fullmatch(secret) is None:
        words = f"the key begins with {secret[:9]!r} and has {len(secret)} characters"
        raise Misconfigured(f"{words}; one looks like lct_live_<16 characters>_<32 characters>: look at key= or {KEY}")
    return _placed(address, secret)


def find_root(root: str | None) -> str | None:
    """Return the public root key to pin, if one was given; raises Misconfigured for what is none.

    An empty one is refused too: it comes of a configuration that went wrong, and would silently pin nothing.
    """
    given = os.environ.get(ROOT) if root is None else root
    if given is None:
        return None
    where, given = (ROOT if root is None else "root="), given.strip()
    if not given:
        words = f"{where} is empty, which would pin no root key; give what `licet signing show` says"
        raise Misconfigured(f"{words}, or leave {where} out to believe the first root that the server names")
    if _ROOT.fullmatch(given) is None:
        words = f"the root key {given[:20]!r}… of {len(given)} characters is none; one is k4.public. and 43 more"
        raise Misconfigured(f"{words}: look at root= or {ROOT}, `licet signing show` tells it")
    return given


def _placed(address: str, key: str) -> Place:
    wrong = (
        f"{address[:200]!r} is no address of a server; it looks like https://licet.example.com: look at url= or {URL}"
    )
    try:
        parts = urlsplit(address.strip())
        port = parts.port
    except ValueError:
        raise Misconfigured(wrong) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise Misconfigured(wrong)
    secure = parts.scheme == "https"
    prefix = parts.path.rstrip("/").removesuffix("/v1")
    return Place(secure=secure, host=parts.hostname, port=port or (443 if secure else 80), prefix=prefix, key=key)
