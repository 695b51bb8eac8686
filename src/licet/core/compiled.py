"""A catalog made ready for evaluation: everything parsed once, shared by every customer, immutable."""

from collections.abc import Callable
from datetime import tzinfo
from typing import Final, Literal

from msgspec import Struct

from licet.core.catalog import (
    AddOn,
    Amount,
    AtLimit,
    Catalog,
    Credits,
    Each,
    Feature,
    Include,
    Includes,
    Limit,
    Merge,
    Metered,
    Mode,
    Plan,
    PlanVersion,
    Recording,
    Recurrence,
    Seats,
    Unit,
    Unreachable,
    Window,
)
from licet.core.instant import BEGINNING, Duration, Instant, parse_duration
from licet.core.offer import (
    UNLIMITED,
    addon_versions,
    feature_scale,
    feature_type,
    then_of,
    version_begins,
    version_bought,
    version_includes,
    version_on_sale,
)
from licet.core.policies import NO_POLICIES, Policies, compile_policies
from licet.core.policy import STANDARD_ENVIRONMENT, Condition, compile_condition
from licet.core.quantity import parse_quantity
from licet.core.window import CompiledWindow, compile_window

UNBOUNDED: Final = 2**70
"""The amount of what is unlimited: greater than any sum of quantities, so that comparing needs no special case."""

ItemKind = Literal["plan", "addon"]
VersionKey = tuple[ItemKind, str, str]
"""Kind, id, version."""
SWITCH: Final = "switch"
CONFIGURATION: Final = "configuration"


class Gate(Struct, frozen=True):
    """The conditions of one include, override or feature; None means that it does not ask."""

    deployments: frozenset[str] | None = None
    regions: frozenset[str] | None = None
    condition: Condition | None = None
    window: CompiledWindow | None = None

    @property
    def asks(self) -> bool:
        """Whether the answer depends on user or context."""
        return self.deployments is not None or self.regions is not None or self.condition is not None


class CompiledInclude(Struct, frozen=True):
    """What one version gives of one feature. ``amount`` in minor units, None for what is not counted."""

    feature: str
    amount: int | None
    value: str | None
    per: Recurrence | None
    per_seat: str | None
    at_limit: AtLimit | None
    priority: int
    gate: Gate
    rollover: tuple[int, int] = (0, 0)
    """Of what is left at a renewal, ``min(second, max(first, left))`` goes on; by default nothing."""
    release: Recurrence | None = None
    overage_limit: int | None = None
    """None where it says of no bound; :data:`UNBOUNDED` where it says that there is none."""


class CompiledStage(Struct, frozen=True):
    """One step of a ladder."""

    after: Duration
    do: Literal["warn", "restrict", "suspend", "end"]
    features: tuple[str, ...]


class CompiledVersion(Struct, frozen=True):
    """One version of a plan or add-on."""

    key: VersionKey
    includes: dict[str, CompiledInclude]
    trial: Duration | None = None
    then: VersionKey | None = None
    ladder: tuple[CompiledStage, ...] = ()
    begins: Instant = BEGINNING
    ladder_id: str | None = None


class CompiledFeature(Struct, frozen=True):
    """One feature. ``merge`` is ``sum`` for allowances and seats; ``gate`` is live and applies to every source."""

    id: str
    type: str
    mode: Mode
    merge: Merge
    scale: int
    per: Recurrence | None
    at_limit: AtLimit
    unit: Unit | None
    gate: Gate
    title: str
    support_text: str
    values: tuple[str, ...] | None = None
    record: Recording = "counts"
    when_unreachable: Unreachable = "deny"
    each: Each = "customer"
    length: Duration | None = None
    warn_at: tuple[int, ...] = ()
    """Percent, ascending."""
    carry_overage: bool = False
    anew: bool = False
    """Whether a plan change begins its allowances anew."""
    overage_limit: int | None = None
    local: bool = False
    """Whether the using process may decide out of a slice leased to it (``decide: local``)."""

    @property
    def counted(self) -> bool:
        """Whether it has an amount."""
        return self.type not in (SWITCH, CONFIGURATION)


