"""`parley join`: a participant whom others see, who sees others, survives its gateway and leaves no trace."""

import json
import os
import pty
import re
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.clients.cli.runner import Cli, environment
from tests.support.ports import HeldPorts
from tests.support.processes import PATIENCE, ROOT, Deployment


def people(cli: Cli, room_id: str) -> list[dict[str, Any]]:
    """Who is in the room."""
    found: list[dict[str, Any]] = cli("rooms", "show", room_id, "--json").document["participants"]
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_and_out(cli: Cli, room_id: str, number: signal.Signals) -> None:
    """It is in the room under its name and with its metadata, and after the signal at once no more."""
    with cli.start("join", room_id, "--name", "Ada", "--metadata", '{"team": "blue"}', "--device-id", "desk") as ada:
        ada.wait_for("we are in, alone")
        (participant,) = people(cli, room_id)
        assert (participant["name"], participant["metadata"]) == ("Ada", {"team": "blue"})
        assert participant["deviceId"] == "desk"
        ended = ada.end(number)
    assert ended.status == 128 + number
    assert people(cli, room_id) == []


def test_json_lines(cli: Cli, room_id: str) -> None:
    """For programs: first the room as it is, then each change with its revision; no credentials in them."""
    with cli.start("join", room_id, "--json") as ada:
        joined = ada.wait_json(lambda event: event["type"] == "joined")
        assert [one["id"] for one in joined["participants"]] == [joined["self"]]
        assert joined["room"]["roomId"] == room_id
        with cli.start("join", room_id, "--name", "Bob") as bob:
            came = ada.wait_json(lambda event: event["type"] == "participant_joined")
            assert (came["participant"]["name"], came["revision"]) == ("Bob", joined["revision"] + 1)
            bob.end(signal.SIGINT)
        assert ada.wait_json(lambda event: event["type"] == "participant_left")["reason"] == "left"
        ended = ada.end(signal.SIGINT)
    assert all(json.loads(line) for line in ended.out.splitlines())


def test_the_room_closes(cli: Cli, room_id: str) -> None:
    """Whoever is in a room that is closed is told why and ends with status 1."""
    with cli.start("join", room_id) as ada:
        ada.wait_for("we are in")
        cli("rooms", "delete", room_id)
        ended = ada.end()
    assert ended.status == 1
    ended.says("our stay in", "room_closed")


def test_the_seat_is_taken_over(cli: Cli, room_id: str) -> None:
    """The same device joining again replaces the first, which ends and does not come back."""
    with cli.start("join", room_id, "--device-id", "desk") as first:
        first.wait_for("we are in")
        with cli.start("join", room_id, "--device-id", "desk") as second:
            second.wait_for("we are in")
            ended = first.end()
            assert ended.status == 1
            ended.says("replaced")
            assert len(people(cli, room_id)) == 1


def test_a_closed_door(cli: Cli, room_id: str, tmp_path: Path) -> None:
    """A room that takes join tokens refuses others with the code, and lets in who has one."""
    cli("rooms", "create", "Closed", "--access", "token", "--room-id", room_id)
    sara = cli.with_(PARLEY_TOKEN=cli("token", "--agent", "sara").out.strip())
    assert re.search(r"\[(forbidden|room_not_found)\]$", sara("join", room_id, status=1).one_sentence())
    ticket = tmp_path / "ticket"
    ticket.write_text(cli("rooms", "token", room_id, "--agent", "sara").out)
    with sara.start("join", room_id, "--join-token-file", str(ticket)) as joined:
        joined.wait_for("we are in, alone")


def test_a_table_in_a_terminal(cli: Cli, room_id: str) -> None:
    """In a terminal the room is a table that follows what happens, and the terminal is left as it was."""
    with cli.start("join", room_id, "--name", "Bob") as bob:
        bob.wait_for("we are in")
        screen = _Terminal("join", room_id, "--name", "Ada", variables=cli.variables)
        screen.wait_for(r"Ada \(you\)[^\n]*connected")
        screen.wait_for(r"Bob[^\n]*connected[^\n]*off")
        screen.wait_for(rf"{room_id} · 2/10 · mesh · connected")
        bob.end(signal.SIGINT)
        screen.wait_for(rf"Bob [^\n]* left[\s\S]*{room_id} · 1/10")
        assert screen.end(signal.SIGINT) == 130
    assert screen.text.rindex("\x1b[?25h") > screen.text.rindex("\x1b[?25l")  # the cursor is back


def test_in_a_narrow_terminal(cli: Cli, room_id: str) -> None:
    """In 50 columns no line is longer than that."""
    screen = _Terminal(
        "join", room_id, "--name", "A name that is far too long for this", columns=50, variables=cli.variables
    )
    screen.wait_for("Ctrl-C leaves")
    screen.end(signal.SIGINT)
    table = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.text[screen.text.index(f"{room_id} ·") :])
    assert all(len(line) <= 50 for line in table.replace("\r", "\n").splitlines())


def test_listening_connects(cli: Cli, room_id: str) -> None:
    """With --listen two of them connect by WebRTC, for real, and say so."""
    pytest.importorskip("aiortc", reason="needs aiortc")
    with cli.start("join", room_id, "--listen", "--json") as ada, cli.start("join", room_id, "--listen") as bob:
        ada.wait_json(lambda event: event["type"] == "peer" and event["state"] == "connected")
        bob.wait_for("call connected")
        assert ada.end(signal.SIGINT).status == 130
        bob.wait_for("left$")


async def test_the_gateway_is_killed(tmp_path: Path, ports: HeldPorts) -> None:
    """It says that it reconnects, comes back when there is a gateway again, and still leaves when asked to."""
    deployment = Deployment(tmp_path, PORT=str(ports.row()))
    await deployment.start()
    cli = Cli(PARLEY_URL=deployment.url)
    try:
        with cli.start("join", "daily", "--json") as ada:
            me = ada.wait_json(lambda event: event["type"] == "joined")["self"]
            deployment.kill("gateway")
            ada.wait_json(lambda event: event.get("state") == "reconnecting")
            await deployment.restart("gateway")
            resumed = ada.wait_json(lambda event: event["type"] == "resumed")
            assert resumed["rejoined"] or resumed["self"] == me
            assert len(people(cli, "daily")) == 1
            deployment.kill("gateway")
            ada.wait_json(lambda event: event.get("state") == "reconnecting")
            assert ada.end(signal.SIGINT).status == 130  # also while there is nobody to leave from
    finally:
        await deployment.stop()


class _Terminal:
    """A command in a terminal of its own, and what is on it."""

    def __init__(self, *arguments: str, columns: int = 110, variables: dict[str, str]) -> None:
        self.text = ""
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(ROOT)
            everything = environment(**variables, COLUMNS=str(columns), LINES="30")
            os.execvpe(sys.executable, [sys.executable, "-m", "parley", *arguments], everything)  # noqa: S606

    def _read(self, seconds: float) -> bool:
        if not select.select([self._fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # Linux says so when the other end is closed
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    def wait_for(self, pattern: str) -> None:
        """Until the pattern is found in all that was written."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.text.replace("\r", "")):
            plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text.replace("\r", ""))
            if re.search(pattern, plain):
                return
            assert time.monotonic() < deadline, self.text
            assert self._read(0.2), self.text

    def end(self, number: int) -> int:
        """Send it a signal; its exit status."""
        os.kill(self._pid, number)
        while self._read(PATIENCE):
            pass
        os.close(self._fd)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
