"""Which pages may read the REST API's answers: the same rule as for the WebSocket's `Origin` (handshake.py)."""

from collections.abc import Sequence
from functools import partial

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.rest import problems
from services.gateway.transport.handshake import origin_allowed
from shared.values.errors import Code, Refused

METHODS = ("GET", "POST", "PATCH", "DELETE")
REQUEST_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key")
ANSWER_HEADERS = ("Location", "Retry-After", "WWW-Authenticate")


class _Cors(CORSMiddleware):
    """Refuses with a problem document, as the other routes do, which does not say what would be allowed."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a browser's preflight request."""
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        refused = Refused(Code.FORBIDDEN, "pages of this origin may not send this request")
        return problems.answer(refused, headers={"Vary": response.headers["Vary"]})


class Cors:
    """Allows the origins in the settings, and pages of this very host and port."""

    def __init__(self, app: ASGIApp, allowed: Sequence[str]) -> None:
        cors = partial(_Cors, app, allow_methods=METHODS, allow_headers=REQUEST_HEADERS, expose_headers=ANSWER_HEADERS)
        self._listed = cors(allow_origins=allowed)
        self._own = cors(allow_origin_regex=".+")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await (self._own if _is_own(scope) else self._listed)(scope, receive, send)


def _is_own(scope: Scope) -> bool:
    if scope["type"] != "http":
        return False
    headers = Headers(scope=scope)
    try:
        return origin_allowed(headers.get("origin", ""), headers.get("host", ""), ())
    except ValueError:  # an origin that is no URL at all
        return False
