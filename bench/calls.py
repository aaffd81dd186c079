"""`python -m bench.calls`: what people wait for in a call, in real Chromium on loopback; and how large the SDK is."""

import asyncio
import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from bench.__main__ import percentile
from bench.deployment import deployed
from tests.support.chromium import Chromium, Tab
from tests.support.needed import found
from tests.support.system import token

SDK = Path(__file__).parent.parent / "clients" / "js"
VISITS = 10
JOINS = 10
SETTLE_SECONDS = 1.0  # between two measurements, so that the end of one is not part of the next
# Types the name and presses Join as soon as the page can be used, and notes when the first picture of another is shown.
VISIT = """(() => {
  const watch = () => {
    const video = document.querySelector("[data-participant]:not([data-own]) video");
    if (!video) return requestAnimationFrame(watch);
    video.requestVideoFrameCallback(() => (globalThis.firstFrame = performance.now()));
  };
  const enter = () => {
    const name = document.querySelector("#entry-name");
    if (!document.querySelector("#entry.invited")) return setTimeout(enter, 5);
    name.value = "Bench";
    name.dispatchEvent(new Event("input"));
    document.querySelector("#entry-join").click();
    globalThis.entered = performance.now();
    watch();
  };
  addEventListener("DOMContentLoaded", enter);
})();"""
# A participant with camera and microphone; with `others` given, the milliseconds from join() until each has its offer.
JOIN = """async ({ url, token, room, name, others }) => {
  const { connect } = await import("/clients/js/index.js");
  globalThis.session ??= await connect(url, { token });
  globalThis.stream ??= await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 320, height: 240 } });
  const offers = [];
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (text) {
    if (text.includes('"type":"offer"')) offers.push(performance.now());
    return send.call(this, text);
  };
  const began = performance.now();
  globalThis.room = await session.join(room, { name });
  const [audio, video] = ["audio", "video"].map((kind) => stream.getTracks().find((track) => track.kind === kind));
  globalThis.call = globalThis.room.call({ tracks: { audio, video } });
  const joined = performance.now();
  while (offers.length < others) await new Promise((resolve) => setTimeout(resolve, 1));
  WebSocket.prototype.send = send;
  return others ? [joined - began, offers[others - 1] - began] : null;
}"""
CONNECTED = """(count) => {
  const states = [...call.peers.values()].map(({ state }) => state);
  return states.length === count && states.every((state) => state === "connected");
}"""


def row(what: str, milliseconds: list[float], target: str = "") -> None:
    """One line of milliseconds."""
    p50, p90 = (percentile(milliseconds, share) for share in (0.5, 0.9))
    print(f"{what:<66} p50 {p50:7.0f} ms   p90 {p90:7.0f} ms   n {len(milliseconds)}   {target}")


async def visits(chromium: Chromium, url: str) -> None:
    """Somebody waits in a room; others open its link for the first time, one after another, and leave again."""
    room = f"{url}/?room=bench-visits"
    waiting = await chromium.tab(scripts=[VISIT])
    await waiting.page.goto(room)
    await waiting.until("() => document.body.dataset.state === 'call'")
    shown: list[float] = []
    entered: list[float] = []
    for _ in range(VISITS):
        await waiting.until("() => document.querySelectorAll('[data-participant]').length === 1")
        await asyncio.sleep(SETTLE_SECONDS)
        visitor = await chromium.tab(scripts=[VISIT])
        await visitor.page.goto(room)
        shown.append(await visitor.until("() => globalThis.firstFrame"))
        entered.append(await visitor.run("() => entered"))
        await visitor.page.get_by_role("button", name="Leave", exact=True).click()
        await visitor.close()
    row("page opened (nothing cached) to first picture of the other", shown, "target: p50 < 1500 ms")
    row("  of which until the name is typed and Join is pressed", entered)
    row("  of which from Join to the first picture", [a - b for a, b in zip(shown, entered, strict=True)])
    await waiting.close()


async def joins(chromium: Chromium, url: str) -> None:
    """The fourth participant joins a room of three, with camera and microphone, and leaves again."""

    async def join(tab: Tab, name: str, others: int = 0) -> Any:
        given = {"url": url, "token": token(name), "room": "bench-joins", "name": name, "others": others}
        return await tab.run(JOIN, given)

    tabs = [await chromium.tab() for _ in range(4)]
    for number, tab in enumerate(tabs):
        await tab.page.goto(f"{url}/web/favicon.svg")  # of our origin, and with no script of its own
        if number < 3:
            await join(tab, f"bench-{number}")
    fourth = tabs[3]
    joined: list[float] = []
    offered: list[float] = []
    for _ in range(JOINS):
        for tab in tabs[:3]:
            await tab.until(CONNECTED, 2)
        await asyncio.sleep(SETTLE_SECONDS)
        answered, sent = await join(fourth, "bench-fourth", others=3)
        joined.append(answered)
        offered.append(sent)
        await fourth.until(CONNECTED, 3)
        await fourth.run("() => room.leave()")
    row("fourth participant: from join() to all three offers sent", offered, "target: < 300 ms")
    row("  of which until the room answered", joined)
    for tab in tabs:
        await tab.close()


def size() -> None:
    """The SDK as it is served, and as a bundler makes it smaller."""
    sources = b"".join(path.read_bytes() for path in sorted((SDK / "src").glob("*.js")))
    print(f"{'SDK, as it is served: all modules, gzipped':<66} {len(gzip.compress(sources, 9)) / 1000:7.1f} kB")
    node = shutil.which("node")
    if node is None or not (SDK / "node_modules").is_dir():
        print("SDK as one bundle: not measured (needs Node.js, and `npm ci` in clients/js)")
        return
    told = subprocess.run([node, "size.js"], cwd=SDK, check=True, capture_output=True, text=True).stdout  # noqa: S603
    kilobytes = json.loads(told)["gzippedBytes"] / 1000
    print(f"{'SDK, one bundle, minified and gzipped':<66} {kilobytes:7.1f} kB   {'target: < 25 kB':>38}")


async def main() -> None:
    """All of it."""
    size()
    if found("chromium") is None:
        print("calls: not measured (needs Chromium)")
        return
    chromium = await Chromium.start()
    try:
        load = os.getloadavg()[0]
        print(
            f"{os.cpu_count()} cores, load {load:.1f} before; Chromium {chromium.version} and all services share them"
        )
        async with deployed() as deployment:
            await visits(chromium, deployment.url)
            await joins(chromium, deployment.url)
    finally:
        await chromium.stop()


if __name__ == "__main__":
    asyncio.run(main())
