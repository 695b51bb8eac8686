"""Calls of language models: reserved by an estimate, settled by what the provider says was used.

The figures are read from what the providers' own clients answer, objects or dictionaries, and nothing of theirs is
imported: OpenAI's Chat Completions (``prompt_tokens``, ``completion_tokens``) and Responses (``input_tokens``,
``output_tokens``), and Anthropic's Messages (``input_tokens``, ``output_tokens``, ``cache_…_input_tokens``).
"""

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Self

from msgspec import Struct

from licet.sdk.errors import LicetError
from licet.sdk.reserving import AsyncReservation, Reservation, say_unreleased
from licet.sdk.usage import Quantity, Settled, read_quantity

Parts = Mapping[str, str]
"""Which feature counts which tokens: by ``total``, ``input``, ``output``, ``cached``, ``cache_write``, ``requests``.

``input`` has the cached ones in it where no feature counts those apart.
"""
_PARTS: Final = ("total", "input", "output", "cached", "cache_write", "requests")
_TOLD: Final = "usage= is what the provider's client answers, its usage, or a mapping like it"
_INPUT: Final = ("input_tokens", "prompt_tokens")
_OUTPUT: Final = ("output_tokens", "completion_tokens")
_DETAILS: Final = ("input_tokens_details", "prompt_tokens_details")


class ModelUsage(Struct, frozen=True, kw_only=True):
    """Tokens of one or more calls; each token is in exactly one of these."""

    input: int = 0
    """Read anew: neither from a cache nor into one."""
    output: int = 0
    """Reasoning is in it."""
    cached: int = 0
    """Read from the provider's cache."""
    cache_write: int = 0
    """Read and written into the provider's cache."""
    requests: int = 1

    @property
    def total(self) -> int:
        """All tokens."""
        return self.input + self.output + self.cached + self.cache_write

    def __add__(self, other: "ModelUsage") -> "ModelUsage":
        return ModelUsage(
            input=self.input + other.input,
            output=self.output + other.output,
            cached=self.cached + other.cached,
            cache_write=self.cache_write + other.cache_write,
            requests=self.requests + other.requests,
        )


NONE: Final = ModelUsage(requests=0)


class CallPlan(Struct, frozen=True, kw_only=True):
    """Which features a call is counted by, the estimates, and how what was used is weighed."""

    parts: tuple[tuple[str, str], ...]
    estimates: tuple[int | str, ...]
    weigh: Callable[[ModelUsage], Quantity] | None = None

    @property
    def first(self) -> str:
        """The feature that is reserved first."""
        return self.parts[0][1]

    def others(self, more: Mapping[str, Any]) -> dict[str, Any]:
        """Return the rest of what is reserved, with what the caller says besides."""
        rest = {feature: amount for (_, feature), amount in zip(self.parts[1:], self.estimates[1:], strict=True)}
        return {**more, "also": {**rest, **(more.get("also") or {})}}

    def came_to(self, used: ModelUsage) -> tuple[Quantity, dict[str, Quantity]]:
        """Return what was used of the first feature, and of the others."""
        if self.weigh is not None:
            return self.weigh(used), {}
        apart = {part for part, _ in self.parts}
        amounts = {feature: self._of(part, used, apart) for part, feature in self.parts}
        return amounts.pop(self.first), dict(amounts)

    @staticmethod
    def _of(part: str, used: ModelUsage, apart: set[str]) -> int:
        amount: int = getattr(used, part)
        if part == "input":
            amount += sum(getattr(used, one) for one in ("cached", "cache_write") if one not in apart)
        return amount


def read_plan(
    feature: str | Parts,
    estimate: Quantity | Mapping[str, Quantity],
    weigh: Callable[[ModelUsage], Quantity] | None,
) -> CallPlan:
    """Return how calls are counted; raises ValueError for what does not fit together."""
    if isinstance(feature, str):
        if isinstance(estimate, Mapping):
            raise ValueError(f"one feature, {feature!r}, takes one estimate; name a feature for each kind of token")
        return CallPlan(parts=(("total", feature),), estimates=(read_quantity(estimate, zero=False),), weigh=weigh)
    unknown = [part for part in feature if part not in _PARTS]
    if unknown or not feature:
        raise ValueError(f"{unknown or 'nothing'} is no kind of token; they are {', '.join(_PARTS)}")
    if len(set(feature.values())) < len(feature):
        raise ValueError("a feature is named twice; each kind of token is counted by a feature of its own")
    if weigh is not None or not isinstance(estimate, Mapping) or set(estimate) != set(feature):
        words = f"estimate= names an amount for each of {', '.join(feature)}"
        raise ValueError(f"{words}, and weigh= goes with a single feature")
    return CallPlan(
        parts=tuple(feature.items()),
        estimates=tuple(read_quantity(estimate[part], zero=False) for part in feature),
    )


