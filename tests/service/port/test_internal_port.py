"""The internal port shares its event loop with everything else: it reads one request after another, too."""

import asyncio

from shared.runtime.ops import OpsServer
from tests.support.patience import eventually
from tests.support.raw import Raw

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_pipelined_requests_wait() -> None:
    """Thousands of requests in one piece are answered one after another, and at most one is under way."""

    async def ready() -> None:
        """It always is."""

    ops = OpsServer("127.0.0.1", 0, ready)
    await ops.start()
    await eventually(lambda: ops._server.started, "it listens")
    raw = await Raw.connect("http://{}:{}".format(*ops._socket.getsockname()[:2]))
    sending = asyncio.create_task(raw.send(GET * 1000))
    for _ in range(1000):
        status, headers = await raw.response()
        assert status == 200
        await raw.reader.readexactly(int(headers["content-length"]))
        assert len(ops._server.server_state.tasks) <= 2
    await sending
    await raw.close()
    await ops.stop()
