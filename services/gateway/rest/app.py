"""Composes the REST side of the gateway: routes, refusals, CORS, documentation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware

from services.gateway.context import GatewayContext
from services.gateway.rest import dev, docs, guest, health, page, problems, rooms
from services.gateway.rest.caller import Callers, Guests
from services.gateway.rest.cors import Cors
from services.gateway.rest.frame import BugStop, Frame, UrlCheck
from services.gateway.rest.neighbours import Neighbours
from services.gateway.rest.route import Rest
from shared.runtime.ops import Ready
from shared.version import __version__

DESCRIPTION = """Rooms and join tokens. The calls themselves are set up over the WebSocket at `/ws`.

Every refusal is a problem document (RFC 9457) with a stable `code`. Fields that are not described here are refused."""

TAGS = [
    {"name": "rooms", "description": "Make, find, change and close rooms, and let agents in."},
    {"name": "health", "description": "For load balancers; no token needed."},
]
GUESTS_TAG = {"name": "guests", "description": "For people without a token, where guests are let in."}
DEVELOPMENT_TAG = {"name": "development", "description": "Development mode only, for loopback hosts only."}


class _App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, with the schema of problem documents, which FastAPI does not add itself."""
        if self.openapi_schema is None:
            document = super().openapi()
            schema = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            document["components"]["schemas"] |= {**schema.pop("$defs"), "Problem": schema}
            _drop_unused(document)
        return super().openapi()


def _drop_unused(document: dict[str, Any]) -> None:
    """Remove FastAPI's own description of answers to ill-formed parameters: problem documents are sent instead."""
    for methods in document["paths"].values():
        for operation in methods.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)


def rest_app(context: GatewayContext, public_url: Callable[[], str], ready: Ready, root: Path = page.ROOT) -> FastAPI:
    """The ASGI application. It needs no lifespan.

    `public_url` gives the listening address as a URL, for settings without a public URL. `root` has the page's files.
    """
    settings = context.settings
    app = _App(
        title="Parley",
        version=__version__,
        description=DESCRIPTION,
        openapi_url="/api/openapi.json",
        openapi_tags=[
            *TAGS,
            *([GUESTS_TAG] if settings.guests else []),
            *([DEVELOPMENT_TAG] if settings.development else []),
        ],
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would be built from the request's Host
        separate_input_output_schemas=False,
        generate_unique_id_function=lambda route: route.name,
        middleware=[
            *(Middleware(Frame), Middleware(Cors, allowed=settings.allowed_origins)),
            *(Middleware(BugStop), Middleware(UrlCheck)),
        ],
        telemetry={"tracing": False, "metrics": False, "logs": False},  # it records URLs and exceptions' texts
    )
    callers, guests = Callers(context), Guests(context)
    neighbours = Neighbours(context.ports.requests, context.ticks)
    app.state.rest = Rest(context.ports.requests, settings, public_url, ready, callers, guests, neighbours)
    problems.install(app)
    app.include_router(rooms.router)
    if settings.guests:
        app.include_router(guest.router)
    if settings.development:
        app.include_router(dev.router)
    if settings.serves_page:
        app.include_router(page.router(settings, root))
    app.include_router(health.router)
    app.add_route("/api/docs", docs.page(app), include_in_schema=False)
    return app