class Meterage:
    """What both kinds of call have in common: figures, added up."""

    def __init__(self, plan: CallPlan) -> None:
        self._plan = plan
        self._told: ModelUsage | None = None

    @property
    def tokens(self) -> ModelUsage:
        """What was used so far."""
        return self._told or NONE

    def used(self, usage: Any) -> ModelUsage:
        """Add what one call of the model used: the provider's answer, its usage, or a mapping like it.

        Raises ValueError where there are no figures in it.
        """
        found = read_usage(usage)
        self._told = self.tokens + found
        return found


class AiCall(Meterage):
    """A block in which a model is called. At its end it is settled by what :meth:`used` was told.

    Where nothing was told, a block that ends well is settled by its estimate, and one that fails is released.
    """

    def __init__(self, plan: CallPlan, reserve: Callable[[], Reservation]) -> None:
        super().__init__(plan)
        self._reserve = reserve
        self.reservation: Reservation | None = None
        self.settled: Settled | None = None
        """How it ended, after the block."""

    def __enter__(self) -> Self:
        self.reservation = self._reserve()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        one = self.reservation
        if one is None or one.closed:
            return
        if self._told is None and kind is not None:
            one.__exit__(kind, value, trace)
            return
        used, also = _came_to(self._plan, self._told, one)
        try:
            self.settled = one.settle(used, also=also)
        except LicetError as wrong:
            if kind is None:
                raise
            say_unreleased(one, wrong)


class AsyncAiCall(Meterage):
    """As :class:`AiCall`, in the running loop."""

    def __init__(self, plan: CallPlan, reserve: Callable[[], Awaitable[AsyncReservation]]) -> None:
        super().__init__(plan)
        self._reserve = reserve
        self.reservation: AsyncReservation | None = None
        self.settled: Settled | None = None
        """How it ended, after the block."""

    async def __aenter__(self) -> Self:
        self.reservation = await self._reserve()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        one = self.reservation
        if one is None or one.closed:
            return
        if self._told is None and kind is not None:
            await one.__aexit__(kind, value, trace)
            return
        used, also = _came_to(self._plan, self._told, one)
        try:
            self.settled = await one.settle(used, also=also)
        except LicetError as wrong:
            if kind is None:
                raise
            say_unreleased(one, wrong)


def read_usage(usage: Any) -> ModelUsage:
    """Return the figures of one call; raises ValueError where there are none."""
    if isinstance(usage, ModelUsage):
        return usage
    inner = _field(usage, "usage")
    figures = usage if inner is None else inner
    entered, output = _count(figures, *_INPUT), _count(figures, *_OUTPUT)
    if entered is None and output is None:
        raise ValueError(f"{type(usage).__name__} names no tokens; {_TOLD}")
    cached, written = _count(figures, "cache_read_input_tokens"), _count(figures, "cache_creation_input_tokens")
    if cached is None and written is None:
        # OpenAI counts the cached ones among the input, Anthropic beside it.
        details = next((one for name in _DETAILS if (one := _field(figures, name)) is not None), None)
        cached = min(_count(details, "cached_tokens") or 0, entered or 0)
        entered = (entered or 0) - cached
    return ModelUsage(input=entered or 0, output=output or 0, cached=cached or 0, cache_write=written or 0)


def _came_to(
    plan: CallPlan, told: ModelUsage | None, one: Reservation | AsyncReservation
) -> tuple[Quantity, dict[str, Quantity]]:
    """What a block is settled by: the figures, or the estimate where there are none."""
    if told is not None:
        return plan.came_to(told)
    taken: int | Decimal = one.usage.taken
    return taken, {}


def _field(figures: Any, name: str) -> Any:
    return figures.get(name) if isinstance(figures, Mapping) else getattr(figures, name, None)


def _count(figures: Any, *names: str) -> int | None:
    """The first of these figures that is there; raises ValueError for one that is no count."""
    for name in names:
        value = None if figures is None else _field(figures, name)
        if value is not None:
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{name} is {value!a}; a whole number of tokens is expected. {_TOLD}")
            return value
    return None
