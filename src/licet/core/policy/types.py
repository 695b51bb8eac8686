"""What a condition can read: the types of facts, and the environment that declares them by name."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from licet.core.policy.syntax import is_name

_SHOWN: Final = 20


class StringType(Struct, frozen=True):
    """A string; when ``allowed`` is not empty it is enumerated, and other literals are refused at authoring."""

    allowed: tuple[str, ...] = ()


class IntType(Struct, frozen=True):
    """An int within int64."""


class BoolType(Struct, frozen=True):
    """True or false."""


class AttributeType(Struct, frozen=True):
    """A value whose type only its use fixes: string, bool, int within ±(2^53 − 1) or list of strings."""


class SizedType(Struct, frozen=True):
    """What ``size()`` accepts of an attribute: a string or a list of strings. Never declared."""


class ListType(Struct, frozen=True):
    """A list of at most 1,000 strings, ints or bools."""

    element: "Type"


class RecordType(Struct, frozen=True):
    """Known fields by name; any of them can be absent from the facts."""

    fields: "Mapping[str, Type]"


class MapType(Struct, frozen=True):
    """Open: any key may be selected, and each leads to a ``value`` or is absent."""

    value: "Type"


Type = StringType | IntType | BoolType | AttributeType | SizedType | ListType | RecordType | MapType

STRING: Final = StringType()
INT: Final = IntType()
BOOL: Final = BoolType()
ATTRIBUTE: Final = AttributeType()
SIZED: Final = SizedType()
STRINGS: Final = ListType(STRING)
ATTRIBUTES: Final = MapType(ATTRIBUTE)
"""The open map under ``customer.attributes`` and its like."""


class Environment(Struct, frozen=True):
    """The names a condition may use, with their types. Raises ValueError for names and lists that cannot be."""

    names: Mapping[str, Type]

    def __post_init__(self) -> None:
        for name, declared in self.names.items():
            if not is_name(name):
                raise ValueError(f"{name!r} cannot name a fact; use letters, digits and _, and no reserved word")
            _verify(name, declared)

    def extended(self, names: Mapping[str, Type]) -> "Environment":
        """This environment with further (or redeclared) names."""
        return Environment({**self.names, **names})


def _verify(path: str, declared: Type) -> None:
    match declared:
        case ListType(element=element) if not isinstance(element, StringType | IntType | BoolType):
            raise ValueError(f"{path}: a list holds strings, ints or bools, not {describe(element)}")
        case RecordType(fields=fields):
            for field, inner in fields.items():
                _verify(f"{path}.{field}", inner)
        case MapType(value=inner):
            _verify(f"{path}.*", inner)
        case SizedType():
            raise ValueError(f"{path}: SizedType is inferred, never declared; use AttributeType")
        case _:
            return


def plain(given: Type) -> Type:
    """The type without its enumeration: what counts when two types are compared."""
    match given:
        case StringType():
            return STRING
        case ListType(element=element):
            return ListType(plain(element))
        case _:
            return given


def describe(given: Type) -> str:
    """The type in words, for error messages."""
    match given:
        case StringType(allowed=()):
            return "string"
        case StringType(allowed=allowed):
            return "string (" + ", ".join(allowed[:_SHOWN]) + (" …)" if len(allowed) > _SHOWN else ")")
        case IntType():
            return "int"
        case BoolType():
            return "bool"
        case AttributeType():
            return "attribute (string, bool, int or list of strings)"
        case SizedType():
            return "string or list"
        case ListType(element=AttributeType()):
            return "list"
        case ListType(element=element):
            return f"list of {describe(plain(element))}s"
        case RecordType():
            return "record"
        case MapType():
            return "map"


STANDARD_ENVIRONMENT: Final = Environment(
    {
        "context": RecordType(
            {
                "deployment": StringType(("saas", "desktop", "on_prem", "air_gapped")),
                "region": STRING,
                "country": STRING,
                "version": STRING,
                "attributes": ATTRIBUTES,
            }
        ),
        "customer": RecordType({"id": STRING, "region": STRING, "country": STRING, "attributes": ATTRIBUTES}),
        "user": RecordType({"id": STRING, "roles": STRINGS, "attributes": ATTRIBUTES}),
        "standing": StringType(("trialing", "active", "paused", "grace", "restricted", "suspended", "ended")),
    }
)
"""What every feature's and include's ``when`` may read."""
