/** The wire's messages, and the codes of errors and closes. Written by `python -m clients.messages` from the models. */

/** Error codes of the protocol (docs/protocol.md, section 2). */
export const ErrorCodes = Object.freeze(
  /** @type {const} */ ({
    BAD_MESSAGE: "bad_message",
    NOT_AUTHENTICATED: "not_authenticated",
    FORBIDDEN: "forbidden",
    ROOM_NOT_FOUND: "room_not_found",
    ROOM_FULL: "room_full",
    ROOM_LOCKED: "room_locked",
    ROOM_CLOSED: "room_closed",
    ROOM_EXISTS: "room_exists",
    NOT_IN_ROOM: "not_in_room",
    PARTICIPANT_NOT_FOUND: "participant_not_found",
    INVALID_SDP: "invalid_sdp",
    INVALID_CANDIDATE: "invalid_candidate",
    BAD_STATE: "bad_state",
    TOO_LARGE: "too_large",
    RATE_LIMITED: "rate_limited",
    UNAVAILABLE: "unavailable",
    INTERNAL: "internal",
    INVALID_TOKEN: "invalid_token",
    EXPIRED_TOKEN: "expired_token",
    NOT_YET_VALID: "not_yet_valid",
    WRONG_AUDIENCE: "wrong_audience",
    WRONG_ISSUER: "wrong_issuer",
    REVOKED_TOKEN: "revoked_token",
    SUBJECT_MISMATCH: "subject_mismatch",
    THROTTLED: "throttled",
  }),
);
/** @typedef {(typeof ErrorCodes)[keyof typeof ErrorCodes]} ErrorCode */

/** WebSocket close codes: 4000-4499 mean come back (and resume), 4500-4999 mean do not. */
export const CloseCodes = Object.freeze(
  /** @type {const} */ ({
    GOING_AWAY: 1001,
    UNSUPPORTED_DATA: 1003,
    INTERNAL_ERROR: 1011,
    SERVICE_RESTART: 1012,
    SLOW_CONSUMER: 4000,
    NO_PONG: 4001,
    UNAVAILABLE: 4002,
    BAD_CLIENT: 4500,
    UNAUTHENTICATED: 4501,
    TOKEN_EXPIRED: 4502,
    REVOKED: 4503,
    REPLACED: 4504,
    RATE_LIMITED: 4505,
  }),
);
/** @typedef {(typeof CloseCodes)[keyof typeof CloseCodes]} CloseCode */

/**
 * The token is not accepted; the connection closes.
 * @typedef {object} AuthError
 * @property {"auth_error"} type
 * @property {string | null} [id]
 * @property {ErrorCode} code
 * @property {string} message
 */

/**
 * The session is open, or renewed.
 * @typedef {object} AuthOk
 * @property {"auth_ok"} type
 * @property {string | null} [id]
 * @property {string} agentId
 * @property {string} sessionId
 * @property {string} resumeToken
 * @property {string} expiresAt
 * @property {boolean} resumed
 * @property {number} heartbeatMs
 * @property {string[]} features
 * @property {Record<string, number>} limits
 */

/**
 * The first message; on a live session it renews.
 * @typedef {object} Authenticate
 * @property {string | null} [id]
 * @property {"authenticate"} type
 * @property {string} token
 * @property {string | null} [deviceId]
 * @property {Resume | null} [resume]
 */

/**
 * One ICE candidate; null is the end of candidates.
 * @typedef {object} Candidate
 * @property {string | null} [id]
 * @property {"candidate"} type
 * @property {string | null} [to]
 * @property {string | null} [roomId]
 * @property {IceCandidate | null} candidate
 * @property {string | null} [negotiation]
 */

/**
 * RTCPeerConnection.localDescription.toJSON() with an address.
 * @typedef {object} Description
 * @property {string | null} [id]
 * @property {"offer" | "answer"} type
 * @property {string | null} [to]
 * @property {string | null} [roomId]
 * @property {string} sdp
 * @property {string | null} [negotiation]
 */

