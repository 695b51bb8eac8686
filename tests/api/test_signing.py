"""The published keyset: anybody may fetch it, nobody learns more from it, and it opens with the pinned root."""

import pytest

from licet.seal.keyset import open_keyset
from licet.seal.paserk import public_of, write_public
from licet.services.signing import RotateFeedKey, rotate_feed_key
from tests.api.house import House, problem, root_of
from tests.store.worlds import OPERATOR

PATH = "/.well-known/licet-keyset"


def pinned(workspace: str) -> str:
    """The root of a house's workspace, as a follower has it."""
    return write_public(public_of(root_of(workspace)))


@pytest.mark.parametrize(
    ("query", "workspace"), [("", "live"), ("?workspace=live", "live"), ("?workspace=test", "test")]
)
async def test_anybody_fetches_the_keyset(house: House, query: str, workspace: str) -> None:
    """Without a key, with one, and with a wrong one the same three values come, and may be cached for a minute."""
    stranger = house.visitor()
    answer = await stranger.ask("GET", PATH + query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "public, max-age=60"
    told = answer.json()
    assert sorted(told) == ["keyset", "root", "workspace"]
    assert (told["workspace"], told["root"]) == (workspace, pinned(workspace))
    assert open_keyset(told["keyset"], [pinned(workspace)], workspace).version >= 1
    for secret in ((await house.key("check"))[1], "lct_live_aaaaaaaaaaaaaaaa_" + "a" * 32):
        assert (await house.visitor(secret).ask("GET", PATH + query)).json() == told
    head = await stranger.ask("HEAD", PATH + query)
    assert (head.status_code, head.content) == (200, b"")


async def test_what_is_asked_wrong_is_told(house: House) -> None:
    """An unknown workspace, one that cannot be one, and an unknown parameter are problems, not faults."""
    stranger = house.visitor()
    for name in ("nowhere", "LIVE", "x' OR '1'='1", "%00"):
        answer = await stranger.ask("GET", f"{PATH}?workspace={name}")
        assert 400 <= answer.status_code < 500, answer.text
    found = problem(await stranger.ask("GET", f"{PATH}?workspace=nowhere"), 404, "not_found")
    assert "'nowhere'" in found["detail"]
    for query in ("workspace=", f"workspace={'x' * 64}", "space=live", "workspace=live&workspace=test"):
        assert 400 <= (await stranger.ask("GET", f"{PATH}?{query}")).status_code < 500
    assert (await stranger.ask("POST", PATH)).status_code == 405


async def test_a_rotation_is_seen_within_seconds(house: House) -> None:
    """A new keyset is published as soon as what was kept of the old one is too old."""
    stranger = house.visitor()
    before = open_keyset((await stranger.told("GET", f"{PATH}?workspace=test"))["keyset"], [pinned("test")], "test")
    async with house.storage.write("test", OPERATOR) as tx:
        await rotate_feed_key(tx, root_of("test"), RotateFeedKey())
    house.built.parts.keysets.forget()
    told = await stranger.told("GET", f"{PATH}?workspace=test")
    after = open_keyset(told["keyset"], [pinned("test")], "test", newest=before.version + 1)
    assert [key.id for key in after.keys][1:] == [key.id for key in before.keys]
