"""Tenants whose every text is a canary, and what each operation is asked with: by the owner, and by somebody else.

A canary is a random word. Wherever one of somebody else's turns up in an answer to a question that did not hold it,
something has leaked.
"""

import copy
import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import uuid4

import httpx
import msgspec
from msgspec import Struct

from licet.api.app import OPERATIONS
from licet.api.contract import JSON, NDJSON, Operation
from licet.core.instant import to_datetime
from licet.services.rows import Workspace
from licet.services.signing import make_keysets
from licet.testing.stripe import SignedDelivery, StripeStory
from tests.api.house import House, Visitor, root_of
from tests.store.worlds import OPERATOR

DAY: Final = timedelta(days=1)
CANARY: Final = re.compile("zq[0-9a-f]{32}")
LONG_AGO: Final = "2026-03-01T09:00:00Z"
COHORTS: Final = ("partners", "pilots")
"""The one that somebody may still join, and the one to which every buyer belongs."""
VERSIONS: Final = ("2025-01", "2026-01")
"""Of the plan that everybody buys; what is bought is the second."""


def canary() -> str:
    """Return a word that occurs nowhere else."""
    return f"zq{uuid4().hex}"


def canaries(text: str) -> frozenset[str]:
    """Return the canaries in a text."""
    return frozenset(CANARY.findall(text))


class Ask(Struct, frozen=True, kw_only=True):
    """A request to one operation. ``body`` is a JSON value, or the bytes as they are."""

    path: dict[str, str] = {}
    query: dict[str, str] = {}
    body: Any = None
    headers: dict[str, str] = {}

    def address(self, one: Operation) -> str:
        """Return where it is sent to."""
        where = one.path
        for name in one.path_names:
            where = where.replace(f"{{{name}}}", quote(self.path[name], safe=""))
        return f"{where}?{urlencode(self.query)}" if self.query else where

    def said(self) -> frozenset[str]:
        """Return the canaries it holds itself; an answer may repeat them."""
        whole = [*self.path.values(), *self.query.values(), *self.headers.values()]
        body = self.body.decode() if isinstance(self.body, bytes) else json.dumps(self.body)
        return canaries(" ".join([*whole, body]))

    async def of(self, visitor: Visitor, one: Operation) -> httpx.Response:
        """Let somebody send it."""
        raw = isinstance(self.body, bytes)
        value, body = (None, self.body) if raw else (self.body, None)
        return await visitor.ask(one.method, self.address(one), value, body=body, headers=self.headers)


class Buyer(Struct, kw_only=True):
    """One customer and the names of what it has; each is a canary, or was given by the server and is as secret."""

    names: dict[str, str]
    """By the names that paths use: customer, user, team, subscription, override."""
    external: str
    deal: str
    words: dict[str, str]
    """By the field that holds it."""
    given: set[str] = set()
    """Everything of it that is not to be seen by others, in the order of no matter what."""


class Tenant(Struct, kw_only=True):
    """A workspace with two customers, seeded over HTTP by its owner."""

    workspace: str
    owner: Visitor
    wall: datetime
    source: str
    secret: str
    words: dict[str, str]
    buyers: tuple[Buyer, ...]
    names: dict[str, str]
    """By the names that paths use: workspace, source, delivery, key."""
    events: list[int]
    done: dict[str, int]
    """Operation → how often its rightful owner was answered with 2xx."""
    heard: set[str]
    """Canaries and ids that only this workspace may see."""