/**
 * A request is refused; the connection lives.
 * @typedef {object} ErrorMessage
 * @property {"error"} type
 * @property {string | null} [id]
 * @property {ErrorCode} code
 * @property {string} message
 * @property {boolean} retryable
 * @property {number | null} [retryAfterMs]
 * @property {Record<string, any>} details
 */

/**
 * The room anew, for a client that lost count.
 * @typedef {object} GetRoom
 * @property {string | null} [id]
 * @property {"get_room"} type
 * @property {string | null} [roomId]
 */

/**
 * Open another connection after that time.
 * @typedef {object} GoAway
 * @property {"go_away"} type
 * @property {string} reason
 * @property {number} reconnectAfterMs
 */

/**
 * RTCIceCandidate.toJSON() (W3C webrtc-pc, RTCIceCandidateInit).
 * @typedef {object} IceCandidate
 * @property {string} candidate
 * @property {string | null} [sdpMid]
 * @property {number | null} [sdpMLineIndex]
 * @property {string | null} [usernameFragment]
 */

/**
 * An RTCIceServer (W3C webrtc-pc 4.2.4).
 * @typedef {object} IceServer
 * @property {string[]} urls
 * @property {string | null} [username]
 * @property {string | null} [credential]
 */

/**
 * Other ICE servers than the client was told, to be used from now on (RTCPeerConnection.setConfiguration).
 * @typedef {object} IceServers
 * @property {"ice_servers"} type
 * @property {string} roomId
 * @property {IceServer[]} iceServers
 * @property {string | null} [expiresAt]
 */

/**
 * Enter a room.
 * @typedef {object} JoinRoom
 * @property {string | null} [id]
 * @property {"join_room"} type
 * @property {string} roomId
 * @property {string | null} [token]
 * @property {string | null} [name]
 * @property {Record<string, any> | null} [metadata]
 * @property {MediaPatch | null} [media]
 */

/**
 * Leave a room.
 * @typedef {object} LeaveRoom
 * @property {string | null} [id]
 * @property {"leave_room"} type
 * @property {string | null} [roomId]
 */

/**
 * What a participant sends.
 * @typedef {object} Media
 * @property {TrackState} audio
 * @property {TrackState} video
 * @property {TrackState} screen
 */

/**
 * A change of Media by key (RFC 7396): absent keeps, null removes (so: off).
 * @typedef {object} MediaPatch
 * @property {TrackState | null} [audio]
 * @property {TrackState | null} [video]
 * @property {TrackState | null} [screen]
 */

/**
 * A request is done.
 * @typedef {object} Ok
 * @property {"ok"} type
 * @property {string} id
 */

/**
 * One stay of a session in a room.
 * @typedef {object} Participant
 * @property {string} id
 * @property {string} agentId
 * @property {string} deviceId
 * @property {string} name
 * @property {"human" | "agent" | "service"} kind
 * @property {"owner" | "moderator" | "participant"} role
 * @property {number} order
 * @property {string} joinedAt
 * @property {"connected" | "reconnecting"} connection
 * @property {Media} media
 * @property {Record<string, any>} metadata
 */

/**
 * Is the connection alive?
 * @typedef {object} Ping
 * @property {string | null} [id]
 * @property {"ping"} type
 */

/**
 * The connection is alive.
 * @typedef {object} Pong
 * @property {"pong"} type
 * @property {string | null} [id]
 * @property {string} serverTime
 */

/**
 * The proof of a session and the last cursor seen in each of its rooms.
 * @typedef {object} Resume
 * @property {string} token
 * @property {Record<string, string>} cursors
 */

