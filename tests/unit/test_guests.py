"""Guests: who they are, what they may do, until when; and that nothing else passes for their tokens, nor they for others."""

import jwt
import pytest

from services.auth.grants import Grants, Guest
from services.auth.handlers import AuthHandlers
from services.auth.settings import DEVELOPMENT_SECRET, AuthSettings
from shared.auth.commands import (
    CheckJoinToken,
    GuestIssued,
    IssueDevToken,
    IssueGuestToken,
    IssueJoinToken,
    OpenSession,
    Validate,
)
from shared.runtime.settings import SettingsError
from shared.values.errors import Code, Refused
from shared.values.ids import AgentId, SessionId
from shared.values.moment import unix
from tests.unit.test_auth_handlers import DEVELOPMENT, NOW, PRODUCTION, ROOM, agent_token, handlers_with, refusal

GUESTS = PRODUCTION | {"PARLEY_GUEST_ACCESS": "true"}
JWKS = {
    "PARLEY_TOKEN_ALGORITHM": "EdDSA",
    "PARLEY_TOKEN_JWKS_URL": "https://issuer.example/keys",
    "PARLEY_GRANT_SECRET": "g" * 32,
    "PARLEY_GUEST_ACCESS": "true",
}


async def guest(handlers: AuthHandlers, name: str | None = None, renews: str | None = None) -> GuestIssued:
    return await handlers.issue_guest_token(IssueGuestToken(name=name, renews=renews))


async def test_a_guest_is_somebody_new() -> None:
    """Each is an agent of its own, human, with what guests may do and nothing else, until the token's end."""
    handlers = handlers_with(GUESTS)
    first, second = await guest(handlers, "Sara"), await guest(handlers)
    assert first.agent_id != second.agent_id
    identity = await handlers.validate(Validate(token=first.token))
    assert identity.agent_id == first.agent_id
    assert identity.agent_id.startswith("guest-")
    assert (identity.name, identity.kind, identity.permissions) == ("Sara", "human", ("rooms:join",))
    assert identity.expires_at == first.expires_at
    assert unix(first.expires_at) == int(NOW) + 3600
    assert (await handlers.validate(Validate(token=second.token))).name == "Guest"


async def test_what_guests_may_do_is_what_is_set_now() -> None:
    """In development they may create rooms too. What was taken away is gone from tokens that were issued before."""
    issued = await guest(handlers_with(GUESTS | {"PARLEY_GUEST_PERMISSIONS": "rooms:list, rooms:join"}))
    ask = Validate(token=issued.token)
    assert (await handlers_with(GUESTS).validate(ask)).permissions == ("rooms:join",)
    narrow = handlers_with(GUESTS | {"PARLEY_GUEST_PERMISSIONS": ""})
    assert (await narrow.validate(ask)).permissions == ()
    development = handlers_with(DEVELOPMENT)
    made = await guest(development)
    assert (await development.validate(Validate(token=made.token))).permissions == ("rooms:join", "rooms:create")


async def test_a_guest_opens_a_session_until_its_end() -> None:
    """Without leeway, since issuer and judge are the same; the session can be resumed, by this guest only."""
    handlers = handlers_with(GUESTS)
    issued, other = await guest(handlers), await guest(handlers)
    opened = await handlers.open_session(OpenSession(token=issued.token, session_id=SessionId("s_1")))
    assert opened.good_until == unix(issued.expires_at)
    again = OpenSession(token=issued.token, session_id=SessionId("s_2"), resume=opened.resume_token)
    assert (await handlers.open_session(again)).session_id == "s_1"
    theirs = again.model_copy(update={"token": other.token})
    assert (await handlers.open_session(theirs)).session_id == "s_2"
    renewal = OpenSession(token=other.token, session_id=SessionId("s_1"), subject=issued.agent_id)
    assert (await refusal(handlers.open_session(renewal))).code is Code.SUBJECT_MISMATCH
    late = handlers_with(GUESTS, now=unix(issued.expires_at))
    assert (await refusal(late.validate(Validate(token=issued.token)))).code is Code.EXPIRED_TOKEN


async def test_a_guest_renews() -> None:
    """With its token, while that is good, it stays the same agent, for another whole life; the name stays unless changed."""
    issued = await guest(handlers_with(GUESTS), "Sara")
    later = handlers_with(GUESTS, now=NOW + 3000)
    renewed = await guest(later, renews=issued.token)
    assert renewed.agent_id == issued.agent_id
    assert unix(renewed.expires_at) == int(NOW) + 6600
    assert (await later.validate(Validate(token=renewed.token))).name == "Sara"
    renamed = await guest(later, "Sara B.", renews=issued.token)
    assert (await later.validate(Validate(token=renamed.token))).name == "Sara B."
    late = guest(handlers_with(GUESTS, now=NOW + 3600), renews=issued.token)
    assert (await refusal(late)).code is Code.EXPIRED_TOKEN


async def test_a_guest_token_says_which_network_got_it() -> None:
    """Guests of one network have one fingerprint, also after a renewal elsewhere; nobody can read the address from it."""
    handlers = handlers_with(GUESTS)

    async def network_of(network: str | None, renews: str | None = None) -> tuple[str, str]:
        issued = await handlers.issue_guest_token(IssueGuestToken(network=network, renews=renews))
        found = (await handlers.validate(Validate(token=issued.token))).guest_network
        assert found is not None
        return issued.token, found

    token, here = await network_of("198.51.100.7")
    assert here
    assert (await network_of("198.51.100.7"))[1] == here
    assert (await network_of("198.51.100.8"))[1] != here
    assert (await network_of("203.0.113.1", renews=token))[1] == here
    assert "198.51.100.7" not in str(jwt.decode(token, options={"verify_signature": False}))
    assert Grants.under(b"y" * 32).network("198.51.100.7") != Grants.under(b"x" * 32).network("198.51.100.7")


