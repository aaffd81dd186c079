"""The bodies that the REST API takes and gives (protocol section 7), as far as rooms and auth do not define them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator
from pydantic_core import PydanticCustomError

from shared.rooms.model import Access, Kind, Minutes, Name, Participant, RoomSettings, RoomType, Seats
from shared.values.ids import AgentIdField, RoomIdField
from shared.values.model import Strict, Tolerant

PAGE = 50
LONGEST_PAGE = 100

Ttl = Annotated[int, Field(ge=1, le=10 * 365 * 86400)]  # auth knows the limits; this only keeps dates writable
Permission = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class Body(Strict):
    """A request body. Only wire names are understood, in any depth."""

    model_config = ConfigDict(validate_by_name=False)


class NewRoomSettings(RoomSettings):
    """What the creator chooses. `maxDuration` is minutes from the first join; the room then closes."""

    model_config = ConfigDict(validate_by_name=False)


class NewRoom(Body):
    """A room to be made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "Daily", "type": "voice", "maxParticipants": 10, "settings": {"muteOnEntry": True}}]
        }
    )

    name: Name = Field(description="Shown to people; no control characters.")
    type: RoomType
    max_participants: Seats | None = Field(None, description="Seats; without it the installation's default.")
    access: Access = Field(
        "open", description="`open`: any agent with `rooms:join`; `token`: only with a join token or a grant by name."
    )
    settings: NewRoomSettings = NewRoomSettings()
    room_id: RoomIdField | None = Field(None, description="An id of your own; without it the room gets a UUID.")


class SettingsChange(Body):
    """A change of a room's settings by key (RFC 7396): absent keeps, `null` goes back to the default."""

    mute_on_entry: bool | None = None
    allow_recording: bool | None = None
    max_duration: Minutes | None = Field(None, description="Minutes from the first join.")

    def patch(self) -> dict[str, Any]:
        """The merge patch: the keys that were sent."""
        return self.model_dump(by_alias=True, exclude_unset=True)


def _change_schema(schema: dict[str, Any]) -> None:
    """As `RoomChange` validates: fields may be absent, but not null."""
    for field in schema["properties"].values():
        field.update(field.pop("anyOf")[0])
        del field["default"]
    schema["examples"] = [{"name": "Weekly", "settings": {"maxDuration": 60}}]


class RoomChange(Body):
    """A change of a room: what is absent stays as it is."""

    model_config = ConfigDict(json_schema_extra=_change_schema)

    name: Name | None = None
    type: RoomType | None = None
    max_participants: Seats | None = Field(None, description="Seats; fewer than are taken evicts nobody.")
    access: Access | None = None
    settings: SettingsChange | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _present_or_absent(cls, value: object) -> object:
        """`null` removes (RFC 7396), and a room without a name or type is none."""
        if value is None:
            raise ValueError("may be left out, but not be null")
        return value


class JoinOrder(Body):
    """For whom a join token is, as what, and for how long."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"agentId": "agent-sara", "role": "moderator", "ttl": 60}]}
    )

    agent_id: AgentIdField | None = Field(None, description="The agent that may join; without it you yourself.")
    role: Literal["participant", "moderator"] = Field(
        "participant", description="`moderator` only from the room's owner or a manager."
    )
    ttl: Ttl | None = Field(None, description="Seconds until the token expires; without it the installation's default.")


class DevTokenOrder(Body):
    """Whose agent-link token it shall be."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"agentId": "agent-fawzi", "permissions": ["rooms:create", "rooms:join"]}]}
    )

    agent_id: AgentIdField
    permissions: Annotated[list[Permission], Field(max_length=64)] | None = Field(
        None, description="Without it the installation's default permissions."
    )
    ttl: Ttl | None = Field(None, description="Seconds until the token expires.")
    name: Name | None = None
    kind: Kind | None = None


class GuestTokenOrder(Body):
    """What a guest wants to be called."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Sara"}]})

    name: Name | None = Field(None, description="Without it `Guest`, or when renewing the name as it was.")


class Paging(BaseModel):
    """Which part of a list. Not strict: a query string has no types."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=LONGEST_PAGE, description="Rooms on a page.")] = PAGE
    cursor: (
        Annotated[str, Field(min_length=1, max_length=512, description="The `cursor` of the page before; opaque.")]
        | None
    ) = None

    @field_validator("limit", mode="before")
    @classmethod
    def _digits(cls, limit: Any) -> Any:
        """Digits only: Python would read `1_0`, ` 1` and digits of other scripts too."""
        if isinstance(limit, str) and not (limit.isascii() and limit.isdigit()):
            raise PydanticCustomError("int_parsing", "must be an integer")
        return limit


class Participants(Tolerant):
    """Who is in a room, as of one revision."""

    revision: int
    participants: list[Participant]


class JoinToken(Tolerant):
    """A token for `join_room`, good once, and where the WebSocket is."""

    token: str
    expires_at: str = Field(description="RFC 3339.")
    url: str = Field(description="The WebSocket: `ws://` or `wss://`.")


class Health(Tolerant):
    """The process is alive, or ready."""

    status: Literal["ok"] = "ok"
    version: str
    notice: str | None = Field(None, description="What to look after although it serves, in one sentence.")


class Services(Tolerant):
    """The services that a gateway asks."""

    answering: dict[str, bool] = Field(description="Whether it answers, by its name: `auth`, `rooms`.")