/**
 * A room's public properties.
 * @typedef {object} Room
 * @property {string} roomId
 * @property {string} name
 * @property {"voice" | "video"} type
 * @property {number} maxParticipants
 * @property {string} createdBy
 * @property {string} createdAt
 * @property {"open" | "token"} access
 * @property {RoomSettings} settings
 * @property {number} participantCount
 * @property {boolean} locked
 * @property {"mesh" | "sfu_advised" | string} topology
 */

/**
 * The room is no more.
 * @typedef {object} RoomClosed
 * @property {string} roomId
 * @property {number} revision
 * @property {string} cursor
 * @property {"room_closed"} type
 * @property {"deleted" | "max_duration" | "empty"} reason
 */

/**
 * The end of what was missed in a room.
 * @typedef {object} RoomResumed
 * @property {"room_resumed"} type
 * @property {string} roomId
 * @property {number} revision
 * @property {string} cursor
 */

/**
 * What the creator chose.
 * @typedef {object} RoomSettings
 * @property {boolean} muteOnEntry
 * @property {boolean} allowRecording
 * @property {number | null} [maxDuration]
 */

/**
 * The room's properties changed.
 * @typedef {object} RoomUpdated
 * @property {string} roomId
 * @property {number} revision
 * @property {string} cursor
 * @property {"room_updated"} type
 * @property {Room} room
 */

/**
 * A room and everyone in it, at one revision.
 * @typedef {object} RoomUsers
 * @property {"room_users"} type
 * @property {string | null} [id]
 * @property {string} roomId
 * @property {number} revision
 * @property {string} cursor
 * @property {string} self
 * @property {Room} room
 * @property {Participant[]} participants
 * @property {IceServer[]} iceServers
 * @property {string | null} [expiresAt]
 * @property {boolean | null} [recovered]
 */

/**
 * An offer, answer or candidate from another participant.
 * @typedef {object} SignalPush
 * @property {"offer" | "answer" | "candidate"} type
 * @property {string} roomId
 * @property {string} from
 * @property {string} agentId
 * @property {string} cursor
 * @property {string | null} [sdp]
 * @property {IceCandidate | null} [candidate]
 * @property {string | null} [negotiation]
 */

/**
 * Authenticate again before then.
 * @typedef {object} TokenExpiring
 * @property {"token_expiring"} type
 * @property {string} expiresAt
 */

/**
 * One kind of media of a participant.
 * @typedef {object} TrackState
 * @property {"on" | "muted" | "off"} state
 */

/**
 * Change what one says of oneself.
 * @typedef {object} UpdateSelf
 * @property {string | null} [id]
 * @property {"update_self"} type
 * @property {string | null} [roomId]
 * @property {MediaPatch | null} [media]
 * @property {string | null} [name]
 * @property {Record<string, any> | null} [metadata]
 */

/**
 * Somebody came.
 * @typedef {object} UserJoined
 * @property {string} roomId
 * @property {number} revision
 * @property {string} cursor
 * @property {"user_joined"} type
 * @property {Participant} participant
 */

/**
 * Somebody left, and why.
 * @typedef {object} UserLeft
 * @property {string} roomId
 * @property {number} revision
 * @property {string} cursor
 * @property {"user_left"} type
 * @property {string} participantId
 * @property {string} agentId
 * @property {"left" | "timeout" | "replaced" | "kicked" | "banned" | "room_closed" | "token_expired" | "revoked"} reason
 */

/**
 * A participant changed what it says of itself.
 * @typedef {object} UserUpdated
 * @property {string} roomId
 * @property {number} revision
 * @property {string} cursor
 * @property {"user_updated"} type
 * @property {Participant} participant
 */

/** @typedef {Authenticate | Ping | JoinRoom | GetRoom | LeaveRoom | UpdateSelf | Description | Candidate} ClientMessage */

/** @typedef {AuthOk | AuthError | ErrorMessage | Ok | Pong | TokenExpiring | GoAway | RoomUsers | IceServers | UserJoined | UserLeft | UserUpdated | RoomUpdated | RoomClosed | RoomResumed | SignalPush} ServerMessage */