def catalog(tenant_words: dict[str, str]) -> dict[str, Any]:
    """Return a catalog with the same ids for every tenant and different words."""
    return {
        "version": 1,
        "products": {"suite": {"name": tenant_words["product"]}},
        "meters": {"calls": {"event": "call", "dimensions": ["area"]}},
        "features": {
            "calls": {"type": "metered", "meter": "calls", "decide": "local"},
            "sso": {"type": "switch", "title": tenant_words["feature"], "record": "each"},
            "projects": {"type": "limit", "title": tenant_words["limit"]},
        },
        "plans": {
            "team": {
                "product": "suite",
                "title": tenant_words["plan"],
                "versions": {
                    name: {"includes": {"sso": True, "projects": 20, "calls": 1_000_000}} for name in VERSIONS
                },
            }
        },
        "ladders": {"card": [{"after": "P0D", "do": "warn"}, {"after": "P7D", "do": "suspend"}]},
        "cohorts": {name: {"title": tenant_words["cohort"], "ladder": "card"} for name in COHORTS},
        "orders": {"stripe": {"price_team": {"plan": "team"}}},
    }


def narrowed(tenant_words: dict[str, str]) -> dict[str, Any]:
    """Return the same catalog with a rule by which everybody loses something."""
    rule = {"when": "true", "do": "restrict", "features": ["sso"], "text": tenant_words["feature"]}
    return catalog(tenant_words) | {"policies": {"none": rule}}


def moving(buyer: Buyer) -> dict[str, Any]:
    """Return a move of one customer by which nothing is lost, announced long before."""
    versions = {"from_version": VERSIONS[1], "to_version": VERSIONS[0]}
    return {"item": "team", **versions, "customers": [buyer.names["customer"]], "notice": "P1Y"}


def ask_of(one: Operation, tenant: Tenant, buyer: Buyer) -> Ask:
    """Return what the rightful owner asks an operation for one of its customers."""
    fixed = {"page": "checks", "name": "Question", "cohort": COHORTS[1], "seq": "1", "feature": "calls"}
    names = {**tenant.names, **buyer.names, **fixed}
    path = {name: names[name] for name in one.path_names}
    path |= _free_place(one, buyer)
    if one.id == "receive_delivery":
        delivery = delivered(tenant, buyer)
        return Ask(path=path, body=delivery.body, headers=delivery.headers)
    headers = {"Idempotency-Key": "released"} if one.id == "release" else {}
    if one.writes:
        headers = {"Licet-Note": tenant.words["note"], "Licet-Cause": tenant.words["cause"]}
    return Ask(path=path, query=_query(one, tenant, buyer), body=_body(one, tenant, buyer), headers=headers)


def _free_place(one: Operation, buyer: Buyer) -> dict[str, str]:
    """Return where it can be done still: everybody has given one promise and joined one cohort when moving in."""
    free = {"promise": {"subscription": buyer.names.get("contract", "")}, "join_cohort": {"cohort": COHORTS[0]}}
    free |= {name: {"subscription": buyer.names.get("planned", "")} for name in PLANNED}
    free["release"] = {"reservation": buyer.names.get("held", "")}
    return free.get(one.id, {})


def delivered(tenant: Tenant, buyer: Buyer, *, early: bool = False) -> SignedDelivery:
    """Return a rightly signed message about a new subscription of a buyer; ``early``: its payment comes first."""
    seed = uuid4().int % 2**60
    words = buyer.words
    story = StripeStory(
        tenant.secret,
        tenant.wall,
        customer=None if early else buyer.names["customer"],
        seed=seed,
        name=words["name"],
        email=words["email"],
        sign_at=lambda: int(tenant.wall.timestamp()),
    )
    first = story.subscribe("price_team")
    made = story.pay() if early else first
    tenant.heard |= {story.subscription, story.buyer.id, made.id}
    return made


def _query(one: Operation, tenant: Tenant, buyer: Buyer) -> dict[str, str]:
    fields = {field.name for field in msgspec.structs.fields(one.query)}
    values = {
        "limit": "500",
        "cursor": "",
        "feature": "sso",
        "user": buyer.names["user"],
        "region": buyer.words["region"],
        "base": "1",
    }
    found = {name: value for name, value in values.items() if name in fields and value}
    if one.id in ("sum_usage", "sum_customer_usage"):
        found |= {"dimensions": "area", "by": "month"}
    if one.id in ("list_grants", "list_refusals"):
        found |= {"feature": "calls"}
    if one.id == "list_events":
        found |= {"after": "0"}
    if one.id == "get_catalog_rollback":
        found |= {"to": "1"}
    if one.id == "prove_consistency":
        found |= {"from": "1"}
    if one.id == "count_checks":
        found |= {"by": "hour,customer,user,feature,reason,mode"}
    if one.id == "pick_customer":
        found |= {"cursor": "1:2"}
    if one.id == "list_check_records":
        found |= {"customer": buyer.names["customer"]}
    return found


