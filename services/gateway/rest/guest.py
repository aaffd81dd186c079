"""Guest tokens, for people without an agent-link token: mounted only where guests are let in."""

from http import HTTPStatus

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request

from services.gateway.rest import examples
from services.gateway.rest.hosts import host_of, is_nearby
from services.gateway.rest.models import GuestTokenOrder
from services.gateway.rest.problems import documented
from services.gateway.rest.route import PublicRoute, Rest, RestOf
from services.gateway.settings import GatewaySettings
from shared.auth.commands import GuestIssued
from shared.values.errors import Code


def lets_in(settings: GatewaySettings, request: Request) -> bool:
    """Whether this request may get a guest token. Unless `guest_access` is set, only under a nearby `Host` (hosts.py).

    Else any page that a developer opens, if its name resolves to the developer's machine (DNS rebinding), could join the
    developer's calls.
    """
    return settings.guests and (settings.guest_access is True or is_nearby(host_of(request)))


class _GuestRoute(PublicRoute):
    async def admit(self, request: Request, rest: Rest) -> None:
        """Raises HTTPException with 404 where guests are not let in, and Refused for an address that asks too often."""
        if not lets_in(rest.settings, request):
            raise HTTPException(HTTPStatus.NOT_FOUND)
        rest.guests.admit(request)


router = APIRouter(prefix="/api/guest", tags=["guests"], route_class=_GuestRoute)


@router.post(
    "/token",
    status_code=201,
    summary="Issue a guest token",
    response_description="The token, and the agent that it names.",
    responses={
        201: {"content": {"application/json": {"example": examples.GUEST}}},
        **documented(
            *(Code.INVALID_TOKEN, Code.EXPIRED_TOKEN, Code.FORBIDDEN, Code.BAD_MESSAGE, Code.TOO_LARGE),
            *(Code.RATE_LIMITED, Code.THROTTLED, Code.INTERNAL, Code.UNAVAILABLE),
            bad_request=True,
        ),
    },
    openapi_extra={"security": [{}, {"agentLink": []}]},  # may be left out
)
async def issue_guest_token(request: Request, rest: RestOf, body: GuestTokenOrder | None = None) -> GuestIssued:
    """For anybody: a token for an agent that nobody was before, with the few permissions that guests have here.

    With a guest token as `Authorization: Bearer`, while it is good, the same agent gets another. The body may be left
    out.
    """
    return await rest.guests.issue(request, body.name if body else None)
