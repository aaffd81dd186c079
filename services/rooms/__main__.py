"""A process of rooms."""

from services.rooms.service import build, streams
from services.rooms.settings import RoomsSettings
from shared.runtime import process

if __name__ == "__main__":
    process.run("rooms", RoomsSettings, build, uses_log=True, streams=streams)