def _body(one: Operation, tenant: Tenant, buyer: Buyer) -> Any:
    if one.body is None:
        return None
    own, words = buyer.names, buyer.words
    question = {"customer": own["customer"], "feature": "sso", "user": own["user"]}
    bodies: dict[str, Any] = {
        "apply_catalog": catalog(tenant.words),
        "preview_catalog": catalog(tenant.words),
        "make_preview": narrowed(tenant.words),
        "rehearse_catalog": narrowed(tenant.words),
        "preview_move": moving(buyer),
        "create_move": moving(buyer),
        "create_customer": {"id": canary(), "name": canary(), "external_ids": {"erp": canary()}},
        "change_customer": {
            "name": words["name"],
            "email": words["email"],
            "external_ids": {"crm": buyer.external},
            "profile": {"region": words["region"], "attributes": {"color": words["attribute"]}},
        },
        "check": question,
        "check_batch": {"questions": [question, {"customer": own["customer"], "feature": "projects"}]},
        "upload_checks": uploaded(tenant, buyer),
        "create_key": {"name": tenant.words["key"], "scopes": ["check"], "customer": own["customer"]},
        "move_clock": {"advance": "PT1S"},
        "erase_customer": {"dry_run": True},
        "erase_user": {"dry_run": True},
        "place_order": {
            "source": "crm",
            "external_id": buyer.deal,
            "customer": {"id": own["customer"], "external_id": buyer.external},
            "occurred_at": LONG_AGO,
            "lines": [{"line": words["line"], "plan": "team"}],
        },
        "sell_subscription": {"items": [{"plan": "team"}]},
        "change_subscription": {"quantity": 2, "scheduled": "keep", "dry_run": True},
        "pause_subscription": {"dry_run": True},
        **PLANNED,
        "add_override": {"feature": "projects", "amount": 50, "note": words["override"]},
        "suspend_customer": {"note": words["suspension"]},
        "resume_customer": {"note": words["resumption"]},
        "put_source": {
            "kind": "stripe",
            "secrets": [tenant.secret],
            "settings": {"mapping": "stripe", "unknown_customer": "wait"},
        },
        "put_user": {
            "name": words["person"],
            "email": words["mail"],
            "roles": [words["role"]],
            "attributes": {"desk": words["desk"]},
            "teams": [own["team"]],
        },
        "put_team": {"title": words["title"]},
        **_used(buyer),
        "issue_invoice": {"invoice": words["invoice"], "due_at": (tenant.wall + 99 * DAY).isoformat()},
        "record_payment": {"invoice": words["bill"], "kind": "failed"},
        "promise": {"until": (tenant.wall + 30 * DAY).isoformat(), "note": words["promise"]},
        "withdraw_promise": {"note": words["resumption"]},
        "pause_dunning": {"note": words["pause"]},
        "resume_dunning": {"note": words["resumption"]},
        "choose_ladder": {"ladder": "card", "note": words["choice"]},
        "change_finding": {"owner": words["assignee"], "note": words["remark"]},
    }
    return bodies[one.id] if one.id in bodies else {} if one.optional_body else copy.deepcopy(one.example)


