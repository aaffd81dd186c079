"""auth's endpoints: validation, sessions, join tokens and development tokens, with clock, chance and keys given."""

import asyncio
from typing import Any

import jwt
import pytest

from services.auth.grants import Grants
from services.auth.handlers import RESUME_MARGIN, AuthHandlers, endpoints
from services.auth.jwks import FixedKeys, JwksSource, KeySource, key_source
from services.auth.keys import KeyRing
from services.auth.settings import DEVELOPMENT_SECRET, AuthSettings
from shared.auth.commands import CheckJoinToken, IssueDevToken, IssueJoinToken, OpenSession, Validate
from shared.broker.subjects import ROOT
from shared.values.errors import Code, Refused
from shared.values.ids import AgentId, RoomId
from shared.values.moment import unix

NOW = 1_770_804_000.5
FAWZI, ROOM = AgentId("agent-fawzi"), RoomId("voice-room-123")
PRODUCTION = {"PARLEY_TOKEN_SECRET": "the agent-link's secret, 32 bytes", "PARLEY_GRANT_SECRET": "g" * 32}
DEVELOPMENT = {"PARLEY_MODE": "development"}


class Chance:
    """Bytes that differ with every call, without being random."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, count: int) -> bytes:
        self.calls += 1
        return self.calls.to_bytes(count, "big")


def handlers_with(environment: dict[str, str], source: KeySource | None = None, now: float = NOW) -> AuthHandlers:
    settings = AuthSettings.read(environment)
    return AuthHandlers(settings, source or key_source(settings), clock=lambda: now, chance=Chance())


def agent_token(secret: str = PRODUCTION["PARLEY_TOKEN_SECRET"], **changes: Any) -> str:
    claims = {"sub": FAWZI, "iss": "agent-link", "aud": "agent-link", "jti": "1"}
    return jwt.encode(claims | {"iat": int(NOW), "exp": int(NOW) + 600} | changes, secret.encode(), algorithm="HS256")


async def refusal(answer: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await answer
    return caught.value


async def test_validate_names_the_agent() -> None:
    """A good token is answered with its agent, a bad one with a code of protocol section 3."""
    handlers = handlers_with(PRODUCTION)
    assert (await handlers.validate(Validate(token=agent_token()))).agent_id == FAWZI
    assert (await refusal(handlers.validate(Validate(token="nonsense")))).code is Code.INVALID_TOKEN
    expired = Validate(token=agent_token(iat=0, exp=600))
    assert (await refusal(handlers.validate(expired))).code is Code.EXPIRED_TOKEN


async def test_without_keys_nobody_is_judged() -> None:
    """While the JWKS document was never loaded the answer is `unavailable`, so that clients come back."""
    settings = {
        "PARLEY_TOKEN_ALGORITHM": "EdDSA",
        "PARLEY_TOKEN_JWKS_URL": "https://issuer.example/keys",
        "PARLEY_GRANT_SECRET": "g" * 32,
    }
    handlers = handlers_with(settings)
    refused = await refusal(handlers.validate(Validate(token=agent_token())))
    assert (refused.code, refused.retryable) == (Code.UNAVAILABLE, True)


async def test_a_session_opens_with_a_resume_token() -> None:
    """The resume token is the session's, for this agent, and outlives the agent-link token by the margin."""
    opened = await handlers_with(PRODUCTION).open_session(OpenSession(token=agent_token(), session_id="s_1"))
    grants = Grants.under(PRODUCTION["PARLEY_GRANT_SECRET"].encode())
    end = unix(opened.identity.expires_at) + RESUME_MARGIN
    assert grants.check_resume_token(opened.resume_token, FAWZI, end - 2) == "s_1"
    with pytest.raises(Refused):
        grants.check_resume_token(opened.resume_token, FAWZI, end)


async def test_renewal_is_for_the_same_agent() -> None:
    """With `subject`, the same agent's token is accepted and another's is `subject_mismatch`."""
    handlers = handlers_with(PRODUCTION)
    renewal = OpenSession(token=agent_token(), session_id="s_1", subject=FAWZI)
    assert (await handlers.open_session(renewal)).identity.agent_id == FAWZI
    other = renewal.model_copy(update={"subject": AgentId("agent-fawz")})
    assert (await refusal(handlers.open_session(other))).code is Code.SUBJECT_MISMATCH


async def test_auths_own_tokens_are_no_login() -> None:
    """Neither a join token nor a resume token is an agent-link token, even when one secret serves for all."""
    handlers = handlers_with(DEVELOPMENT)
    login = await handlers.issue_dev_token(IssueDevToken(agent_id=FAWZI))
    join = await handlers.issue_join_token(IssueJoinToken(room_id=ROOM, agent_id=FAWZI, ttl=60))
    opened = await handlers.open_session(OpenSession(token=login.token, session_id="s_1"))
    for token in (join.token, opened.resume_token):
        assert (await refusal(handlers.validate(Validate(token=token)))).code is Code.INVALID_TOKEN
    for token in (login.token, opened.resume_token):
        asked = CheckJoinToken(token=token, room_id=ROOM, agent_id=FAWZI)
        assert (await refusal(handlers.check_join_token(asked))).code is Code.FORBIDDEN


