"""The toy, put together: the smallest service there is. It answers one question."""

from pydantic import Field

from shared.broker.ports import HasRequests
from shared.broker.requests import Service
from shared.broker.subjects import Endpoint
from shared.runtime.service import ServiceInstance
from shared.runtime.settings import ServiceSettings
from shared.values.model import Tolerant


class ToySettings(ServiceSettings):
    """The toy: how it greets."""

    greeting: str = Field("Hello", description="The first word of an answer.")


class Greet(Tolerant):
    """Ask for a greeting."""

    name: str


class Greeting(Tolerant):
    """The greeting of whoever was named."""

    text: str


GREET = Endpoint("toy.greet", Greet, Greeting)


class Toy(ServiceInstance):
    """One process of the toy."""

    def __init__(self, settings: ToySettings, ports: HasRequests) -> None:
        self._settings, self._requests = settings, ports.requests

    async def start(self) -> None:
        """Answer."""
        await self._requests.serve(Service("toy", "Greets.", [(GREET, self.greet)]))

    async def greet(self, asked: Greet) -> Greeting:
        return Greeting(text=f"{self._settings.greeting}, {asked.name}")


build = Toy
