"""Nobody sees what is somebody else's: every operation, list, filter, cursor and refusal, by workspace and customer."""

import json
from collections.abc import Iterator

import httpx
import pytest
from msgspec import structs

from licet.api.app import OPERATIONS
from licet.api.contract import Operation
from licet.api.cursors import cursor_of
from tests.api.house import ALL, House, Visitor, open_house
from tests.api.tenants import PLANNED, Ask, Buyer, Tenant, ask_of, canary, mixtures, owned, settle
from tests.store.databases import Database, Server
from tests.store.worlds import fresh_world

pytestmark = pytest.mark.postgres

READS = [one for one in OPERATIONS if not one.writes and not one.posts]
WRITES = [one for one in OPERATIONS if one.writes or one.posts]
TELLING_CHECKS = ("count_checks", "list_check_records", "rehearse_catalog", "export_everything")
"""What tells of checks: whatever names somebody made up when asking are told in their own workspace."""


class Stranger:
    """Somebody who asks with a key of one side about what is on the other, and notes what must not have been told."""

    def __init__(self, visitor: Visitor, own: tuple[Tenant, Buyer], foreign: tuple[Tenant, Buyer]) -> None:
        self.visitor = visitor
        self.own = own
        self.foreign = foreign
        same = own[0] is foreign[0]
        self.secrets = foreign[1].given if same else foreign[0].heard
        self.leaks: list[str] = []
        self.asked: dict[str, int] = {}
        self._said: frozenset[str] = frozenset()
        self._counted: frozenset[str] = frozenset()

    def asks(self, one: Operation) -> Iterator[Ask]:
        """Yield what to try at an operation."""
        own, foreign = ask_of(one, *self.own), ask_of(one, *self.foreign)
        yield own
        if (
            one.id == "place_order" and self.own[0] is self.foreign[0]
        ):  # a bound key's orders have a source of their own
            own = structs.replace(own, body={**own.body, "source": f"customer:{self.own[1].names['customer']}"})
            yield own
        if one.id != "receive_delivery":  # rightly signed, it would be the owner's own
            yield foreign
        yield from mixtures(own, foreign)
        yield from self._cursors(one, own)

    def _cursors(self, one: Operation, own: Ask) -> Iterator[Ask]:
        fields = one.query.__struct_fields__
        tenant, buyer = self.foreign
        names = [*buyer.names.values(), tenant.names["key"], tenant.names["delivery"], "zq"]
        if "cursor" in fields:
            yield from (structs.replace(own, query={**own.query, "cursor": cursor_of(name[:-1])}) for name in names)
        if "subject" in fields:
            subjects = [f"customer/{buyer.names['customer']}", f"order/crm/{buyer.deal}", f"source/{tenant.source}"]
            yield from (structs.replace(own, query={**own.query, "subject": subject}) for subject in subjects)
            yield structs.replace(own, query={**own.query, "type": "customer.created"})
        if "state" in fields:
            yield structs.replace(own, query={**own.query, "state": "open"})
            yield structs.replace(own, query={**own.query, "customer": buyer.names["customer"]})
            yield structs.replace(own, query={**own.query, "owner": buyer.words["assignee"]})
        if "basis" in fields:
            yield structs.replace(own, query={**own.query, "basis": "1:9", "at": "2026-03-20T00:00:00Z"})

    async def sweep(self, operations: list[Operation], *, remember: bool) -> None:
        """Try everything. ``remember``: what was said in a write may come back in later answers."""
        for one in operations:
            for ask in self.asks(one):
                answer = await ask.of(self.visitor, one)
                if remember and answer.is_success:
                    self._said |= ask.said()
                if one.id in ("check", "check_batch") and answer.is_success:
                    self._counted |= ask.said()
                self.hear(one, ask, answer)

    def hear(self, one: Operation, ask: Ask, answer: httpx.Response) -> None:
        """Note each secret in body or headers that the question itself did not hold."""
        self.asked[one.id] = self.asked.get(one.id, 0) + 1
        assert answer.status_code < 500, (one.id, answer.text)
        whole = answer.text + " ".join(f"{name}: {value}" for name, value in answer.headers.items())
        sent = ask.address(one) + json.dumps([ask.body if not isinstance(ask.body, bytes) else ask.body.decode()])
        # What somebody asked is counted in their own workspace, and told there: whatever names they made up.
        said = self._said | (self._counted if one.id in TELLING_CHECKS else frozenset())
        for secret in self.secrets:
            if secret in whole and secret not in sent and secret not in said:
                self.leaks.append(f"{one.id} answered {answer.status_code} with {secret}: {answer.text[:300]}")


