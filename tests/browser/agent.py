"""The example agent of the Python SDK as a process, and how pages see and hear it."""

import sys
from collections.abc import Sequence

from tests.support.processes import ROOT, Process

PROGRAM = ROOT / "clients" / "python" / "examples" / "echo_agent.py"

# Some sound has come in, over any connection.
HEARD = """async () => (await recorded.sums()).some(({ energy }) => energy.some((one) => one > 0))"""
# What a bare page says on its data channel has come back. It is said once, and to everybody.
ECHOED = """(text) => {
  bare.said ??= new Set();
  if (bare.channel.openTo.length > 0 && !bare.said.has(text)) {
    bare.said.add(text);
    bare.channel.send(text);
  }
  return bare.messages.some(([, data]) => data === text);
}"""


class Agent:
    """One agent in a room, with the gateways it knows."""

    def __init__(self, room: str, urls: Sequence[str]) -> None:
        self._room = room
        gateways = [word for url in urls for word in ("--url", url)]
        self.process = Process(sys.executable, str(PROGRAM), *gateways, "--room", room, "--name", "Echo")

    async def present(self) -> None:
        """Wait until it is in the room."""
        await self.process.hear(f"in {self._room} as p_")