def _used(buyer: Buyer) -> dict[str, Any]:
    """Return what is asked about use and balances; what may come again has a key, and is answered as before."""
    own, words = buyer.names, buyer.words
    use = {"customer": own["customer"], "feature": "calls", "user": own["user"], "dimensions": {"area": words["area"]}}
    event = {"specversion": "1.0", "id": words["event"], "source": "gateway", "type": "call"}
    return {
        "consume": use | {"quantity": 3},
        "reserve": use | {"quantity": 5, "lasts": "P1D"},
        "lease_quota": {
            "owner": own["program"],
            "number": 1,
            "epoch": 1,
            "asks": [{"id": own["lease"], "customer": own["customer"], "feature": "calls", "wanted": 7}],
            "told": [{"id": own["lease"], "used": 2}],
        },
        "settle": {"used": 4, "key": "settled"},
        "release": {},
        "report_events": event
        | {"subject": own["customer"], "data": {"quantity": 2, "user": own["user"], "area": words["area"]}},
        "correct_usage": {"customer": own["customer"], "id": own.get("use", f"use_{'0' * 32}"), "key": "corrected"},
        "give_grant": {"feature": "calls", "amount": 50, "note": words["gift"]},
        "void_grant": {"note": words["gift"]},
        "reset_balance": {"note": words["gift"]},
        "limit_spend": {"amount": 10, "note": words["gift"]},
        "rule_top_up": {"below": 1, "amount": 1, "most": 5, "consented_by": words["person"], "note": words["gift"]},
    }


def uploaded(tenant: Tenant, buyer: Buyer) -> dict[str, Any]:
    """Return what a program of a buyer's tells of a check that it answered itself."""
    own, at = buyer.names, tenant.wall
    answered = {"reason": "entitled", "outcome": "allowed", "mode": "enforce"}
    asked = {"customer": own["customer"], "feature": "sso", "user": own["user"]}
    hour = at.replace(minute=0, second=0, microsecond=0)
    return {
        "counter": f"ctr_{uuid4().hex}",
        "number": 1,
        "counts": [{"hour": hour.isoformat(), **asked, **answered, "checks": 3}],
        "records": [{"at": at.isoformat(), "question": asked, **answered, "basis": "1:1"}],
        "said": [{"customer": own["customer"], "feature": "projects", "used": 4, "at": at.isoformat()}],
    }


PLANNED: Final[dict[str, Any]] = {
    "unschedule_subscription": {"dry_run": True},
    "resume_subscription": {"at": "2090-01-01", "dry_run": True},
    "reinstate_subscription": {"dry_run": True},
    "extend_subscription": {"until": "2096-01-01", "dry_run": True},
    "extend_trial": {"until": "2089-01-01", "dry_run": True},
    "convert_trial": {"dry_run": True},
}
"""What is asked, and only foreseen, about the subscription of which everything is planned that can be taken back."""


BUYER_WORDS: Final = [
    "name",
    "email",
    "region",
    "attribute",
    "line",
    "override",
    "suspension",
    "resumption",
    "person",
    "mail",
    "role",
    "desk",
    "title",
    "invoice",
    "bill",
    "promise",
    "pause",
    "choice",
    "assignee",
    "remark",
    "area",
    "event",
    "gift",
]
TENANT_WORDS: Final = ["product", "feature", "limit", "plan", "cohort", "note", "cause", "key"]


def _buyer() -> Buyer:
    words = {name: canary() for name in BUYER_WORDS}
    words |= {name: f"{words[name]}@mail.example" for name in ("email", "mail")}
    names = {name: canary() for name in ("customer", "user", "team")}
    names |= {name: uuid4().hex for name in ("lease", "program")}
    return Buyer(names=names, external=canary(), deal=canary(), words=words, given=set())


ORDER_OF_BIRTH: Final = [
    "put_team",
    "put_user",
    "change_customer",
    "place_order",
    "sell_subscription",
    "add_override",
    "suspend_customer",
    "resume_customer",
    "issue_invoice",
    "record_payment",
    "pause_dunning",
    "resume_dunning",
    "choose_ladder",
    "give_grant",
    "consume",
    "report_events",
    "lease_quota",
]


