"""A process of the toy."""

from shared.runtime import process
from tests.processes.toy.service import ToySettings, build

if __name__ == "__main__":
    process.run("toy", ToySettings, build)
