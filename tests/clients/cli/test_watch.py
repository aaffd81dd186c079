"""`parley watch`: events of rooms from NATS and from the WebSocket, live and from the log, whatever is killed meanwhile."""

import signal
from pathlib import Path

import pytest

from tests.clients.cli.runner import Cli
from tests.support.ports import HeldPorts
from tests.support.processes import Deployment

CREATED, UPDATED, CLOSED = "room_created", "room_updated", "room_closed"


@pytest.fixture
def observer(cli: Cli, nats_variables: dict[str, str]) -> Cli:
    """The command, told where NATS is."""
    return cli.with_(**nats_variables)


def test_live_from_nats(cli: Cli, observer: Cli, room_id: str) -> None:
    """Every change of a room is a JSON line when it happens, and Ctrl-C ends it with 130."""
    cli("rooms", "create", "Daily", "--room-id", room_id)
    with observer.start("watch", room_id, "--json", "--since", "1h") as watch:
        watch.wait_json(lambda event: event["type"] == CREATED)
        cli("rooms", "change", room_id, "--name", "Weekly")
        changed = watch.wait_json(lambda event: event["type"] == UPDATED)
        assert (changed["roomId"], changed["revision"], changed["room"]["name"]) == (room_id, 2, "Weekly")
        cli("rooms", "delete", room_id)
        assert watch.wait_json(lambda event: event["type"] == CLOSED)["reason"] == "deleted"
        ended = watch.end(signal.SIGINT)
    assert ended.status == 130
    assert [event["revision"] for event in ended.lines] == [1, 2, 3]


def test_all_rooms_for_people(cli: Cli, observer: Cli, room_id: str) -> None:
    """Without a room all are watched, and each line says which one it is about and what changed."""
    with observer.start("watch", "--since", "1h") as watch:
        cli("rooms", "create", "Daily", "--room-id", room_id)
        watch.wait_for(rf"{room_id}  made by cli-\S+: “Daily”, video, open")
        cli("rooms", "change", room_id, "--name", "Weekly", "--max-participants", "3")
        watch.wait_for(rf"{room_id}  room changed by cli-\S+: name Weekly, seats 3")
        assert watch.end(signal.SIGTERM).status == 143


def test_only_what_is_new(cli: Cli, observer: Cli, room_id: str) -> None:
    """Without --since nothing of before is told."""
    cli("rooms", "create", "Old", "--room-id", room_id)
    with observer.start("watch", room_id, "--json") as watch:
        for number in range(200):  # until its consumer stands
            cli("rooms", "change", room_id, "--name", f"Name {number}")
            if watch.out:
                break
        first = watch.wait_json(lambda _event: True)
    assert first["type"] == UPDATED


def test_the_log_to_its_end(cli: Cli, observer: Cli, room_id: str, tmp_path: Path) -> None:
    """With --no-follow it ends after what there is: all, since a time, or nothing of a room nobody knows."""
    cli("rooms", "create", "Daily", "--room-id", room_id)
    cli("rooms", "delete", room_id)
    for since in ("all", "1h", "2020-01-01T00:00:00Z"):
        told = observer("watch", room_id, "--since", since, "--no-follow", "--json").lines
        assert [event["type"] for event in told] == [CREATED, CLOSED]
    secret = tmp_path / "password"
    secret.write_text(observer.variables["NATS_PASSWORD"] + "\n")
    by_file = ("--nats-url", observer.variables["NATS_URL"], "--nats-password-file", str(secret))
    assert len(cli("watch", room_id, "--since", "all", "--no-follow", "--json", *by_file).lines) == 2
    empty = observer("watch", f"{room_id}-no", "--since", "all", "--no-follow")
    assert (empty.out, empty.one_sentence()) == ("", f"nothing has been heard of {room_id}-no yet")
    assert observer("watch", room_id, "--since", "2099-01-01T00:00:00Z", "--no-follow").out == ""


def test_without_nats_or_its_password(cli: Cli, observer: Cli) -> None:
    """A wrong password is refused (1), nobody there is 3; the password is not shown."""
    refused = observer.with_(NATS_PASSWORD="wrong-sesame")("watch", status=1)
    assert "does not accept this user and password" in refused.one_sentence()
    assert "sesame" not in refused.err
    inside = cli("watch", "--nats-url", "nats://observer:wrong-sesame@127.0.0.1:1", status=3)
    assert inside.one_sentence() == "NATS at nats://127.0.0.1:1: nothing listens there"


def test_from_the_websocket(cli: Cli, room_id: str) -> None:
    """Without NATS it watches as a participant, which it says, and tells who comes, changes and goes."""
    with cli.start("watch", room_id) as watch:
        watch.wait_for("watching as a participant, whom the others see")
        watch.wait_for("we are in, alone")
        with cli.start("join", room_id, "--name", "Ada") as ada:
            watch.wait_for(r"Ada \(cli-\S+\) joined")
            assert ada.end(signal.SIGINT).status == 130
        watch.wait_for(r"Ada \(cli-\S+\) left$")
        assert watch.end(signal.SIGINT).status == 130
    assert "watch" not in cli("rooms", "show", room_id).out  # it left


async def test_nats_and_gateway_are_killed(tmp_path: Path, ports: HeldPorts) -> None:
    """Who watches by NATS misses nothing when NATS is killed; who watches by a gateway is back when that is."""
    port = str(ports.row())
    deployment = Deployment(tmp_path, PORT=port)
    await deployment.start()
    cli = Cli(PARLEY_URL=deployment.url)
    nats = {"NATS_URL": deployment.nats.url, "NATS_PASSWORD": deployment.nats.passwords["observer"]}
    try:
        cli("rooms", "create", "Daily", "--room-id", "daily")
        with cli.with_(**nats).start("watch", "--since", "all", "--json") as log, cli.start("watch", "daily") as socket:
            log.wait_json(lambda event: event["type"] == "participant_joined")
            socket.wait_for("we are in")
            deployment.kill("gateway")
            socket.wait_for("reconnecting")
            await deployment.restart("gateway")
            socket.wait_for("back, nothing was missed|back, as a new participant")
            deployment.kill_nats()
            log.wait_for("the connection to NATS is lost")
            await deployment.nats.start()
            log.wait_for("connected to NATS again")
            for _ in range(100):
                if cli("rooms", "change", "daily", "--name", "Weekly", status=None).status == 0:
                    break
            log.wait_json(lambda event: event["type"] == UPDATED and event["room"]["name"] == "Weekly")
            told = [event["revision"] for event in log.end(signal.SIGINT).lines]
        assert told == list(range(1, len(told) + 1))
    finally:
        await deployment.stop()
