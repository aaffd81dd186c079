"""Real Firefox for tests, driven over WebDriver BiDi: JSON over a WebSocket, with a client that knows what tests need.

https://w3c.github.io/webdriver-bidi/ names the commands. Nothing is between the tests and the browser but `websockets`.
"""

import asyncio
import base64
import itertools
import json
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.needed import needed
from tests.support.processes import Process

PATIENCE = 60.0
PREFERENCES: dict[str, bool | int | str] = {
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
    "media.autoplay.default": 0,
    "media.navigator.permission.disabled": True,  # no person is there to click
    "media.navigator.streams.fake": True,
    "media.gmp-manager.updateEnabled": False,
    "media.peerconnection.ice.loopback": True,  # a machine may have no other network
    "media.peerconnection.ice.obfuscate_host_addresses": False,
}
LISTENING = r"WebDriver BiDi listening on (ws://\S+)"
Message = dict[str, Any]


class Firefox:
    """One browser process with its own profile and one tab."""

    def __init__(self, process: Process, socket: ClientConnection, profile: Path) -> None:
        self._process = process
        self._socket = socket
        self._profile = profile
        self._ids = itertools.count(1)
        self._replies: dict[int, asyncio.Future[Message]] = {}
        self._reader = asyncio.create_task(self._read())
        self._tab = ""
        self.version = ""
        self.faults: list[str] = []

    @classmethod
    async def start(cls) -> Self:
        """Start it without a window, and open a session."""
        program = needed("firefox")
        profile = Path(tempfile.mkdtemp(prefix="parley-firefox-"))
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items())
        (profile / "user.js").write_text("\n".join(lines) + "\n")
        process = Process(
            *(str(program), "--headless", "--no-remote", "--remote-debugging-port", "0", "--profile", str(profile)),
            environment={"HOME": str(profile), "MOZ_DISABLE_CONTENT_SANDBOX": "1"},  # root has no user namespaces here
        )
        try:
            address = (await process.hear(LISTENING, within=PATIENCE))[1]
            self = cls(process, await connect(f"{address}/session", max_size=None, compression=None), profile)
            await self._open()
        except BaseException:
            process.destroy()
            shutil.rmtree(profile, ignore_errors=True)
            raise
        return self

    async def _open(self) -> None:
        session = await self.ask("session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
        self.version = session["capabilities"]["browserVersion"]
        await self.ask("session.subscribe", events=["log.entryAdded"])
        self._tab = (await self.ask("browsingContext.create", type="tab"))["context"]

    async def stop(self) -> None:
        """End it, and delete its profile."""
        await self._socket.close()
        self._reader.cancel()
        self._process.destroy()
        await asyncio.to_thread(shutil.rmtree, self._profile, ignore_errors=True)

    async def _read(self) -> None:
        try:
            async for frame in self._socket:
                self._take(json.loads(frame))
        except ConnectionClosed:
            pass
        for waiting in self._replies.values():
            if not waiting.done():
                waiting.set_exception(AssertionError("Firefox has gone"))

    def _take(self, message: Message) -> None:
        if message["type"] == "event":
            entry = message["params"]
            if message["method"] == "log.entryAdded" and entry["level"] == "error":
                self.faults.append(str(entry["text"]))
            return
        waiting = self._replies.pop(message["id"] or 0, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    async def ask(self, method: str, **parameters: Any) -> Message:
        """A command and its result."""
        number = next(self._ids)
        waiting = self._replies[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        async with asyncio.timeout(PATIENCE):
            reply = await waiting
        assert reply["type"] == "success", (method, reply)
        result: Message = reply["result"]
        return result

    async def record(self, script: str) -> None:
        """Run this function in every page that is opened from now on, before its own scripts."""
        await self.ask("script.addPreloadScript", functionDeclaration=script)

    async def open(self, url: str) -> None:
        """Go to a page, and wait until it is loaded."""
        await self.ask("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    async def run(self, function: str, *arguments: Any) -> Any:
        """Call a function in the page, as a person's doing; what it returns, or resolves to, as JSON has it."""
        wrapped = f"async (given) => JSON.stringify(await ({function})(...JSON.parse(given)) ?? null)"
        reply = await self.ask(
            "script.callFunction",
            functionDeclaration=wrapped,
            arguments=[{"type": "string", "value": json.dumps(arguments)}],
            target={"context": self._tab},
            awaitPromise=True,
            userActivation=True,
        )
        assert reply["type"] == "success", re.sub(r"\s+", " ", json.dumps(reply))
        return json.loads(reply["result"]["value"])

    async def until(self, function: str, *arguments: Any, within: float = PATIENCE) -> Any:
        """Wait until the function, or what it resolves to, is true in the page; what it was then."""
        deadline = time.monotonic() + within
        while not (found := await self.run(function, *arguments)):
            assert time.monotonic() < deadline, f"not within {within:.0f} s: {function} of {arguments}"
            await asyncio.sleep(0.1)
        return found

    async def screenshot(self) -> bytes:
        """A picture of the tab, as PNG."""
        return base64.b64decode((await self.ask("browsingContext.captureScreenshot", context=self._tab))["data"])
