"""The messages of the session itself: `authenticate` and `ping`."""

from services.gateway import metrics
from services.gateway.identity import Login
from services.gateway.session.authentication import Authentication, Entered
from services.gateway.session.feature import ANSWERED, Feature, Handled, Inline, Repeated, Reply, Request
from services.gateway.session.messages import Authenticate, Ping
from services.gateway.session.session import Session
from services.gateway.settings import GatewaySettings
from shared.values import moment
from shared.values.errors import TOKEN_CODES, CloseCode, Code, Refused
from shared.wire import pushes
from shared.wire.protocol import address_of


def pong(session: Session, message: Ping) -> pushes.Pong:
    """Answer a ping with the server's time."""
    return pushes.Pong(id=message.id, server_time=moment.rfc3339(session.context.clock()))


async def authenticate(session: Session, request: Request[Authenticate]) -> Reply:
    """Open a session, resume one, or renew its token. Then tell what became of each room, in the order asked."""
    try:
        resume_token, entered = await _let_in(session, request.message)
    except Refused as refused:
        _not_let_in(session, refused, request.message)
        return ANSWERED
    metrics.LOGINS.labels("ok").inc()
    if entered is not None:
        session.enter(entered.key, entered.parts)
    comebacks = entered.comebacks if entered is not None else None
    id_, resumed = request.message.id, comebacks is not None
    session.push(auth_ok(session.context.settings, session.login, id_, resume_token, resumed=resumed))
    for one in comebacks or ():
        await one.tell()
    return ANSWERED


async def _let_in(session: Session, message: Authenticate) -> tuple[str, Entered | None]:
    """The resume token, and the session, unless the message only renewed the token of a live one."""
    if session.entered:
        return await session.login.renew(message.token, session.address), None
    entered = await Authentication(session.context, session.features, session, session.login).enter(message)
    return entered.resume_token, entered


def _not_let_in(session: Session, refused: Refused, message: Authenticate) -> None:
    metrics.LOGINS.labels(refused.code).inc()
    if refused.code in TOKEN_CODES:
        session.push(pushes.AuthError(id=message.id, code=refused.code, message=refused.message))
        session.close(CloseCode.UNAUTHENTICATED, refused.code)
        return
    session.refuse(refused, address_of(message))
    if refused.code is Code.BAD_STATE:  # another connection resumed the session first
        session.close(CloseCode.REPLACED, "replaced")
    elif not session.entered:
        session.close(CloseCode.UNAVAILABLE, "a service cannot answer now")


def auth_ok(
    settings: GatewaySettings, login: Login, request_id: str | None, resume_token: str, *, resumed: bool
) -> pushes.AuthOk:
    """The answer to `authenticate`: the session is open, resumed or renewed."""
    return pushes.AuthOk(
        id=request_id,
        agent_id=login.agent.agent_id,
        session_id=login.session_id,
        resume_token=resume_token,
        expires_at=login.agent.expires_at,
        resumed=resumed,
        heartbeat_ms=int(settings.ping_seconds * 1000),
        limits={
            "maxMessageBytes": settings.frame_bytes,
            "maxSdpBytes": settings.sdp_bytes,
            "maxCandidateBytes": settings.candidate_bytes,
            "maxRooms": settings.rooms_per_session,
            "maxBroadcast": settings.broadcast_receivers,
        },
    )


SESSION = Feature(
    "session",
    [
        Handled(Authenticate, authenticate, repeated=Repeated.ANEW, before_auth=True),
        Inline(Ping, pong),
    ],
)
