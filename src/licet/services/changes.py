"""Changes of what a subscription sold by hand consists of: another plan, add-ons, quantities; now or later."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, structs

from licet.core.catalog import Id
from licet.core.compiled import CompiledCatalog, ItemKind
from licet.core.instant import to_instant
from licet.core.orders import OrderLine, ScheduledLines
from licet.core.spelling import nearest
from licet.core.terms import Item, Terms
from licet.services.errors import Conflict
from licet.services.manual import (
    Agreed,
    ChangeResult,
    Moment,
    agreed_on,
    block_at,
    carry_out,
    check_running,
    falls_at,
    moment_of,
    same_plan,
    settled,
    told,
    unchanged,
    whole_order,
)
from licet.services.normal import invalid, normal
from licet.services.ports import Tx
from licet.services.sale_check import check_changed, check_names, withdrawal
from licet.services.subscriptions import SoldItem
from licet.services.truth import Catalogs

MAX_NAMED: Final = 100

Quantity = Annotated[int, Meta(ge=1, le=2**53 - 1)]


class ChangeSubscription(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes different in a subscription; what is not said stays as it is."""

    plan: Id | None = None
    """The plan that takes the place of the present one (or of a bundle), with its quantity (that of a fallen trial);
    add-ons stay. Where none is held, it comes in."""
    version: Id | None = None
    """The version of ``plan``; the one on sale now where absent."""
    quantity: Quantity | None = None
    """How many of the plan."""
    add: Annotated[tuple[SoldItem, ...], Meta(max_length=MAX_NAMED)] = ()
    """What comes on top."""
    remove: Annotated[tuple[Id, ...], Meta(max_length=MAX_NAMED)] = ()
    """Ids of what falls away; a bundle falls away whole."""
    quantities: Annotated[dict[Id, Quantity], Meta(max_length=MAX_NAMED)] = {}
    """How many of what is held already, by id."""
    at: Moment | None = None
    """``now`` (where absent), ``period_end`` or a later instant."""
    scheduled: Literal["keep", "drop"] | None = None
    """What becomes of changes that are planned already: ``keep`` lets each stand as it was planned, ``drop`` lets all
    of them fall away. Needed only where there are any."""
    accept_breaches: bool = False
    """Change although a rule between plans and add-ons breaks by it; what is broken becomes a finding."""
    dry_run: bool = False
    """Write nothing; answer what the customer would gain and lose."""


class Unschedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let all changes that are planned for later fall away."""

    dry_run: bool = False
    """Write nothing; answer what would become different."""


async def change(
    tx: Tx, customer: str, subscription: str, command: ChangeSubscription, catalogs: Catalogs
) -> ChangeResult:
    """Change a subscription sold by hand, now or later; leaves what an order leaves, nothing if nothing changes.

    Raises NotFound; Invalid (nothing said, an unknown id, a past instant); Unsellable (a rule breaks); Conflict (it has
    ended, a foreign system sold it, or changes are planned and the command does not say what becomes of them).
    """
    command = normal(command)
    agreed = await agreed_on(tx, customer, subscription, catalogs)
    check_running(agreed)
    _check_said(command)
    at = moment_of(agreed, command.at)
    blocks = _kept(agreed) if command.scheduled == "drop" else agreed.blocks
    base = block_at(blocks, at)
    tried = agreed.tried if base == agreed.fall else ()
    after = _Lines(agreed.catalog, base.lines, agreed.now, tried).changed(command)
    lines = tuple(line for line, _ in after)
    planned = _with(blocks, ScheduledLines(effective_at=at, lines=lines))
    if same_plan(settled(planned, falls_at(agreed.known)), agreed.blocks):
        return unchanged(agreed, at, dry_run=command.dry_run)
    _check_scheduled(agreed, command)
    if not command.accept_breaches:
        _check_rules(agreed, base.lines, after, at)
    return await carry_out(tx, agreed, whole_order(agreed, planned), at, catalogs, dry_run=command.dry_run)


async def unschedule(tx: Tx, customer: str, subscription: str, command: Unschedule, catalogs: Catalogs) -> ChangeResult:
    """Let everything that is planned for later fall away; raises NotFound, or Conflict where nothing is planned."""
    agreed = await agreed_on(tx, customer, subscription, catalogs)
    check_running(agreed)
    if not agreed.scheduled:
        raise Conflict(f"nothing is scheduled for subscription {subscription}", advice="nothing has to be done")
    at = agreed.scheduled[0].effective_at
    order = whole_order(agreed, _kept(agreed))
    return await carry_out(tx, agreed, order, at, catalogs, dry_run=command.dry_run)


def _kept(agreed: Agreed) -> tuple[ScheduledLines, ...]:
    """What remains where everything planned for later falls away."""
    return tuple(
        one
        for place, one in enumerate(agreed.blocks)
        if not place or one.effective_at <= agreed.begins or one == agreed.fall
    )


def _with(blocks: Sequence[ScheduledLines], new: ScheduledLines) -> tuple[ScheduledLines, ...]:
    """The blocks with a new one in its place, instead of one that begins at the same instant."""
    rest = [one for one in blocks if one.effective_at != new.effective_at]
    return tuple(sorted([*rest, new], key=lambda one: one.effective_at))


def _check_said(command: ChangeSubscription) -> None:
    """Raise Invalid where nothing would change, or a version is said without its plan."""
    if command.version is not None and command.plan is None:
        raise invalid("version", "a version is that of a plan, and none is named", "name the plan, too")
    if not (command.plan or command.quantity or command.add or command.remove or command.quantities):
        raise invalid("plan", "nothing is said to change", "write plan, quantity, add, remove or quantities")


def _check_scheduled(agreed: Agreed, command: ChangeSubscription) -> None:
    """Raise Conflict where changes are planned and the command does not say what becomes of them."""
    if not agreed.scheduled or command.scheduled is not None:
        return
    planned = "; ".join(f"from {told(one.effective_at)} {_lines_words(one.lines)}" for one in agreed.scheduled)
    raise Conflict(
        f"changes are scheduled for subscription {agreed.known.id}: {planned}",
        advice='say with scheduled what becomes of them: "keep" (they stand as planned) or "drop" (they fall away)',
    )


def _lines_words(lines: Sequence[OrderLine]) -> str:
    """What lines sell, in a few words."""
    named = [
        (line.plan or line.addon or line.bundle or line.price or "")
        + (f" × {line.quantity}" if line.quantity > 1 else "")
        for line in lines[:10]
    ]
    return ", ".join(named) + (f" and {len(lines) - 10} more" if len(lines) > 10 else "") or "nothing"


def _check_rules(
    agreed: Agreed, before: Sequence[OrderLine], after: Sequence[tuple[OrderLine, str]], at: datetime
) -> None:
    """Raise Unsellable for each rule that breaks only by the change."""
    others = _held_besides(agreed.row.terms, agreed.known.id, at)
    catalog = agreed.catalog
    check_changed(
        catalog,
        others,
        [spoken(catalog, line) for line in before],
        [(spoken(catalog, line), path) for line, path in after],
        at,
    )


def _held_besides(terms: Terms, subscription: str, at: datetime) -> list[Item]:
    """What the customer holds at an instant in other subscriptions."""
    found: list[Item] = []
    for one in terms.subscriptions:
        if one.id != subscription and (one.ends_at is None or one.ends_at > at):
            begun = [phase for phase in one.phases if phase.starts_at <= at]
            found.extend((begun[-1] if begun else one.phases[0]).items)
    return found


def spoken(catalog: CompiledCatalog, line: OrderLine) -> OrderLine:
    """Return a line that names a price as one that names what the price means; any other as it is."""
    sold = None if line.price is None else catalog.document.orders.get("manual", {}).get(line.price)
    if sold is None:
        return line
    return structs.replace(
        line,
        price=None,
        plan=sold.plan,
        addon=sold.addon,
        bundle=sold.bundle,
        version=line.version or sold.version,
        quantity_of=line.quantity_of or sold.quantity,
    )


class _Lines:
    """The lines of a subscription while a command changes them, each with its place in the request.

    ``tried`` are the plans of a trial that fell, where its fall is what holds.
    """

    def __init__(
        self, catalog: CompiledCatalog, lines: Sequence[OrderLine], now: datetime, tried: Sequence[Item]
    ) -> None:
        self.catalog = catalog
        self.now = now
        self.tried = tried
        self.lines = [(line, "plan" if self._carries_plan(line) else "remove") for line in lines]

    def changed(self, command: ChangeSubscription) -> list[tuple[OrderLine, str]]:
        """Return the lines after the command; raises Invalid or Unsellable for what it names and is not there."""
        self._remove(command.remove)
        if command.plan is not None:
            self._replace_plan(command.plan, command.version)
        if command.quantity is not None:
            place = self._plan_line("quantity")
            self._check_counted(place, command)
            self.lines[place] = (structs.replace(self.lines[place][0], quantity=command.quantity), "quantity")
        self._count(command.quantities)
        self._add(command.add)
        if not self.lines:
            raise invalid("remove", "nothing would be left of the subscription", "cancel it instead")
        return self.lines

    def _remove(self, ids: Sequence[str]) -> None:
        for number, name in enumerate(ids):
            self._find(name, f"remove[{number}]")
            self.lines = [one for one in self.lines if self._name(one[0]) != name]

    def _replace_plan(self, plan: str, version: str | None) -> None:
        self._check_plan(plan, version)
        new = OrderLine(plan=plan, version=version or self._on_sale("plan", plan), bought_at=self.now)
        if not any(self._carries_plan(line) for line, _ in self.lines):
            self.lines.append((structs.replace(new, line=self._free_name()), "plan"))
            return
        place = self._plan_line("plan")
        old = spoken(self.catalog, self.lines[place][0])
        counted: OrderLine | Item = self.tried[0] if len(self.tried) == 1 else old
        new = structs.replace(new, line=old.line, quantity=counted.quantity, quantity_of=counted.quantity_of)
        self.lines[place] = (new, "plan")

    def _check_counted(self, place: int, command: ChangeSubscription) -> None:
        """Raise Invalid for a quantity of what a trial fell to: it may be that of the plan which was tried."""
        if self.tried and command.plan is None:
            tried, left = self.tried[0].id, self._name(self.lines[place][0])
            words = f"the trial of {tried} fell to {left}, of which no quantity was sold"
            raise invalid("quantity", words, f"name the plan, too: {tried} to buy what was tried")

    def _check_plan(self, plan: str, version: str | None) -> None:
        """Raise Invalid for a plan or a version that the catalog does not have, or that is not sold any more."""
        plans = self.catalog.document.plans
        if plan not in plans:
            words = f"the catalog has no plan {plan!r}; it has {', '.join(sorted(plans)[:20])}"
            raise invalid("plan", words, nearest(plan, plans) or "")
        if version is not None and version not in plans[plan].versions:
            words = f"{plan} has no version {version!r}; it has {', '.join(sorted(plans[plan].versions)[-20:])}"
            raise invalid("version", words, nearest(version, plans[plan].versions) or "")
        held = any((line.plan, line.version) == (plan, version) for line, _ in self.lines)
        gone = None if held else withdrawal(self.catalog, "plan", plan, version, to_instant(self.now))
        if gone is not None:
            raise invalid("plan" if version is None else "version", gone.words, gone.advice)

    def _count(self, quantities: Mapping[str, int]) -> None:
        for name, quantity in quantities.items():
            path = f"quantities.{name}"
            for place in self._find(name, path):
                self.lines[place] = (structs.replace(self.lines[place][0], quantity=quantity), path)

    def _add(self, items: Sequence[SoldItem]) -> None:
        check_names(self.catalog, items, self.now, "add")
        for number, item in enumerate(items):
            path = f"add[{number}]"
            line = OrderLine(
                line=self._free_name(),
                plan=item.plan,
                addon=item.addon,
                bundle=item.bundle,
                version=item.version or self._version(item),
                quantity=item.quantity,
                quantity_of=item.quantity_of,
                bought_at=self.now,
            )
            self._check_new(line, path)
            self.lines.append((line, path))

    def _free_name(self) -> str:
        """A name for a new line."""
        used = {line.line for line, _ in self.lines}
        return next(name for place in range(1, len(used) + 2) if (name := f"item-{place}") not in used)

    def _check_new(self, line: OrderLine, path: str) -> None:
        """Raise Invalid for what is held already, and for a second plan."""
        name = self._name(line)
        if any(self._name(one) == name for one, _ in self.lines):
            raise invalid(path, f"{name} is held already", f'write quantities: {{"{name}": …}} for more or fewer')
        held = [self._name(one) for one, _ in self.lines if self._carries_plan(one)]
        if held and self._carries_plan(line):
            words = f"{name} is a plan or holds one, and {held[0]} is held already"
            raise invalid(path, words, f"remove {held[0]} in the same change, or sell a second subscription")

    def _find(self, name: str, path: str) -> list[int]:
        """The places of what is held under an id; raises Invalid if there is none."""
        found = [place for place, (line, _) in enumerate(self.lines) if self._name(line) == name]
        if not found:
            held = [self._name(line) for line, _ in self.lines]
            words = f"the subscription holds no {name!r} then; it holds {', '.join(held) or 'nothing'}"
            raise invalid(path, words, nearest(name, held) or "")
        return found

    def _plan_line(self, path: str) -> int:
        """The place of the one line with a plan; raises Invalid if there is none or more than one."""
        found = [place for place, (line, _) in enumerate(self.lines) if self._carries_plan(line)]
        if len(found) != 1:
            held = [self._name(self.lines[place][0]) for place in found]
            words = f"the subscription holds {' and '.join(held) or 'no plan'}, so that it is not clear which is meant"
            raise invalid(path, words, "name ids in remove, add and quantities")
        return found[0]

    def _name(self, line: OrderLine) -> str:
        known = spoken(self.catalog, line)
        return known.plan or known.addon or known.bundle or known.price or ""

    def _carries_plan(self, line: OrderLine) -> bool:
        known = spoken(self.catalog, line)
        return known.plan is not None or known.bundle is not None

    def _version(self, item: SoldItem) -> str | None:
        """The version on sale now, so that it stays; a bundle has none, it is its date that says which of its parts."""
        if item.plan is not None:
            return self._on_sale("plan", item.plan)
        return None if item.addon is None else self._on_sale("addon", item.addon)

    def _on_sale(self, kind: ItemKind, name: str) -> str | None:
        return self.catalog.version_at(kind, name, to_instant(self.now))
