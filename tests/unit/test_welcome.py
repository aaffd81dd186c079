"""What the launcher says first: where the page is, here and for a phone, and what a browser will say of it."""

from pathlib import Path

import pytest

from services.launcher.welcome import Welcome

# Nobody answers there, as in production mode: then no token is said.
HERE, PHONE = "http://127.0.0.1:9", "http://192.168.1.5:9"


def said(capsys: pytest.CaptureFixture[str], welcome: Welcome) -> list[str]:
    welcome.say()
    return [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_the_page_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    """Then the interfaces of each gateway; nothing of phones where none could reach it, and no token where there is none."""
    lines = said(capsys, Welcome(urls=[HERE, "http://127.0.0.1:10"], nats=("nats://127.0.0.1:4222", Path("p.json"))))
    assert lines[0] == f"open this in a browser:  {HERE}"
    assert [line.split()[:2] for line in lines[1:3]] == [["URL", HERE], ["URL", "http://127.0.0.1:10"]]
    assert lines[3].startswith("NATS   nats://127.0.0.1:4222")
    assert len(lines) == 4


def test_without_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    """Where none is served, none is named."""
    (line,) = said(capsys, Welcome(urls=[HERE], others=[PHONE], page=False))
    assert line.startswith("URL")


def test_phones_need_tls(capsys: pytest.CaptureFixture[str]) -> None:
    """Without TLS whoever tries it with a phone is told why its camera stays off, and what to do."""
    lines = said(capsys, Welcome(urls=[HERE], others=[PHONE, "http://10.0.0.7:9"]))
    assert lines[1:3] == [f"from a phone on the same network:  {PHONE}", "or:  http://10.0.0.7:9"]
    assert "TLS=1" in lines[3]


def test_a_self_signed_certificate_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """The warning that will come is announced."""
    welcome = Welcome(urls=["https://127.0.0.1:9"], others=["https://192.168.1.5:9"], self_signed=True)
    (told,) = [line for line in said(capsys, welcome) if line.startswith("(")]
    assert "the browser warns" in told
