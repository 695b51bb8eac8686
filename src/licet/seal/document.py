"""The hash of a document that stands beside the log: what an event promises, and a verifier computes anew.

``SHA-256("licet.document.v1" ‖ 0x00 ‖ canonical JSON of the document's facts)``. A JSON text is one fact, as the text
it is, so that every byte of it counts. Personal values are no facts: their salted commitments are in the event.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from licet.seal.canonical import canonical

_PREFIX: Final = b"licet.document.v1\0"


def document_hash(facts: Mapping[str, Any]) -> str:
    """Return the hash (64 hex digits) of a document's facts; raises NotCanonical for what no document can hold."""
    return hashlib.sha256(_PREFIX + canonical(dict(facts))).hexdigest()
