"""How commands end that cannot do what they were asked to: one sentence, and a status that means something."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.clients.cli.runner import COMMAND, Cli, environment
from tests.conftest import LEFT_OVER
from tests.support.launched import Launched, refusal
from tests.support.processes import ROOT


@pytest.mark.parametrize(
    "arguments",
    [
        ["rooms", "lost"],
        ["rooms", "list", "--limit", "0"],
        ["rooms", "list", "--all", "--cursor", "x"],
        ["rooms", "create"],
        ["rooms", "create", "x", "--type", "smell"],
        ["rooms", "create", "x", "--idempotency-key", "é"],
        ["rooms", "change", "r"],
        ["rooms", "list", "--url", "ftp://x"],
        ["rooms", "list", "--url", "http://u:p@x"],
        ["rooms", "list", "--url", "http://x?token=y"],
        ["rooms", "list", "--url", "http://[::1"],
        ["rooms", "list", "--ca", "/nowhere.pem"],
        ["rooms", "list", "--token", "not printable \u2028"],
        ["watch"],
        ["watch", "a.b", "--nats-url", "nats://127.0.0.1:1"],
        ["watch", "r", "--since", "1h"],
        ["watch", "r", "--no-follow"],
        ["watch", "--nats-url", "nats://127.0.0.1:1", "--since", "yesterday"],
        ["join"],
        ["join", "r", "--metadata", "[]"],
        ["completion", "tcsh"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    """One sentence, status 2, nothing on standard output; no server is needed to know."""
    ended = Cli(PARLEY_URL="http://127.0.0.1:1")(*arguments, status=2)
    ended.one_sentence()
    assert ended.out == ""


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1", "nothing listens there"),
        ("http://parley.invalid", "name or service not known"),
    ],
)
@pytest.mark.parametrize("command", [["rooms", "list"], ["join", "r"], ["watch", "r"], ["token"]])
def test_nobody_there(url: str, why: str, command: list[str]) -> None:
    """One sentence with the URL and the reason, and status 3: trying again later may help."""
    ended = Cli(PARLEY_URL=url, PARLEY_TOKEN="a.b.c")(*command, status=3)
    assert ended.err.splitlines()[-1].startswith(f"parley: {url}: ")
    if why == "nothing listens there":
        assert why in ended.err
    assert ended.out == ""


def test_somebody_else_there() -> None:
    """A web server that is no gateway is told from one, whatever it answers."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<h1>hello</h1>")

        do_POST = do_GET  # noqa: N815 - the standard library's name

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        other = Cli(PARLEY_URL=f"http://127.0.0.1:{server.server_port}", PARLEY_TOKEN="a.b.c")
        assert "no Parley gateway" in other("rooms", "list", status=3).one_sentence()
        assert "no Parley gateway" in other("doctor", status=4).out
        assert other("join", "r", status=3).one_sentence()
    finally:
        server.shutdown()


def test_help_and_version() -> None:
    """Every command has help; -h does it too; the version is one line."""
    nowhere = Cli()
    for cli in (nowhere, Cli(started=True)):
        assert cli("--version").out.startswith("parley ")
    for command in ([], ["token"], ["token", "show"], ["rooms"], ["rooms", "list"], ["join"], ["watch"], ["doctor"]):
        assert "Usage: parley" in nowhere(*command, "-h").out
    assert "Usage: parley" in nowhere(status=2).out


def test_no_colour_where_none_is_wanted(cli: Cli) -> None:
    """Neither in a pipe nor with NO_COLOR is there any escape sequence."""
    colourless = Cli(started=True, NO_COLOR="1").with_(**cli.variables)
    for ended in (cli("doctor"), colourless("rooms", "show", "none", status=1)):
        assert "\x1b" not in ended.out + ended.err


def test_nobody_reads_any_more(cli: Cli) -> None:
    """`parley … | head` ends without a word when its reader goes away."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(  # noqa: S603 - our own code
        [*COMMAND, "rooms", "list", "--json"],
        env=environment(**cli.variables),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert done.returncode == 141
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_services_do_not_mind_its_variables(launched: Launched) -> None:
    """`make run` starts in a shell where PARLEY_URL and PARLEY_TOKEN are set, and its services never get the token."""
    services = {pid: line for pid, line in launched.process.tree().commands().items() if "services." in line}
    assert len(services) >= 3
    for pid in services:
        assert LEFT_OVER.encode() not in Path(f"/proc/{pid}/environ").read_bytes()


def test_an_unknown_setting_is_still_refused(tmp_path: Path) -> None:
    """Only exactly those three are let through."""
    assert "unknown setting PARLEY_TOKENS" in refusal(tmp_path, PARLEY_TOKENS="x", PARLEY_TOKEN="y")


def test_without_its_libraries(tmp_path: Path) -> None:
    """Where only the core is installed, one sentence says which extra is missing, and the core still imports."""
    package = ROOT / "clients/python/src"
    hide = f"import sys; sys.path.insert(0, {str(package)!r}); sys.modules.update(typer=None, rich=None)\n"
    program = hide + "import parley\nfrom parley.cli.__main__ import main\nsys.exit(main())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)  # noqa: S603
    assert done.returncode == 2
    assert done.stderr == "parley: the command line needs more libraries (typer, rich): pip install 'parley[cli]'\n"
