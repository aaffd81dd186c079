"""SIGHUP: what is in files is taken as it is now (certificate, secrets, log level), and what cannot be used is not."""

import asyncio
import base64
import datetime
import signal
import ssl
from pathlib import Path

import httpx
import jwt

from services.launcher.certificate import CERTIFICATE, KEY, certificate, names_of
from tests.support.client import Client
from tests.support.processes import Deployment
from tests.support.sdp import offer
from tests.support.system import token
from tests.support.trouble import objects

NOW = datetime.datetime.now(datetime.UTC)


def made(folder: Path) -> bytes:
    """A new certificate with its key in this folder; as it travels (DER)."""
    for name in (CERTIFICATE, KEY):
        (folder / name).unlink(missing_ok=True)
    path, _ = certificate(folder, names_of("127.0.0.1", []), NOW)
    return ssl.PEM_cert_to_DER_cert(path.read_text())


async def shown(port: int) -> bytes:
    """The certificate that a stranger is shown now."""
    return ssl.PEM_cert_to_DER_cert(await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port)))


async def hung_up(deployment: Deployment, name: str, says: str) -> None:
    """Send SIGHUP, and hear what becomes of it."""
    process = deployment.services[name]
    since = len(process.lines)
    process.signal(signal.SIGHUP)
    await process.hear(f'"event": "{says}"', since=since)


async def restarted(deployment: Deployment, name: str, **settings: str) -> None:
    """The service again, with more settings."""
    deployment.kill(name)
    deployment.add(**settings)
    await deployment.restart(name)


async def test_a_new_certificate(deployment: Deployment, tmp_path: Path) -> None:
    """New connections see the certificate that is in the file now; one that is none changes nothing, and is told."""
    first = made(tmp_path)
    files = {"TLS_CERTIFICATE": str(tmp_path / CERTIFICATE), "TLS_KEY": str(tmp_path / KEY)}
    await restarted(deployment, "gateway", **files)
    gateway = deployment.services["gateway"]
    port = int((await gateway.hear(r'"url": "https://[^"]+:(\d+)".*"listening"'))[1])
    assert await shown(port) == first
    second = made(tmp_path)
    await hung_up(deployment, "gateway", "read again")
    assert await shown(port) == second != first
    (tmp_path / CERTIFICATE).write_text("no certificate")
    await hung_up(deployment, "gateway", "what was set before stays")
    assert await shown(port) == second
    assert "PARLEY_TLS_CERTIFICATE" in objects(gateway)[-1]["why"]


async def test_a_new_secret_and_level(deployment: Deployment, tmp_path: Path) -> None:
    """auth believes the tokens of the secret that is in the file now, and says as little as the file tells it."""
    secrets = ["a first secret of thirty-two bytes or so", "another secret of thirty-two bytes or so"]
    secret, level = tmp_path / "secret", tmp_path / "level"
    secret.write_text(secrets[0])
    level.write_text("info\n")
    await restarted(deployment, "auth", TOKEN_SECRET_FILE=str(secret), LOG_LEVEL_FILE=str(level))
    claims = jwt.decode(token("alice"), options={"verify_signature": False})

    async def lets_in(key: str) -> bool:
        client = await Client.open(deployment.url)
        reply = await client.ask("authenticate", token=jwt.encode(claims, key, algorithm="HS256"))
        await client.close()
        return bool(reply["type"] == "auth_ok")

    assert [await lets_in(key) for key in secrets] == [True, False]
    secret.write_text(secrets[1])
    await hung_up(deployment, "auth", "read again")
    assert [await lets_in(key) for key in secrets] == [False, True]
    secret.write_text("short")
    await hung_up(deployment, "auth", "what was set before stays")
    assert [await lets_in(key) for key in secrets] == [False, True]

    secret.write_text(secrets[1])
    level.write_text("error\n")
    auth = deployment.services["auth"]
    before = len(auth.lines)
    auth.signal(signal.SIGHUP)
    url = (await auth.hear(r'"metrics": "([^"]+)/metrics"'))[1]
    await asyncio.sleep(0.5)
    assert (await asyncio.to_thread(httpx.get, f"{url}/readyz")).status_code == 200
    assert auth.lines[before:] == []


async def test_new_signal_keys(deployment: Deployment, tmp_path: Path) -> None:
    """A gateway seals and opens with the keys that are in the file now: calls go on over a rotation without a restart."""
    keys = tmp_path / "keys"
    one, two = (f"{name}:{base64.b64encode(name.encode() * 16).decode()}" for name in ("k1", "k2"))
    keys.write_text(one)
    await restarted(deployment, "gateway", SIGNAL_KEYS_FILE=str(keys))
    url = (await deployment.services["gateway"].hear(r'"url": "(http://[^"]+)".*"listening"'))[1]
    alice, bob = await Client.open(url), await Client.open(url)
    await alice.login(token("alice"))
    await bob.login(token("bob"))
    await alice.join("keys")
    to = (await bob.join("keys"))["self"]
    await alice.hear("user_joined")
    for now in (one, f"{one},{two}", f"{two},{one}", two):
        keys.write_text(now)
        await hung_up(deployment, "gateway", "read again")
        assert (await alice.ask("offer", to=to, sdp=offer()))["type"] == "ok"
        assert (await bob.hear("offer"))["sdp"] == offer()
