"""Whether the process lives, and whether it can serve: for load balancers, without a token."""

from fastapi import APIRouter

from services.gateway.rest.models import Health, Services
from services.gateway.rest.problems import documented
from services.gateway.rest.route import RestOf
from shared.values.errors import Code
from shared.version import __version__

router = APIRouter(tags=["health"])


@router.get(
    "/healthz",
    summary="Is the process alive?",
    response_model_exclude_none=True,
    response_description="It is.",
)
async def healthz() -> Health:
    """Answers as long as the process does, whatever else is broken."""
    return Health(version=__version__)


@router.get(
    "/readyz",
    summary="Can it serve?",
    response_model_exclude_none=True,
    response_description="The broker is reachable and answers.",
    responses=documented(Code.UNAVAILABLE),
)
async def readyz(rest: RestOf) -> Health:
    """503 with the reason while requests would fail. `notice` is what to look after although they do not."""
    return Health(version=__version__, notice=await rest.ready())


@router.get("/api/services", summary="Who answers the gateway?", response_description="Each service, by its name.")
async def services(rest: RestOf) -> Services:
    """For `parley doctor`. The answer is up to two seconds old; while the broker is away nobody answers."""
    return Services(answering=await rest.neighbours.answering())