async def strangers(house: House, here: Tenant, there: Tenant) -> list[Stranger]:
    """Return the two who ask: another workspace's admin, and a key of the same workspace bound to another customer."""
    admin = Stranger(here.owner, (here, here.buyers[0]), (there, there.buyers[0]))
    customer = there.buyers[1].names["customer"]
    bound = await house.holder(*ALL, customer=customer, workspace=there.workspace)
    return [admin, Stranger(bound, (there, there.buyers[1]), (there, there.buyers[0]))]


async def test_every_operation_keeps_to_its_own(house: House) -> None:
    """Each operation answers its owner with 2xx, and nobody else with a single word that is not theirs."""
    here, there = await settle(house), await settle(house)
    documented = (await house.visitor().told("GET", "/openapi.json"))["paths"]
    listed = {one["operationId"] for path in documented.values() for one in path.values()}
    assert listed == {one.id for one in OPERATIONS if one.documented}
    for one in READS:
        await owned(there, one, ask_of(one, there, there.buyers[0]))
    tried = await strangers(house, here, there)
    for stranger in tried:
        await stranger.sweep(READS, remember=False)
        await stranger.sweep(WRITES, remember=True)
        assert not stranger.leaks, "\n".join(stranger.leaks[:10])
        assert set(stranger.asked) == {one.id for one in OPERATIONS}
    late = [
        *PLANNED,
        "settle",
        "release",
        "correct_usage",
        "void_grant",
        "reset_balance",
        "limit_spend",
        "rule_top_up",
        "withdraw_promise",
        "clear_ladder",
        "leave_cohort",
        "cancel_subscription",
        "end_override",
        "rotate_key",
        "revoke_key",
        "move_clock",
        "discard_delivery",
        "erase_user",
        "erase_customer",
    ]
    for one in (OPERATIONS[name] for name in late):
        await owned(there, one, ask_of(one, there, there.buyers[0]))
    rightful = {*there.done}
    assert rightful == {one.id for one in OPERATIONS}, "an operation was never answered to its owner"


async def test_an_owner_finds_every_canary(house: House) -> None:
    """The words looked for are really there: the owner's reads give back every one of them but the signing secret."""
    there = await settle(house)
    expected, seen = {*there.heard}, ""
    for one in READS:
        for buyer in there.buyers:
            seen += (await ask_of(one, there, buyer).of(there.owner, one)).text
    assert {word for word in expected if word not in seen} == {there.secret}


@pytest.mark.parametrize("side", [0, 1], ids=["workspace", "bound"])
async def test_an_idempotency_key_belongs_to_one_side(house: House, side: int) -> None:
    """A key that somebody else has used neither replays their answer nor stands in the way of another request."""
    here, there = await settle(house), await settle(house)
    stranger = (await strangers(house, here, there))[side]
    for one in WRITES:
        theirs, own = ask_of(one, *stranger.foreign), ask_of(one, *stranger.own)
        for ask in (theirs, own):
            mark = {"Idempotency-Key": canary()}
            await structs.replace(theirs, headers=mark).of(there.owner, one)
            answer = await structs.replace(ask, headers=mark).of(stranger.visitor, one)
            assert "idempotency-replayed" not in answer.headers, one.id
            assert "idempotency" not in answer.text, (one.id, answer.text)


NO_SECURITY = """
    DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
            EXECUTE format('ALTER TABLE %I NO FORCE ROW LEVEL SECURITY', name);
            EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', name);
        END LOOP;
    END $$;
"""
NO_FILTER = """
    ALTER TABLE team RENAME TO all_teams;
    CREATE VIEW team AS
        SELECT current_setting('licet.workspace') AS workspace_id, $customer AS customer,
            id, revision, title, created_at FROM all_teams;
    GRANT SELECT ON team TO licet_reader, licet_app;
"""


async def run(database: Database, script: str) -> None:
    """Change a database as its superuser."""
    admin = await database.connect()
    try:
        await admin.execute(script)
    finally:
        await admin.close()


async def test_a_missing_filter_would_be_noticed(pg_server: Server) -> None:
    """Without row-level security the filters still hold; with one of them void as well, the sweep finds it."""
    teams = [one for one in READS if one.id in ("list_teams", "list_users", "get_terms", "list_keys")]
    with fresh_world(pg_server) as world:
        await run(world.database, NO_SECURITY)
        async with open_house(world) as house:
            here, there = await settle(house), await settle(house)
            for stranger in await strangers(house, here, there):
                await stranger.sweep(READS, remember=False)
                assert not stranger.leaks
        own = here.buyers[0].names["customer"]
        await run(world.database, NO_FILTER.replace("$customer", f"'{own}'::text"))
        async with open_house(world) as house:
            here.owner = await house.holder("admin", workspace=here.workspace)
            admin, _ = await strangers(house, here, there)
            await admin.sweep(teams, remember=False)
            assert {leak.split()[0] for leak in admin.leaks} == {"list_teams"}
