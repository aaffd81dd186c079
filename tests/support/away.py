"""A client that loses its connection and resumes over the wire: what it keeps, and what it receives."""

from typing import Any

from tests.support.services import AnyClient, Services
from tests.support.vocabulary import Message, Vocabulary

ROOM = "voice-1"


class Away:
    """What a client keeps while it has no connection: the resume token, and the last cursor of each room."""

    def __init__(self, client: Vocabulary, agent_id: str, login: Message) -> None:
        self.agent_id = agent_id
        self.secret = login["resumeToken"]
        self.session_id = login["sessionId"]
        self.cursors = {m["roomId"]: m["cursor"] for m in client.everything if "cursor" in m and "roomId" in m}

    async def back(self, system: Services[AnyClient], gateway: int = 0, **changed: Any) -> tuple[AnyClient, Message]:
        """Resume on a new connection. Returns the client and the answer to `authenticate`."""
        client = await system.client(gateway)
        resume = {"token": self.secret, "cursors": self.cursors, **changed}
        return client, await client.ask("authenticate", token=system.token(self.agent_id), resume=resume)


async def came(
    system: Services[AnyClient], agent_id: str, gateway: int = 0, room: str = ROOM
) -> tuple[AnyClient, Message]:
    """Log in and join. Returns the client and its `auth_ok`."""
    client = await system.client(gateway)
    login = await client.login(system.token(agent_id))
    await client.join(room)
    return client, login


async def until_resumed(client: Vocabulary, room: str = ROOM) -> list[Message]:
    """All messages about a room up to `room_resumed`, which is the last."""
    await client.hear("room_resumed", roomId=room)
    about = [m for m in client.everything if m.get("roomId") == room]
    return about[: [m["type"] for m in about].index("room_resumed") + 1]
