"""REST: the page, its files and the SDK, as browsers get them; and what nobody gets."""

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from prometheus_client import REGISTRY

from services.gateway.rest import page
from services.gateway.rest.files import TYPES
from shared.values.errors import Code
from tests.service.rest.world import Start, World, assert_problem

HTML = b'<!doctype html><meta name="parley-token-url" content="">\n'
PRODUCTION = {
    "mode": "production",
    "signal_keys": "k1:" + "A" * 43 + "=",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a page, an SDK, and things that are nobody's business."""
    files = {
        "web/index.html": HTML,
        "web/main.js": b"import '/clients/js/index.js';\n",
        "web/style.css": b"body { margin: 0 }\n",
        "web/favicon.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>\n",
        "web/icons/phone.png": b"\x89PNG",
        "web/.hidden.js": b"hidden",
        "web/notes.md": b"notes",
        "web/key.pem": b"key",
        "clients/js/src/index.js": b"export {};\n",
        "clients/js/src/parts/wire.js": b"export {};\n",
        "clients/js/src/index.d.ts": b"export {};\n",
        "clients/js/package.json": b"{}\n",
        "secret.js": b"secret\n",
    }
    for name, content in files.items():
        path = tmp_path / "repository" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "repository"


@pytest.fixture
async def there(start: Start, root: Path) -> World:
    """Where that page is served."""
    made: World = await start(root=root)
    return made


async def raw(world: World, target: str) -> tuple[int, bytes]:
    """Status and body of a GET of a path exactly as written (httpx would tidy it up), decoded once as uvicorn does."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": unquote(target),
        "raw_path": target.encode(),
        "query_string": b"",
    }
    scope |= {"headers": [(b"host", b"localhost:8080")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8080)}
    scope |= {"asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": ""}
    await world.app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/?room=daily", "text/html; charset=utf-8"),
        ("/web/main.js", "text/javascript; charset=utf-8"),
        ("/web/style.css", "text/css; charset=utf-8"),
        ("/web/favicon.svg", "image/svg+xml"),
        ("/web/icons/phone.png", "image/png"),
        ("/favicon.ico", "image/svg+xml"),
        ("/clients/js/index.js", "text/javascript; charset=utf-8"),
        ("/clients/js/parts/wire.js", "text/javascript; charset=utf-8"),
    ],
)
async def test_what_is_served(there: World, path: str, media_type: str) -> None:
    """Each with its type, to be asked for again each time, and answered with 304 as long as it is the same."""
    client = there.anyone()
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not answer.is_redirect
    assert int(answer.headers["content-length"]) == len(answer.content)
    etag = answer.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        same = await client.get(path, headers={"If-None-Match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
        assert same.headers["cache-control"] == "no-cache"
    assert (await client.get(path, headers={"If-None-Match": '"other"'})).status_code == 200
    head = await client.head(path)
    assert (head.status_code, head.headers["etag"], head.headers["content-type"]) == (200, etag, media_type)


async def test_a_changed_file_is_another(there: World, root: Path) -> None:
    """Whoever develops the page sees what was saved, and nobody is told that the old one is still good."""
    client = there.anyone()
    before = await client.get("/web/main.js")
    (root / "web/main.js").write_bytes(b"console.log('new');\n")
    answer = await client.get("/web/main.js", headers={"If-None-Match": before.headers["etag"]})
    assert (answer.status_code, answer.content) == (200, b"console.log('new');\n")
    (root / "web/main.js").unlink()
    assert_problem(await client.get("/web/main.js"), 404, Code.BAD_MESSAGE)


@pytest.mark.parametrize(
    "path",
    [
        *("/web/", "/web", "/clients/js/", "/clients/js", "/clients/", "/web/nothing.js", "/web/icons", "/web/icons/"),
        *("/web/index.html", "/web/notes.md", "/web/key.pem", "/web/.hidden.js", "/web/main", "/web/main.JS"),
        *("/clients/js/index.d.ts", "/clients/js/package.json", "/clients/js/../package.json", "/clients/python/x.js"),
        *("/web/../secret.js", "/web/..%2fsecret.js", "/web/%2e%2e/secret.js", "/web/%2e%2e%2fsecret.js"),
        *("/web/%252e%252e/secret.js", "/web/..\\secret.js", "/web/..%5csecret.js", "/web/icons/../../secret.js"),
        *("/web/icons/..%2f..%2fsecret.js", "/web//secret.js", "/web/./main.js", "/web/%2e/main.js"),
        *("/web/main.js%00", "/web/main.js%00.css", "/web/%00", "/web/main.js/", "/web/main.js%20", "/web/main.js%0a"),
        *("/web/%2fetc%2fpasswd", "/web//etc/hosts.js", "/web/C:%5csecret.js", "/web/%c0%ae%c0%ae/secret.js"),
        *("/web/main.js::$DATA", "/web/~/secret.js", "/web/" + "a/" * 50 + "a.js", "/web/" + "a" * 5000 + ".js"),
        *("//web/main.js", "/WEB/main.js", "/secret.js", "/../secret.js", "/clients/js/%2e%2e/%2e%2e/%2e%2e/secret.js"),
    ],
)
async def test_what_is_not_served(there: World, path: str) -> None:
    """Nothing outside the two folders, nothing hidden, nothing of another kind, no folder: 404, and no word of it."""
    status, body = await raw(there, path)
    assert status == 404
    assert json.loads(body)["detail"] == "there is nothing at this path"
    assert (await raw(there, "/web/main.js"))[0] == 200, "what is asked like this can be found"


async def test_links_are_not_followed(there: World, root: Path) -> None:
    """Neither a linked file nor a linked folder is served, wherever it leads."""
    (root / "web/link.js").symlink_to(root / "secret.js")
    (root / "web/inside.js").symlink_to("main.js")
    (root / "web/folder").symlink_to(root)
    (root / "web/broken.js").symlink_to("nowhere.js")
    os.mkfifo(root / "web/pipe.js")
    (root / "web/folder.js").mkdir()
    for name in ("link.js", "inside.js", "folder/secret.js", "broken.js", "pipe.js", "folder.js"):
        assert_problem(await there.anyone().get(f"/web/{name}"), 404, Code.BAD_MESSAGE)


async def test_a_repository_behind_a_link_is_served(start: Start, root: Path, tmp_path: Path) -> None:
    """The folders themselves may be anywhere."""
    (tmp_path / "link").symlink_to(root)
    world = await start(root=tmp_path / "link")
    assert (await world.anyone().get("/web/main.js")).status_code == 200


async def test_only_reading(there: World) -> None:
    """Other methods are refused."""
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in ("/", "/web/main.js", "/clients/js/index.js"):
            assert (await there.anyone().request(method, path)).status_code == 405


async def test_no_secret_in_the_address(there: World) -> None:
    """A page that is asked for with a token in its URL is refused, so that nobody gets used to it."""
    assert_problem(await there.anyone().get("/?room=daily&token=abc"), 400, Code.BAD_MESSAGE)


@pytest.mark.parametrize("path", ["/", "/web/main.js", "/clients/js/index.js"])
async def test_the_policy(there: World, path: str) -> None:
    """Code, styles and connections from here only; nothing inline; no frame around it; camera, microphone and screen for
    this page, and nothing else."""
    headers = (await there.anyone().get(path)).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "media-src": "'self' blob: mediastream:",
        "connect-src": "'self'",
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    permissions = dict(part.strip().split("=") for part in headers["permissions-policy"].split(","))
    for name in ("camera", "microphone", "display-capture"):
        assert permissions[name] == "(self)"
    for name in ("geolocation", "usb", "payment", "midi", "serial"):
        assert permissions[name] == "()"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("settings", "host", "url"),
    [
        ({}, "localhost:8080", "/api/dev/token"),
        ({}, "127.0.0.1", "/api/dev/token"),
        ({}, "[::1]:8080", "/api/dev/token"),
        ({}, "192.168.1.5:8080", "/api/guest/token"),
        ({}, "laptop.local:8080", "/api/guest/token"),
        ({}, "calls.example", None),
        ({"guest_access": "true"}, "calls.example", "/api/guest/token"),
        ({"guest_access": "false"}, "localhost", "/api/dev/token"),
        ({"guest_access": "false"}, "192.168.1.5", None),
        (PRODUCTION, "localhost", None),
        (PRODUCTION, "calls.example", None),
        (PRODUCTION | {"guest_access": "true"}, "localhost", "/api/guest/token"),
        (PRODUCTION | {"guest_access": "true"}, "calls.example", "/api/guest/token"),
    ],
)
async def test_where_the_page_gets_its_token(
    start: Start, root: Path, settings: dict[str, Any], host: str, url: str | None
) -> None:
    """Development tokens on this very machine, guest tokens elsewhere; where neither is given there is no page."""
    world = await start(root=root, **settings)
    answer = await world.anyone(host).get("/")
    if url is None:
        assert_problem(answer, 404, Code.BAD_MESSAGE)
        return
    assert answer.text == HTML.decode().replace('content=""', f'content="{url}"')
    issued = await world.anyone(host).post(url, json={} if "guest" in url else {"agentId": "me"})
    assert issued.status_code in (200, 201), "and there it gets one"


async def test_production_has_no_files_either(start: Start, root: Path) -> None:
    """Without guest access nothing of the page is there."""
    world = await start(root=root, **PRODUCTION)
    for path in ("/", "/web/main.js", "/clients/js/index.js", "/favicon.ico"):
        assert_problem(await world.anyone().get(path), 404, Code.BAD_MESSAGE)


async def test_without_the_folders_there_is_no_page(start: Start, tmp_path: Path) -> None:
    """An installation without them answers 404 and goes on."""
    world = await start(root=tmp_path)
    for path in ("/", "/web/main.js", "/clients/js/index.js", "/favicon.ico"):
        assert_problem(await world.anyone().get(path), 404, Code.BAD_MESSAGE)


async def test_what_is_asked_for_makes_no_metric(there: World) -> None:
    """Whatever names strangers ask for, they are counted under the routes' own."""
    for n in range(20):
        await there.anyone().get(f"/web/stranger-{n}.js")
        await there.anyone().get(f"/stranger-{n}")
    (family,) = [f for f in REGISTRY.collect() if f.name == "parley_http_request_seconds"]
    paths = {sample.labels["route"] for sample in family.samples}
    assert {"/web/{name:path}", "unknown"} <= paths
    assert not [path for path in paths if "stranger" in path]


async def test_it_is_not_in_the_api_document(there: World) -> None:
    """The OpenAPI document is about the API."""
    paths = (await there.anyone().get("/api/openapi.json")).json()["paths"]
    assert not [path for path in paths if not path.startswith(("/api/", "/healthz", "/readyz"))]


def test_the_repositorys_page_fits() -> None:
    """The real page has its one place for the token's URL, and every file that it names is there, and of a kind that is
    served."""
    text = (page.ROOT / "web/index.html").read_text()
    assert text.count('<meta name="parley-token-url" content="') == 1
    for url in re.findall(r'(?:src|href)="(/[^"]+)"', text):
        path = urlsplit(url).path
        file = path.replace("/clients/js/", "/clients/js/src/", 1).lstrip("/")
        assert (page.ROOT / file).is_file(), url
        assert Path(file).suffix in TYPES
