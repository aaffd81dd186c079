"""Spans, and the NATS headers (W3C Trace Context) that make the receiver's span a child of the sender's."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import propagate, trace

# None while tracing is off, so that the hot path pays one comparison for it.
_tracer: trace.Tracer | None = None


def use(tracer: trace.Tracer) -> None:
    """Record spans from here on."""
    global _tracer
    _tracer = tracer


@contextmanager
def span(name: str, kind: trace.SpanKind, carrier: Mapping[str, str] | None = None) -> Iterator[None]:
    """A span around a piece of work, a child of the one in the carrier (NATS headers). Costs nothing while tracing is off."""
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
