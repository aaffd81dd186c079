"""A process of the gateway."""

from services.gateway.service import build
from services.gateway.settings import GatewaySettings
from shared.runtime import process

if __name__ == "__main__":
    process.run("gateway", GatewaySettings, build, uses_log=True)
