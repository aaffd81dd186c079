"""Traces of real processes, received by OTLP over HTTP."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.client import Client
from tests.support.launched import Launched


class Collector:
    """Takes what is exported: (service, span name, trace id, span id, parent's span id)."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, bytes, bytes, bytes]] = []
        self.bodies: list[bytes] = []
        spans, bodies = self.spans, self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                bodies.append(body)
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    names = {a.key: a.value.string_value for a in resource.resource.attributes}
                    for scope in resource.scope_spans:
                        spans.extend(
                            (names["service.name"], s.name, s.trace_id, s.span_id, s.parent_span_id)
                            for s in scope.spans
                        )
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
                """Quiet."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    def stop(self) -> None:
        """No more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector on loopback."""
    collector = Collector()
    yield collector
    collector.stop()


async def test_a_join_is_one_trace_over_all_services(collector: Collector, tmp_path: Path) -> None:
    """The gateway's question, rooms' answer and its append belong to one trace, through NATS headers; no payload in it."""
    settings = {"PARLEY_OTLP_ENDPOINT": collector.url, "PARLEY_TRACE_RATIO": "1"}
    running = Launched(tmp_path / "data", environment=settings).ready()
    try:
        client = await Client.open(running.url)
        await client.login(running.token)
        await client.join("traced-room", name="Canary Name", metadata={"canary": "203.0.113.77"})
        await client.close()
    finally:
        running.stop()  # what is still to be exported is exported now
    asked = [span for span in collector.spans if span[:2] == ("parley-gateway", "rooms.join")]
    assert len(asked) == 1
    _, _, trace, span, _ = asked[0]
    answered = [s for s in collector.spans if s[:3] == ("parley-rooms", "rooms.join", trace)]
    assert [s[4] for s in answered] == [span], "rooms' span is the child of the gateway's"
    appended = [s for s in collector.spans if s[:3] == ("parley-rooms", "log.append", trace)]
    assert [s[4] for s in appended] == [answered[0][3]]
    assert [s for s in collector.spans if s[:2] == ("parley-auth", "auth.open_session")]
    everything = b"".join(collector.bodies)
    for secret in (running.token.encode(), b"203.0.113.77", b"Canary Name"):
        assert secret not in everything
