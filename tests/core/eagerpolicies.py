"""The slow, plain reading of policies: every condition compiled and evaluated anew, every fact worked out for it."""

from collections.abc import Callable
from functools import lru_cache

from msgspec import Struct

from licet.core.catalog import Catalog
from licet.core.policy import (
    BOOL,
    INT,
    STANDARD_ENVIRONMENT,
    STRING,
    STRINGS,
    Condition,
    MapType,
    Verdict,
    compile_condition,
)
from tests.core.eagerstanding import Plain

ENVIRONMENT = STANDARD_ENVIRONMENT.extended(
    {
        "standing": STRING,
        "plans": STRINGS,
        "addons": STRINGS,
        "features": MapType(BOOL),
        "amounts": MapType(INT),
    }
)
BEST = ["active", "trialing", "grace", "restricted", "paused", "suspended", "not_started", "ended"]


class Ruled(Struct):
    """What the policies say together about one question."""

    denied: bool = False
    missing: set[str] = set()
    warnings: tuple[tuple[str | None, str], ...] = ()


def ruled(
    catalog: Catalog,
    feature: str,
    facts: dict[str, object],
    stands: list[Plain],
    held: Callable[[str], int | None],
) -> Ruled:
    """Return what the policies say; ``held`` gives the whole units of a feature, 0 for a switch, None if not held."""
    found = Ruled(missing=set())
    if catalog.features[feature].mode == "off" or not catalog.policies:
        return found
    giving = [one for one in stands if one.kind in BEST[:4]]
    amounts = {key: held(key) for key in catalog.features}
    facts = {
        **facts,
        "standing": next((kind for kind in BEST if kind in [one.kind for one in stands]), "none"),
        "plans": [item.id for one in giving for item in one.items if item.kind == "plan"],
        "addons": [item.id for one in giving for item in one.items if item.kind == "addon"],
        "features": {key: amount is not None for key, amount in amounts.items()},
        "amounts": {key: amount or 0 for key, amount in amounts.items()},
    }
    warned = []
    for key, policy in catalog.policies.items():
        if policy.features and feature not in policy.features:
            continue
        verdict: Verdict = _compiled(policy.when).evaluate(facts)
        if policy.do == "warn":
            if verdict.holds:
                warned.append((policy.rank, key, None if policy.server_only else key, policy.text))
        elif verdict.holds or verdict.missing or verdict.errors:
            found.denied = True
            found.missing |= set(verdict.missing)
    found.warnings = tuple((name, text) for _, _, name, text in sorted(warned))
    return found


@lru_cache(maxsize=100)
def _compiled(when: str) -> Condition:
    return compile_condition(when, ENVIRONMENT)
