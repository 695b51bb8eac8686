"""What an operation of the API is: its route, who may call it, what goes in and out, and an example that decodes.

An operation is a function; its signature is the contract. Routes, OpenAPI and the documentation page are made from the
table of all operations, so that none of them can say something else than the code does.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Meta, Struct

from licet.api.cursors import MAX_CURSOR, cursor_of, key_of
from licet.door.limits import DEFAULT_PAGE, MAX_BODY, MAX_PAGE
from licet.services.rows import Page, Scope

Method = Literal["GET", "POST", "PUT", "PATCH"]
Binding = Literal["path", "never", "own"] | Callable[[Any], Iterable[str | None]]
"""How a key that is bound to one customer is held to it: by ``{customer}`` in the path, by the customers that a
function reads from the body, by not getting in at all (``never``: the operation is about more than one), or by the
operation itself, which tells it of its ``own`` customer alone."""

TAGS: Final = {
    "Checks": "May they? One question, many, or all that a customer may do; and why.",
    "Usage": "Decided and recorded together, set aside and settled, or told afterwards; corrected.",
    "Quota leases": "Slices of balances that programs own, and use without asking.",
    "Usage on record": "Fact by fact, summed up, exported; what was refused, and what is used most just now.",
    "Balances": "What is left of what, now and at any past instant, and what became of it.",
    "Grants and top-ups": "What is put on balances, and said about them: grants, resets, spend limits, top-ups.",
    "Feed": "What decisions rest on, signed, for whoever decides without asking: followers hold it and keep it fresh.",
    "Catalog": "What is sold, as data: previewed, released, fetched back.",
    "Moves": "Customers brought from one version of what they bought to another, and back.",
    "Customers": "The organizations that buy.",
    "Users and teams": "The persons in a customer: their roles and attributes are what conditions read.",
    "Personal values": "Everything that is held about a customer, and erasing what is personal of it.",
    "Orders and contracts": "What was sold, however it was sold, and exceptions from it.",
    "Subscriptions": "What each consists of; sold, changed and cancelled by hand, now or later, or only foreseen.",
    "Pauses and trials": "A time in which a subscription gives nothing, and a trial that lasts longer or becomes paid.",
    "Missed payments": "What is owed, the ladder that follows, and patience with it.",
    "Ladders and cohorts": "Which ladder a customer's missed payments climb, and the cohorts that it belongs to.",
    "Sources and deliveries": "Foreign systems that send orders, and what they sent.",
    "Log and findings": "What happened, and what does not fit together.",
    "Clock": "The business time of a workspace.",
    "Keys": "Who may ask.",
    "Server": "Is it well? No key needed.",
}
"""The groups of operations, in the order in which they are documented."""

JSON: Final = "application/json"
YAML: Final = "application/yaml"
TEXT: Final = "text/plain"
NDJSON: Final = "application/x-ndjson"
"""One JSON object a line: how far the work has come, and at the end its result or a problem."""


T = TypeVar("T")


class AtLeast(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read your writes."""

    at_least: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None
    """Answer only from a state that holds this sequence (`seq` of a write); waits up to a second."""


class Paging(AtLeast, frozen=True, kw_only=True):
    """One page of a list."""

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    """Rows of a page."""
    cursor: Annotated[str, Meta(min_length=1, max_length=MAX_CURSOR)] | None = None
    """`next` of the page before; opaque."""

    @property
    def page(self) -> Page:
        """Return the slice for storage."""
        return Page(after="" if self.cursor is None else key_of(self.cursor), limit=self.limit)

    def listing(self, rows: Sequence[T], key: Callable[[T], str]) -> "Listing[T]":
        """Return the rows of this page as they are answered; ``key`` is what a row is ordered by."""
        return Listing(items=[*rows], next=cursor_of(key(rows[-1])) if len(rows) == self.limit else None)


