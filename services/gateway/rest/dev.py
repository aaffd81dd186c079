"""Agent-link tokens for development: mounted in development mode only, and only for requests to a loopback host."""

from http import HTTPStatus

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request

from services.gateway.rest import examples
from services.gateway.rest.hosts import host_of, is_loopback
from services.gateway.rest.models import DevTokenOrder
from services.gateway.rest.problems import documented
from services.gateway.rest.route import PublicRoute, Rest, RestOf
from shared.auth.commands import Issued, IssueDevToken
from shared.broker.subjects import ISSUE_DEV_TOKEN
from shared.values.errors import Code


class _LoopbackRoute(PublicRoute):
    async def admit(self, request: Request, rest: Rest) -> None:
        """For requests to another host this path does not exist: raises HTTPException with 404."""
        if not is_loopback(host_of(request)):
            raise HTTPException(HTTPStatus.NOT_FOUND)


router = APIRouter(prefix="/api/dev", tags=["development"], route_class=_LoopbackRoute)


@router.post(
    "/token",
    summary="Issue an agent-link token",
    response_description="The token.",
    responses={
        200: {"content": {"application/json": {"example": examples.ISSUED}}},
        **documented(
            Code.FORBIDDEN, Code.BAD_MESSAGE, Code.TOO_LARGE, Code.INTERNAL, Code.UNAVAILABLE, bad_request=True
        ),
    },
)
async def issue_dev_token(body: DevTokenOrder, rest: RestOf) -> Issued:
    """Development mode only: a token for any agent with any permissions, without asking who you are.

    404 unless the `Host` of the request is a loopback name or address.
    """
    order = IssueDevToken(
        agent_id=body.agent_id,
        name=body.name,
        kind=body.kind,
        permissions=None if body.permissions is None else tuple(body.permissions),
        ttl=body.ttl,
    )
    return await rest.requests.request(ISSUE_DEV_TOKEN, order)
