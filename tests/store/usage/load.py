"""Writing usage in the tests of the store, as lanes do: again after a collision, each id once."""

from collections.abc import Sequence

from licet.core.usage.facts import AccountKey, Fact
from licet.services.usage.ports import BalanceRow, Collided, KeptKey, Posted
from licet.store.postgres import PostgresStorage
from tests.store.worlds import OPERATOR

TRIES = 20


async def report(storage: PostgresStorage, facts: Sequence[Fact], workspace: str = "test") -> int:
    """Post those of some facts that were not posted yet; each burns of its customer's balances. Returns how many.

    The state of a balance is how often it was burned, as text, so that a lost or doubled fact is seen.
    """
    for _ in range(TRIES):
        try:
            return await _report(storage, facts, workspace)
        except Collided:
            continue
    raise AssertionError(f"{TRIES} collisions one after the other")


async def _report(storage: PostgresStorage, facts: Sequence[Fact], workspace: str) -> int:
    async with storage.post(workspace, OPERATOR) as post:
        held = await post.lock([AccountKey(fact.customer, feature) for fact in facts for feature in fact.burns])
        kept = await post.kept([fact.id for fact in facts])
        new = list({fact.id: fact for fact in facts if fact.id not in kept}.values())
        if not new:
            return 0
        rows: dict[AccountKey, BalanceRow] = {}
        for fact in new:
            for feature, amount in fact.burns.items():
                key = AccountKey(fact.customer, feature)
                before = rows.get(key) or held.get(key)
                used = (before.used if before else 0) + amount
                as_of = max(before.as_of, fact.effective) if before else fact.effective
                rows[key] = BalanceRow(
                    key=key, state=str(used).encode(), used=used, granted=0, remaining=-used, as_of=as_of
                )
        keys = [KeptKey(id=fact.id, body_hash=bytes(16), serial=at, answer=b"") for at, fact in enumerate(new, 1)]
        await post.post(Posted(facts=new, keys=keys, balances=list(rows.values())))
        return len(new)
