"""What is said of a filter that matched nothing: a misspelt name must not look like an empty answer."""

import sys
from collections.abc import Collection, Mapping
from typing import Any, Final

from licet.cli.failure import Failure
from licet.cli.output import WARN, Output
from licet.cli.remote import Remote, segment

_SAMPLE: Final = 500
"""Events at either end of the log whose types and subjects are looked through for one that was meant."""


def note(words: str) -> None:
    """Say something about the answer beside it, on standard error."""
    Output(stream=sys.stderr).line((f"note: {words}", WARN))


def refuse_feature(feature: str, known: Collection[str], where: str) -> None:
    """Raise Failure for a feature that is none of the known ones."""
    if feature not in known:
        raise Failure(
            f"{where} has no feature {feature!r}",
            advice=_meant(feature, known) or "check the spelling; ids are case-sensitive",
            code="usage",
        )


def note_feature(remote: Remote, feature: str, more: Collection[str] = ()) -> None:
    """Note where the newest catalog lacks a feature, which nothing was found about."""
    try:
        known = {*remote.call("GET", "/v1/catalog")["doc"]["features"], *more}
    except Failure:
        return  # no catalog, or none that this key may read
    if feature not in known:
        note(_with(f"no feature of the name {feature!r} in the catalog", _meant(feature, known)))


def note_dimensions(remote: Remote, names: Collection[str]) -> None:
    """Note each dimension that no meter of the newest catalog has: no sums can be told apart by it."""
    try:
        meters = remote.call("GET", "/v1/catalog")["doc"].get("meters", {})
    except Failure:
        return  # no catalog, or none that this key may read
    known = {name for meter in meters.values() for name in meter.get("dimensions", ())}
    for name in names:
        if name not in known:
            note(_with(f"no meter has the dimension {name!r}: no sums are told apart by it", _meant(name, known)))


def note_checks(remote: Remote, query: Mapping[str, object]) -> None:
    """Say why no checks match: raises Failure for a customer that is none and that nobody asked about, notes a feature
    that is none."""
    customer, feature = query["customer"], query["feature"]
    if customer is not None:
        asked = remote.call("GET", "/v1/checks/counts", query={"customer": customer, "by": "total"})["items"]
        if not asked:
            remote.call("GET", f"/v1/customers/{segment(str(customer))}")
    if feature is not None:
        note_feature(remote, str(feature))


def note_usage(remote: Remote, rows: Collection[Any], customer: str | None, feature: str | None = None) -> None:
    """Say why there is no usage: raises Failure for a customer that is none, notes a feature that is none."""
    if rows:
        return
    if customer is not None:
        remote.call("GET", f"/v1/customers/{segment(customer)}")
    if feature is not None:
        note_feature(remote, feature)


def note_events(remote: Remote, newest: int, filters: Mapping[str, str | None]) -> None:
    """Note types and subjects of which the log has no event at all."""
    seen: list[Any] | None = None
    for name, wanted in filters.items():
        if wanted is None or remote.call("GET", "/v1/events", query={name: wanted, "limit": 1})["items"]:
            continue
        if seen is None:
            seen = [
                event
                for after in {0, max(0, newest - _SAMPLE)}
                for event in remote.pages("/v1/events", limit=_SAMPLE, query={"after": after})
            ]
        words = f"the log has no event {'of the type' if name == 'type' else 'about'} {wanted!r}"
        note(_with(words, _meant(wanted, {event[name] for event in seen})))


def _meant(word: str, known: Collection[str]) -> str:
    from licet.core.spelling import nearest

    near = nearest(word, known)
    return f"did you mean {near}?" if near else ""


def _with(words: str, meant: str) -> str:
    return f"{words}; {meant}" if meant else words