async def settle(house: House) -> Tenant:
    """Return a new workspace, filled by its owner over HTTP; each answer must have been 2xx."""
    workspace = canary()
    await house.storage.create_workspace(Workspace(id=workspace, kind="test"), OPERATOR)
    await make_keysets(house.storage, OPERATOR, root_of)
    async with house.storage.read(workspace) as view:
        wall = to_datetime(view.time.wall)
    source = canary()
    tenant = Tenant(
        workspace=workspace,
        owner=await house.holder("admin", workspace=workspace),
        wall=wall,
        source=source,
        secret=f"whsec_{canary()}",
        words={name: canary() for name in TENANT_WORDS},
        buyers=(_buyer(), _buyer()),
        names={"workspace": workspace, "source": source},
        events=[],
        done={},
        heard=set(),
    )
    one = OPERATIONS["apply_catalog"]
    first = Ask(query={"base": "0"}, body=catalog(tenant.words), headers={"Licet-Note": tenant.words["note"]})
    await owned(tenant, one, first)
    await owned(tenant, OPERATIONS["put_source"], ask_of(OPERATIONS["put_source"], tenant, tenant.buyers[0]))
    made = await owned(tenant, OPERATIONS["create_key"], Ask(body={"name": tenant.words["key"], "scopes": ["check"]}))
    tenant.names["key"] = made["key"]["id"]
    await owned(tenant, OPERATIONS["make_log_key"], Ask())
    for buyer in tenant.buyers:
        await _move_in(tenant, buyer)
    one = OPERATIONS["make_preview"]
    made = (await owned(tenant, one, ask_of(one, tenant, tenant.buyers[0])))["preview"]
    assert made["summary"]["losing"] == 2, made
    tenant.names["preview"] = made["id"]
    tenant.heard.add(made["id"])
    await _move_about(tenant)
    early = delivered(tenant, tenant.buyers[0], early=True)
    one = OPERATIONS["receive_delivery"]
    path = {"workspace": workspace, "source": source}
    waiting = await owned(tenant, one, Ask(path=path, body=early.body, headers=early.headers))
    assert waiting["outcome"] == "waiting", waiting
    tenant.names["delivery"] = early.id
    tenant.heard |= {workspace, source, tenant.names["key"], early.id, *tenant.words.values(), tenant.secret}
    return tenant


async def _move_in(tenant: Tenant, buyer: Buyer) -> None:
    one = OPERATIONS["create_customer"]
    born = {"id": buyer.names["customer"], "name": buyer.words["name"], "external_ids": {"crm": buyer.external}}
    await owned(tenant, one, Ask(body=born))
    for name in ORDER_OF_BIRTH:
        one = OPERATIONS[name]
        told = await owned(tenant, one, ask_of(one, tenant, buyer))
        if name == "place_order":
            buyer.given |= {told["order"], told["subscription"]}
            buyer.names["contract"] = told["subscription"]
        elif name == "sell_subscription":
            buyer.names["subscription"] = told["subscription"]
        elif name == "add_override":
            buyer.names["override"] = told["override"]["id"]
        elif name == "give_grant":
            buyer.names["grant"] = told["id"]
        elif name == "consume":
            assert told["allowed"], told
            buyer.names["use"] = told["id"]
    for name in ("reservation", "held"):
        told = await owned(tenant, OPERATIONS["reserve"], ask_of(OPERATIONS["reserve"], tenant, buyer))
        buyer.names[name] = told["id"]
    await _take_patience(tenant, buyer)
    await _plan_ahead(tenant, buyer)
    # An order about somebody known by another name: a finding that holds both.
    odd = {"id": buyer.names["customer"], "metadata": canary(), "external_id": buyer.external}
    buyer.given.add(odd["metadata"])
    one = OPERATIONS["place_order"]
    body = ask_of(one, tenant, buyer).body | {"external_id": canary(), "customer": odd}
    buyer.given.add(body["external_id"])
    assert (await owned(tenant, one, Ask(body=body)))["findings"]
    about = Ask(query={"customer": buyer.names["customer"]})
    buyer.names["finding"] = (await owned(tenant, OPERATIONS["list_findings"], about))["items"][0]["id"]
    await owned(tenant, OPERATIONS["change_finding"], ask_of(OPERATIONS["change_finding"], tenant, buyer))
    buyer.given |= {buyer.external, buyer.deal, *buyer.names.values(), *buyer.words.values()}
    tenant.heard |= buyer.given