async def test_a_guest_token_of_the_release_before() -> None:
    """It names no network. Its guest is one of all those of whom nothing is known; a renewal takes the network it came from."""
    handlers = handlers_with(GUESTS)
    old = await handlers.issue_guest_token(IssueGuestToken())
    assert (await handlers.validate(Validate(token=old.token))).guest_network == ""
    renewed = await handlers.issue_guest_token(IssueGuestToken(renews=old.token, network="198.51.100.7"))
    assert (await handlers.validate(Validate(token=renewed.token))).guest_network


async def test_an_agent_is_of_no_guest_network() -> None:
    """Whatever its agent id looks like, an agent-link token makes no guest."""
    token = agent_token(sub="guest-1", net="x", guestNetwork="x")
    assert (await handlers_with(GUESTS).validate(Validate(token=token))).guest_network is None


async def test_only_a_guest_token_renews() -> None:
    """An agent-link token, a join token and a resume token make nobody a guest, let alone that agent."""
    handlers = handlers_with(GUESTS)
    issued = await guest(handlers)
    join = await handlers.issue_join_token(IssueJoinToken(room_id=ROOM, agent_id=issued.agent_id, ttl=60))
    opened = await handlers.open_session(OpenSession(token=issued.token, session_id=SessionId("s_1")))
    for token in (agent_token(), agent_token(sub=issued.agent_id), join.token, opened.resume_token, "", "nonsense"):
        assert (await refusal(guest(handlers, renews=token))).code is Code.INVALID_TOKEN


async def test_a_guest_token_is_nothing_else() -> None:
    """It is no join token and no resume token; and neither of those, nor one that agent-link's secret signed with the
    claims of a guest, is a guest's."""
    handlers = handlers_with(DEVELOPMENT)
    issued = await guest(handlers)
    asked = CheckJoinToken(token=issued.token, room_id=ROOM, agent_id=issued.agent_id)
    assert (await refusal(handlers.check_join_token(asked))).code is Code.FORBIDDEN
    login = await handlers.issue_dev_token(IssueDevToken(agent_id=AgentId("a")))
    resume = OpenSession(token=login.token, session_id=SessionId("s_2"), resume=issued.token)
    assert (await handlers.open_session(resume)).session_id == "s_2"
    claims = jwt.decode(issued.token, options={"verify_signature": False})
    forged = jwt.encode(claims, DEVELOPMENT_SECRET, algorithm="HS256")
    assert (await refusal(handlers.validate(Validate(token=forged)))).code is Code.WRONG_ISSUER
    assert "permissions" not in claims


async def test_guests_need_no_keys_of_agent_link() -> None:
    """Where agent-link signs with a key pair, and even before its document was loaded, guests are verified by auth's own key."""
    handlers = handlers_with(JWKS)
    issued = await guest(handlers)
    assert (await handlers.validate(Validate(token=issued.token))).agent_id == issued.agent_id
    assert (await refusal(handlers.validate(Validate(token=agent_token())))).code is Code.UNAVAILABLE


async def test_without_guest_access_there_are_no_guests() -> None:
    """In production nobody gets one unless it is set; and when it is turned off, tokens issued before are worth nothing."""
    issued = await guest(handlers_with(GUESTS))
    for settings in (PRODUCTION, DEVELOPMENT | {"PARLEY_GUEST_ACCESS": "false"}):
        assert (await refusal(guest(handlers_with(settings)))).code is Code.FORBIDDEN
    off = handlers_with(PRODUCTION)
    assert (await refusal(off.validate(Validate(token=issued.token)))).code is Code.INVALID_TOKEN
    opening = OpenSession(token=issued.token, session_id=SessionId("s_1"))
    assert (await refusal(off.open_session(opening))).code is Code.INVALID_TOKEN


@pytest.mark.parametrize("name", [" ", "x" * 129, "a\nb", "a\u202eb", "\x00"])
async def test_names_that_cannot_be(name: str) -> None:
    """A name that would garble a page or a log line is refused."""
    assert (await refusal(guest(handlers_with(GUESTS), name))).code is Code.BAD_MESSAGE


@pytest.mark.parametrize(
    "permissions",
    ["rooms:manage", "rooms:observe", "rooms:join,rooms:manage:daily", "rooms:join:daily", "everything", "rooms:Join"],
)
def test_guests_cannot_be_more(permissions: str) -> None:
    """A permission that would make a manager or an observer of everybody stops the start, by the variable's name."""
    with pytest.raises(SettingsError, match="PARLEY_GUEST_PERMISSIONS: guests may have"):
        AuthSettings.read(GUESTS | {"PARLEY_GUEST_PERMISSIONS": permissions})


def test_another_installations_guests_are_strangers() -> None:
    """The key comes from this installation's secret."""
    issued = Grants.under(b"x" * 32).issue_guest_token(Guest(AgentId("guest-1"), "Sara"), 60, NOW, bytes(16))
    ours = Grants.under(b"y" * 32)
    assert not ours.is_guest_token(issued.token)
    with pytest.raises(Refused):
        ours.check_guest_token(issued.token, ("rooms:join",), NOW)
