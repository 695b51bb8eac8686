"""What is suggested where a body has a field that its operation does not know."""

from typing import Any

import msgspec
import pytest
from msgspec import Struct

from licet.api.refusals import from_decoding
from licet.wire.usage import CorrectionAsked


class Inner(Struct, forbid_unknown_fields=True):
    """Something named further in."""

    source: str = ""


class Twice(Struct, forbid_unknown_fields=True):
    """The same field in two places further in."""

    one: Inner | None = None
    other: Inner | None = None


@pytest.mark.parametrize(
    ("kind", "body", "meant"),
    [
        (CorrectionAsked, {"customer": "acme", "source": "urn:x", "id": "e1"}, "event.source"),
        (CorrectionAsked, {"custmer": "acme"}, "customer"),
        (CorrectionAsked, {"customer": "acme", "zzzzzz": 1}, None),
        (Twice, {"source": "urn:x"}, None),
    ],
)
def test_a_field_is_not_suggested_in_place_of_itself(kind: type[Any], body: dict[str, Any], meant: str | None) -> None:
    """A field that stands one step further in is named with its path, and never as the remedy of its own name."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(body, kind)
    refusal = from_decoding(caught.value, kind, "the body")
    assert refusal.places[0].suggestion == meant
    assert (f"did you mean {meant}?" in refusal.detail) is (meant is not None)
