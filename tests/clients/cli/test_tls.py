"""`parley` against `TLS=1 make run`: a certificate that only --ca or --insecure makes acceptable."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.launcher.certificate import CERTIFICATE
from tests.clients.cli.runner import Cli
from tests.support.launched import Launched


@pytest.fixture(scope="module")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """All services, with a certificate of their own."""
    launched = Launched(tmp_path_factory.mktemp("tls") / "data", environment={"TLS": "1"}).ready()
    yield launched
    launched.stop()


def test_a_certificate_of_their_own(https: Launched, tmp_path: Path) -> None:
    """Unknown, it is refused with a word about --ca; with --ca, or with --insecure, https and wss both work."""
    assert https.url.startswith("https:")
    cli = Cli(PARLEY_URL=https.url)
    sentence = cli("rooms", "list", status=3).one_sentence()
    assert "its certificate is not trusted" in sentence
    assert "--ca" in sentence
    assert "is not trusted" in cli("join", "r", "--token", "a.b.c", status=3).one_sentence()
    known = ("--ca", str(https.data / "tls" / CERTIFICATE))
    assert "wrong" not in cli("doctor", *known).out
    assert "was not checked" in cli("doctor", "--insecure").out
    with cli.start("join", "daily", *known) as ada:
        ada.wait_for("we are in, alone")
    cli("doctor", *known, "--insecure", status=2)
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing")
    cli("doctor", "--ca", str(nothing), status=2)
