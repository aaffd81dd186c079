"""One NATS server for all tests of a process. Each test finds it empty, without other connections.

It has the deployed configuration and two more users, which only tests have: one may do anything in the services'
account, the other reads the server's own state.
"""

import json
import re
from pathlib import Path

from nats.aio.client import Client

from services.launcher.embedded_nats import EmbeddedNats, kept_passwords
from tests.support.broker import ContainerNats, nats_for_tests

EMPTIER, WARDEN = "tests", "warden"
_ACCOUNTS = "accounts {"
_USERS = re.compile(r"^  AGENTLINK \{\n(?:    #.*\n)*    jetstream: .*\n    users = \[", re.MULTILINE)


def with_users_of_tests(accounts: str) -> str:
    """The deployed accounts.conf with the users of tests."""
    for place, found in ((_ACCOUNTS, accounts.count(_ACCOUNTS)), (_USERS.pattern, len(_USERS.findall(accounts)))):
        assert found == 1, f"deploy/nats/accounts.conf has another shape: no {place!r}"
    users = {user: f"{{ user: {user}, password: $PARLEY_NATS_{user.upper()}_PASSWORD }}" for user in (EMPTIER, WARDEN)}
    accounts = _USERS.sub(lambda found: f"{found[0]} {users[EMPTIER]}", accounts)
    return accounts.replace(_ACCOUNTS, f"{_ACCOUNTS} $SYS {{ users = [ {users[WARDEN]} ] }}")


class NatsWithUsersOfTests(EmbeddedNats):
    """The embedded server with the users of tests."""

    def _prepare(self) -> None:
        super()._prepare()
        self.passwords |= kept_passwords(self.folder, (*self.passwords, EMPTIER, WARDEN))
        accounts = self.folder / "accounts.conf"
        accounts.write_text(with_users_of_tests(accounts.read_text()))


class SharedNats:
    """Starts a server at the first use. Later uses get the same server, or a new one where it cannot be emptied."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started = 0
        self._server: EmbeddedNats | ContainerNats | None = None

    async def empty(self) -> EmbeddedNats | ContainerNats:
        """A server without streams and connections."""
        if isinstance(self._server, NatsWithUsersOfTests) and self._server.running and await _left(self._server):
            return self._server
        await self.stop()
        self._started += 1
        folder = self._folder / str(self._started)
        server = nats_for_tests(folder)  # a container has no users of tests, so each test gets its own
        self._server = server if isinstance(server, ContainerNats) else NatsWithUsersOfTests(folder)
        await self._server.start()
        return self._server

    @property
    def running(self) -> EmbeddedNats | ContainerNats:
        """The server that `empty` returned last."""
        assert self._server is not None
        return self._server

    async def stop(self) -> None:
        """End it."""
        if self._server is not None:
            await self._server.stop()


async def _left(server: EmbeddedNats) -> bool:
    """Delete all streams. False if a client is still connected: a test did not tidy up, and its services would answer."""
    async with await _connected(server, WARDEN) as warden:
        told = json.loads((await warden.request("$SYS.REQ.SERVER.PING.CONNZ", timeout=5)).data)
        if [one for one in told["data"]["connections"] if one["cid"] != warden.client_id]:
            return False
    async with await _connected(server, EMPTIER) as emptier:
        log = emptier.jetstream()
        for stream in await log.streams_info():
            await log.delete_stream(stream.config.name or "")
    return True


async def _connected(server: EmbeddedNats, user: str) -> Client:
    client = Client()
    await client.connect(server.url, user=user, password=server.passwords[user], allow_reconnect=False)
    return client
