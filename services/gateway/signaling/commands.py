"""The messages that set up calls: `offer`, `answer`, `candidate`."""

import asyncio

from services.gateway import metrics
from services.gateway.participation.participations import Participations
from services.gateway.session.feature import Feature, Handled, Request, SessionHandle
from services.gateway.signaling.messages import Candidate, Description, Signal
from services.gateway.signaling.relay import Relay


async def send(session: SessionHandle, request: Request[Signal]) -> None:
    """Store a signal for every receiver. The answer `ok` means that it is stored."""
    relay, sender = session.part(Relay), session.part(Participations).named(request.message.room_id)
    loop = asyncio.get_running_loop()
    started = loop.time()

    def charge(receivers: int) -> None:
        """Count the message once for each further receiver; it was counted once when it was read."""
        if receivers > 1:
            session.charge(receivers - 1)

    await relay.send(request.message, sender, session.identity, started, charge)
    metrics.RELAY_SECONDS.observe(loop.time() - started)


SIGNALING = Feature("signaling", [Handled(Description, send), Handled(Candidate, send)], open=Relay)
