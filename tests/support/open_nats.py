"""A NATS server without accounts, on which anybody may do anything: for tests that play the stranger."""

from services.launcher.embedded_nats import EmbeddedNats


class OpenNats(EmbeddedNats):
    """As the embedded server, but for the users."""

    def _prepare(self) -> None:
        super()._prepare()
        config = self.folder / "nats.conf"
        config.write_text(config.read_text().replace('include "accounts.conf"', ""))
