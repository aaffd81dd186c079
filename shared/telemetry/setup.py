"""Sets up what a service reports: logs without payloads to standard output, traces to an OTLP endpoint."""

from typing import Protocol

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from shared.telemetry import logs, metrics, tracing
from shared.version import __version__

EXPORT_SECONDS = 2.0  # with all repeats; while the collector is away, so long a stop waits for the last spans


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
    logs.write_lines(service, settings.log_format, settings.log_level)
    metrics.BUILD.labels(service, __version__).set(1)
    if settings.otlp_endpoint:
        _set_up_traces(service, settings.otlp_endpoint, settings.trace_ratio)


def _set_up_traces(service: str, endpoint: str, ratio: float) -> None:
    provider = TracerProvider(
        resource=Resource.create({"service.name": f"parley-{service}", "service.version": __version__}),
        sampler=ParentBased(TraceIdRatioBased(ratio)),
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS)))
    trace.set_tracer_provider(provider)
    tracing.use(trace.get_tracer("parley", __version__))
