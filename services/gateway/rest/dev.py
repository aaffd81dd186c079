"""Agent-link tokens for development: mounted in development mode only, and only for requests to a loopback host."""

import ipaddress
import re
from http import HTTPStatus

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request

from services.gateway.rest import examples
from services.gateway.rest.models import DevTokenOrder
from services.gateway.rest.problems import documented
from services.gateway.rest.route import PublicRoute, Rest, RestOf
from shared.commands import Issued, IssueDevToken
from shared.errors import Code
from shared.subjects import ISSUE_DEV_TOKEN

_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]]+))(?::[0-9]{1,5})?")


def is_loopback(host: str) -> bool:
    """Whether a `Host` header names this machine: `localhost`, 127.0.0.0/8 or `[::1]`, with or without a port.

    A page whose own name was made to resolve to 127.0.0.1 (DNS rebinding) still sends its own name.
    """
    parts = _HOST.fullmatch(host)
    if parts is None:
        return False
    if parts["name"] is not None and parts["name"].lower() == "localhost":
        return True
    try:
        address = ipaddress.IPv6Address(parts["v6"]) if parts["v6"] else ipaddress.IPv4Address(parts["name"])
    except ValueError:
        return False
    return address.is_loopback and getattr(address, "ipv4_mapped", None) is None


class _LoopbackRoute(PublicRoute):
    async def admit(self, request: Request, rest: Rest) -> None:
        """For anyone else this path does not exist."""
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not is_loopback(hosts[0]):
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
    return await rest.bus.request(ISSUE_DEV_TOKEN, order)
