"""Serves the page: its HTML at `/`, its files, and the JavaScript SDK that it uses, from the folders beside the code."""

import re
from collections.abc import Callable
from html import escape
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.rest.files import TYPES, File, Folder, answer
from services.gateway.rest.guest import lets_in
from services.gateway.rest.hosts import host_of, is_loopback
from services.gateway.rest.route import PublicRoute
from services.gateway.settings import GatewaySettings

ROOT = Path(__file__).resolve().parents[3]  # the repository, or /app in the image
ICONS = ("favicon.ico", "favicon.svg", "favicon.png")
_TOKEN_URL = re.compile(rb'(<meta name="parley-token-url" content=")[^"]*(">)')

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "media-src": "'self' blob: mediastream:",
    "connect-src": "'self'",  # includes the WebSocket of the same host and port (CSP 3, "scheme-part matches")
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
# The browser features that a call needs, and those that nothing on this page may use. A browser warns of names that it
# does not know, so these are the ones that Chromium knows.
OURS = (
    *("autoplay", "camera", "clipboard-write", "display-capture", "fullscreen", "microphone", "picture-in-picture"),
    *("screen-wake-lock", "speaker-selection"),
)
OFF = (
    *("accelerometer", "browsing-topics", "clipboard-read", "encrypted-media", "gamepad", "geolocation"),
    *("gyroscope", "hid", "identity-credentials-get", "idle-detection", "keyboard-map", "local-fonts", "magnetometer"),
    *("midi", "otp-credentials", "payment", "publickey-credentials-create", "publickey-credentials-get", "serial"),
    *("storage-access", "sync-xhr", "usb", "window-management", "xr-spatial-tracking"),
)
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "Permissions-Policy": ", ".join([*(f"{name}=(self)" for name in OURS), *(f"{name}=()" for name in OFF)]),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def router(settings: GatewaySettings, root: Path) -> APIRouter:
    """The page's routes. They are mounted only where its visitors can get a token."""
    web = Folder(root / "web", frozenset(TYPES) - {".html"})
    html = Folder(root / "web", frozenset({".html"}))
    sdk = Folder(root / "clients" / "js" / "src", frozenset({".js"}))
    routes = APIRouter(route_class=PublicRoute)

    async def index(request: Request) -> Response:
        url, file = _token_url(request, settings), html.find("index.html")
        return _found(request, None if url is None or file is None else _with_token_url(file, url))

    async def icon(request: Request) -> Response:
        return _found(request, next(filter(None, map(web.find, ICONS)), None))

    def files(folder: Folder, below: str) -> Callable[..., object]:
        async def one(request: Request) -> Response:
            # Do not use the path parameter: the router drops a newline at its end.
            return _found(request, folder.find(request.scope["path"].removeprefix(below)))

        return one

    for path, endpoint in (
        ("/", index),
        ("/favicon.ico", icon),
        ("/web/{name:path}", files(web, "/web/")),
        ("/clients/js/{name:path}", files(sdk, "/clients/js/")),
    ):
        routes.add_api_route(path, endpoint, methods=["GET", "HEAD"], include_in_schema=False, response_model=None)
    return routes


def _token_url(request: Request, settings: GatewaySettings) -> str | None:
    """The URL from which the page gets its tokens. None where it would get none; then there is no page."""
    if settings.development and is_loopback(host_of(request)):
        return "/api/dev/token"
    return "/api/guest/token" if lets_in(settings, request) else None


def _with_token_url(file: File, url: str) -> File:
    value = escape(url).encode()
    return File(_TOKEN_URL.sub(lambda found: found[1] + value + found[2], file.body), file.media_type)


def _found(request: Request, file: File | None) -> Response:
    if file is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return answer(request, file, HEADERS)
