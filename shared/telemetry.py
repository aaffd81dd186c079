"""How a service is seen from outside: logs without payloads, traces through NATS headers, common metrics."""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from prometheus_client import Counter, Gauge, Histogram

from shared.settings import ServiceSettings
from shared.version import __version__

LATENCY_BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)

BUILD = Gauge("parley_build_info", "Always 1; the labels say what runs.", ["service", "version"])
REQUEST_SECONDS = Histogram(
    "parley_request_seconds", "Seconds until a NATS endpoint answered.", ["endpoint", "code"], buckets=LATENCY_BUCKETS
)
BROKER_CONNECTED = Gauge("parley_broker_connected", "Whether the connection to NATS stands.")
BROKER_RECONNECTS = Counter("parley_broker_reconnects_total", "Times the connection to NATS was made again.")
BROKER_ERRORS = Counter("parley_broker_errors_total", "Errors the NATS client reported.", ["kind"])
LOG_REFUSED = Counter(
    "parley_log_refused_total", "Entries the log did not take.", ["reason"]
)  # reason: full, unavailable, timeout

TIMER_FAILURES = Counter("parley_timer_failures_total", "Due timers that could not be handled; they come again.")
LOOP_LAG = Histogram(
    "parley_loop_lag_seconds",
    "How much later than asked for the event loop came back, ten times a second.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 1, 2, 5),
)
LOG_UNREADABLE = Counter("parley_log_unreadable_total", "Entries in rooms' logs that no service of ours wrote.")

# None while tracing is off, so that the hot path pays one comparison for it.
_tracer: trace.Tracer | None = None


def set_up(service: str, settings: ServiceSettings) -> None:
    """Logs to standard output, traces to the OTLP endpoint if there is one. Call once, first."""
    _set_up_logs(service, settings)
    BUILD.labels(service, __version__).set(1)
    if settings.otlp_endpoint:
        _set_up_traces(service, settings.otlp_endpoint, settings.trace_ratio)


def _set_up_logs(service: str, settings: ServiceSettings) -> None:
    console = settings.log_format == "console"
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
        lambda _logger, _method, event: {**event, "service": service},
    ]
    last: list[structlog.typing.Processor] = (
        # The plain traceback: with rich installed the default one prints local variables, tokens and SDP among them.
        [
            structlog.dev.ConsoleRenderer(
                colors=sys.stdout.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
            )
        ]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    if console:  # `make run` prefixes each line with the service
        shared.pop()
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=False,
    )
    # Libraries log through the standard module; only what they find worth a warning is ours to show.
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(name)s: %(message)s", force=True)


def _set_up_traces(service: str, endpoint: str, ratio: float) -> None:
    global _tracer
    provider = TracerProvider(
        resource=Resource.create({"service.name": f"parley-{service}", "service.version": __version__}),
        sampler=ParentBased(TraceIdRatioBased(ratio)),
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)
    _tracer = trace.get_tracer("parley", __version__)


@contextmanager
def span(name: str, kind: trace.SpanKind, carrier: Mapping[str, str] | None = None) -> Iterator[None]:
    """A span around a piece of work, below the one the carrier (NATS headers) names. Free while tracing is off."""
    if _tracer is None:
        yield
        return
    context = propagate.extract(carrier) if carrier else None
    with _tracer.start_as_current_span(name, context=context, kind=kind, record_exception=False):
        yield


def trace_headers(headers: dict[str, str]) -> dict[str, str]:
    """The headers with the current span added (W3C Trace Context), so that the receiver's span is its child."""
    if _tracer is not None:
        propagate.inject(headers)
    return headers
