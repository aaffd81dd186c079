"""Settings of rooms. docs/configuration.md is made from them."""

from typing import Self

from pydantic import Field, model_validator

from services.rooms.decision import Rules
from services.rooms.made_rooms import RoomLimits
from services.rooms.trimming import Limits
from shared.rooms.model import ROOM_SEATS
from shared.rooms.operations import OPERATION_MEMORY_SECONDS
from shared.rooms.reserve import Thresholds
from shared.runtime.settings import GRACE_SECONDS, ServiceSettings
from shared.values.names import NAME_CHARACTERS


class RoomsSettings(ServiceSettings):
    """rooms: defaults of new rooms, and how the log is kept."""

    auto_create_rooms: bool | None = Field(
        None, description="Whether joining an unknown room creates it. Unset: in development mode only."
    )
    grace_seconds: float = Field(
        GRACE_SECONDS,
        gt=0,
        le=3600,
        description="Seconds the seat of a participant without a connection is held (the same for gateway and rooms).",
    )
    default_max_participants: int = Field(
        10, ge=1, le=ROOM_SEATS, description="Seats of a room whose creator does not say."
    )
    mesh_participants: int = Field(
        5,
        ge=1,
        le=ROOM_SEATS,
        description="Participants up to which a room is `mesh`; above it is `sfu_advised`.",
    )
    name_characters: int = Field(
        NAME_CHARACTERS, ge=1, le=NAME_CHARACTERS, description="Longest name of a participant, in characters."
    )
    metadata_bytes: int = Field(1024, ge=0, le=1024, description="Largest metadata of a participant, in bytes of JSON.")
    participant_change_rate: float = Field(
        1.0,
        gt=0,
        description="Changes a second that a participant may have stored of what it says of itself (`update_self`); "
        "those that wait are stored together.",
    )
    participant_change_burst: int = Field(
        30, ge=1, description="Such changes at once; at most what the rate gives in a minute."
    )
    open_rooms_per_agent: int = Field(
        300,
        ge=1,
        description="Rooms that an agent may have open; the rooms of guests count together for the network that got their "
        "tokens.",
    )
    rooms_per_hour_per_agent: int = Field(
        300, ge=1, description="Rooms that an agent, or the guests of a network, may make in an hour."
    )
    open_rooms_of_guests: int = Field(1000, ge=1, description="Rooms that all guests together may have open.")
    rooms_per_hour_of_guests: int = Field(1000, ge=1, description="Rooms that all guests together may make in an hour.")
    empty_room_seconds: float = Field(
        3600.0, ge=0, description="Seconds after which a room with nobody in it closes; 0: never."
    )
    closed_log_seconds: float = Field(
        180.0,
        ge=0,
        description="Seconds the log of a closed room is kept (its last entry always is); 0: without end.",
    )
    log_bytes: int = Field(
        1 << 15,
        ge=0,
        description="Bytes of changes of a room after which its log is trimmed; 0: never by size.",
    )
    log_seconds: float = Field(
        86400.0,
        ge=0,
        description="Seconds after which changes of a room are trimmed from its log; 0: never by age.",
    )
    log_kept_seconds: float = Field(
        90.0,
        gt=0,
        description="Seconds for which nothing is trimmed from the log of an open room. "
        "Not less than the gateways' `PARLEY_SIGNAL_SECONDS`, or who comes back late is not told what happened, "
        "and a signal sent again may come twice.",
    )
    log_consumers: list[str] = Field(
        [],
        description="Durable consumers of stream `ROOMS` that trimming waits for. Others are not waited for.",
    )
    log_consumer_seconds: float = Field(3600.0, ge=0, description="Seconds that trimming waits for them at most.")
    log_max_bytes: int = Field(
        1 << 30,
        ge=1 << 16,
        description="Size of the stream with all rooms' logs; when it is full, new entries are refused.",
    )
    reserve_slows_signals: float = Field(
        Thresholds.slow,
        gt=0,
        le=1,
        description="Share of the log, of NATS' store or of its disk, whichever is fullest, from which signals are slowed.",
    )
    reserve_refuses_joins: float = Field(
        Thresholds.newcomers, gt=0, le=1, description="Share from which joins and new rooms are refused."
    )
    reserve_refuses_signals: float = Field(
        Thresholds.signals,
        gt=0,
        le=1,
        description="Share from which signals and changes are refused. The rest is for those who are in.",
    )
    store_folder: str | None = Field(
        None,
        description="Folder of NATS' store, if it is on this machine: then its disk is watched too. `make run` sets it.",
    )
    log_replicas: int = Field(1, ge=1, le=5, description="NATS servers that keep a copy of the streams.")
    cached_rooms: int = Field(10000, ge=1, description="Rooms kept folded in memory.")
    snapshot_every: int = Field(100, ge=1, description="Entries of a room after which a snapshot is written.")
    waiting_commands: int = Field(1000, ge=1, description="Commands that may queue for one room before `unavailable`.")

    @model_validator(mode="after")
    def _changes_are_remembered(self) -> Self:
        if self.participant_change_burst > self.participant_change_rate * OPERATION_MEMORY_SECONDS:
            raise ValueError(
                "PARLEY_PARTICIPANT_CHANGE_BURST must not exceed what PARLEY_PARTICIPANT_CHANGE_RATE gives in a minute: "
                "the log remembers changes no longer"
            )
        return self

    @property
    def creates_on_join(self) -> bool:
        """Whether joining an unknown room creates it."""
        return self.development if self.auto_create_rooms is None else self.auto_create_rooms

    @model_validator(mode="after")
    def _thresholds_ascend(self) -> Self:
        if not self.reserve_slows_signals <= self.reserve_refuses_joins <= self.reserve_refuses_signals:
            raise ValueError(
                "PARLEY_RESERVE_SLOWS_SIGNALS, PARLEY_RESERVE_REFUSES_JOINS and PARLEY_RESERVE_REFUSES_SIGNALS must ascend"
            )
        return self

    def thresholds(self) -> Thresholds:
        """From which shares on the reserve is kept."""
        return Thresholds(self.reserve_slows_signals, self.reserve_refuses_joins, self.reserve_refuses_signals)

    def limits(self) -> Limits:
        """The settings of trimming."""
        return Limits(
            size=self.log_bytes,
            seconds=self.log_seconds,
            kept_seconds=self.log_kept_seconds,
            closed_seconds=self.closed_log_seconds,
            consumers=tuple(self.log_consumers),
            consumer_seconds=self.log_consumer_seconds,
        )

    def room_limits(self) -> RoomLimits:
        """How many rooms one may make."""
        return RoomLimits(
            open=self.open_rooms_per_agent,
            hourly=self.rooms_per_hour_per_agent,
            guests_open=self.open_rooms_of_guests,
            guests_hourly=self.rooms_per_hour_of_guests,
        )

    def rules(self) -> Rules:
        """The settings that the rules need."""
        return Rules(
            default_max_participants=self.default_max_participants,
            creates_on_join=self.creates_on_join,
            metadata_bytes=self.metadata_bytes,
            name_characters=self.name_characters,
            grace_seconds=self.grace_seconds,
            empty_room_seconds=self.empty_room_seconds,
            closed_log_seconds=self.closed_log_seconds,
            mesh_participants=self.mesh_participants,
            participant_change_rate=self.participant_change_rate,
            participant_change_burst=self.participant_change_burst,
        )
