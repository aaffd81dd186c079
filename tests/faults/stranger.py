"""A client that only joins and listens, as a process of its own: `python -m tests.faults.stranger URL ROOM TOKEN`."""

import asyncio
import sys

from tests.support.client import Client


async def main(url: str, room_id: str, token: str) -> None:
    """Until it is ended."""
    client = await Client.open(url)
    await client.login(token)
    await client.join(room_id)
    sys.stdout.write("joined\n")
    sys.stdout.flush()
    await client.socket.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
