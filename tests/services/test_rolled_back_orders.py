"""Orders after a rollback, of who bought what it withdrew."""

import pytest

from licet.core.catalog import encode_catalog
from licet.services.catalogs import apply_catalog
from licet.services.customers import CreateCustomer, create_customer
from licet.services.rollbacks import rollback_catalog
from licet.store.postgres import PostgresStorage
from tests.services.desk import story
from tests.services.relocation import CATALOG, open_floor

NEW = CATALOG.replace(
    b"  business: {product",
    b"  plus: {product: suite, versions: {2026-05: {includes: {projects: 99, sso: true}}}}\n  business: {product",
)


@pytest.mark.parametrize("named", [b"{plan: plus}", b"{plan: plus, version: 2026-05}"])
async def test_who_bought_what_is_withdrawn_goes_on(storage: PostgresStorage, named: bytes) -> None:
    """Every message of the subscription is still understood: it renews, changes its quantity and ends as bought."""
    floor = await open_floor(storage)
    bought = story("acme")
    async with floor.write() as tx:
        await apply_catalog(tx, NEW.replace(b"stripe: {", b"stripe: {price_plus: " + named + b", "), 1)
        await create_customer(tx, CreateCustomer(id="acme", external_ids={"stripe": bought.buyer.id}))
    await floor.deliver(bought.subscribe("price_plus"))
    had = await floor.held("acme")
    async with floor.read() as view:
        rollback = await rollback_catalog(view, 1)
    assert any("price_plus of stripe" in one for one in rollback.kept)
    async with floor.write() as tx:
        await apply_catalog(tx, encode_catalog(rollback.doc), 2)
    for sent in (bought.renew(), bought.updated(), bought.change_quantity(3), bought.delete()):
        result = await floor.deliver(sent)
        assert result.outcome == "applied", result
    assert had["sso"] == "on"
    assert (await floor.held("acme"))["sso"] != "on"
