"""Sets up what a service reports: logs without payloads to standard output, traces to an OTLP endpoint."""

import logging
import sys
from typing import Protocol

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from shared.telemetry import metrics, tracing
from shared.version import __version__


class TelemetrySettings(Protocol):
    """The part of a service's settings that telemetry needs."""

    @property
    def log_format(self) -> str:
        """`json` or `console`."""

    @property
    def log_level(self) -> str:
        """The lowest level that is written."""

    @property
    def otlp_endpoint(self) -> str | None:
        """Where traces go; None for no traces."""

    @property
    def trace_ratio(self) -> float:
        """The part of traces that is recorded, from 0 to 1."""


def set_up(service: str, settings: TelemetrySettings) -> None:
    """Send logs to standard output, and traces to the OTLP endpoint if there is one. Call this once, first."""
    _set_up_logs(service, settings)
    metrics.BUILD.labels(service, __version__).set(1)
    if settings.otlp_endpoint:
        _set_up_traces(service, settings.otlp_endpoint, settings.trace_ratio)


def _set_up_logs(service: str, settings: TelemetrySettings) -> None:
    console = settings.log_format == "console"
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
        lambda _logger, _method, event: {**event, "service": service},
    ]
    last: list[structlog.typing.Processor] = (
        # A plain traceback: where rich is installed, the default one prints local variables such as tokens and SDP.
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
    # Libraries log through the standard module. Show only their warnings and errors.
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(name)s: %(message)s", force=True)


def _set_up_traces(service: str, endpoint: str, ratio: float) -> None:
    provider = TracerProvider(
        resource=Resource.create({"service.name": f"parley-{service}", "service.version": __version__}),
        sampler=ParentBased(TraceIdRatioBased(ratio)),
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)
    tracing.use(trace.get_tracer("parley", __version__))
