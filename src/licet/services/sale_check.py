"""What a person may sell by hand: everything that the catalog says against it, told at once and before any write."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Protocol

from licet.core.combination import Breach, find_breaches
from licet.core.compiled import CompiledCatalog, ItemKind
from licet.core.instant import Instant, to_instant
from licet.core.offer import addon_versions, is_over, is_withdrawn, version_on_sale
from licet.core.spelling import nearest
from licet.core.terms import Item, Terms
from licet.services.errors import Unsellable

_ADVICE: Final = "correct what problems lists; a broken rule is sold all the same with accept_breaches: true"


class Sold(Protocol):
    """One thing that is to be sold."""

    @property
    def plan(self) -> str | None:
        """A plan."""

    @property
    def addon(self) -> str | None:
        """An add-on."""

    @property
    def bundle(self) -> str | None:
        """A bundle."""

    @property
    def version(self) -> str | None:
        """The version; the one on sale where absent."""

    @property
    def quantity(self) -> int:
        """How many."""

    @property
    def quantity_of(self) -> str | None:
        """The feature that the quantity counts."""


class Objections:
    """What speaks against a sale, each with its place in the request."""

    def __init__(self) -> None:
        self.found: list[dict[str, str]] = []

    def add(self, path: str, message: str, suggestion: str | None = None) -> None:
        """Note one."""
        self.found.append({"path": path, "message": message} | ({"suggestion": suggestion} if suggestion else {}))

    def settle(self, *, final: bool = False) -> None:
        """Raise Unsellable with all of them, if there are any; what is ``final`` is refused whatever is accepted."""
        if self.found:
            first = self.found[0]
            more = f" (and {len(self.found) - 1} more)" if len(self.found) > 1 else ""
            raise Unsellable(
                f"{first['path']}: {first['message']}{more}",
                advice=_final_advice(self.found) if final else _ADVICE,
                details={"problems": self.found},
            )


def _final_advice(found: Sequence[Mapping[str, str]]) -> str:
    """What to do about what no consent helps against: the one way out where only one thing is wrong."""
    way = found[0].get("suggestion", "") if len(found) == 1 else ""
    if not way:
        return "correct what problems lists"
    return way if " " in way else f"write {way}"


def check_names(catalog: CompiledCatalog, items: Sequence[Sold], at: datetime, field: str = "items") -> None:
    """Raise Unsellable unless each item names exactly one thing, a version and a feature that the catalog has.

    Nothing of it may be withdrawn from sale at ``at``. ``field`` is where in the request they are.
    """
    objections = Objections()
    for place, item in enumerate(items):
        if _check_name(catalog, item, f"{field}[{place}]", objections):
            _check_sale(catalog, item, to_instant(at), f"{field}[{place}]", objections)
    objections.settle(final=True)


class Withdrawal(NamedTuple):
    """That something is not sold any more, and what to do about it."""

    words: str
    advice: str


def withdrawal(
    catalog: CompiledCatalog, kind: ItemKind, name: str, version: str | None, at: Instant
) -> Withdrawal | None:
    """Return that a version (any, where None) of a plan or add-on is not sold any more at an instant; None if it is."""
    part = catalog.offered(kind, name)
    if part is None:
        return None
    if version is None:
        over = Withdrawal(
            f"no version of {name} is on sale any more", "sell something else, or clear sold_until in the catalog"
        )
        return over if is_over(part, at) else None
    if not is_withdrawn(part, version, at):
        return None
    instead = version_on_sale(part, at)
    offered = f"sell {name}@{instead}, which is on sale" if instead else "sell something else"
    advice = f"{offered}, or clear sold_until of {name}@{version} in the catalog"
    return Withdrawal(f"{name}@{version} is not on sale any more", advice)


def check_rules(
    catalog: CompiledCatalog, terms: Terms, items: Sequence[Sold], starts_at: datetime, *, trial: bool
) -> None:
    """Raise Unsellable for a trial where no plan has one, and for each rule between sold items that only now breaks.

    What the customer has at ``starts_at`` or later counts too; a rule that is broken already is not told again.
    """
    objections = Objections()
    placed = [
        (item, f"items[{place}]") for place, one in enumerate(items) for item in _as_items(catalog, one, starts_at)
    ]
    sold = [item for item, _ in placed]
    plans = [f"{item.id}@{item.version}" for item in sold if item.kind == "plan"]
    if trial and not any(_has_trial(catalog, item) for item in sold):
        objections.add("trial", f"{' and '.join(plans) or 'what is sold'} has no trial", "leave trial out")
    held = [
        item
        for one in terms.subscriptions
        if one.ends_at is None or one.ends_at > starts_at
        for item in one.phases[-1].items
    ]
    known = set(find_breaches(catalog, held))
    for breach in find_breaches(catalog, [*held, *sold]):
        if breach not in known:
            objections.add(_place(breach, placed), breach.words, _mend(catalog, breach))
    objections.settle()


def check_changed(
    catalog: CompiledCatalog,
    others: Sequence[Item],
    before: Sequence[Sold],
    after: Sequence[tuple[Sold, str]],
    at: datetime,
) -> None:
    """Raise Unsellable for each rule between items that breaks only when ``before`` becomes ``after``.

    ``after`` are things with their places in the request; ``others`` are held besides, in other subscriptions.
    """
    objections = Objections()
    placed = [(item, path) for one, path in after for item in _as_items(catalog, one, at)]
    had = [item for one in before for item in _as_items(catalog, one, at)]
    known = {(one.rule, one.item, one.others) for one in find_breaches(catalog, [*others, *had])}
    for breach in find_breaches(catalog, [*others, *(item for item, _ in placed)]):
        if (breach.rule, breach.item, breach.others) not in known:
            mend = _mend(catalog, breach)
            if breach.rule == "requires":
                mend = f"{mend}, or remove {breach.item}"
            objections.add(_place(breach, placed), breach.words, mend)
    objections.settle()


def _check_sale(catalog: CompiledCatalog, item: Sold, at: Instant, path: str, objections: Objections) -> None:
    """Note what of an item, which is in the catalog, is withdrawn from sale."""
    parts: list[tuple[ItemKind, str, str]]
    if item.bundle is not None:
        bundle = catalog.document.bundles[item.bundle]
        parts = [("plan", bundle.plan, "bundle"), *(("addon", one, "bundle") for one in bundle.addons)]
    elif item.plan is not None:
        parts = [("plan", item.plan, "plan")]
    else:
        parts = [("addon", item.addon or "", "addon")]
    for kind, name, field in parts:
        found = withdrawal(catalog, kind, name, item.version, at)
        if found is not None:
            place = f"{path}.{field if item.version is None else 'version'}"
            objections.add(place, found.words, found.advice)


def _check_name(catalog: CompiledCatalog, item: Sold, path: str, objections: Objections) -> bool:
    """Note what an item names that is not there; return whether everything is."""
    before = len(objections.found)
    kinds: tuple[Literal["plan", "addon", "bundle"], ...] = ("plan", "addon", "bundle")
    named = [(kind, name) for kind in kinds if (name := getattr(item, kind)) is not None]
    document = catalog.document
    if len(named) != 1:
        objections.add(path, f"exactly one of plan, addon, bundle is needed, not {len(named)}")
        return False
    kind, name = named[0]
    offered: Mapping[str, Any] = getattr(document, f"{kind}s")
    if name not in offered:
        near = nearest(name, offered)
        objections.add(f"{path}.{kind}", f"the catalog has no {kind} {name!r}; it has {_some(offered)}", near)
    elif item.version is not None:
        known = _versions(document, kind, name)
        if item.version not in known:
            there = f"it has {_some(known)}" if known else "a bundle has none, its parts do"
            message = f"{name} has no version {item.version!r}; {there}"
            objections.add(f"{path}.version", message, nearest(item.version, known) or max(known, default=None))
    if item.quantity_of is not None and item.quantity_of not in document.features:
        near = nearest(item.quantity_of, document.features)
        objections.add(f"{path}.quantity_of", f"the catalog has no feature {item.quantity_of!r}", near)
    return len(objections.found) == before


def _versions(document: Any, kind: str, name: str) -> Mapping[str, object]:
    if kind == "plan":
        found: Mapping[str, object] = document.plans[name].versions
        return found
    return addon_versions(document.addons[name]) if kind == "addon" else {}


def _some(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:20])


def _as_items(catalog: CompiledCatalog, sold: Sold, starts_at: datetime) -> list[Item]:
    """The items of what is sold, a bundle as its parts, each in its version."""
    at = to_instant(starts_at)
    parts: list[tuple[Literal["plan", "addon"], str]]
    if sold.bundle is not None:
        bundle = catalog.document.bundles.get(sold.bundle)
        if bundle is None:  # sold once, and since then gone from the catalog
            return []
        parts = [("plan", bundle.plan), *(("addon", one) for one in bundle.addons)]
    else:
        parts = [("plan", sold.plan)] if sold.plan is not None else [("addon", sold.addon or "")]
    return [
        Item(
            kind=kind,
            id=name,
            version=sold.version or catalog.version_at(kind, name, at) or "",
            quantity=sold.quantity,
            bundle=sold.bundle,
        )
        for kind, name in parts
    ]


def _has_trial(catalog: CompiledCatalog, item: Item) -> bool:
    found = catalog.versions.get((item.kind, item.id, item.version))
    return found is not None and found.trial is not None


def _place(breach: Breach, placed: Sequence[tuple[Item, str]]) -> str:
    """Where in the request a broken rule comes from: the item that breaks it, else one that it names."""
    for wanted in ((breach.item,), breach.others):
        for item, path in placed:
            if item.id in wanted:
                return f"{path}.quantity" if breach.rule == "maximum" else path
    return "items"


def _mend(catalog: CompiledCatalog, breach: Breach) -> str | None:
    if breach.rule == "requires":
        return f"sell {' or '.join(breach.others)} too"
    if breach.rule == "excludes":
        return f"sell either {breach.item} or {' and '.join(breach.others)}"
    addon = catalog.document.addons.get(breach.item)
    return None if addon is None or addon.maximum is None else f"at most {addon.maximum} in all"