async def test_a_join_token_is_issued_and_checked() -> None:
    """What was issued is granted, by any replica with the same secret, until its `ttl` is over."""
    handlers = handlers_with(PRODUCTION)
    issued = await handlers.issue_join_token(IssueJoinToken(room_id=ROOM, agent_id=FAWZI, role="owner", ttl=60))
    asked = CheckJoinToken(token=issued.token, room_id=ROOM, agent_id=FAWZI)
    grant = await handlers_with(PRODUCTION).check_join_token(asked)
    assert (grant.role, grant.until) == ("owner", int(NOW) + 60)
    assert (await refusal(handlers_with(PRODUCTION, now=NOW + 60).check_join_token(asked))).code is Code.FORBIDDEN


async def test_lives_of_join_tokens_are_bounded() -> None:
    """`ttl` outside 1 to the setting's longest is a bad message; without one the setting's default holds."""
    handlers = handlers_with(PRODUCTION | {"PARLEY_GRANT_MAX_SECONDS": "90", "PARLEY_GRANT_SECONDS": "45"})
    order = IssueJoinToken(room_id=ROOM, agent_id=FAWZI, ttl=90)
    assert await handlers.issue_join_token(order)
    for ttl in (0, -1, 91, 10**12):
        asked = handlers.issue_join_token(order.model_copy(update={"ttl": ttl}))
        assert (await refusal(asked)).code is Code.BAD_MESSAGE
    issued = await handlers.issue_join_token(order.model_copy(update={"ttl": None}))
    assert unix(issued.expires_at) == int(NOW) + 45


async def test_development_tokens_log_in() -> None:
    """A development token carries what was asked for, is accepted by `validate`, and each has an id of its own."""
    handlers = handlers_with(DEVELOPMENT)
    request = IssueDevToken(agent_id=FAWZI, name="Fawzi", kind="agent", permissions=("rooms:list",), ttl=120)
    issued = [await handlers.issue_dev_token(request) for _ in range(2)]
    identities = [await handlers.validate(Validate(token=one.token)) for one in issued]
    assert identities[0].token_id != identities[1].token_id
    identity = identities[0]
    assert (identity.name, identity.kind, identity.permissions) == ("Fawzi", "agent", ("rooms:list",))
    assert identity.expires_at == issued[0].expires_at
    assert unix(identity.expires_at) == int(NOW) + 120


async def test_development_tokens_exist_in_development_only() -> None:
    """In production, and where auth has only a public key, they are forbidden."""
    request = IssueDevToken(agent_id=FAWZI)
    assert (await refusal(handlers_with(PRODUCTION).issue_dev_token(request))).code is Code.FORBIDDEN
    public = {"PARLEY_TOKEN_ALGORITHM": "ES256", "PARLEY_TOKEN_KEY_FILE": "unread.pem"}
    source = FixedKeys(KeyRing("ES256"))
    assert (await refusal(handlers_with(DEVELOPMENT | public, source).issue_dev_token(request))).code is Code.FORBIDDEN


@pytest.mark.parametrize("changes", [{"agent_id": "a b"}, {"agent_id": ""}, {"ttl": 0}, {"ttl": 86_401}])
async def test_development_tokens_that_would_be_refused_are_not_issued(changes: dict[str, Any]) -> None:
    """A development token that `validate` would refuse is a bad message, with the reason."""
    request = IssueDevToken(agent_id=FAWZI).model_copy(update=changes)
    assert (await refusal(handlers_with(DEVELOPMENT).issue_dev_token(request))).code is Code.BAD_MESSAGE


async def test_the_known_secret_works_in_development_only() -> None:
    """A token signed with the published development secret is good there and nowhere else."""
    token = Validate(token=agent_token(DEVELOPMENT_SECRET))
    assert await handlers_with(DEVELOPMENT).validate(token)
    assert (await refusal(handlers_with(PRODUCTION).validate(token))).code is Code.INVALID_TOKEN


def test_every_endpoint_has_its_handler() -> None:
    """All of auth's subjects are answered, each once."""
    pairs = endpoints(handlers_with(PRODUCTION))
    verbs = [
        "validate",
        "open_session",
        "check_join_token",
        "issue_join_token",
        "issue_dev_token",
        "ice_servers",
        "issue_guest_token",
    ]
    assert [endpoint.subject for endpoint, _ in pairs] == [f"{ROOT}.auth.{verb}" for verb in verbs]
    assert [getattr(handler, "__name__", None) for _, handler in pairs] == verbs


async def test_sources_follow_the_settings() -> None:
    """A secret gives fixed keys that are ready at once and stop when told; with a JWKS URL they are not ready yet."""
    fixed = key_source(AuthSettings.read(PRODUCTION))
    assert fixed.ready
    assert fixed.keys.algorithm == "HS256"
    stop = asyncio.Event()
    stop.set()
    async with asyncio.timeout(1):
        await fixed.run(stop)
    url = {"PARLEY_TOKEN_ALGORITHM": "ES256", "PARLEY_TOKEN_JWKS_URL": "https://issuer.example/keys"}
    source = key_source(AuthSettings.read(url | {"PARLEY_GRANT_SECRET": "g" * 32}))
    assert isinstance(source, JwksSource)
    assert not source.ready
