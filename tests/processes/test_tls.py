"""`TLS=1 HOST=0.0.0.0 python -m services` from outside, by clients that verify whom they talk to."""

import asyncio
import datetime
import re
import shlex
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from services.launcher.addresses import own_addresses
from services.launcher.certificate import certificate, names_of
from tests.support.client import Client
from tests.support.launched import Launched, bearer, refusal
from tests.support.needed import needed


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """Parley with TLS, everywhere."""
    environment = {"TLS": "1", "HOST": "0.0.0.0"}
    running = Launched(tmp_path_factory.mktemp("secure") / "data", environment=environment).ready()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def trusting(secure: Launched) -> ssl.SSLContext:
    """What a client needs that was given the certificate, and nothing else."""
    return ssl.create_default_context(cafile=str(secure.data / "tls" / "certificate.pem"))


def test_https(secure: Launched, trusting: ssl.SSLContext) -> None:
    """The page, REST and the documentation, by localhost and by the address; plain http gets no answer."""
    port = urlsplit(secure.url).port
    assert secure.url == f"https://127.0.0.1:{port}"
    for host in ("127.0.0.1", "localhost"):
        with httpx.Client(base_url=f"https://{host}:{port}", verify=trusting) as api:
            assert api.get("/readyz").status_code == 200
            assert '<meta name="parley-token-url" content="/api/dev/token">' in api.get("/").text
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{port}/healthz")
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        httpx.get(f"{secure.url}/healthz")


async def test_wss(secure: Launched, trusting: ssl.SSLContext) -> None:
    """The printed token opens a session by wss, and a join token says that this is the way."""
    client = await Client.open(secure.url, ssl=trusting)
    assert (await client.login(secure.token))["agentId"] == "you"
    await client.join("tls")
    async with httpx.AsyncClient(base_url=secure.url, verify=trusting) as api:
        issued = await api.post("/api/rooms/tls/join", headers=bearer(secure.token))
    assert issued.json()["url"] == secure.url.replace("https", "wss") + "/ws"
    await client.close()


def test_the_welcome(secure: Launched) -> None:
    """The page comes first, then the addresses for a phone, each of which the certificate is for; the line to paste
    names the certificate."""
    lines = [line.strip() for line in secure.process.lines]
    said = lines.index(f"open this in a browser:  {secure.url}")
    assert said < next(n for n, line in enumerate(lines) if line.startswith("URL"))
    others = re.findall(r"^\s*(?:from a phone.*|or):\s+(https://\S+)$", secure.process.output, re.MULTILINE)
    own = [str(address) for address in own_addresses() if address.version == 4]
    port = urlsplit(secure.url).port
    assert others == [f"https://{address}:{port}" for address in own[:4]]
    words = shlex.split(secure.process.wait_for(r"^\s*try\s+(curl .*)$")[1])
    assert words[words.index("--cacert") + 1] == str(secure.data / "tls" / "certificate.pem")


def test_from_another_machines_point_of_view(secure: Launched, trusting: ssl.SSLContext) -> None:
    """Under an address of the network the certificate is good too, and the page gets guest tokens there."""
    addresses = [address for address in own_addresses() if address.version == 4]
    if not addresses:
        pytest.skip("this machine is on no network")
    with httpx.Client(base_url=f"https://{addresses[0]}:{urlsplit(secure.url).port}", verify=trusting) as api:
        assert '<meta name="parley-token-url" content="/api/guest/token">' in api.get("/").text
        guest = api.post("/api/guest/token", json={"name": "Phone"}).json()
        room = {"name": "Daily", "type": "video"}
        made = api.post("/api/rooms", json=room, headers=bearer(guest["token"]))
        assert made.json()["createdBy"] == guest["agentId"]
        assert api.post("/api/dev/token", json={"agentId": "eve"}).status_code == 404


async def test_a_browser_is_content(secure: Launched) -> None:
    """Chromium may open wss to where the page came from and to nowhere else, and knows every name of the policies."""
    chromium = needed("chromium")
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
        page = await browser.new_page(ignore_https_errors=True)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        await page.goto(secure.url)
        opened = """url => new Promise(done => {
            try { const s = new WebSocket(url); s.onopen = () => done(true); s.onerror = () => done(false); }
            catch { done(false); }
        })"""
        assert await page.evaluate(opened, secure.url.replace("https", "wss") + "/ws")
        assert not [line for line in said if "Permissions-Policy" in line or "Content Security Policy" in line], said
        assert not await page.evaluate(opened, "wss://192.0.2.1/ws")
        assert [line for line in said if "connect-src" in line]
        features = "name => document.featurePolicy.allowsFeature(name)"
        for name in ("camera", "microphone", "display-capture"):
            assert await page.evaluate(features, name)
        assert not await page.evaluate(features, "geolocation")
        assert await page.evaluate("isSecureContext")
        await browser.close()


async def test_a_certificate_of_ones_own(tmp_path: Path) -> None:
    """Two files that somebody has are taken instead, and none is made; the printed token is there as ever."""
    names = names_of("127.0.0.1", [])
    mine, key = certificate(tmp_path / "mine", names, datetime.datetime.now(datetime.UTC))
    environment = {"TLS": "1", "PARLEY_TLS_CERTIFICATE": str(mine), "PARLEY_TLS_KEY": str(key)}
    launched = Launched(tmp_path / "data", environment=environment)
    try:
        await asyncio.to_thread(launched.ready)
        trusting = ssl.create_default_context(cafile=str(mine))
        client = await Client.open(launched.url, ssl=trusting)
        await client.login(launched.token)
        await client.close()
        assert not (tmp_path / "data" / "tls").exists()
        assert "--cacert" not in launched.process.output
    finally:
        assert await asyncio.to_thread(launched.stop) == 0


def test_tls_that_cannot_be(tmp_path: Path) -> None:
    """Half a pair, no yes or no, and a folder that cannot be written are each one sentence before anything is started."""
    assert "PARLEY_TLS_KEY belong together" in refusal(tmp_path / "a", PARLEY_TLS_CERTIFICATE="/nowhere/c.pem")
    assert "TLS: " in refusal(tmp_path / "b", TLS="perhaps")
    (tmp_path / "file").write_text("mine")
    assert f"{tmp_path / 'file' / 'tls'} cannot be used" in refusal(tmp_path / "file", TLS="1")


def test_the_key_stays_here(secure: Launched) -> None:
    """Nothing of it is printed or served."""
    key = (secure.data / "tls" / "key.pem").read_text().splitlines()[1]
    assert key not in secure.process.output
    assert (secure.data / "tls" / "key.pem").stat().st_mode & 0o077 == 0
