"""`parley token`, and where every command takes its token from; it is never seen where it does not belong."""

import re
import time
from pathlib import Path

import pytest

from tests.clients.cli.runner import Cli
from tests.support.system import token


def test_a_token_of_development_mode(cli: Cli) -> None:
    """The token alone is on standard output, and the server takes it for the agent and permissions that were asked for."""
    issued = cli(
        *("token", "--agent", "ada", "--name", "Ada", "--kind", "human", "--ttl", "600"),
        *("--permission", "rooms:join", "--permission", "rooms:list"),
    )
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", issued.out)
    shown = cli.with_(PARLEY_TOKEN=issued.out.strip())("token", "show", "--verify", "--json").document
    assert shown["accepted"] is True
    assert 500 < shown["secondsLeft"] <= 600
    assert {"sub": "ada", "name": "Ada", "kind": "human", "permissions": ["rooms:join", "rooms:list"]}.items() <= shown[
        "claims"
    ].items()


def test_a_token_for_programs(cli: Cli) -> None:
    """With --json the end comes along."""
    assert set(cli("token", "--json").document) == {"token", "expiresAt"}


def test_show_for_people(cli: Cli) -> None:
    """Claims in words, that nobody has checked them, and never the token."""
    mine = token("ada", "rooms:join")
    shown = cli.with_(PARLEY_TOKEN=mine)("token", "show")
    shown.says("agent        ada", "rooms:join", "in 59 min", "nobody has checked this token")
    assert not any(part in shown.out + shown.err for part in mine.split("."))


def test_show_needs_no_server() -> None:
    """Reading a token asks nobody."""
    nowhere = Cli(PARLEY_URL="http://127.0.0.1:1", PARLEY_TOKEN=token("ada"))
    assert nowhere("token", "show", "--json").document["accepted"] is None
    nowhere("token", "show", "--verify", status=3)


def test_verify_tells_a_bad_token(cli: Cli) -> None:
    """A forged token is shown as it is, and the server's verdict is the exit status."""
    forged = cli.with_(PARLEY_TOKEN=token("ada") + "x")
    assert "[invalid_token]" in forged("token", "show", "--verify", status=1).err
    shown = forged("token", "show", "--verify", "--json", status=1)
    assert (shown.document["accepted"], shown.document["code"]) == (False, "invalid_token")


def test_an_expired_token(cli: Cli) -> None:
    """How long ago it ended is said; every command is refused with the code."""
    now = int(time.time())
    old = cli.with_(PARLEY_TOKEN=token("ada", iat=now - 7300, exp=now - 3700))
    old("token", "show").says("1 h 1 min ago")
    for command in (["rooms", "list"], ["rooms", "create", "x"], ["join", "r"], ["watch", "r"]):
        assert old(*command, status=1).err.splitlines()[-1].endswith("[expired_token]")


@pytest.mark.parametrize("text", ["", "abc", "a.b.c", "no token at all", "\x1b[31m.x.y", "é.é.é"])
def test_what_is_no_token(cli: Cli, text: str) -> None:
    """One sentence and status 2; the text is not repeated, it may be a secret in the wrong place."""
    ended = cli("token", "show", "--token-file", "-", text=text, status=2)
    sentence = ended.one_sentence()
    assert len(text) < 3 or text not in sentence


def test_where_the_token_comes_from(cli: Cli, tmp_path: Path) -> None:
    """Option before file before environment; files also by PARLEY_TOKEN_FILE and from standard input."""
    file = tmp_path / "token"
    file.write_text(token("of-file") + "\n")
    both = cli.with_(PARLEY_TOKEN=token("of-environment"), PARLEY_TOKEN_FILE=str(file))

    def whose(cli: Cli, *options: str, text: str = "") -> str:
        claims = cli("token", "show", "--json", *options, text=text).document["claims"]
        return str(claims["sub"])

    assert whose(both, "--token", token("of-option")) == "of-option"
    assert whose(both, "--token-file", str(file)) == "of-file"
    assert whose(both) == "of-environment"
    assert whose(cli.with_(PARLEY_TOKEN_FILE=str(file))) == "of-file"
    assert whose(cli, "--token-file", "-", text=token("of-stdin")) == "of-stdin"
    assert cli("token", "show", "--verify", "--token-file", "-", text=token("of-stdin")).err.endswith(
        "takes this token\n"
    )
    both("token", "show", "--token", "x", "--token-file", str(file), status=2)
    cli("token", "show", "--token-file", str(tmp_path / "none"), status=2).says("No such file")


def test_in_development_a_token_comes_by_itself(cli: Cli) -> None:
    """Without a token the server is asked for one, which is said, and not on standard output."""
    listed = cli("rooms", "list", "--json")
    assert listed.err.startswith("parley: no token given: using one for cli-")
    assert set(listed.document) == {"rooms", "cursor"}


def test_no_secret_is_shown(cli: Cli, room_id: str) -> None:
    """Whatever goes wrong, no part of a token is in what a command writes."""
    secret = token("ada").split(".")[2]
    bad = cli.with_(PARLEY_TOKEN=f"x.y.{secret}")
    for command in (["rooms", "list"], ["join", room_id], ["watch", room_id], ["doctor"], ["token", "show"]):
        ended = bad(*command, status=None)
        assert ended.status in (1, 2, 4)
        assert secret not in ended.out + ended.err
