"""What the commands say of quota leases: who owns what, what of a balance is not known as use, and what came of it."""

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.cli.terminal import Shop

pytestmark = [pytest.mark.postgres, pytest.mark.one_engine]

OWNER = "c4a1f07e2b9d4e63a5c8d1f2b3a49e70"
GIVEN = {"tokens": {"amount": 20_000, "per": "month"}, "ai": {"amount": 500, "per": "month"}}
CATALOG = {
    "version": 1,
    "products": {"p": {"name": "P"}},
    "meters": {"tokens": {"event": "tokens"}},
    "credits": {"ai": {"scale": 2, "burns": {"tokens": "0.01"}}},
    "features": {
        "tokens": {"type": "metered", "meter": "tokens", "decide": "local", "unit": {"one": "token", "many": "tokens"}},
        "ai": {"type": "credits", "credit": "ai"},
    },
    "plans": {"team": {"product": "p", "versions": {"2026-01": {"includes": GIVEN}}}},
}


@pytest.fixture(scope="module")
def owned(shop: Shop) -> Shop:
    """A server where one program of acme's crashed with a slice, told of another, and holds a third."""
    file = shop.home / "catalog.json"
    file.write_text(json.dumps(CATALOG))
    assert shop.run("catalog", "apply", str(file), "--yes").code == 0
    assert shop.run("customer", "create", "acme").code == 0
    assert shop.run("subscription", "sell", "acme", "team").code == 0
    ids = [uuid4().hex for _ in range(3)]
    asks = [{"id": one, "customer": "acme", "feature": "tokens", "wanted": 1000} for one in ids]
    call(shop, 1, asks=asks)
    crashed = {"id": ids[0], "used": 400, "closed": True, "lost": 125}
    call(shop, 2, told=[crashed, {"id": ids[1], "used": 700, "closed": True}, {"id": ids[2], "used": 10}])
    return shop


def call(shop: Shop, number: int, **said: Any) -> None:
    """Ask and tell as the program does."""
    headers = {"Authorization": f"Bearer {shop.keys['test']}"}
    body = {"owner": OWNER, "number": number, "epoch": 1, **said}
    answer = httpx.post(f"{shop.url}/v1/quota-leases", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert "denied" not in answer.json()


def test_leases_are_listed(owned: Shop) -> None:
    """Each is a row with its state, what was used and what is written off; filters narrow it; no match says so."""
    listed = owned.run("leases")
    assert listed.code == 0
    head, *rows = listed.out.splitlines()
    assert " ".join(head.split()) == "customer feature state of used written off unit until owner id"
    assert sorted(row.split()[2:5] for row in rows) == [
        ["open", "1,000", "10"],
        ["settled", "1,000", "400"],
        ["settled", "1,000", "700"],
    ]
    (row,) = owned.run("leases", "--state", "open", "--feature", "tokens", "--json").document["items"]
    assert (row["outstanding"], row["owner"], row["customer"]) == (1000, OWNER, "acme")
    assert "no program owns anything" in owned.run("leases", "--state", "escheated").out
    assert "these are 2; --limit shows more" in owned.run("leases", "--limit", "2").out
    wrong = owned.run("leases", "--state", "lost")
    assert (wrong.code, "open, settled" in wrong.err) == (2, True)
    assert owned.run("leases", "--customer", "nobody").code == 2


def test_a_balance_says_what_is_no_use_yet(owned: Shop) -> None:
    """What is out and what is written off is told beside what is used, of one balance and of all."""
    shown = owned.run("balance", "acme", "tokens").out
    assert "2,225 of 20,000 tokens" in shown
    assert "leased    1,000 of it is out at programs, and not known as use yet" in shown
    assert "lost      125 of it is written off: programs crashed or went silent" in shown
    assert "deficit" not in shown
    every = owned.run("balance", "acme").out
    assert "leased  written off" in every
    (row,) = (line for line in every.splitlines() if line.startswith("tokens"))
    assert row.split()[1:5] == ["2,225", "20,000", "1,000", "125"]


def test_a_deficit_is_told(owned: Shop) -> None:
    """What was reported beyond what is left beside slices lacks, and is named so."""
    assert owned.run("customer", "create", "short").code == 0
    assert owned.run("subscription", "sell", "short", "team").code == 0
    ask = {"id": uuid4().hex, "customer": "short", "feature": "tokens", "wanted": 1000}
    call(owned, 3, asks=[ask])
    assert owned.run("report", "short", "tokens", "-d", "quantity=19500").code == 0
    assert "deficit   500 more is used and out than there may be" in owned.run("balance", "short", "tokens").out


def test_statement_and_facts_say_what_came_of_leases(owned: Shop) -> None:
    """A statement tells leases as one row with use and rest, in each unit; facts count what was told of as used."""
    told = owned.run("balance", "statement", "acme", "ai").out
    (row,) = (line for line in told.splitlines() if " leases " in line)
    assert "3 leases of 30, 11 used (1,100 tokens), 7.75 back" in " ".join(row.split())
    facts = owned.run("usage", "facts", "--customer", "acme", "--json").document["items"]
    assert sorted(one["kind"] for one in facts) == ["lease", "lease", "lease", "return", "return"]
    lines = [line for line in owned.run("usage", "facts", "--customer", "acme").out.splitlines() if "acme" in line]
    assert all("tokens" not in line.split("acme")[1].split("1,000")[0] for line in lines if " lease " in line)
    assert [line for line in lines if " return " in line and "700 tokens" in line and "-300 tokens" in line]
    assert "1,100" in owned.run("usage", "acme").out


def test_an_explanation_says_what_is_no_use(owned: Shop) -> None:
    """Where a balance is explained, what of its use is not known as such is named."""
    said = " ".join(owned.run("explain", "acme", "tokens").out.split())
    assert "of what is used 1000 leased to programs and 125 written off: not known as use" in said
