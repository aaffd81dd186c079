"""Renews the token of a session while its connection lives: asks for another one and hands it in."""

import asyncio
import logging
import random
from collections.abc import Callable

from parley.credentials import Credentials
from parley.transport.backoff import Backoff
from parley.transport.connection import Connection, Message

logger = logging.getLogger(__name__)


class Renewal:
    """`authenticate` makes the message that hands a token in; `renewed` is called with the `auth_ok` of it."""

    def __init__(
        self, credentials: Credentials, authenticate: Callable[[str], Message], renewed: Callable[[Message], None]
    ) -> None:
        self._credentials = credentials
        self._authenticate = authenticate
        self._renewed = renewed
        self._reply: asyncio.Future[Message] | None = None

    def answered(self, message: Message) -> None:
        """The gateway's answer: `auth_ok`, `auth_error`, or an `error` after which the same may be asked again."""
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(message)

    def abandon(self) -> None:
        """The connection is gone, and the answer with it."""
        if self._reply is not None and not self._reply.done():
            self._reply.cancel()

    async def run(self, connection: Connection) -> None:
        """As often as it takes while the connection lives."""
        if not self._credentials.renewable:
            logger.warning("the token is about to end, and there is no function to get another from")
            return
        pause = Backoff(random.random, first=1.0)
        while not connection.ended:
            try:
                token = await self._credentials.fresh()
            except Exception as error:
                logger.warning("the token function failed: %s", type(error).__name__)
            else:
                if connection.ended:
                    return
                self._reply = asyncio.get_running_loop().create_future()
                connection.say(self._authenticate(token))
                reply = await self._reply
                if reply["type"] == "auth_ok":
                    self._credentials.accepted(reply["expiresAt"])
                    self._renewed(reply)
                if reply["type"] != "error":
                    return  # auth_error: the connection closes
            await asyncio.sleep(0.2 + pause.next())
