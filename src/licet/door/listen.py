"""Where the door may open: on loopback, or elsewhere with TLS, or where somebody said that TLS ends before it."""

import ipaddress


class OpenToAll(Exception):
    """Listening there without TLS would send keys in clear text over a network."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``: ``localhost``, ``127.0.0.0/8``, ``::1``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_listen(host: str, *, tls: bool, insecure: bool) -> None:
    """Raise OpenToAll, with what to do, unless ``host`` is loopback, TLS is on, or ``insecure`` was asked for."""
    if tls or insecure or is_loopback(host):
        return
    raise OpenToAll(
        f"refusing to listen on {host} without TLS: API keys would cross the network in clear text.\n"
        "Do one of these:\n"
        "  set LICET_TLS_CERT and LICET_TLS_KEY to a certificate and its key (PEM files);\n"
        "  listen on 127.0.0.1 (the default) behind a proxy that ends TLS;\n"
        "  say --insecure-listen (or LICET_INSECURE_LISTEN=1) if TLS ends before this process, as in a cluster."
    )
