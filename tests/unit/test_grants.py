"""The tokens auth issues itself: each good for one purpose, one agent, one room or session, until its end."""

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth.grants import Grants
from services.auth.keys import KeyRing
from services.auth.tokens import TokenRules, check_token
from shared.auth.commands import IssueJoinToken
from shared.rooms.grant import Grant
from shared.rooms.model import Role
from shared.values.errors import Code, Refused
from shared.values.ids import AgentId, RoomId, SessionId, fingerprint

SECRET = b"the secret below auth's own tokens"
NOW = 1_770_804_000.75
ROOM, FAWZI = RoomId("voice-room-123"), AgentId("agent-fawzi")
GRANTS = Grants.under(SECRET)


def join_token(role: Role = "participant", chance: bytes = bytes(16)) -> str:
    order = IssueJoinToken(room_id=ROOM, agent_id=FAWZI, role=role, ttl=60)
    return GRANTS.issue_join_token(order, 60, NOW, chance).token


def check(token: str, room_id: RoomId = ROOM, agent_id: AgentId = FAWZI, now: float = NOW) -> Grant:
    return GRANTS.check_join_token(token, room_id, agent_id, now)


def refusal(token: str, room_id: RoomId = ROOM, agent_id: AgentId = FAWZI, now: float = NOW) -> Refused:
    with pytest.raises(Refused) as caught:
        check(token, room_id, agent_id, now)
    assert token not in str(caught.value)
    return caught.value


def test_a_join_token_becomes_a_grant() -> None:
    """The grant says room, agent and role, ends with the token, and is known by the fingerprint of the token's id."""
    token = join_token("moderator")
    jti = jwt.decode(token, options={"verify_signature": False})["jti"]
    assert check(token) == Grant(
        room_id=ROOM, agent_id=FAWZI, role="moderator", key=fingerprint(jti), until=int(NOW) + 60
    )


def test_each_join_token_is_its_own() -> None:
    """Other random bytes make another token with another key, so that each is used up by itself."""
    assert check(join_token(chance=b"a" * 16)).key != check(join_token(chance=b"b" * 16)).key


def test_a_join_token_is_for_one_room_and_one_agent() -> None:
    """In another room, or by another agent, it is forbidden."""
    assert "another room" in refusal(join_token(), room_id=RoomId("voice-room-124")).message
    assert "another agent" in refusal(join_token(), agent_id=AgentId("agent-other")).message
    assert refusal(join_token(), room_id=RoomId("")).code is Code.FORBIDDEN


def test_a_join_token_ends() -> None:
    """It is good until just before its end, without leeway, and the end is told in RFC 3339."""
    order = IssueJoinToken(room_id=ROOM, agent_id=FAWZI, ttl=60)
    issued = GRANTS.issue_join_token(order, 60, NOW, bytes(16))
    end = int(NOW) + 60
    assert issued.expires_at == "2026-02-11T10:01:00.000Z"
    assert check(issued.token, now=end - 0.001).until == end
    refused = refusal(issued.token, now=end)
    assert (refused.code, refused.message) == (Code.FORBIDDEN, "the join token has expired")


@pytest.mark.parametrize(
    ("room", "agent"), [("", "a"), ("a b", "a"), ("a.b", "a"), ("r" * 65, "a"), ("r", ""), ("r", "a b"), ("r", "a\n")]
)
def test_ids_that_cannot_be_get_no_join_token(room: str, agent: str) -> None:
    """A join token nobody could use is refused when it is asked for."""
    with pytest.raises(Refused) as caught:
        GRANTS.issue_join_token(
            IssueJoinToken(room_id=RoomId(room), agent_id=AgentId(agent), ttl=60), 60, NOW, bytes(16)
        )
    assert caught.value.code is Code.BAD_MESSAGE


def test_a_resume_token_resumes_its_agents_session() -> None:
    """It gives the session id, again and again until it ends, to its agent and no other."""
    token = GRANTS.issue_resume_token(SessionId("s_1"), FAWZI, NOW, 100)
    end = int(NOW) + 100
    assert [GRANTS.check_resume_token(token, FAWZI, now) for now in (NOW, NOW, end - 0.001)] == ["s_1"] * 3
    for agent, now in ((AgentId("agent-other"), NOW), (FAWZI, end)):
        with pytest.raises(Refused) as caught:
            GRANTS.check_resume_token(token, agent, now)
        assert caught.value.code is Code.FORBIDDEN


def test_no_token_passes_for_another() -> None:
    """Join, resume and agent-link tokens do not stand in for each other, even under one secret and one audience."""
    agent_link = jwt.encode(
        {"sub": FAWZI, "iss": "parley:auth", "aud": "parley:join", "room": ROOM, "role": "owner"}
        | {"iat": int(NOW), "exp": int(NOW) + 60, "jti": "1", "session": "s_1"},
        SECRET,
        algorithm="HS256",
    )
    resume = GRANTS.issue_resume_token(SessionId("s_1"), FAWZI, NOW, 60)
    for token in (agent_link, resume):
        assert refusal(token).message == "the join token is not valid"
    for token in (agent_link, join_token()):
        with pytest.raises(Refused, match="the resume token is not valid"):
            GRANTS.check_resume_token(token, FAWZI, NOW)
    for audience in ("parley:join", "parley:resume"):
        rules = TokenRules("parley:auth", audience, 30, 86_400, ())
        for token in (join_token(), resume):
            with pytest.raises(Refused) as caught:
                check_token(token, KeyRing.from_secret(SECRET), rules, NOW)
            assert caught.value.code is Code.INVALID_TOKEN


def test_audience_and_key_each_keep_purposes_apart() -> None:
    """Were the keys of join and resume tokens one, the audience would tell them apart, and the other way round."""
    swapped = Grants(GRANTS._resume, GRANTS._join, GRANTS._guest, GRANTS._network)
    one_key = Grants(GRANTS._join, GRANTS._join, GRANTS._join, GRANTS._join)
    assert one_key.check_join_token(join_token(), ROOM, FAWZI, NOW) == check(join_token())
    with pytest.raises(Refused):
        swapped.check_join_token(join_token(), ROOM, FAWZI, NOW)
    with pytest.raises(Refused):
        one_key.check_resume_token(join_token(), FAWZI, NOW)
    with pytest.raises(Refused):
        one_key.check_guest_token(join_token(), (), NOW)


def test_another_secrets_tokens_are_refused() -> None:
    """Two installations do not accept each other's tokens, and the secrets show in no text."""
    other = Grants.under(b"another installation's own secret")
    with pytest.raises(Refused):
        other.check_join_token(join_token(), ROOM, FAWZI, NOW)
    assert repr(other) == repr(GRANTS) == "Grants()"


@given(st.text())
def test_any_text_is_forbidden(text: str) -> None:
    """Whatever is presented as a join or resume token, the answer is `forbidden`."""
    assert refusal(text + ".").code is Code.FORBIDDEN
    with pytest.raises(Refused) as caught:
        GRANTS.check_resume_token(text, FAWZI, NOW)
    assert caught.value.code is Code.FORBIDDEN
