"""The catalog document: what the vendor sells, as data. One document per catalog revision, immutable once released.

Shapes only; what a document must also satisfy (references, rules between parts) is checked in ``catalog_check``.
Identifiers are the vendor's own strings: 1 to 128 characters, NFC, case-sensitive.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

Id = Annotated[str, Meta(min_length=1, max_length=128)]
Title = Annotated[str, Meta(max_length=200)]
Text = Annotated[str, Meta(max_length=2000)]
Whole = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Amount = (
    Whole
    | Annotated[
        str,
        Meta(max_length=40, extra_json_schema={"pattern": r"^(unlimited|(0|[1-9][0-9]{0,18})([.][0-9]{1,9})?)$"}),
    ]
)
"""Whole number, decimal string within the scale, or ``unlimited``."""
_DURATION_PATTERN = (
    r"^P(?=[0-9T])([0-9]+Y)?([0-9]+M)?([0-9]+W)?([0-9]+D)?"
    r"(T(?=[0-9])([0-9]+H)?([0-9]+M)?([0-9]+S)?)?$"
)
DurationText = Annotated[str, Meta(max_length=40, extra_json_schema={"pattern": _DURATION_PATTERN})]
"""An ISO 8601 duration such as ``P14D``."""
Moment = Annotated[datetime, Meta(tz=True)]
"""A time with its zone; a document keeps it in UTC."""
Scale = Annotated[int, Meta(ge=0, le=9)]
Rate = Annotated[str, Meta(max_length=40, extra_json_schema={"pattern": r"^(0|[1-9][0-9]{0,18})([.][0-9]{1,18})?$"})]
"""A decimal as text, such as ``"0.0004"``; up to 18 decimals."""
Deployment = Literal["saas", "desktop", "on_prem", "air_gapped"]
Mode = Literal["enforce", "observe", "off"]
Unreachable = Literal["deny", "allow", "last_known"]
Recording = Literal["counts", "each"]
Merge = Literal["max", "sum", "override_wins"]
AtLimit = Literal["block", "warn", "overage"]
Recurrence = Literal["hour", "day", "week", "month", "quarter", "year", "period", "lifetime", "rolling", "session"]
"""How often an allowance is whole again. ``rolling``: use within the last ``length`` counts; ``session``: from the
first use that no session covers, for ``length``."""
Each = Literal["customer", "user", "team"]
"""Whose own balance an allowance fills: one of the whole customer, or one of each user or team that uses it."""
Decide = Literal["hub", "local"]
"""Who decides whether a use fits: the hub each time, or the using process itself out of a slice leased to it."""
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Country = Annotated[str, Meta(min_length=2, max_length=2)]
CustomerStanding = Literal[
    "active", "trialing", "grace", "restricted", "paused", "suspended", "not_started", "ended", "none"
]
"""How a customer stands: as the one of its subscriptions that stands best, in this order; ``none`` without any."""
GivenAttributes = dict[Id, bool | Annotated[int, Meta(ge=-(2**53) + 1, le=2**53 - 1)] | str | tuple[str, ...]]
"""Attributes, as a test of a policy writes them."""


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What every named part of the catalog may say about itself, in words for customers and for support."""

    title: Title = ""
    description: Text = ""
    """For customers: what they get."""
    support_text: Text = ""
    """For support: what to know when somebody asks; never shown to customers."""
    rank: Annotated[int, Meta(ge=0, le=10_000)] = 100
    """Place among its like, low first, then by id: in lists for people, and between equally cheap remedies."""


class Product(Part, frozen=True, kw_only=True):
    """Something the vendor sells; plans belong to one product."""

    name: Title = ""


class Unit(Struct, frozen=True, forbid_unknown_fields=True):
    """How a quantity is called, shown to customers."""

    one: Annotated[str, Meta(min_length=1, max_length=40)]
    many: Annotated[str, Meta(min_length=1, max_length=40)]


class Meter(Part, frozen=True, kw_only=True):
    """How a kind of usage is counted. Immutable: ``event``, ``aggregate``, ``field``, ``filters``, ``scale``."""

    event: Id
    aggregate: Literal["sum", "count", "unique", "max", "latest"] = "sum"
    field: Id | None = None
    """The event's data field that is aggregated; ``quantity`` where nothing is named."""
    filters: Annotated[
        dict[Id, Annotated[tuple[str, ...], Meta(min_length=1, max_length=100)]], Meta(max_length=20)
    ] = {}
    """Data field → the values it may have: only events that fit all of them count. Immutable."""
    dimensions: Annotated[tuple[Id, ...], Meta(max_length=10)] = ()
    """Data fields by whose values usage is told apart; live, for events to come."""
    scale: Scale = 0
    unit: Unit | None = None