class CompiledCatalog(Struct, frozen=True):
    """A catalog revision, ready. ``zone_of`` turns the name of a time zone into a tzinfo (core reads no files).

    ``cohorts`` holds the ladder of each cohort, None for one without.
    """

    document: Catalog
    revision: int
    features: dict[str, CompiledFeature]
    versions: dict[VersionKey, CompiledVersion]
    ladders: dict[str, tuple[CompiledStage, ...]]
    cohorts: dict[str, str | None]
    zone_of: Callable[[str], tzinfo]
    default_zone: tzinfo
    policies: Policies = NO_POLICIES

    def zone(self, *names: str | None) -> tzinfo:
        """Return the zone of the first name that is given, else the default; whatever ``zone_of`` raises."""
        named = next((name for name in names if name), None)
        return self.default_zone if named is None else self.zone_of(named)

    def plan_version_at(self, plan_id: str, at: Instant) -> str | None:
        """Return the version of a plan that a purchase at ``at`` gets; None for an unknown plan.

        That on sale; after all were withdrawn the one last on sale, before the first one the first: a purchase outside
        all sale must still give rights to somebody who paid.
        """
        plan = self.document.plans.get(plan_id)
        return version_bought(plan, at) if plan else None

    def addon_version_at(self, addon_id: str, at: Instant) -> str | None:
        """Return the version of an add-on that a purchase at ``at`` gets, by the same rule as for plans."""
        addon = self.document.addons.get(addon_id)
        return version_bought(addon, at) if addon else None

    def version_at(self, kind: ItemKind, item_id: str, at: Instant) -> str | None:
        """Return the version of a plan or add-on that a purchase at ``at`` gets."""
        return self.plan_version_at(item_id, at) if kind == "plan" else self.addon_version_at(item_id, at)

    def offered(self, kind: ItemKind, item_id: str) -> Plan | AddOn | None:
        """Return the plan or add-on of an id, with all its versions; None for an unknown one."""
        return self.document.plans.get(item_id) if kind == "plan" else self.document.addons.get(item_id)

    def on_sale(self, kind: ItemKind, item_id: str, at: Instant) -> str | None:
        """Return the version of a plan or add-on on sale at ``at``; None where none is."""
        part = self.offered(kind, item_id)
        return None if part is None else version_on_sale(part, at)


def compile_catalog(
    catalog: Catalog, revision: int, zone_of: Callable[[str], tzinfo], default_zone: tzinfo
) -> CompiledCatalog:
    """Parse durations, amounts and conditions, and resolve versions. Expects a checked catalog.

    Raises ValueError or ConditionError where a part cannot be read; what ``catalog_check`` accepts can.
    """
    features = {key: _feature(catalog, key, feature) for key, feature in catalog.features.items()}
    ladders = {
        key: tuple(CompiledStage(parse_duration(stage.after), stage.do, stage.features) for stage in stages)
        for key, stages in catalog.ladders.items()
    }
    versions: dict[VersionKey, CompiledVersion] = {}
    for plan_id, plan in catalog.plans.items():
        for version_id, version in plan.versions.items():
            made = _plan_version(catalog, features, ladders, (plan_id, version_id), version)
            versions[made.key] = made
    for addon_id, addon in catalog.addons.items():
        for made in _addon_versions(catalog, features, addon_id, addon):
            versions[made.key] = made
    cohorts = {key: cohort.ladder for key, cohort in catalog.cohorts.items()}
    policies = compile_policies(catalog)
    return CompiledCatalog(catalog, revision, features, versions, ladders, cohorts, zone_of, default_zone, policies)


def compile_gate(
    deployments: tuple[str, ...] | None,
    regions: tuple[str, ...] | None,
    when: str | None,
    window: Window | None,
) -> Gate:
    """Return the conditions of a part, ready to be asked; raises ConditionError for one that cannot be read."""
    return Gate(
        None if deployments is None else frozenset(deployments),
        None if regions is None else frozenset(regions),
        None if when is None else compile_condition(when, STANDARD_ENVIRONMENT),
        None if window is None else compile_window(window),
    )


def parse_amount(amount: int | str, scale: int) -> int:
    """Return an amount of a document in minor units; ``unlimited`` is :data:`UNBOUNDED`."""
    return UNBOUNDED if amount == UNLIMITED else parse_quantity(amount, scale)


