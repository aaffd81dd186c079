"""The answer to a request that no route looks at: a problem document, as services/gateway/rest/problems.py makes them."""

import json
import math
from http import HTTPStatus

from starlette.types import Receive, Scope, Send

from shared.values.errors import Refused

HEADERS = {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Refusal:
    """An ASGI application that refuses, and costs little. The refusal is one that may be tried again."""

    def __init__(self, refused: Refused) -> None:
        self._refused = refused

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """ASGI."""
        refused, status = self._refused, self._refused.http_status
        document = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": refused.message,
            "code": str(refused.code),
            "retryable": refused.retryable,
        }
        if refused.retry_after_ms is not None:
            document["retryAfterMs"] = refused.retry_after_ms
        body = json.dumps(document, separators=(",", ":")).encode()
        seconds = max(1, math.ceil((refused.retry_after_ms or 1000) / 1000))
        headers = HEADERS | {"content-length": str(len(body)), "retry-after": str(seconds)}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})
