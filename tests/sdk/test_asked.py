"""Questions that cannot be meant, and customers that a client is not told of: said in words, and harmless to others."""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from licet import NotHeld, Unreachable
from licet.testing import World
from tests.sdk.office import Office, open_office

NONE_AT_ALL: list[Any] = [
    None,
    5,
    b"acme",
    ["acme"],
    {"id": "acme"},
    "",
    "x" * 5000,
    "a\x00b",
    "acme\x00ann",
    "a\ud800",
]


class Marked(str):
    """A text of a framework's own kind, as templates make them."""

    __slots__ = ()


class Later:
    """A text that is worked out when it is needed, as some frameworks have them: it claims to be a str."""

    def __init__(self, text: str) -> None:
        self.text = text

    __class__ = property(lambda _: str)

    def __eq__(self, other: object) -> bool:
        return self.text == other

    def __hash__(self) -> int:
        return hash(self.text)


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    """A server for all tests here."""
    with open_office() as opened:
        opened.authority.put_user("acme", "ann", "tester")
        opened.authority.put_user("acme", "caf\u00e9", "tester")
        yield opened


@pytest.mark.parametrize("telemetry", [True, False])
@pytest.mark.parametrize("on_demand", [True, False])
def test_what_is_no_id_is_a_value_error(office: Office, on_demand: bool, telemetry: bool) -> None:
    """Whatever is no id is refused as such, for all three and by every method, and no request is made for it."""
    with office.client(on_demand=on_demand, telemetry=telemetry) as client:
        assert client.check("acme", "sso")
        before = len(office.asked)
        for one in NONE_AT_ALL:
            with pytest.raises(ValueError, match="the customer"):
                client.check(one, "sso")
            with pytest.raises(ValueError, match="the feature"):
                client.check("acme", one)
            with pytest.raises(ValueError, match="the customer"):
                client.entitlements(one)
            with pytest.raises(ValueError, match="the customer"):
                client.load(one)
            if one is not None:
                for feature in ("sso", "beta", "nonsense"):
                    with pytest.raises(ValueError, match="the user"):
                        client.check("acme", feature, user=one)
        assert len(office.asked) == before
        assert client.check("acme", "beta", user="ann")
    assert all(count.get("user") in (None, "ann") for upload in office.told for count in upload["counts"])


def test_what_only_looks_like_a_text_spoils_no_counts(office: Office) -> None:
    """An id that is worked out later is refused, or answered where it equals a known one; either way counts go on."""
    office.told.clear()
    later: Any = Later("acme")
    with office.client(telemetry=True) as client:
        assert client.check(later, "sso")
        with pytest.raises(ValueError, match="the user must be text"):
            client.check("acme", "export", user=later)
        assert client.check("acme", "export", user="ann")
    told = [(one["feature"], one.get("user")) for upload in office.told for one in upload["counts"]]
    assert told == [("export", "ann")]


def test_a_world_refuses_the_same() -> None:
    """The world of a vendor's tests takes no id that production would not take."""
    world = World()
    world.allow("acme", "sso")
    client = world.client()
    for one in NONE_AT_ALL:
        with pytest.raises(ValueError, match="the customer"):
            client.check(one, "sso")
        with pytest.raises(ValueError, match="the customer"):
            client.entitlements(one)
        if one is not None:
            with pytest.raises(ValueError, match="the user"):
                client.check("acme", "sso", user=one)
    assert client.check("acme", "sso", user="ann")


def test_before_any_truth_what_is_no_id_is_not_assumed(office: Office) -> None:
    """Where answers are assumed, a question that cannot be read is still an error, and every answer can be told."""
    options = {"url": "http://127.0.0.1:9", "start_timeout": 0.0, "unreachable": {"sso": "allow"}}
    with office.client(**options) as client:
        assert client.check("acme", "sso").document()
        with pytest.raises(ValueError, match="the customer"):
            client.check("a\ud800", "sso")


def test_a_customer_that_the_server_refuses_shuts_out_nobody(office: Office) -> None:
    """What the server has against one customer is said, and the next one is loaded at once."""
    problem = b'{"code":"invalid","detail":"an odd id.","advice":"Take another."}'
    with office.client(on_demand=True) as client:
        for status in (400, 403, 404, 414):
            office.pick_refusal = (status, "application/problem+json", problem)
            with pytest.raises(NotHeld, match=r"does not tell of .odd.: an odd id\. Take another\."):
                client.check("odd", "sso")
        office.pick_refusal = None
        assert client.check("acme", "sso")


async def test_nor_in_a_loop(office: Office) -> None:
    """The same for the client of a loop; what is no id is refused before anything is asked."""
    async with office.async_client(on_demand=True) as client:
        office.pick_refusal = (414, "text/html", b"")
        with pytest.raises(NotHeld, match="does not tell of 'odd': it answers 414"):
            await client.load("odd")
        office.pick_refusal = None
        for one in NONE_AT_ALL:
            with pytest.raises(ValueError, match="the customer"):
                await client.load(one)
        await client.load("acme")
        assert client.check("acme", "sso")


def test_loading_where_all_are_held(office: Office) -> None:
    """A client that holds everybody, or this one, has nothing to load; before any truth it says why there is none."""
    with office.client() as client:
        client.load("acme")
        client.load("globex")
    with office.client(customers=["acme"]) as client:
        client.load("acme")
        with pytest.raises(NotHeld, match="made for others"):
            client.load("globex")
    with office.client(url="http://127.0.0.1:9", start_timeout=0.2) as client, pytest.raises(Unreachable):
        client.load("acme")


def test_ids_in_any_form_and_kind(office: Office) -> None:
    """Ids that a framework wrapped or decomposed are the same ids: on demand too, in documents, and when counted."""
    office.sold("caf\u00e9")
    office.told.clear()
    for on_demand in (True, False):
        with office.client(on_demand=on_demand, telemetry=True) as client:
            assert client.check("cafe\u0301", "sso")
            for user in ("caf\u00e9", "cafe\u0301"):
                assert client.check("acme", "beta", user=user)
            assert client.check(Marked("acme"), "sso", user=Marked("ann"))
            assert b'"customer":"nobody"' in client.check(Marked("nobody"), cast("str", Marked("sso"))).document()
            assert client.check(Marked("acme"), Marked("sso")).document()
    told = {(one["customer"], one.get("user")) for upload in office.told for one in upload["counts"]}
    assert ("acme", "ann") in told
    assert ("acme", "caf\u00e9") in told
    assert ("caf\u00e9", None) in told
