"""Starts that cannot work: one sentence, a status that is not 0, and nothing left."""

from pathlib import Path

import httpx

from services.auth.settings import DEVELOPMENT_SECRET
from services.gateway.settings import DEVELOPMENT_SIGNAL_KEYS
from tests.support.launched import Launched, refusal, refusals
from tests.support.processes import Process


def test_taken_port(tmp_path: Path, launched: Launched) -> None:
    """A taken port is named, and what to do about it; nothing was started or written."""
    port = launched.url.rpartition(":")[2]
    sentence = refusal(tmp_path / "data", PORT=port)
    assert f"127.0.0.1:{port}" in sentence
    assert "PORT=" in sentence
    assert not (tmp_path / "data").exists()


def test_address_of_another_machine(tmp_path: Path) -> None:
    """A HOST that is not ours is told from a port that is taken."""
    sentence = refusal(tmp_path / "data", HOST="198.51.100.7")
    assert "198.51.100.7" in sentence
    assert "HOST=" in sentence


def test_folder_in_use(launched: Launched) -> None:
    """Two NATS servers would destroy one folder: the second start is refused, and the first one goes on."""
    assert f"{launched.data}/nats is in use" in refusal(launched.data)
    assert httpx.get(f"{launched.url}/readyz").status_code == 200


def test_unusable_folder(tmp_path: Path) -> None:
    """A DATA that is a file, is below one, or cannot be written is named in the sentence."""
    (tmp_path / "file").write_text("mine")
    folders = [tmp_path / "file", tmp_path / "file" / "below", Path("/proc/parley")]
    for folder, sentence in zip(folders, refusals(*((folder, {}) for folder in folders)), strict=True):
        assert str(folder) in sentence
        assert "cannot be used" in sentence
    assert (tmp_path / "file").read_text() == "mine"


BAD_SETTINGS = [
    ("PARLEY_MAX_PARTICIPANT", "sesame-1234", "unknown setting PARLEY_MAX_PARTICIPANT"),
    ("PARLEY_MESSAGE_RATE", "sesame-1234", "PARLEY_MESSAGE_RATE"),
    ("PARLEY_TOKEN_SECRET", "sesame-1234", "PARLEY_TOKEN_SECRET must have at least 32 bytes"),
    ("PARLEY_GRANT_SECRET_FILE", "/nowhere/sesame-1234", "PARLEY_GRANT_SECRET_FILE"),
    ("PARLEY_MODE", "sesame-1234", "PARLEY_MODE"),
    ("PARLEY_MODE", "production", "PARLEY_SIGNAL_KEYS is required outside development mode"),
]


def test_bad_settings(tmp_path: Path) -> None:
    """A setting that does not exist or makes no sense is named before anything is started; its value is not told."""
    told = refusals(*((tmp_path / "data", {variable: value}) for variable, value, _ in BAD_SETTINGS))
    for (_, _, expected), sentence in zip(BAD_SETTINGS, told, strict=True):
        assert expected in sentence
        assert "sesame" not in sentence
    assert not (tmp_path / "data").exists()


BAD_NUMBERS = [
    ({"PORT": "eighty"}, "PORT: "),
    ({"PORT": "65535", "GATEWAYS": "2"}, "65536; choose a lower PORT"),
    ({"REPLICAS": "0"}, "REPLICAS: "),
    ({"GATEWAYS": "two"}, "GATEWAYS: "),
    ({"ROOMS": "-1"}, "ROOMS: "),
    ({"AUTHS": "1000"}, "AUTHS: "),
    ({"NATS_SERVERS": "2"}, "NATS_SERVERS must be 1, 3 or 5"),
    ({"NATS_SERVERS": "3", "NATS_URL": "nats://127.0.0.1:4222"}, "NATS_URL"),
    ({"NATS_SYNC": "sometimes"}, "NATS_SYNC must be"),
    ({"PARLEY_LOG_REPLICAS": "3"}, "PARLEY_LOG_REPLICAS is 3"),
]


def test_bad_numbers(tmp_path: Path) -> None:
    """A number that cannot be, or does not fit the others, is named before anything is started."""
    told = refusals(*((tmp_path / "data", given) for given, _ in BAD_NUMBERS))
    for (_, expected), sentence in zip(BAD_NUMBERS, told, strict=True):
        assert expected in sentence
    assert not (tmp_path / "data").exists()


# -- outside development mode ----------------------------------------------------------------------------------------

SECRET = "long-enough-for-a-secret-of-the-tests-0123456789"
DEVELOPMENT_KEYS = {
    "gateway": {"PARLEY_SIGNAL_KEYS": DEVELOPMENT_SIGNAL_KEYS},
    "auth": {"PARLEY_TOKEN_SECRET": DEVELOPMENT_SECRET, "PARLEY_GRANT_SECRET": SECRET},
}


def test_production_needs_secrets() -> None:
    """Production is the default, and needs secrets; the well-known ones of development are refused, and not repeated."""
    started = [
        (Process.module(f"services.{service}", environment=own), own)
        for service, keys in DEVELOPMENT_KEYS.items()
        for own in ({}, keys)
    ]
    try:
        for process, own in started:
            assert process.end() == 2
            (sentence,) = process.lines
            assert ("development mode only" if own else "is required outside development mode") in sentence
            assert not any(value in sentence for value in own.values())
    finally:
        for process, _ in started:
            process.destroy()
