"""A process of rooms."""

from shared.runtime.told import TOLD

if __name__ == "__main__":
    TOLD.heed()  # before the imports, which take a second
    from services.rooms.service import build, streams
    from services.rooms.settings import RoomsSettings
    from shared.runtime import process

    process.run("rooms", RoomsSettings, build, uses_log=True, streams=streams)
