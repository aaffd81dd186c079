"""`parley rooms`: everything the REST API does with rooms, for people and for programs."""

import json

import pytest

from tests.clients.cli.runner import Cli


@pytest.fixture
def room(cli: Cli, room_id: str) -> str:
    """A room of ours."""
    assert cli("rooms", "create", "Daily", "--room-id", room_id).out == f"{room_id}\n"
    return room_id


def test_create_says_the_id_and_nothing_else(cli: Cli) -> None:
    """`ROOM=$(parley rooms create …)` is an id that `show` finds."""
    made = cli("rooms", "create", "Daily standup").out.strip()
    cli("rooms", "show", made).says(made, "Daily standup", "0 of 10")


def test_create_has_all_options(cli: Cli, room_id: str) -> None:
    """Every field of the REST API can be set, and arrives."""
    made = cli(
        *("rooms", "create", "Lecture", "--type", "voice", "--room-id", room_id, "--max-participants", "3"),
        *("--access", "token", "--mute-on-entry", "--allow-recording", "--max-duration", "45", "--json"),
    ).document
    assert {key: made[key] for key in ("roomId", "name", "type", "maxParticipants", "access", "settings")} == {
        "roomId": room_id,
        "name": "Lecture",
        "type": "voice",
        "maxParticipants": 3,
        "access": "token",
        "settings": {"muteOnEntry": True, "allowRecording": True, "maxDuration": 45},
    }
    cli("rooms", "show", room_id).says("voice", "0 of 3", "are muted", "is allowed", "45 min")


def test_a_request_sent_again_makes_no_second_room(cli: Cli, room_id: str) -> None:
    """With the same --idempotency-key the same room is answered; without one, another is made."""
    made = {cli("rooms", "create", "Once", "--idempotency-key", room_id).out for _ in range(2)}
    assert len(made) == 1
    assert cli("rooms", "create", "Once").out not in made


def test_a_taken_id_is_refused_with_the_code(cli: Cli, room: str) -> None:
    """The server's refusal is one sentence with its code, and exit status 1; standard output stays empty."""
    ended = cli("rooms", "create", "Again", "--room-id", room, status=1)
    assert ended.one_sentence() == "this roomId is taken [room_exists]"
    assert ended.out == ""


def test_show_for_programs(cli: Cli, room: str) -> None:
    """One document: the room, its revision and who is in it."""
    shown = cli("rooms", "show", room, "--json").document
    assert shown["room"]["roomId"] == room
    assert shown["revision"] == 1
    assert shown["participants"] == []


def test_change(cli: Cli, room: str) -> None:
    """What is named changes, what is not stays; --no-max-duration takes a limit away."""
    cli("rooms", "change", room, "--max-duration", "5", "--max-participants", "7")
    changed = cli("rooms", "change", room, "--name", "Weekly", "--no-max-duration", "--json").document
    assert (changed["name"], changed["maxParticipants"], changed["settings"]["maxDuration"]) == ("Weekly", 7, None)


def test_delete_is_for_good(cli: Cli, room: str) -> None:
    """A deleted room is gone for everybody, and its id stays taken."""
    assert cli("rooms", "delete", room, "--json").document == {"roomId": room, "closed": True}
    assert cli("rooms", "show", room, status=1).one_sentence().endswith("[room_closed]")
    cli("rooms", "create", "New", "--room-id", room, status=1)


@pytest.mark.parametrize("command", [("show",), ("change", "--name", "x"), ("delete",), ("token",)])
def test_an_unknown_room(cli: Cli, command: tuple[str, ...], room_id: str) -> None:
    """Each command says so in one sentence, with exit status 1. What can be no id is not even asked for."""
    sentence = cli("rooms", command[0], room_id, *command[1:], status=1).one_sentence()
    assert sentence == "there is no such room, or you may not know of it [room_not_found]"
    cli("rooms", command[0], "../rooms", *command[1:], status=2).one_sentence()


def test_list_by_pages(cli: Cli) -> None:
    """Pages follow each other by their cursor and miss nothing; --all is all of them."""
    bea = cli.with_(PARLEY_TOKEN=cli("token", "--agent", "bea").out.strip())
    made = [bea("rooms", "create", f"Room {number}").out.strip() for number in range(3)]
    every = [room["roomId"] for room in bea("rooms", "list", "--all", "--json").document["rooms"]]
    assert set(made) <= set(every)
    seen, cursor = [], None
    while True:
        page = bea("rooms", "list", "--limit", "2", *(["--cursor", cursor] if cursor else []), "--json").document
        assert len(page["rooms"]) <= 2
        seen += [room["roomId"] for room in page["rooms"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert seen == every


def test_list_for_people(cli: Cli, room: str) -> None:
    """A row for each room, uncut in a pipe; that there are more is said elsewhere than in the list."""
    long = "A name of many words that a terminal would cut off or wrap into several lines, but a pipe must not"
    cli("rooms", "create", long)
    listed = cli("rooms", "list", "--all")
    assert listed.out.splitlines()[0].split() == ["ROOM", "NAME", "TYPE", "ACCESS", "IN", "IT", "MADE", "BY", "MADE"]
    assert any(room in line and "Daily" in line for line in listed.out.splitlines())
    assert any(long in line for line in listed.out.splitlines())
    assert "\x1b" not in listed.out
    assert "there are more" in cli("rooms", "list", "--limit", "1").err


def test_a_join_token_opens_a_closed_door(cli: Cli, room_id: str) -> None:
    """The owner's join token names the room and the other agent, as a moderator, for as long as asked."""
    cli("rooms", "create", "Closed", "--access", "token", "--room-id", room_id)
    issued = cli("rooms", "token", room_id, "--agent", "sara", "--role", "moderator", "--ttl", "90", "--json").document
    assert set(issued) == {"token", "expiresAt", "url"}
    shown = cli("token", "show", "--token-file", "-", "--json", text=issued["token"]).document["claims"]
    assert shown["sub"] == "sara"


def test_names_are_text(cli: Cli, room_id: str) -> None:
    """What looks like markup or emoji in a name is shown as it is."""
    cli("rooms", "create", "[red]:smile:[/red] é 日本", "--room-id", room_id)
    cli("rooms", "show", room_id).says("[red]:smile:[/red] é 日本")


def test_without_permission(cli: Cli, room_id: str) -> None:
    """A token that may not make rooms: refused, with the code, and status 1."""
    weak = cli.with_(PARLEY_TOKEN=cli("token", "--permission", "rooms:join").out.strip())
    assert weak("rooms", "create", "Mine", status=1).one_sentence().endswith("[forbidden]")


def test_json_is_json_in_every_language(cli: Cli, room_id: str) -> None:
    """Names stay readable in JSON, and it parses."""
    made = cli("rooms", "create", "日本 “q” \\", "--room-id", room_id, "--json")
    assert json.loads(made.out)["name"] == "日本 “q” \\"
    assert "日本" in made.out
