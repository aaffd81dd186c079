"""A NATS server without accounts, for tests that do what no service may do."""

from services.launcher.embedded_nats import EmbeddedNats


class OpenNats(EmbeddedNats):
    """The embedded server, without users."""

    def _prepare(self) -> None:
        super()._prepare()
        config = self.folder / "nats.conf"
        config.write_text(config.read_text().replace('include "accounts.conf"', ""))