async def _move_about(tenant: Tenant) -> None:
    """Move a customer to another version and back: while a move is not done, no other of the same plan begins."""
    for name in ("create_move", "advance_move", "reverse_move", "advance_move"):
        told = await owned(tenant, OPERATIONS[name], ask_of(OPERATIONS[name], tenant, tenant.buyers[0]))
        tenant.names["move"] = told["id"]
    assert (told["state"], told["reversed"]) == ("reversed", told["moved"]), told
    tenant.heard.add(told["id"])


async def _take_patience(tenant: Tenant, buyer: Buyer) -> None:
    """Let a buyer give a promise and join a cohort."""
    one = OPERATIONS["promise"]
    ask = ask_of(one, tenant, buyer)
    path = ask.path | {"subscription": buyer.names["subscription"]}
    told = await owned(tenant, one, msgspec.structs.replace(ask, path=path))
    buyer.names["promise"] = told["leniency"]["id"]
    one = OPERATIONS["join_cohort"]
    ask = ask_of(one, tenant, buyer)
    await owned(tenant, one, msgspec.structs.replace(ask, path=ask.path | {"cohort": COHORTS[1]}))


async def _plan_ahead(tenant: Tenant, buyer: Buyer) -> None:
    """Sell a subscription with a trial of 62 years, and plan a change, a pause and an end of it."""
    path = {"customer": buyer.names["customer"]}
    sale = {"items": [{"plan": "team"}], "trial": "P62Y", "accept_breaches": True}
    told = await owned(tenant, OPERATIONS["sell_subscription"], Ask(path=path, body=sale))
    buyer.names["planned"] = told["subscription"]
    path["subscription"] = told["subscription"]
    for name, body in [
        ("change_subscription", {"quantity": 3, "at": "2080-01-01"}),
        ("pause_subscription", {"at": "2090-01-01"}),
        ("cancel_subscription", {"at": "2095-01-01"}),
    ]:
        await owned(tenant, OPERATIONS[name], Ask(path=path, body=body))


async def owned(tenant: Tenant, one: Operation, ask: Ask) -> Any:
    """Ask as its rightful owner; returns what is told: the last line of several, None where it is no JSON."""
    answer = await ask.of(tenant.owner, one)
    assert answer.is_success, (one.id, answer.text)
    tenant.done[one.id] = tenant.done.get(one.id, 0) + 1
    if answer.headers["content-type"].startswith(NDJSON):
        return json.loads(answer.content.splitlines()[-1])
    return json.loads(answer.content) if answer.headers["content-type"].startswith(JSON) else None


def mixtures(own: Ask, foreign: Ask) -> Iterator[Ask]:
    """Yield what somebody may try: the own request with one thing of the other's in it, wherever there is a place."""
    for name in ("path", "query"):
        mine, theirs = getattr(own, name), getattr(foreign, name)
        for key in mine:
            if mine[key] != theirs.get(key, mine[key]):
                yield msgspec.structs.replace(own, **{name: mine | {key: theirs[key]}})
    if isinstance(own.body, dict):
        for way in leaves(own.body):
            value = at(foreign.body, way)
            if value is not None and value != at(own.body, way):
                yield msgspec.structs.replace(own, body=changed(own.body, way, value))


def leaves(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each value that holds no others."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if steps is None:
        yield way
        return
    for step, inside in steps:
        yield from leaves(inside, (*way, step))


def at(value: Any, way: tuple[Any, ...]) -> Any:
    """Return what is at a place; None if nothing is."""
    for step in way:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def changed(value: Any, way: tuple[Any, ...], new: Any) -> Any:
    """Return a copy with another value at one place."""
    copied = copy.deepcopy(value)
    inside = copied
    for step in way[:-1]:
        inside = inside[step]
    inside[way[-1]] = new
    return copied
