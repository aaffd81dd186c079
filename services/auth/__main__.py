"""A process of auth."""

from shared.runtime.told import TOLD

if __name__ == "__main__":
    TOLD.heed()  # before the imports, which take a second
    from services.auth.service import build
    from services.auth.settings import AuthSettings
    from shared.runtime import process

    process.run("auth", AuthSettings, build)
