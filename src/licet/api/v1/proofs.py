"""Proofs about the log over HTTP: checkpoints, that an entry stands in it, that it has only grown since."""

from typing import Annotated, Final

from msgspec import Meta, field

from licet.api.call import Call
from licet.api.contract import TEXT, AtLeast, Reply, operation
from licet.api.v1.log import TAG
from licet.services import proofs as use
from licet.services.errors import NotFound
from licet.services.proofs import LogKey
from licet.wire.proof import ConsistencyProof, EntryProof

KEY: Final = {
    "origin": "licet/live",
    "verifier": "licet/live+b6e5a6d9+AZ2k1zW0yq1m3cR8Ck0mQ9u7v2x4s6d8f0a1b3c5e7g9",
}
CHECKPOINT: Final = (
    "licet/live\n4031\n8mXe5UXhYPGrc1fBQqbAI9bWQHTnxGnEUzDSdGqU0Wk=\n"
    "hash 5f0c…\nexported 2026-03-01T09:00:00Z\n\n— licet/live tuWm2cVq…\n"
)
PATH: Final = ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"]
ENTRY_PROOF: Final = {
    "format": "licet/entry-proof/1",
    "origin": "licet/live",
    "seq": 1,
    "size": 2,
    "entry": '{"actor":"local:ann","type":"workspace.created", …}',
    "path": PATH,
}
CONSISTENCY_PROOF: Final = {
    "format": "licet/consistency-proof/1",
    "origin": "licet/live",
    "old": 1,
    "new": 2,
    "path": PATH,
}
Size = Annotated[int, Meta(ge=1, le=2**53 - 1)]


class ProofQuery(AtLeast, frozen=True, kw_only=True):
    """In which tree."""

    size: Size | None = None
    """That of the first `size` entries: the size of the checkpoint against which the proof is to count; else of all."""


class ConsistencyQuery(AtLeast, frozen=True, kw_only=True):
    """Between which sizes."""

    from_: Size = field(name="from")
    """The size of the older checkpoint."""
    to: Size | None = None
    """The size of the newer checkpoint; all entries by default."""


@operation("GET", "/v1/log/key", tag=TAG, scopes=("admin",), answer=KEY, problems=("not_found",))
async def get_log_key(call: Call, query: AtLeast) -> LogKey:  # noqa: ARG001 read by the runner
    """Return the public line that verifies the log's checkpoints.

    Hand it to an auditor once, by another way than the checkpoints: who believes both from one hand believes anything.
    """
    async with call.read() as view:
        return await use.read_key(view)


@operation("POST", "/v1/log/key", tag=TAG, scopes=("admin",), writes=True, answer=KEY)
async def make_log_key(call: Call) -> LogKey:
    """Make the key that signs the log's checkpoints, where there is none yet, and return its public line."""
    return await use.make_key(call.tx)


@operation(
    "GET",
    "/v1/log/checkpoint",
    tag=TAG,
    scopes=("admin",),
    answers=(TEXT,),
    answer=CHECKPOINT,
    problems=("not_found", "conflict"),
)
async def get_checkpoint(call: Call, query: AtLeast) -> Annotated[Reply, str]:  # noqa: ARG001 read by the runner
    """Return a signed checkpoint of the log as it is now: size and root of its tree, as a C2SP signed note.

    Keep it where the database's owner cannot reach it. What the log was then can never be changed unseen. Refused where
    no signing key was made yet (`POST /v1/log/key`), and where the tiles of the tree do not fit each other or the
    newest entries do not fit their chain. Older entries are not read again: `licet audit checkpoint` verifies the whole
    log before it signs, and derives the tiles anew where they are wrong.
    """
    async with call.read() as view:
        return Reply((await use.sign_newest(view)).encode(), media_type=TEXT)


@operation(
    "GET",
    "/v1/log/entries/{seq}/proof",
    tag=TAG,
    scopes=("admin",),
    example_path={"seq": "1"},
    example_query={"size": "2"},
    answer=ENTRY_PROOF,
    problems=("not_found", "conflict"),
    sensitive=True,
)
async def prove_entry(call: Call, seq: str, query: ProofQuery) -> EntryProof:
    """Prove that an entry stands in the log at its place (RFC 9162, inclusion).

    The answer, saved to a file, is what `licet audit verify --proof` takes together with a checkpoint of that size.
    """
    if not (seq.isascii() and seq.isdigit() and len(seq) < 19):
        raise NotFound(f"there is no entry {seq!r}: entries are numbered from 1", advice="name the seq of an event")
    async with call.read() as view:
        return await use.prove_entry(view, int(seq), query.size)


@operation(
    "GET",
    "/v1/log/consistency",
    tag=TAG,
    scopes=("admin",),
    example_query={"from": "1", "to": "2"},
    answer=CONSISTENCY_PROOF,
    problems=("conflict",),
)
async def prove_consistency(call: Call, query: ConsistencyQuery) -> ConsistencyProof:
    """Prove that the log of an older size is the beginning of that of a newer one (RFC 9162, consistency)."""
    async with call.read() as view:
        return await use.prove_consistency(view, query.from_, query.to)
