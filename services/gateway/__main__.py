"""A process of the gateway."""

from shared.runtime.told import TOLD

if __name__ == "__main__":
    TOLD.heed()  # before the imports, which take a second
    from services.gateway.service import build
    from services.gateway.settings import GatewaySettings
    from shared.runtime import process

    process.run("gateway", GatewaySettings, build, uses_log=True)
