"""auth opens sessions and brings them back: whose resume token opens what, and until when."""

from collections.abc import Callable
from typing import Any

import pytest

from services.auth.grants import Grants
from services.auth.handlers import RESUME_MARGIN, AuthHandlers
from services.auth.jwks import key_source
from services.auth.settings import AuthSettings
from shared.auth.commands import IssueJoinToken, OpenSession, SessionOpened
from shared.values.errors import Code, Refused
from shared.values.ids import AgentId, RoomId, SessionId
from shared.values.moment import unix
from tests.unit.test_auth_handlers import FAWZI, NOW, PRODUCTION, ROOM, Chance, agent_token

OTHER = AgentId("agent-mallory")
FIRST, FRESH = SessionId("s_first"), SessionId("s_fresh")


def auth(now: float = NOW, **changes: str) -> AuthHandlers:
    """One of any number of replicas, at this time."""
    settings = AuthSettings.read(PRODUCTION | changes)
    return AuthHandlers(settings, key_source(settings), clock=lambda: now, chance=Chance())


async def first() -> SessionOpened:
    """A session that was opened now."""
    return await auth().open_session(OpenSession(token=agent_token(), session_id=FIRST))


async def back(resume: str, now: float = NOW, handlers: AuthHandlers | None = None, **claims: Any) -> SessionOpened:
    """What comes of a resume token, with a login that is good at that time."""
    login = agent_token(**{"iat": int(now), "exp": int(now) + 600, **claims})
    return await (handlers or auth(now)).open_session(OpenSession(token=login, session_id=FRESH, resume=resume))


async def refusal(request: OpenSession, now: float = NOW) -> Code:
    with pytest.raises(Refused) as caught:
        await auth(now).open_session(request)
    return caught.value.code


async def test_a_session_comes_back() -> None:
    """The token's session is opened again, by any replica, as often as it is asked, and each time with a token for next time."""
    token = (await first()).resume_token
    for _ in range(3):
        opened = await back(token)
        assert (opened.session_id, opened.identity.agent_id) == (FIRST, FAWZI)
        token = opened.resume_token
    assert Grants.under(PRODUCTION["PARLEY_GRANT_SECRET"].encode()).check_resume_token(token, FAWZI, NOW) == FIRST


async def test_without_a_resume_token_it_is_the_named_one() -> None:
    """A session that begins has the id its gateway minted."""
    opened = await first()
    assert opened.session_id == FIRST


async def test_somebody_elses_session() -> None:
    """Another agent's resume token opens nothing: the session is the fresh one, and the agent the login's."""
    theirs = (await first()).resume_token
    opened = await back(theirs, sub=OTHER)
    assert (opened.session_id, opened.identity.agent_id) == (FRESH, OTHER)
    again = await back(opened.resume_token, sub=OTHER)
    assert again.session_id == FRESH


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: "",
        lambda token: "nonsense",
        lambda token: "é" * 10,
        lambda token: token[:-2],
        lambda token: token.rpartition(".")[0] + ".",
        lambda token: agent_token(),
        lambda token: agent_token(PRODUCTION["PARLEY_GRANT_SECRET"], aud="parley:resume", session=FIRST),
    ],
)
async def test_what_is_no_resume_token(spoil: Callable[[str], str]) -> None:
    """It is no error either: the session is gone, and another begins."""
    assert (await back(spoil((await first()).resume_token))).session_id == FRESH


async def test_a_join_token_is_no_resume_token() -> None:
    """Auth's other tokens open no session."""
    issued = await auth().issue_join_token(IssueJoinToken(room_id=RoomId(ROOM), agent_id=FAWZI, ttl=60))
    assert (await back(issued.token)).session_id == FRESH


async def test_how_long_it_is_good() -> None:
    """Until the margin after the login it was issued with; then the session is gone."""
    opened = await first()
    end = unix(opened.identity.expires_at) + RESUME_MARGIN
    assert (await back(opened.resume_token, end - 2)).session_id == FIRST
    assert (await back(opened.resume_token, end)).session_id == FRESH


async def test_another_installations_token() -> None:
    """A resume token signed with another secret is good nowhere else."""
    elsewhere = auth(PARLEY_GRANT_SECRET="h" * 32)
    token = (await elsewhere.open_session(OpenSession(token=agent_token(), session_id=FIRST))).resume_token
    assert (await back(token, handlers=elsewhere)).session_id == FIRST
    assert (await back(token)).session_id == FRESH


async def test_the_login_is_judged_first() -> None:
    """A resume token alone is worth nothing: with a bad, expired or missing login it is refused as any login."""
    resume = (await first()).resume_token
    for token, code in (
        ("nonsense", Code.INVALID_TOKEN),
        (resume, Code.INVALID_TOKEN),
        (agent_token(iat=int(NOW) - 1000, exp=int(NOW) - 500), Code.EXPIRED_TOKEN),
    ):
        assert await refusal(OpenSession(token=token, session_id=FRESH, resume=resume)) is code


async def test_a_renewal_stays_with_its_agent() -> None:
    """With `subject`, another agent's login is refused, whatever resume token comes with it."""
    resume = (await first()).resume_token
    request = OpenSession(token=agent_token(sub=OTHER), session_id=FIRST, subject=FAWZI, resume=resume)
    assert await refusal(request) is Code.SUBJECT_MISMATCH


async def test_when_the_session_ends() -> None:
    """It is as good as the login it came back with, and the leeway."""
    leeway = AuthSettings.read(PRODUCTION).token_leeway
    opened = await back((await first()).resume_token, NOW + 300)
    assert opened.good_until == int(NOW + 300) + 600 + leeway


def with_clocks(broker: float, host: float) -> AuthHandlers:
    """auth whose host and broker do not agree."""
    settings = AuthSettings.read(PRODUCTION)
    return AuthHandlers(settings, key_source(settings), clock=lambda: broker, host=lambda: host, chance=Chance())


@pytest.mark.parametrize("off", [-120.0, 120.0])
async def test_a_clock_that_is_wrong_locks_nobody_out(off: float) -> None:
    """A token that is good by one of the two clocks is taken, whichever is wrong; the session ends with it by that clock."""
    settings = AuthSettings.read(PRODUCTION)
    just_now = agent_token(iat=int(NOW), exp=int(NOW) + 600)
    for broker, host in ((NOW, NOW + off), (NOW + off, NOW)):
        handlers = with_clocks(broker, host)
        opened = await handlers.open_session(OpenSession(token=just_now, session_id=FIRST))
        by = broker if broker == NOW or off > 0 else host
        assert opened.good_until == int(NOW) + 600 + settings.token_leeway + broker - by


async def test_two_clocks_prolong_no_token_for_ever() -> None:
    """What is over by both clocks is over; and a host that is an hour off is not believed."""
    for host, token in (
        (NOW - 120, agent_token(iat=int(NOW) - 900, exp=int(NOW) - 300)),
        (NOW - 3600, agent_token(iat=int(NOW) - 900, exp=int(NOW) - 300)),
        (NOW + 3600, agent_token(iat=int(NOW) + 900, exp=int(NOW) + 1300)),
    ):
        handlers = with_clocks(NOW, host)
        with pytest.raises(Refused) as caught:
            await handlers.open_session(OpenSession(token=token, session_id=FIRST))
        assert caught.value.code in (Code.EXPIRED_TOKEN, Code.NOT_YET_VALID)
