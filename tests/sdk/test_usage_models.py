"""Calls of models: reserved by an estimate, settled by the figures of the providers, weighed by kind of token."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from licet import Client, ModelUsage, NotEntitled
from licet.sdk.llm import read_usage
from tests.sdk.till import Till, open_till

CHAT = {
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "total_tokens": 1200,
    "prompt_tokens_details": {"cached_tokens": 600, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 50},
}
RESPONSES = {
    "input_tokens": 1000,
    "output_tokens": 200,
    "input_tokens_details": {"cached_tokens": 600},
    "output_tokens_details": {"reasoning_tokens": 50},
}
ANTHROPIC = {
    "input_tokens": 400,
    "output_tokens": 200,
    "cache_creation_input_tokens": 100,
    "cache_read_input_tokens": 600,
    "service_tier": "standard",
}


@pytest.fixture
def till() -> Iterator[Till]:
    """A server of its own for one test."""
    with open_till() as opened:
        yield opened


@pytest.fixture
def client(till: Till) -> Iterator[Client]:
    """A client of it."""
    with till.client() as made:
        yield made


def fail_after(_: ModelUsage) -> None:
    """Raise."""
    raise KeyError


def nested(figures: dict[str, Any]) -> SimpleNamespace:
    """The same as objects, as the providers' clients answer."""
    return SimpleNamespace(
        **{name: nested(value) if isinstance(value, dict) else value for name, value in figures.items()}
    )


@pytest.mark.parametrize(
    ("figures", "read"),
    [
        (CHAT, ModelUsage(input=400, cached=600, output=200)),
        (RESPONSES, ModelUsage(input=400, cached=600, output=200)),
        (ANTHROPIC, ModelUsage(input=400, cached=600, cache_write=100, output=200)),
        ({"prompt_tokens": 7, "completion_tokens": None, "prompt_tokens_details": None}, ModelUsage(input=7)),
        ({"input_tokens": 7, "cache_read_input_tokens": None, "output_tokens": 1}, ModelUsage(input=7, output=1)),
    ],
)
def test_figures_are_read(figures: dict[str, Any], read: ModelUsage) -> None:
    """Each token is counted once and as what it was, from mappings, objects and whole answers of every provider."""
    for told in (figures, nested(figures), {"usage": figures}, SimpleNamespace(id="x", usage=nested(figures))):
        assert read_usage(told) == read
    assert read_usage(read) == read


@pytest.mark.parametrize("wrong", [None, {}, {"usage": None}, "text", {"input_tokens": -1}, {"input_tokens": 1.5}])
def test_no_figures(wrong: Any) -> None:
    """Where there are no figures, or they are no counts, that is an error and no zero."""
    with pytest.raises(ValueError, match="usage= is what"):
        read_usage(wrong)


def test_settled_by_what_was_used(till: Till, client: Client) -> None:
    """Several calls in a block add up; the rest of the estimate goes back."""
    with client.ai_call("acme", "ai_tokens", 5_000, user="ann") as call:
        assert till.counted("acme", "ai_tokens") == 5_000
        call.used(CHAT)
        call.used(nested(ANTHROPIC))
        assert call.tokens.requests == 2
    assert till.counted("acme", "ai_tokens") == 1200 + 1300
    assert call.settled is not None
    assert call.settled.used == 2500
    assert till.told("/reservations")[0]["user"] == "ann"


def test_a_feature_for_each_kind(till: Till, client: Client) -> None:
    """Kinds of tokens are counted by features of their own; input has the cached ones in it unless they have one."""
    two = {"input": "ai_in", "output": "ai_out"}
    with client.ai_call("acme", two, {"input": 3000, "output": 1000}, also={"images": 1}) as call:
        call.used(ANTHROPIC)
    assert [till.counted("acme", one) for one in ("ai_in", "ai_out", "images")] == [1100, 200, 1]
    all_of = {part: f"by_{part}" for part in ("input", "output", "cached", "cache_write", "requests")}
    with client.ai_call("globex", all_of, dict.fromkeys(all_of, 10)) as call:
        call.used(ANTHROPIC)
    assert [till.counted("globex", one) for one in all_of.values()] == [400, 200, 600, 100, 1]


def test_weighed(till: Till, client: Client) -> None:
    """One feature may count what the program makes of the figures."""
    with client.ai_call("acme", "ai", 9_000, weigh=lambda told: told.input + 5 * told.output) as call:
        call.used(CHAT)
    assert till.counted("acme", "ai") == 400 + 5 * 200


def test_blocks_that_fail(till: Till, client: Client) -> None:
    """What was used before an error is settled, where nothing was all goes back; else the estimate counts."""
    with pytest.raises(KeyError), client.ai_call("acme", "told", 500) as call:
        fail_after(call.used({"input_tokens": 7, "output_tokens": 5}))
    with pytest.raises(KeyError), client.ai_call("acme", "untold", 500):
        raise KeyError
    with client.ai_call("acme", "silent", 500):
        pass
    assert [till.counted("acme", one) for one in ("told", "untold", "silent")] == [12, 0, 500]


def test_refused(till: Till, client: Client) -> None:
    """Where there is not so much as the estimate, the block does not run."""
    till.limits["ai"] = 100
    with pytest.raises(NotEntitled), client.ai_call("acme", "ai", 101):
        till.limits.clear()
    assert till.limits


@pytest.mark.parametrize(
    ("feature", "estimate", "weigh"),
    [
        ("ai", {"input": 1}, None),
        ({"input": "ai"}, 5, None),
        ({"input": "ai"}, {"output": 5}, None),
        ({"thoughts": "ai"}, {"thoughts": 5}, None),
        ({}, {}, None),
        ({"input": "ai", "output": "ai"}, {"input": 1, "output": 1}, None),
        ({"input": "ai"}, {"input": 1}, lambda told: told.total),
        ("ai", 0, None),
    ],
)
def test_plans_that_cannot_be(client: Client, feature: Any, estimate: Any, weigh: Any) -> None:
    """What does not fit together is refused before anything is reserved."""
    with pytest.raises(ValueError, match=r"estimate|kind of token|twice|quantity"):
        client.ai_call("acme", feature, estimate, weigh=weigh)


async def test_the_async_twin(till: Till) -> None:
    """An AsyncClient's block does the same, also where it fails."""
    async with till.async_client() as client:
        async with client.ai_call("acme", "ai", 5_000) as call:
            call.used(RESPONSES)
        with pytest.raises(KeyError):
            async with client.ai_call("acme", "untold", 500):
                raise KeyError
    assert (till.counted("acme", "ai"), till.counted("acme", "untold")) == (1200, 0)
