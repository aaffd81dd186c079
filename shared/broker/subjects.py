"""Every NATS subject of the system, typed. No other file writes a subject down.

An `Endpoint` is asked and answered (a NATS micro service). A room has subjects in the log, and the stream republishes
them for followers. A timer has one subject while it waits, and another when it is due.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.auth import commands as a
from shared.rooms import commands as c
from shared.rooms.grant import Grant
from shared.rooms.reserve import ReadReserve, Reserve
from shared.rooms.roster import Snapshot
from shared.rooms.timers import KINDS, Timer
from shared.values.ids import GatewayId, LeaseName, ParticipantId, RoomId
from shared.values.model import Tolerant

ROOT = "agentlink"
LOG_STREAM = "ROOMS"
LOG_PREFIX = f"{ROOT}.log."
LIVE_PREFIX = f"{ROOT}.room."  # of the subjects on which the stream republishes, for followers
ALL_EVENTS = f"{LOG_PREFIX}*.event"
NO_TIMERS = f"{ROOT}.timer.~"  # no timer, note or lease is there
NO_ROOM_EVENTS = f"{LOG_PREFIX}~.event"  # no room can have this id
SNAPSHOT_STREAM = "ROOM_SNAPSHOTS"
SNAPSHOT_SUBJECTS = f"{ROOT}.snapshot.*"
TIMER_STREAM = "TIMERS"
TIMER_SUBJECTS = f"{ROOT}.timer.>"
# The kinds of timers that are rooms' own. Other services have others, and a due timer is handed to one service only.
# The last one is for kinds to come.
DUE_TIMERS = tuple(f"{ROOT}.timer.due.{kind}.>" for kind in (*KINDS, "rooms"))
TIMERS_MARK = f"{ROOT}.timer.mark"
LEASE_STREAM = "LEASES"
LEASE_SUBJECTS = f"{ROOT}.lease.>"
ARMED_LEASES = f"{ROOT}.lease.set.*"
DUE_LEASES = f"{ROOT}.lease.due.*"
MARK = "-mark"  # at the end of a subject beside a lease's
LEASES_MARK = f"{ROOT}.lease.mark"
PROBE = f"{ROOT}.lease.probe"

Request = TypeVar("Request", bound=Tolerant)
Reply = TypeVar("Reply", bound=Tolerant)


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[Request, Reply]):
    """A request of one type, answered with one type. `name` is `<service>.<verb>`; the subject is `agentlink.<name>`."""

    name: str
    request: type[Request]
    reply: type[Reply]

    @property
    def subject(self) -> str:
        """The subject of requests."""
        return f"{ROOT}.{self.name}"

    @property
    def description(self) -> str:
        """The description in `$SRV.INFO`: the request's docstring."""
        return (self.request.__doc__ or "").strip()


VALIDATE = Endpoint("auth.validate", a.Validate, a.Identity)
OPEN_SESSION = Endpoint("auth.open_session", a.OpenSession, a.SessionOpened)
CHECK_JOIN_TOKEN = Endpoint("auth.check_join_token", a.CheckJoinToken, Grant)
ISSUE_JOIN_TOKEN = Endpoint("auth.issue_join_token", a.IssueJoinToken, a.Issued)
ISSUE_DEV_TOKEN = Endpoint("auth.issue_dev_token", a.IssueDevToken, a.Issued)
ICE_SERVERS = Endpoint("auth.ice_servers", a.IssueIceServers, a.IceServersIssued)
ISSUE_GUEST_TOKEN = Endpoint("auth.issue_guest_token", a.IssueGuestToken, a.GuestIssued)

CREATE_ROOM = Endpoint("rooms.create", c.CreateRoom, c.RoomState)
ADD_PARTICIPANT = Endpoint("rooms.join", c.AddParticipant, c.Joined)
RESUME_PARTICIPANT = Endpoint("rooms.resume", c.ResumeParticipant, c.Resumed)
DROP_PARTICIPANT = Endpoint("rooms.drop", c.DropParticipant, c.Done)
REMOVE_PARTICIPANT = Endpoint("rooms.leave", c.RemoveParticipant, c.Done)
UPDATE_PARTICIPANT = Endpoint("rooms.update_participant", c.UpdateParticipant, c.Updated)
UPDATE_ROOM = Endpoint("rooms.update", c.UpdateRoom, c.RoomState)
CLOSE_ROOM = Endpoint("rooms.close", c.CloseRoom, c.Done)
READ_ROOM = Endpoint("rooms.read", c.ReadRoom, c.RoomState)
READ_SNAPSHOT = Endpoint("rooms.snapshot", c.ReadSnapshot, Snapshot)
LIST_ROOMS = Endpoint("rooms.list", c.ListRooms, c.RoomList)
READ_RESERVE = Endpoint("rooms.reserve", ReadReserve, Reserve)
CHECK_GRANT = Endpoint("rooms.check_grant", c.CheckGrant, c.Done)


def event_log(room_id: RoomId) -> str:
    """The subject to which rooms appends the changes of a room."""
    return f"{LOG_PREFIX}{room_id}.event"


def state_log(room_id: RoomId) -> str:
    """The subject of the private states that belong to snapshots in the event log."""
    return f"{LOG_PREFIX}{room_id}.state"


def signal_log(room_id: RoomId, to: ParticipantId) -> str:
    """The subject to which gateways append the signals to one participant."""
    return f"{LOG_PREFIX}{room_id}.signal.{to}"


def room_log(room_id: RoomId) -> str:
    """All subjects of a room's log."""
    return f"{LOG_PREFIX}{room_id}.>"


def snapshot(room_id: RoomId) -> str:
    """The subject of the cached newest snapshot of a room."""
    return f"{ROOT}.snapshot.{room_id}"


def armed(timer: Timer) -> str:
    """The subject on which a timer waits until it is due. A later timer there replaces it."""
    return f"{ROOT}.timer.set.{timer.name}"


def due(timer: Timer) -> str:
    """The subject on which the broker stores a timer when it is due."""
    return f"{ROOT}.timer.due.{timer.name}"


def armed_lease(name: LeaseName) -> str:
    """The subject on which a lease waits until it is due or renewed."""
    return f"{ROOT}.lease.set.{name}"


def marked_lease(name: LeaseName) -> str:
    """The subject of the mark that a gateway leaves beside its lease."""
    return f"{ROOT}.lease.set.{name}{MARK}"


def due_lease(name: LeaseName) -> str:
    """The subject on which the broker stores a lease when it is due."""
    return f"{ROOT}.lease.due.{name}"


NOTES = f"{ROOT}.timer.held.*.*"


def noted_room(gateway: GatewayId, room_id: RoomId) -> str:
    """The subject of the note that this gateway may have participants in this room."""
    return f"{ROOT}.timer.held.{gateway}.{room_id}"


def noted_rooms(gateway: GatewayId) -> str:
    """The subjects of all such notes of a gateway."""
    return f"{ROOT}.timer.held.{gateway}.*"
