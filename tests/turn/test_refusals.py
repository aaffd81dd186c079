"""What the deployed coturn refuses (deploy/coturn/turnserver.conf): credentials that are not good, peers that are not public."""

import time
from pathlib import Path
from typing import Any

import pytest

from services.auth.turn import IceSettings, issue
from shared.values.ids import AgentId
from tests.support.allocation import allocated, refusal
from tests.support.coturn import SECRET, Coturn

UNAUTHORIZED, FORBIDDEN, QUOTA_REACHED = 401, 403, 486  # RFC 8656


def server(turn: Coturn, agent_id: str = "agent-fawzi", *, secret: str = SECRET, ago: float = 0.0) -> dict[str, Any]:
    """The server with what auth would issue, so long ago."""
    settings = IceSettings((), (turn.url,), secret.encode(), 60)
    (one,) = issue(settings, AgentId(agent_id), time.time() - ago).ice_servers
    return one.wire()


# -- who ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent_id", ["agent-fawzi", "a", "a:b:c", "1:2", "12345", "a@b.example", "x" * 128])
async def test_whoever_auth_named_may(turn: Coturn, agent_id: str) -> None:
    """Any agent's id makes a username that coturn takes apart as we put it together."""
    async with allocated(server(turn, agent_id)) as allocation:
        assert allocation.relayed[1]


async def test_expired_credentials(turn: Coturn) -> None:
    """After the end that the username tells, they open nothing."""
    assert await refusal(server(turn, ago=61)) == UNAUTHORIZED


async def test_a_later_end_is_another_name(turn: Coturn) -> None:
    """The end is signed: writing another one into the username makes the credential wrong."""
    given = server(turn, ago=61)
    end, _, agent = given["username"].partition(":")
    assert await refusal({**given, "username": f"{int(end) + 3600}:{agent}"}) == UNAUTHORIZED


@pytest.mark.parametrize("change", [{"credential": "d3Jvbmc="}, {"username": "9999999999:eve"}, {"username": "eve"}])
async def test_wrong_credentials(turn: Coturn, change: dict[str, str]) -> None:
    """Another password, another name."""
    assert await refusal(server(turn) | change) == UNAUTHORIZED


async def test_another_secret(turn: Coturn) -> None:
    """What was made with another secret than the server's."""
    assert await refusal(server(turn, secret="another secret, as long as it has to be")) == UNAUTHORIZED


async def test_allocations_are_counted_by_agent() -> None:
    """The quota is the agent's, not that of one set of credentials, so that renewing them does not get around it."""
    async with Coturn(SECRET, "--user-quota=1") as small, allocated(server(small)):
        assert await refusal(server(small, ago=5)) == QUOTA_REACHED
        async with allocated(server(small, "agent-sara")):
            pass


# -- to whom -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.0.0.1", "10.0.0.0", "10.1.2.3", "10.255.255.255", "100.64.0.1", "100.100.100.200"),
        *(
            "127.0.0.1",
            "127.0.0.2",
            "127.255.255.255",
            "169.254.0.0",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
        ),
        *("192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.0", "192.168.1.1", "198.18.0.1", "198.19.255.255"),
        *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        "168.63.129.16",
    ],
)
async def test_peers_that_are_not_public(turn: Coturn, address: str) -> None:
    """Loopback, private, link-local, shared, metadata, reserved, multicast: neither a permission nor a channel."""
    async with allocated(server(turn)) as allocation:
        assert await allocation.permit(address) == FORBIDDEN
        assert await allocation.bind(address) == FORBIDDEN


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "9.255.255.255", "11.0.0.0", "100.128.0.0", "172.32.0.0", "223.255.255.1"]
)
async def test_public_peers(turn: Coturn, address: str) -> None:
    """The addresses next to those are permitted: the ranges end where they should. (Nothing is sent there.)"""
    async with allocated(server(turn)) as allocation:
        assert await allocation.permit(address) == 0


@pytest.mark.parametrize(
    "address",
    [
        *("::", "::1", "::100", "::2:0", "::7f00:1", "::127.0.0.0", "::10.0.0.1", "::169.254.169.254"),
        *("::ffff:127.0.0.1", "::ffff:127.0.0.0", "::ffff:10.0.0.0", "::ffff:169.254.169.254", "::ffff:8.8.8.8"),
        *("64:ff9b::a9fe:a9fe", "64:ff9b::a00:0", "64:ff9b::", "64:ff9b:1::1", "100::", "0:100::", "1fff::"),
        *(
            "2001::1",
            "2001:0:a9fe:a9fe::",
            "2001:1ff::",
            "2001:db8::",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
        ),
        *("3fff::", "3fff:fff::1", "4000::", "5f00::1", "8000::", "fc00::", "fd00:ec2::254", "fd20:ce::254"),
        *("fe80::", "fe80::a9fe:a9fe", "fec0::1", "ff02::1", "ff0e::1", "ffff::"),
    ],
)
async def test_ipv6_peers_that_are_not_public(turn6: Coturn, address: str) -> None:
    """The same for IPv6, with IPv4 addresses in every disguise, and with zeros where a sloppy comparison would slip."""
    async with allocated(server(turn6)) as allocation:
        assert await allocation.permit(address) == FORBIDDEN


@pytest.mark.parametrize("address", ["2000::", "2001:200::", "2001:4860:4860::8888", "2606:4700::1111", "3fff:1000::"])
async def test_public_ipv6_peers(turn6: Coturn, address: str) -> None:
    """Global addresses are permitted."""
    async with allocated(server(turn6)) as allocation:
        assert await allocation.permit(address) == 0


async def test_the_tests_exception_is_narrow() -> None:
    """With `to_loopback`, as other tests use it, 127.0.0.1 is permitted and its neighbours still are not."""
    async with Coturn() as turn, allocated(server(turn)) as allocation:
        assert await allocation.permit("127.0.0.1") == 0
        assert await allocation.permit("127.0.0.2") == FORBIDDEN
        assert await allocation.permit("169.254.169.254") == FORBIDDEN


# -- what else it shows ------------------------------------------------------------------------------------------------


async def test_the_secret_is_not_on_display(turn: Coturn) -> None:
    """Neither in the process list, nor in its environment, nor in its log; the log has no credential either."""
    given = server(turn)
    async with allocated(given):
        pass
    process = Path(f"/proc/{turn.pid}")
    shown = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    assert b"turnserver" in shown
    for secret in (SECRET, given["credential"]):
        assert secret.encode() not in shown
        assert secret not in turn.output
