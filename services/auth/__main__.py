"""A process of auth."""

from services.auth.service import build
from services.auth.settings import AuthSettings
from shared.runtime import process

if __name__ == "__main__":
    process.run("auth", AuthSettings, build)