def _feature(catalog: Catalog, key: str, feature: Feature) -> CompiledFeature:
    """One feature with the names and unit of what it counts."""
    unit = feature.unit
    per: Recurrence | None = None
    if isinstance(feature, Metered):
        unit, per = unit or catalog.meters[feature.meter].unit, feature.per
    elif isinstance(feature, Credits):
        unit, per = unit or catalog.credits[feature.credit].unit, feature.per
    return CompiledFeature(
        key,
        feature_type(feature),
        feature.mode,
        feature.merge if isinstance(feature, Limit) else "sum",
        feature_scale(catalog, feature),
        per,
        feature.at_limit if isinstance(feature, Limit | Metered | Credits | Seats) else "block",
        unit,
        compile_gate(feature.deployments, feature.regions, feature.when, feature.window),
        feature.title or key,
        feature.support_text,
        getattr(feature, "values", None),
        feature.record,
        feature.when_unreachable,
        *_allowance(catalog, feature),
    )


def _allowance(
    catalog: Catalog, feature: Feature
) -> tuple[Each, Duration | None, tuple[int, ...], bool, bool, int | None, bool]:
    """What a feature says of its allowances: each, length, warnings, carry_overage, anew, overage limit, local."""
    if not isinstance(feature, Metered | Credits):
        return "customer", None, (), False, False, None, False
    return (
        feature.each,
        None if feature.length is None else parse_duration(feature.length),
        tuple(int(step.rstrip("%")) for step in feature.warn_at),
        feature.carry_overage,
        feature.on_change == "reset",
        _bound(feature.overage_limit, feature_scale(catalog, feature)),
        feature.decide == "local",
    )


def _bound(amount: Amount | None, scale: int) -> int | None:
    return None if amount is None else parse_amount(amount, scale)


def _plan_version(
    catalog: Catalog,
    features: dict[str, CompiledFeature],
    ladders: dict[str, tuple[CompiledStage, ...]],
    key: tuple[str, str],
    version: PlanVersion,
) -> CompiledVersion:
    """One plan version; its own deployments and regions restrict each of its includes."""
    begins = version_begins(key[1], version.available_from)
    begins = BEGINNING if begins is None else begins
    then = then_of(catalog, version, begins)
    return CompiledVersion(
        ("plan", *key),
        _includes(catalog, features, version.includes, version.deployments, version.regions),
        None if version.trial is None else parse_duration(version.trial),
        None if then is None else ("plan", then.id, then.version),
        ladders.get(version.ladder, ()) if version.ladder else (),
        begins,
        version.ladder,
    )


def _addon_versions(
    catalog: Catalog, features: dict[str, CompiledFeature], addon_id: str, addon: AddOn
) -> list[CompiledVersion]:
    """All versions of an add-on; one without a date is sold from the beginning."""
    made = []
    for version_id, version in addon_versions(addon).items():
        begins = version_begins(version_id, version.available_from)
        made.append(
            CompiledVersion(
                ("addon", addon_id, version_id),
                _includes(catalog, features, version.includes, None, None),
                begins=BEGINNING if begins is None else begins,
            )
        )
    return made


def _includes(
    catalog: Catalog,
    features: dict[str, CompiledFeature],
    includes: Includes,
    deployments: tuple[str, ...] | None,
    regions: tuple[str, ...] | None,
) -> dict[str, CompiledInclude]:
    """All includes of one version, narrowed to the version's deployments and regions."""
    return {
        key: _include(features[key], include, deployments, regions)
        for key, include in version_includes(catalog, includes).items()
    }


def _include(
    feature: CompiledFeature,
    include: Include,
    deployments: tuple[str, ...] | None,
    regions: tuple[str, ...] | None,
) -> CompiledInclude:
    """One include. Without an amount, what is counted is unlimited: it was included and no number was said."""
    amount: int | None = None
    if feature.counted:
        amount = UNBOUNDED if include.amount is None else parse_amount(include.amount, feature.scale)
    return CompiledInclude(
        feature.id,
        amount,
        include.value,
        include.per,
        include.per_seat,
        include.at_limit,
        include.priority,
        compile_gate(
            _narrowed(include.deployments, deployments),
            _narrowed(include.regions, regions),
            include.when,
            include.window,
        ),
        _rollover(feature, include),
        include.release,
        _bound(include.overage_limit, feature.scale),
    )


def _rollover(feature: CompiledFeature, include: Include) -> tuple[int, int]:
    if include.rollover is None:
        return 0, 0
    return parse_amount(include.rollover.min, feature.scale), parse_amount(include.rollover.max, feature.scale)


def _narrowed(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """What both allow; None allows everything."""
    if one is None or other is None:
        return one if other is None else other
    return tuple(sorted(set(one) & set(other)))
