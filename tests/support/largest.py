"""The largest possible room: every seat is taken, and every field is as long as its limit allows."""

from services.rooms.decision import Context, Decision, RoomInput, Rules
from services.rooms.rules import decide
from shared.rooms.commands import Caller
from shared.rooms.model import ROOM_SEATS, Media, RoomSettings, Track
from shared.rooms.roster import Entry, Roster
from shared.values.ids import GatewayId, ParticipantId, RoomId, SessionKey
from shared.values.names import NAME_CHARACTERS
from shared.values.position import Position
from tests.support.orders import NOW, caller, create, join

WIDEST_NAME = "😀" * NAME_CHARACTERS  # four bytes each, the most a printable character takes in JSON
METADATA_BYTES = 1024
ROOM_ID = RoomId("r" * 64)
RULES = Rules(metadata_bytes=METADATA_BYTES)
MINTED = 24  # characters of an id of ours


def _agent(n: int) -> Caller:
    return caller(f"{n:0>128}", kind="service", name=WIDEST_NAME)


class LargestRoom:
    """The room's fold and owner, and how to change it."""

    def __init__(self) -> None:
        self.owner = _agent(0)
        self.fold = Roster(ROOM_ID, "incarnatio")
        settings = RoomSettings(mute_on_entry=False, allow_recording=False, max_duration=7 * 24 * 60)
        self.do(create(ROOM_ID, self.owner, name=WIDEST_NAME, max_participants=ROOM_SEATS, settings=settings))
        muted = Track(state="muted")
        for n in range(ROOM_SEATS):
            newcomer = join(
                _agent(n),
                ROOM_ID,
                participant_id=ParticipantId(f"p_{n:0>{MINTED - 2}}"),
                session=SessionKey(f"{n:0>22}"),
                gateway=GatewayId(f"g_{n:0>22}"),
                device_id=f"{n:0>128}",
                media=Media(audio=muted, video=muted, screen=muted),
                metadata={"k": "m" * (METADATA_BYTES - len('{"k":""}'))},
            )
            self.do(newcomer)

    def do(self, command: RoomInput) -> Decision:
        """Decide and append."""
        decision = decide(self.fold, command, Context(NOW, RULES))
        self.fold.apply(Entry(Position(self.fold.sequence + 1), decision.events, decision.stamp))
        return decision
