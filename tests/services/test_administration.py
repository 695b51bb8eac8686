"""Catalogs, keys, sources, workspaces and who may do what."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from licet.core.instant import DAY, to_datetime
from licet.door.gate import Caller, Gate
from licet.door.problems import Refusal
from licet.services.catalogs import (
    apply_catalog,
    get_catalog,
    get_catalog_text,
    get_matrix,
    list_catalogs,
    preview_catalog,
)
from licet.services.customers import CreateCustomer, create_customer
from licet.services.errors import CatalogInvalid, Conflict, Invalid, NotFound, StaleBase
from licet.services.keys import (
    CreateKey,
    NewKey,
    RotateKey,
    create_key,
    list_keys,
    revoke_key,
    rotate_key,
)
from licet.services.rows import Actor, Page
from licet.services.sources import PutSource, get_source, list_sources, put_source
from licet.services.workspaces import MoveClock, bootstrap, move_clock, read_clock
from tests.services.desk import LATER, OPERATOR, SECRET, Desk, story


async def test_a_preview_writes_nothing_and_tells_everything(desk: Desk, meridian: bytes) -> None:
    """Problems with lines, or the differences to the newest release; the log stays as it was."""
    before = await desk.events()
    renamed = meridian.replace(b"title: Projects", b"title: Plans")
    async with desk.read() as view:
        good = await preview_catalog(view, renamed)
        bad = await preview_catalog(view, meridian.replace(b"meter: api_calls", b"meter: api_cals"))
        released = await preview_catalog(view, meridian.replace(b"    merge: sum\n", b""))
    assert (good.base, good.problems) == (1, ())
    assert [change.path for change in good.changes] == ["features.projects.title"]
    assert bad.changes == ()
    assert [(problem.line is not None, problem.suggestion) for problem in bad.problems] == [(True, "api_calls")]
    assert [problem.path for problem in released.problems] == ["features.data_sources.merge"]
    assert await desk.events() == before


async def test_a_release_is_bound_to_its_base(desk: Desk, meridian: bytes) -> None:
    """A release on another base than the newest is refused; the same catalog again makes no revision."""
    renamed = meridian.replace(b"title: Projects", b"title: Plans")
    with pytest.raises(StaleBase) as caught:
        async with desk.write() as tx:
            await apply_catalog(tx, renamed, 0)
    assert caught.value.details == {"base": 0, "newest": 1}
    async with desk.write() as tx:
        same = await apply_catalog(tx, meridian, 1)
    assert (same.released, same.revision) == (False, 1)
    async with desk.write() as tx:
        applied = await apply_catalog(tx, renamed, 1, note="clearer")
    assert (applied.released, applied.revision) == (True, 2)
    (_, event) = await desk.events(type="catalog.released")
    assert event.before["revision"] == 1
    assert event.after["hash"] == applied.hash
    async with desk.read() as view:
        assert [(row.revision, row.note) for row in await list_catalogs(view, Page())] == [(2, "clearer"), (1, "")]
        assert (await get_catalog(view, 1)).doc.features["projects"].title == "Projects"
        assert (await get_catalog(view)).doc.features["projects"].title == "Plans"
        with pytest.raises(NotFound):
            await get_catalog(view, 3)


async def test_an_unsound_catalog_is_refused_with_all_problems(desk: Desk, meridian: bytes) -> None:
    """Every mistake is told at once, each with its place."""
    wrong = meridian.replace(b"meter: api_calls", b"meter: api_cals").replace(
        b"plan: business, quantity", b"plan: busy, quantity"
    )
    with pytest.raises(CatalogInvalid) as caught:
        async with desk.write() as tx:
            await apply_catalog(tx, wrong, 1)
    assert len(caught.value.details["problems"]) > 3
    assert all(problem["line"] for problem in caught.value.details["problems"])
    with pytest.raises(CatalogInvalid, match="data_sources"):
        async with desk.write() as tx:
            await apply_catalog(tx, meridian.replace(b"    merge: sum\n", b""), 1)


async def test_the_catalog_as_text_applies_to_itself(desk: Desk) -> None:
    """What is pulled is what was released: applying it again changes nothing."""
    async with desk.read() as view:
        text = await get_catalog_text(view)
        matrix = await get_matrix(view)
    async with desk.write() as tx:
        assert not (await apply_catalog(tx, text.encode(), 1)).released
    assert {"team", "business"} <= {column.id for column in matrix.columns}


async def new_key(desk: Desk, **how: object) -> NewKey:
    """Create a key for checks."""
    async with desk.write() as tx:
        return await create_key(tx, CreateKey(name="shop", scopes=frozenset({"check"}), **how))  # type: ignore[arg-type]


async def admit(desk: Desk, token: str, now: int) -> Caller:
    """What a fresh gate says of a token at a real instant."""
    return await Gate(desk.storage.authenticate).admit(f"Bearer {token}", 0.0, to_datetime(now))


async def wall(desk: Desk) -> int:
    """Real time."""
    async with desk.read() as view:
        return view.time.wall


async def test_a_key_is_shown_once_and_stands_for_its_rights(desk: Desk) -> None:
    """The token has the documented form; the log and the row hold neither it nor its secret."""
    made = await new_key(desk)
    assert made.secret.startswith(f"lct_test_{made.key.id}_")
    session = await admit(desk, made.secret, await wall(desk))
    assert session == Caller(made.key.id, "test", frozenset({"check"}), None)
    secret = made.secret.rpartition("_")[2]
    assert secret not in str(await desk.events())
    async with desk.read() as view:
        assert secret not in str(await list_keys(view, Page()))


async def test_only_the_very_token_is_valid(desk: Desk) -> None:
    """Another secret, prefix or id are refused in the same words; so is all that does not look like a key."""
    made, now = await new_key(desk), await wall(desk)
    last = "a" if made.secret[-1] != "a" else "b"
    words = set()
    for token in (
        made.secret[:-1] + last,
        made.secret.replace("lct_test", "lct_live"),
        made.secret.replace(made.key.id, "a" * 16),
        made.secret + "\n",
        made.secret.upper(),
        "",
        "lct_test__",
        "\udcff",
    ):
        with pytest.raises(Refusal) as caught:
            await admit(desk, token, now)
        words.add(str(caught.value))
    assert len(words) == 2


async def test_a_key_ends_at_its_instant(desk: Desk) -> None:
    """At expires_at, of real time, a key is no longer valid, though the business clock stands elsewhere."""
    now = await wall(desk)
    ends = now + DAY
    made = await new_key(desk, expires_at=to_datetime(ends))
    assert (await admit(desk, made.secret, ends - 1)).key == made.key.id
    with pytest.raises(Refusal):
        await admit(desk, made.secret, ends)
    with pytest.raises(Invalid, match="has passed"):
        await new_key(desk, expires_at=datetime(2020, 1, 1, tzinfo=UTC))


async def test_a_rotated_key_goes_on_for_its_overlap(desk: Desk) -> None:
    """Both tokens are valid during the overlap, then only the new one; a key that has ended is not rotated."""
    old = await new_key(desk)
    async with desk.write() as tx:
        new = await rotate_key(tx, old.key.id, RotateKey(overlap="PT1H"))
        began = tx.time.wall
    hour = 3600 * 1_000_000
    assert new.key.scopes == old.key.scopes
    assert (await admit(desk, old.secret, began + hour - 1)).key == old.key.id
    with pytest.raises(Refusal):
        await admit(desk, old.secret, began + hour)
    assert (await admit(desk, new.secret, began + hour)).key == new.key.id
    async with desk.write() as tx:
        await revoke_key(tx, new.key.id)
    with pytest.raises(Conflict, match="ended already"):
        async with desk.write() as tx:
            await rotate_key(tx, new.key.id, RotateKey())
    with pytest.raises(Invalid, match="too long"):
        async with desk.write() as tx:
            await rotate_key(tx, old.key.id, RotateKey(overlap="P31D"))


async def test_a_revoked_key_is_invalid_at_once(desk: Desk) -> None:
    """After the commit of a revocation nothing is answered to the key."""
    made = await new_key(desk)
    async with desk.write() as tx:
        await revoke_key(tx, made.key.id)
    with pytest.raises(Refusal):
        await admit(desk, made.secret, await wall(desk))
    with pytest.raises(NotFound):
        async with desk.write() as tx:
            await revoke_key(tx, "nothing")


async def test_keys_need_scopes_and_their_customer(desk: Desk) -> None:
    """A key without a right is a mistake; one bound to a customer needs that customer."""
    with pytest.raises(Invalid, match="at least one scope"):
        async with desk.write() as tx:
            await create_key(tx, CreateKey(name="x", scopes=frozenset()))
    with pytest.raises(NotFound, match="no customer 'acme'"):
        await new_key(desk, customer="acme")
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id="acme"))
    made = await new_key(desk, customer="acme")
    caller = await admit(desk, made.secret, await wall(desk))
    assert caller.customer == "acme"


async def test_a_source_keeps_its_secrets_to_itself(desk: Desk) -> None:
    """Secrets stand in no event; while two are put both are accepted, afterwards the one that is left."""
    async with desk.write() as tx:
        await put_source(tx, "stripe", PutSource(kind="stripe", secrets=("whsec_the_second", SECRET)))
    async with desk.read() as view:
        assert await view.source_secrets("stripe") == [b"whsec_the_second", SECRET.encode()]
    told = story("acme")
    assert (await desk.deliver(told.subscribe("price_team_monthly"))).outcome == "applied"
    async with desk.write() as tx:
        await put_source(tx, "stripe", PutSource(kind="stripe", secrets=("whsec_the_third",)))
        assert await tx.source_secrets("stripe") == [b"whsec_the_third"]
    events = await desk.events(subject="source/stripe")
    assert "whsec" not in str(events)
    assert [event.type for event in events] == ["source.added", *["source.changed"] * 2]


async def test_a_source_is_put_whole(desk: Desk) -> None:
    """Putting keeps the secrets where none are named, refuses unknown settings and another kind."""
    wait = PutSource(kind="stripe", settings={"unknown_customer": "wait"})
    async with desk.write() as tx:
        await put_source(tx, "stripe", wait)
    before = len(await desk.events())
    async with desk.write() as tx:
        await put_source(tx, "stripe", wait)
    assert len(await desk.events()) == before
    async with desk.write() as tx:
        assert (await put_source(tx, "stripe", structs.replace(wait, disabled=True))).disabled
    async with desk.read() as view:
        assert (await get_source(view, "stripe")).settings == {"unknown_customer": "wait"}
        assert [row.id for row in await list_sources(view)] == ["stripe"]
        assert await view.source_secrets("stripe") == [SECRET.encode()]
    for command, error, words in (
        (PutSource(kind="generic"), Conflict, "cannot become"),
        (PutSource(kind="stripe", settings={"unknown": "x"}), Invalid, "no such setting"),
        (PutSource(kind="stripe", settings={"unknown_customer": "guess"}), Invalid, "create or wait"),
    ):
        with pytest.raises(error, match=words):
            async with desk.write() as tx:
                await put_source(tx, "stripe", command)
    with pytest.raises(Invalid, match="signing secret"):
        async with desk.write() as tx:
            await put_source(tx, "stripe-eu", PutSource(kind="stripe"))


async def test_the_clock_of_a_test_workspace_only_moves_forward(desk: Desk) -> None:
    """Advance, jump, freeze and offset move it on and are logged; backwards is a conflict."""
    async with desk.write() as tx:
        frozen = await move_clock(tx, MoveClock(advance="P1M"))
    assert (frozen.business, frozen.frozen_at) == (datetime(2028, 2, 1, tzinfo=UTC), datetime(2028, 2, 1, tzinfo=UTC))
    async with desk.read() as view:
        assert read_clock(view).business == frozen.business
    async with desk.write() as tx:
        running = await move_clock(tx, MoveClock(to=LATER + timedelta(days=60)))
    assert running.frozen_at is None
    async with desk.read() as view:
        assert read_clock(view).business >= running.business
    for back in (MoveClock(to=LATER), MoveClock(frozen_at=LATER), MoveClock(offset="P1D")):
        with pytest.raises(Conflict, match="is before"):
            async with desk.write() as tx:
                await move_clock(tx, back)
    for unclear in (MoveClock(), MoveClock(to=LATER, advance="P1D"), MoveClock(advance="1 day")):
        with pytest.raises(Invalid):
            async with desk.write() as tx:
                await move_clock(tx, unclear)
    assert len(await desk.events(type="clock.moved")) == 3


async def test_a_live_clock_is_real_time(desk: Desk) -> None:
    """Nobody moves the clock of a live workspace; creating the workspaces twice changes nothing."""
    await bootstrap(desk.storage, OPERATOR)
    assert {workspace.id for workspace in await desk.storage.workspaces()} >= {"live", "test"}
    with pytest.raises(Conflict, match="real time"):
        async with desk.storage.write("live", Actor(id="local:tester")) as tx:
            await move_clock(tx, MoveClock(advance="P1D"))
