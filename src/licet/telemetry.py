"""What the server says about itself: structured logs, Prometheus metrics and OpenTelemetry spans.

It stands beside ``core`` at the bottom and imports nothing of Licet. Server libraries are imported when a server
begins, never by ``import licet``.
"""

import logging
import sys
from bisect import bisect_left
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from importlib.metadata import entry_points
from itertools import accumulate
from typing import IO, TYPE_CHECKING, Any, Final, Literal

import msgspec

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from prometheus_client import Metric

LogFormat = Literal["json", "console"]

_REQUEST_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_DECISION_SECONDS: Final = (2e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 5e-3, 2.5e-2, 0.1)


def configure_logs(form: LogFormat, level: str = "info", stream: IO[str] | None = None) -> None:
    """Send all log records, ours and those of libraries, to ``stream`` (standard error) as JSON lines or for people."""
    import structlog

    steps: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    out = stream or sys.stderr
    # Tracebacks without local variables: those hold keys, secrets and personal values.
    last: list[Any] = (
        [
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(sort_keys=True),
        ]
        if form == "json"
        else [structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)]
    )
    target = logging.StreamHandler(out)
    target.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*steps, structlog.stdlib.ExtraAdder(), _without_color],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [target]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[*steps, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    _quick[:] = [_QuickLines(out, logging.getLevelNamesMapping()[level.upper()])] if form == "json" else []


def _without_color(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop the second wording, for terminals, that uvicorn adds to its records."""
    event.pop("color_message", None)
    return event


def log(name: str) -> Any:
    """Return a structured logger: ``log("licet.api").info("what happened", key=value)``."""
    import structlog

    return structlog.stdlib.get_logger(name)


def log_request(level: int, fields: Mapping[str, Any]) -> None:
    """Write the line of one request, as ``log("licet.access")`` would: as JSON it takes a tenth of that time."""
    if _quick:
        _quick[0].write(level, fields)
    else:
        log("licet.access").log(level, "request", **fields)


class _QuickLines:
    """Lines of the access log as JSON, past all that loggers can be told to do with them."""

    def __init__(self, out: IO[str], level: int) -> None:
        from structlog.contextvars import get_contextvars

        self._out = out
        self._level = level
        self._around = get_contextvars
        self._encode = msgspec.json.Encoder(order="sorted").encode

    def write(self, level: int, fields: Mapping[str, Any]) -> None:
        if level < self._level:
            return
        line = {
            **fields,
            **self._around(),
            "event": "request",
            "level": logging.getLevelName(level).lower(),
            "logger": "licet.access",
            "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        }
        # Whoever read the log is gone: nobody is left to be told, and the request is answered all the same.
        with suppress(OSError, ValueError):
            self._out.write(self._encode(line).decode() + "\n")
            self._out.flush()


_quick: list[_QuickLines] = []
_HEARD: dict[int, bool] = {}


def heard(level: int = logging.INFO) -> bool:
    """Whether lines of a level go anywhere: for those who would spend more on making one than on their work."""
    import structlog

    wrapper = structlog.get_config()["wrapper_class"]
    # By identity of the class that is configured just now; a server configures logs once.
    key = hash((id(wrapper), level))
    known = _HEARD.get(key)
    if known is None:
        asks = getattr(wrapper, "is_enabled_for", None)
        known = _HEARD[key] = asks is None or bool(wrapper(None, [], {}).is_enabled_for(level))
    return known


class Metrics:
    """The numbers of one server process, in a registry of its own (several servers in one process do not mix).

    For one event loop: they are plain numbers, made into metrics when somebody reads them, since a request that is
    answered in microseconds cannot pay for locks. ``worker`` is the process's number where several answer together.
    """

    def __init__(self, worker: int | None = None) -> None:
        from prometheus_client import CollectorRegistry, Gauge, Histogram
        from prometheus_client.gc_collector import GCCollector
        from prometheus_client.process_collector import ProcessCollector

        self.registry = CollectorRegistry()
        self.worker = worker
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._open = 0
        self.hot = 0
        """Requests that the hot door answered; they are among all others too."""
        self._requests: dict[tuple[str, str, int], int] = {}
        self._seconds: dict[tuple[str, str], _Times] = {}
        self._stalled: dict[str, int] = {}
        self._decisions: dict[tuple[str, bool], int] = {}
        self._uses: dict[tuple[str, str, bool], int] = {}
        self._leases: dict[tuple[str, str], int] = {}
        self._held: dict[str, int] = {}
        self._decision_seconds = _Times(_DECISION_SECONDS)
        self.registry.register(self)
        self._followers = Gauge("licet_feed_followers", "Followers of feeds just now", registry=self.registry)
        self._feed_seconds = Histogram(
            "licet_feed_publish_seconds",
            "Time to read and sign what is new in a feed",
            ["audience"],
            buckets=_REQUEST_SECONDS,
            registry=self.registry,
        )

    def begin(self) -> None:
        """Count a request as under way."""
        self._open += 1

    def end(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request under its route's template (never under its path: paths hold ids)."""
        self._open -= 1
        key = (method, route, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        times = self._seconds.get((method, route))
        if times is None:
            times = self._seconds[method, route] = _Times(_REQUEST_SECONDS)
        times.add(seconds)

    def stalled(self, route: str) -> None:
        """Count an answer that was ended because nobody read it."""
        self._stalled[route] = self._stalled.get(route, 0) + 1

    def decided(self, reason: str, allowed: bool, seconds: float) -> None:
        """Count one decision."""
        key = (reason, allowed)
        self._decisions[key] = self._decisions.get(key, 0) + 1
        self._decision_seconds.add(seconds)

    def used(self, kind: str, reason: str, allowed: bool) -> None:
        """Count one consume or reserve (``kind``) that was decided; one that was only answered again is none."""
        key = (kind, reason, allowed)
        self._uses[key] = self._uses.get(key, 0) + 1

    def leased(self, what: str, why: str = "", count: int = 1) -> None:
        """Count what was said of quota leases: how often a slice was given, denied, told of, asked back, or charged."""
        self._leases[what, why] = self._leases.get((what, why), 0) + count

    def holding(self, is_open: int, written_off: int) -> None:
        """Say how many quota leases are open, and of how many that ended a part is written off, of all workspaces."""
        self._held = {"open": is_open, "written_off": written_off}

    def collect(self) -> "Iterator[Metric]":
        """Yield the numbers as metrics; the registry asks for them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        requests = CounterMetricFamily("licet_http_requests", "Requests answered", labels=["method", "route", "status"])
        for (method, route, status), times in self._requests.items():
            requests.add_metric([method, route, str(status)], times)
        words = "Time from the first byte of a request to the end of its answer"
        seconds = HistogramMetricFamily("licet_http_request_seconds", words, labels=["method", "route"])
        for labels, spent in self._seconds.items():
            seconds.add_metric(labels, spent.buckets(), spent.total)
        stalled = CounterMetricFamily(
            "licet_http_answers_stalled", "Answers ended because their reader took nothing any more", labels=["route"]
        )
        for route, count in self._stalled.items():
            stalled.add_metric([route], count)
        words = "Decisions given, by their first reason"
        decisions = CounterMetricFamily("licet_decisions", words, labels=["reason", "allowed"])
        for (reason, allowed), count in self._decisions.items():
            decisions.add_metric([reason, "true" if allowed else "false"], count)
        words = "Consumes and reserves decided, by their first reason"
        uses = CounterMetricFamily("licet_uses", words, labels=["kind", "reason", "allowed"])
        for (kind, reason, allowed), count in self._uses.items():
            uses.add_metric([kind, reason, "true" if allowed else "false"], count)
        words = "What was said of quota leases: given, denied (why), told of (how it stands then), asked back; charged"
        leases = CounterMetricFamily("licet_quota_leases", words, labels=["what", "why"])
        for (what, why), count in self._leases.items():
            leases.add_metric([what, why], count)
        words = "Quota leases at the last look: open, and ended with a part written off; of all servers together"
        held = GaugeMetricFamily("licet_quota_leases_held", words, labels=["state"])
        for state, count in self._held.items():
            held.add_metric([state], count)
        deciding = HistogramMetricFamily("licet_decision_seconds", "Time to answer one question, reading included")
        deciding.add_metric([], self._decision_seconds.buckets(), self._decision_seconds.total)
        yield from (requests, seconds, stalled, decisions, uses, leases, held, deciding)
        yield CounterMetricFamily("licet_http_requests_hot", "Requests answered by the hot door, of all", self.hot)
        yield GaugeMetricFamily("licet_http_requests_open", "Requests under way", self._open)
        if self.worker is not None:
            worker = GaugeMetricFamily("licet_worker", "The process that answered this, of several", labels=["worker"])
            worker.add_metric([str(self.worker)], 1)
            yield worker

    def following(self, count: int) -> None:
        """Say how many follow feeds."""
        self._followers.set(count)

    def fed(self, audience: str, seconds: float) -> None:
        """Count one publication of a feed."""
        self._feed_seconds.labels(audience).observe(seconds)

    def text(self) -> tuple[bytes, str]:
        """Return the exposition and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class _Times:
    """How many durations lay within each bound, and their sum."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return by upper bound how many there were up to it."""
        ends = [str(float(bound)) for bound in self._bounds] + ["+Inf"]
        return list(zip(ends, accumulate(self._counts), strict=True))


class Traces:
    """Spans, or nothing at all: with ``exporter`` None a span costs one function call.

    ``exporter`` is ``log`` (one log record per span) or the name of an installed OpenTelemetry exporter, such as
    ``otlp``; its own settings are the standard ``OTEL_…`` variables. Raises LookupError where it is not installed.
    """

    def __init__(self, exporter: str | None, service: str = "licet") -> None:
        self._provider = _provider(exporter, service) if exporter else None
        self._tracer = self._provider.get_tracer("licet") if self._provider else None

    @property
    def on(self) -> bool:
        """Whether spans go anywhere."""
        return self._tracer is not None

    def span(
        self, name: str, facts: Mapping[str, str | int | bool] | None = None, parent: str | None = None
    ) -> AbstractContextManager[Any]:
        """Open a span; ``parent`` is an incoming W3C ``traceparent``. Yields the span, or None without an exporter."""
        if self._tracer is None:
            return nullcontext()
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        context = TraceContextTextMapPropagator().extract({"traceparent": parent}) if parent else None
        return self._tracer.start_as_current_span(name, context=context, attributes=facts)

    def close(self) -> None:
        """Send what is still buffered."""
        if self._provider is not None:
            self._provider.shutdown()


def _provider(exporter: str, service: str) -> "TracerProvider":
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
    if exporter == "log":
        provider.add_span_processor(SimpleSpanProcessor(_log_exporter()))
        return provider
    found = [*entry_points(group="opentelemetry_traces_exporter", name=exporter)]
    if not found:
        raise LookupError(
            f"the trace exporter {exporter!r} is not installed; "
            f'install a package that brings it (for "otlp": opentelemetry-exporter-otlp) or set LICET_TRACES=log'
        )
    provider.add_span_processor(BatchSpanProcessor(found[0].load()()))
    return provider


def _log_exporter() -> "SpanExporter":
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class LogExporter(SpanExporter):
        """Writes each finished span as one log record."""

        def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
            """Log the spans; always succeeds."""
            for span in spans:
                log("licet.trace").info("span", **_facts(span))
            return SpanExportResult.SUCCESS

    return LogExporter()


def _facts(span: "ReadableSpan") -> dict[str, Any]:
    micros = ((span.end_time or 0) - (span.start_time or 0)) // 1000
    return {
        "span": span.name,
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "micros": micros,
        "failed": not span.status.is_ok,
        **dict(span.attributes or {}),
    }