class Listing(Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list; ``next`` is the cursor of the following one, None at the end."""

    items: list[T]
    next: str | None


class Nothing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No query parameters, or an empty body."""


class Document(Struct, frozen=True):
    """A body that the operation reads itself: its bytes and its media type (without parameters)."""

    content: bytes
    media_type: str


class Reply(Struct, frozen=True):
    """An answer that is not simply the operation's status and the encoded value.

    Where ``value`` is an asynchronous generator, each of its values becomes one line (NDJSON), sent as it comes.
    ``kept`` is what a replay answers instead of ``value``, where that may be told only once.
    """

    value: Any
    status: int | None = None
    media_type: str = JSON
    kept: Any = UNSET
    headers: dict[str, str] = {}


class Operation(Struct, frozen=True, kw_only=True):
    """One entry of the table."""

    method: Method
    path: str
    id: str
    tag: str
    summary: str
    description: str
    scopes: tuple[Scope, ...]
    """Any of these; empty means no key is asked for."""
    binding: Binding
    writes: bool
    """Runs in one writing transaction, answers with its sequence, and can be repeated under an idempotency key."""
    posts: bool
    """Writes usage, in a posting of its own: leaves no event, and keeps its idempotency key (``call.key``) itself."""
    path_names: tuple[str, ...]
    query: type[Struct]
    body: Any
    """The type of the body, None for none; the documented shape where the operation reads the bytes itself."""
    raw: bool
    accepts: tuple[str, ...]
    optional_body: bool
    max_body: int
    returns: Any
    status: int
    answers: tuple[str, ...]
    """Media types of the answer."""
    example: Any
    """An example of the body, as it is sent."""
    example_path: Mapping[str, str]
    example_query: Mapping[str, str]
    answer: Any
    """An example of the answer."""
    problems: tuple[str, ...]
    sensitive: bool
    """Answers with personal values or somebody's past: who read it is on record."""
    documented: bool
    run: Callable[..., Awaitable[Any]]

    @property
    def metered(self) -> bool:
        """Takes a body and asks for no key: its rate is that of the sender's address and of its path."""
        return not self.scopes and self.body is not None


Run = Callable[..., Awaitable[Any]]


class Table:
    """The operations of one version of the API, in the order in which they are documented."""

    def __init__(self) -> None:
        self._operations: dict[str, Operation] = {}

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._operations.values())

    def __getitem__(self, operation_id: str) -> Operation:
        return self._operations[operation_id]

    def add(self, operation: Operation) -> None:
        """Add an operation; raises ValueError for an id or a route that is taken."""
        routes = {(known.method, known.path) for known in self}
        if operation.id in self._operations or (operation.method, operation.path) in routes:
            raise ValueError(f"{operation.id} ({operation.method} {operation.path}) is in the table already")
        self._operations[operation.id] = operation

    def allowed(self, path: str) -> list[str]:
        """Return the methods with which ``path`` can be called; empty where there is no such path."""
        parts = path.strip("/").split("/")
        return sorted({one.method for one in self if _fits(one.path.strip("/").split("/"), parts)})


V1: Final = Table()


def operation(
    method: Method,
    path: str,
    *,
    tag: str,
    scopes: Sequence[Scope] = (),
    binding: Binding = "never",
    writes: bool = False,
    posts: bool = False,
    status: int = 200,
    answer: Any = None,
    example: Any = None,
    example_path: Mapping[str, str] | None = None,
    example_query: Mapping[str, str] | None = None,
    problems: Sequence[str] = (),
    body: Any = None,
    optional_body: bool = False,
    max_body: int = MAX_BODY,
    accepts: Sequence[str] = (JSON,),
    answers: Sequence[str] = (JSON,),
    sensitive: bool = False,
    documented: bool = True,
) -> Callable[[Run], Run]:
    """Put a function into the table; its id is its name, its words are its docstring.

    Its parameters are ``call``, the names in the path (decoded text), and where it wants them ``query`` and ``body``,
    both typed; its return type is that of the answer's body. ``body`` here documents a body that it reads itself.
    """

    def enter(run: Run) -> Run:
        V1.add(
            Operation(
                **_said_by(run, body),
                method=method,
                path=path,
                tag=tag,
                scopes=tuple(scopes),
                binding=binding,
                writes=writes,
                posts=posts,
                path_names=tuple(re.findall(r"{(\w+)}", path)),
                accepts=tuple(accepts),
                optional_body=optional_body,
                max_body=max_body,
                status=status,
                answers=tuple(answers),
                example=example,
                example_path=example_path or {},
                example_query=example_query or {},
                answer=answer,
                problems=tuple(problems),
                sensitive=sensitive,
                documented=documented,
            )
        )
        return run

    return enter


def _said_by(run: Run, body: Any) -> dict[str, Any]:
    """Return what a function says of its operation itself: its name, its words and its types."""
    hints = get_type_hints(run, include_extras=True)
    read = hints.get("body")
    summary, _, rest = inspect.cleandoc(run.__doc__ or "").partition("\n")
    return {
        "run": run,
        "id": run.__name__,
        "summary": summary.rstrip("."),
        "description": " ".join(rest.split()),
        "query": hints.get("query", Nothing),
        "body": body if read is Document else read,
        "raw": read is Document,
        "returns": _returned(hints["return"]),
    }


def _returned(hint: Any) -> Any:
    """Return the documented type: ``Annotated[Reply, View]`` answers a View in its own way."""
    if get_origin(hint) is Annotated and get_args(hint)[0] is Reply:
        return get_args(hint)[1]
    return hint


def _fits(template: list[str], parts: list[str]) -> bool:
    return len(template) == len(parts) and all(
        one.startswith("{") or one == part for one, part in zip(template, parts, strict=True)
    )


def encode(value: Any, seq: int | None = None) -> bytes:
    """Return a value as JSON, with ``seq`` as its last field where it is an object."""
    body = msgspec.json.encode(value)
    if seq is None or not body.endswith(b"}"):
        return body
    return body[:-1] + (b"," if len(body) > 2 else b"") + b'"seq":%d}' % seq
