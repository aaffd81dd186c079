"""ICE servers and the credentials of the TURN REST API."""

import base64
import hashlib
import hmac
import json

import pytest

from services.auth.settings import AuthSettings
from services.auth.turn import IceSettings, issue
from shared.runtime.settings import SettingsError
from shared.values.ids import AgentId

NOW = 1_770_804_000.5
FAWZI = AgentId("agent-fawzi")
CANARY = "canary-5e1f"
SECRET = CANARY + " the secret of the TURN server"
STUN, TURN = ("stun:turn.example:3478",), ("turn:turn.example?transport=udp", "turns:turn.example:5349?transport=tcp")
GIVEN = {"PARLEY_MODE": "development", "PARLEY_TURN_SECRET": SECRET}


def test_a_known_credential() -> None:
    """What coturn's own documentation computes: base64(hmac-sha1(secret, "<end>:<user>")), with the end in the name."""
    issued = issue(IceSettings(STUN, TURN, SECRET.encode(), 3600), FAWZI, NOW)
    stun, turn = issued.ice_servers
    assert (stun.urls, stun.username, stun.credential) == (list(STUN), None, None)
    assert turn.urls == list(TURN)
    assert turn.username == "1770807600:agent-fawzi"
    digest = hmac.new(SECRET.encode(), b"1770807600:agent-fawzi", hashlib.sha1).digest()
    assert turn.credential == base64.b64encode(digest).decode()
    assert issued.expires_at == "2026-02-11T11:00:00.000Z"


def test_each_agent_has_its_own() -> None:
    """Agents, times and secrets that differ make credentials that differ."""
    one = IceSettings((), TURN, SECRET.encode(), 60)
    other = IceSettings((), TURN, b"o" * 32, 60)
    made = [
        issue(one, FAWZI, NOW),
        issue(one, AgentId("sara"), NOW),
        issue(one, FAWZI, NOW + 1),
        issue(other, FAWZI, NOW),
    ]
    assert len({issued.ice_servers[0].credential for issued in made}) == len(made)


def test_without_turn_there_is_no_end() -> None:
    """STUN servers need no credentials; without any server the list is empty."""
    issued = issue(IceSettings(STUN, (), b"", 60), FAWZI, NOW)
    assert ([server.urls for server in issued.ice_servers], issued.expires_at) == ([list(STUN)], None)
    assert issue(IceSettings((), (), b"", 60), FAWZI, NOW).ice_servers == []


def test_browsers_get_no_null() -> None:
    """RTCIceServer's members are texts or absent: what is not set is not in the JSON."""
    issued = issue(IceSettings(STUN, (), b"", 60), FAWZI, NOW)
    assert json.loads(issued.ice_servers[0].model_dump_json(by_alias=True)) == {"urls": list(STUN)}


def test_nothing_secret_is_shown() -> None:
    """Neither the secret nor a credential is in what a log line or a traceback would show of these objects."""
    settings = AuthSettings.read(GIVEN | {"PARLEY_TURN_URLS": ",".join(TURN)})
    issued = issue(settings.ice(), FAWZI, NOW)
    credential = issued.ice_servers[0].credential
    assert credential is not None
    for shown in (repr(settings), repr(settings.ice()), repr(issued), str(issued.ice_servers)):
        assert CANARY not in shown
        assert credential not in shown


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "turn:turn.example",
        "turn:turn.example:3478",
        "turn:192.0.2.1:3478?transport=udp",
        "turn:[2001:db8::1]:3478?transport=tcp",
        "turns:turn.example:5349?transport=tcp",
        "turn:localhost",
    ],
)
def test_turn_uris(url: str) -> None:
    """RFC 7065: a host, perhaps a port, perhaps a transport that browsers know."""
    assert AuthSettings.read(GIVEN | {"PARLEY_TURN_URLS": url}).turn_urls == [url]


@pytest.mark.parametrize("url", ["stun:stun.example", "stun:192.0.2.1:3478", "stuns:[::1]:5349"])
def test_stun_uris(url: str) -> None:
    """RFC 7064: a host, perhaps a port."""
    assert AuthSettings.read(GIVEN | {"PARLEY_STUN_URLS": url}).stun_urls == [url]


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "//turn.example",
        "user:password@turn.example",
        "turn.example:0",
        "turn.example:65536",
        "turn.example:port",
        "turn.example:١",
        "turn.example?transport=sctp",
        "turn.example?transport=udp&x=1",
        "turn.example?x",
        "turn.example#x",
        "turn.example/",
        "192.0.2.256",
        "192.0.2",
        "[2001:db8::1",
        "[fe80::1%eth0]",
        "[192.0.2.1]",
        "2001:db8::1",
        "-turn.example",
        "turn..example",
        "turn example",
        "türn.example",
        f"{CANARY}!",
    ],
)
def test_what_is_no_uri(rest: str) -> None:
    """Anything else is one sentence at start that names the variable and repeats nothing of it."""
    for variable, scheme in (("PARLEY_TURN_URLS", "turn"), ("PARLEY_STUN_URLS", "stun")):
        with pytest.raises(SettingsError) as caught:
            AuthSettings.read(GIVEN | {variable: f"{scheme}:ok.example,{scheme}:{rest}"})
        assert str(caught.value).startswith(f"{variable}: must be URIs of the form {scheme}:host[:port]")
        assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"PARLEY_TURN_URLS": TURN[0]}, "PARLEY_TURN_URLS needs PARLEY_TURN_SECRET"),
        ({"PARLEY_TURN_SECRET": CANARY}, "PARLEY_TURN_SECRET must have at least 32 bytes"),
        ({"PARLEY_STUN_URLS": TURN[0]}, "PARLEY_STUN_URLS: must be URIs of the form stun:"),
        (
            {"PARLEY_TURN_URLS": STUN[0], "PARLEY_TURN_SECRET": SECRET},
            "PARLEY_TURN_URLS: must be URIs of the form turn:",
        ),
        ({"PARLEY_STUN_URLS": "stun:host?transport=udp"}, "PARLEY_STUN_URLS: must be"),
        ({"PARLEY_TURN_SECONDS": "1"}, "PARLEY_TURN_SECONDS"),
        ({"PARLEY_TURN_SECRET": SECRET, "PARLEY_GRANT_SECRET": SECRET}, "PARLEY_TURN_SECRET must differ"),
        ({"PARLEY_TURN_SECRET": SECRET, "PARLEY_TOKEN_SECRET": SECRET}, "PARLEY_TURN_SECRET must differ"),
    ],
)
def test_contradictions(settings: dict[str, str], word: str) -> None:
    """What does not make sense together is told at start, without the secret."""
    with pytest.raises(SettingsError) as caught:
        AuthSettings.read({"PARLEY_MODE": "development"} | settings)
    assert word in str(caught.value)
    assert CANARY not in str(caught.value)


def test_a_secret_alone_is_no_contradiction() -> None:
    """compose gives auth the secret whether there is a TURN server or not; nothing is issued with it."""
    assert issue(AuthSettings.read(GIVEN).ice(), FAWZI, NOW).ice_servers == []