class Credit(Part, frozen=True, kw_only=True):
    """A unit that several meters burn, at decimal rates per unit of the meter. Immutable: ``scale``."""

    scale: Scale = 0
    burns: dict[Id, Rate] = {}
    """Meter → credits per unit of the meter; live."""
    unit: Unit | None = None


class Window(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A time window: between two instants, on some weekdays, within some hours of the subscription's zone.

    ``from_hour``/``until_hour`` are wall times ``HH:MM``, half-open; one that ends before it begins spans midnight and
    belongs to the weekday on which it begins.
    """

    start: Moment | None = None
    end: Moment | None = None
    weekdays: tuple[Weekday, ...] = ()
    from_hour: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = None
    until_hour: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")] | None = None


class FeatureBase(Part, frozen=True, kw_only=True, tag_field="type"):
    """The smallest thing access is asked about. Live: texts, ``mode``, ``when``, ``when_unreachable``,
    ``record``, conditions.
    """

    mode: Mode = "enforce"
    when: Annotated[str, Meta(max_length=4096)] | None = None
    """A condition over context, customer, user and standing; false refuses with ``policy_denied``."""
    deployments: tuple[Deployment, ...] | None = None
    regions: tuple[Id, ...] | None = None
    window: Window | None = None
    when_unreachable: Unreachable = "deny"
    record: Recording = "counts"
    """What is kept of checks: how many there were, or ``each`` one besides."""
    unit: Unit | None = None


class Switch(FeatureBase, frozen=True, kw_only=True, tag="switch"):
    """On or off; any source that permits it is enough."""


class Configuration(FeatureBase, frozen=True, kw_only=True, tag="configuration"):
    """A value the program reads (a tier, a retention class); override beats add-on beats plan.

    Of several plans, and of several add-ons, the one whose value stands last in ``values`` counts; else the newest.
    """

    values: tuple[Annotated[str, Meta(max_length=200)], ...] | None = None
    """The allowed values, from the least to the most, where they are closed."""
    default: Annotated[str, Meta(max_length=200)] | None = None
    """The value a source gives that includes it with ``true``."""


class Limit(FeatureBase, frozen=True, kw_only=True, tag="limit"):
    """A number that may not be exceeded at once (projects, workspaces). Immutable: ``merge``, ``scale``."""

    merge: Merge = "max"
    scale: Scale = 0
    at_limit: AtLimit = "block"
    default: Amount | None = None
    """The amount a source gives that includes it with ``true``."""


class Metered(FeatureBase, frozen=True, kw_only=True, tag="metered"):
    """An allowance of a meter per recurrence.

    Immutable: ``meter``, ``length``, ``each``, ``carry_overage``, ``on_change``, and whether it counts by windows.
    """

    meter: Id
    per: Recurrence = "month"
    at_limit: AtLimit = "block"
    warn_at: tuple[Annotated[str, Meta(pattern=r"^\d{1,3}%$")], ...] = ()
    length: DurationText | None = None
    """How long a window is, where ``per`` is ``rolling`` or ``session``."""
    each: Each = "customer"
    overage_limit: Amount | None = None
    """How much may be used beyond what there is in a period, where ``at_limit`` is ``overage``; else no bound."""
    carry_overage: bool = False
    """Whether what was used beyond all there was is owed in the next period too; else it is forgotten."""
    on_change: Literal["carry", "reset"] = "carry"
    """Whether a plan change within a period carries the use along or begins anew."""
    default: Amount | None = None
    """The amount a source gives that includes it with ``true``."""
    decide: Decide = "hub"
    """Who decides whether a use fits; live."""


class Credits(FeatureBase, frozen=True, kw_only=True, tag="credits"):
    """An allowance of a credit per recurrence.

    Immutable: ``credit``, ``length``, ``each``, ``carry_overage``, ``on_change``, and whether it counts by windows.
    """

    credit: Id
    per: Recurrence = "month"
    at_limit: AtLimit = "block"
    warn_at: tuple[Annotated[str, Meta(pattern=r"^\d{1,3}%$")], ...] = ()
    length: DurationText | None = None
    """How long a window is, where ``per`` is ``rolling`` or ``session``."""
    each: Each = "customer"
    overage_limit: Amount | None = None
    """How much may be used beyond what there is in a period, where ``at_limit`` is ``overage``; else no bound."""
    carry_overage: bool = False
    """Whether what was used beyond all there was is owed in the next period too; else it is forgotten."""
    on_change: Literal["carry", "reset"] = "carry"
    """Whether a plan change within a period carries the use along or begins anew."""
    default: Amount | None = None
    """The amount a source gives that includes it with ``true``."""
    decide: Decide = "hub"
    """Who decides whether a use fits; live."""


class Seats(FeatureBase, frozen=True, kw_only=True, tag="seats"):
    """Places for people. Immutable: ``kind``."""

    kind: Literal["named", "concurrent", "team", "identity"] = "named"
    at_limit: AtLimit = "block"
    default: Amount | None = None
    """The amount a source gives that includes it with ``true``."""


Feature = Switch | Configuration | Limit | Metered | Credits | Seats


class Rollover(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What of an unused allowance goes on: ``min(max, max(min, remaining))``."""

    min: Amount = 0
    max: Amount = "unlimited"


class Include(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one source gives of one feature, in its long form; pinned by the plan version that says it.

    ``amount`` for limits, allowances, credits and seats; ``value`` for a configuration; neither for a switch. Where
    the amount or value is absent, the feature's ``default`` stands.
    """

    amount: Amount | None = None
    value: Annotated[str, Meta(max_length=200)] | None = None
    on: bool = True
    per: Recurrence | None = None
    per_seat: Id | None = None
    """Multiply the amount by the purchased quantity of this seats feature."""
    rollover: Rollover | None = None
    release: Recurrence | None = None
    """Give the amount out in equal parts over its period: yearly credits, released by ``month``."""
    overage_limit: Amount | None = None
    at_limit: AtLimit | None = None
    priority: Annotated[int, Meta(ge=0, le=100)] = 50
    when: Annotated[str, Meta(max_length=4096)] | None = None
    deployments: tuple[Deployment, ...] | None = None
    regions: tuple[Id, ...] | None = None
    window: Window | None = None


IncludeShort = bool | Whole | Annotated[str, Meta(max_length=200)]
Includes = dict[Id, IncludeShort | Include]


class PlanVersion(Part, frozen=True, kw_only=True):
    """What a plan includes since a date. Immutable once released, but for its texts and ``sold_until``."""

    available_from: Moment | None = None
    """When it begins to be sold; by default the first instant (UTC) of the month or day its id names."""
    sold_until: Moment | None = None
    """The first instant at which it is not sold any more; live. Who has it keeps it."""
    trial: DurationText | None = None
    then: Id | None = None
    """The plan (``free``, or pinned ``free@2026-01``) that follows a trial which ends with ``fall``."""
    ladder: Id | None = None
    deployments: tuple[Deployment, ...] | None = None
    regions: tuple[Id, ...] | None = None
    includes: Includes


class Plan(Part, frozen=True, kw_only=True):
    """A named offer with immutable versions; who bought a version stays on it until moved."""

    product: Id
    versions: Annotated[dict[Id, PlanVersion], Meta(min_length=1)]


class AddOnVersion(Part, frozen=True, kw_only=True):
    """What an add-on includes since a date. Immutable once released, but for its texts and ``sold_until``."""

    available_from: Moment | None = None
    sold_until: Moment | None = None
    """The first instant at which it is not sold any more; live. Who has it keeps it."""
    includes: Includes


class AddOn(Part, frozen=True, kw_only=True):
    """Something bought on top of a plan. ``requires`` is any-of; ``excludes`` none-of; ids of plans or add-ons.

    ``includes`` is the short form of one version called ``1``, sold from the beginning.
    """

    requires: tuple[Id, ...] = ()
    excludes: tuple[Id, ...] = ()
    maximum: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    partner: Id | None = None
    """The partner whose integration this is; core rights have none."""
    includes: Includes | UnsetType = UNSET
    versions: Annotated[dict[Id, AddOnVersion], Meta(min_length=1)] | UnsetType = UNSET


class Bundle(Part, frozen=True, kw_only=True):
    """Plans and add-ons sold together under one name; an order for it is an order for its parts."""

    plan: Id
    addons: tuple[Id, ...] = ()


class Stage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One step of a ladder: this long after the first missed payment, do this."""

    after: DurationText
    do: Literal["warn", "restrict", "suspend", "end"]
    features: tuple[Id, ...] = ()
    """The features that ``restrict`` takes away; all but none is an error."""


class Cohort(Part, frozen=True, kw_only=True):
    """Customers who are treated alike. Immutable: ``ladder``."""

    ladder: Id | None = None
    """The ladder of its customers' episodes of non-payment; it comes before the plan's."""


class GivenCustomer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a test of a policy says of the customer."""

    id: Id | None = None
    region: Id | None = None
    country: Country | None = None
    attributes: GivenAttributes = {}


class GivenContext(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a test of a policy says of the context."""

    deployment: Deployment | None = None
    region: Id | None = None
    country: Country | None = None
    version: Annotated[str, Meta(max_length=64)] | None = None
    attributes: GivenAttributes = {}


class GivenUser(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a test of a policy says of the user."""

    id: Id
    roles: tuple[Id, ...] = ()
    attributes: GivenAttributes = {}


class Given(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The facts of one test of a policy; what it does not name is not known, and nothing else is held."""

    customer: GivenCustomer = GivenCustomer()
    context: GivenContext = GivenContext()
    user: GivenUser | None = None
    standing: CustomerStanding = "none"
    plans: tuple[Id, ...] = ()
    addons: tuple[Id, ...] = ()
    features: tuple[Id, ...] = ()
    """The features that are held; those with an amount are held anyway."""
    amounts: dict[Id, Whole] = {}


class PolicyTest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One test of a policy, run whenever the catalog is checked."""

    given: Given = Given()
    then: bool
    """Whether the policy applies to these facts."""


class Policy(Part, frozen=True, kw_only=True):
    """A rule over all customers at once: while its condition holds, it warns, restricts features or suspends. Live."""

    when: Annotated[str, Meta(min_length=1, max_length=4096)]
    """A condition over context, customer, user and what is held; undecided, it restricts and suspends all the same."""
    do: Literal["warn", "restrict", "suspend"]
    features: tuple[Id, ...] = ()
    """What ``restrict`` takes away, or what ``warn`` is said about; a warning without any is said about all."""
    text: Annotated[str, Meta(max_length=1000)] = ""
    """What the customer reads."""
    note: Text = ""
    """The rule behind it, for the vendor's own people; never shown to customers."""
    server_only: bool = False
    """Whether it is kept from everything that customers hold: licenses, their relays, their portal."""
    tests: Annotated[tuple[PolicyTest, ...], Meta(max_length=100)] = ()


class Sold(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a foreign price or product id means here. Exactly one of plan, addon, bundle."""

    plan: Id | None = None
    addon: Id | None = None
    bundle: Id | None = None
    version: Id | None = None
    quantity: Id | None = None
    """The feature whose amount the order line's quantity sets; without it a quantity multiplies all amounts."""


class Catalog(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole document. Keys of every mapping are the ids by which parts name each other."""

    version: Literal[1]
    """The version of this document's format."""
    products: dict[Id, Product]
    meters: dict[Id, Meter] = {}
    credits: dict[Id, Credit] = {}
    features: dict[Id, Feature]
    plans: dict[Id, Plan]
    addons: dict[Id, AddOn] = {}
    bundles: dict[Id, Bundle] = {}
    ladders: dict[Id, tuple[Stage, ...]] = {}
    cohorts: dict[Id, Cohort] = {}
    policies: dict[Id, Policy] = {}
    orders: dict[Id, dict[Id, Sold]] = {}
    """Source id → foreign price id → what it means."""


LIMITS = {
    "products": 100,
    "meters": 1_000,
    "credits": 100,
    "features": 5_000,
    "plans": 1_000,
    "addons": 2_000,
    "bundles": 1_000,
    "ladders": 100,
    "cohorts": 1_000,
    "policies": 500,
    "orders": 100,
}
"""The most entries each part of the document may have."""
MAX_VERSIONS = 500
"""The most versions one plan or add-on may have."""
MAX_INCLUDES = 100_000
"""The most includes of all versions together."""
MAX_ORDER_LINES = 20_000
"""The most foreign prices of all sources together."""
MAX_CATALOG_BYTES = 2 * 1024 * 1024
"""The largest catalog document, as JSON or YAML."""


def decode_catalog(data: bytes) -> Catalog:
    """Read a catalog from JSON; raises ``msgspec.ValidationError`` (with a path) or ``msgspec.DecodeError``."""
    return msgspec.json.decode(data, type=Catalog)


def encode_catalog(catalog: Catalog) -> bytes:
    """Return the canonical JSON of a catalog: sorted keys, defaults omitted."""
    return msgspec.json.encode(catalog, order="sorted")
