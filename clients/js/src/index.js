/** Parley's SDK: rooms, participants and calls in a browser; rooms and participants in Node.js as well. */

export { Call } from "./call.js";
export { Channel } from "./channel.js";
export { ParleyError } from "./errors.js";
export { Mesh } from "./mesh.js";
export { CloseCodes, ErrorCodes } from "./messages.js";
export { Peer } from "./peer.js";
export { Room } from "./room.js";
export { connect, Session } from "./session.js";

/** @typedef {import("./messages.js").Participant} Participant */
/** @typedef {import("./messages.js").Room} RoomInfo */
/** @typedef {import("./messages.js").Media} Media */
/** @typedef {import("./session.js").ConnectOptions} ConnectOptions */
/** @typedef {import("./session.js").SessionState} SessionState */
/** @typedef {import("./session.js").SessionEvents} SessionEvents */
/** @typedef {import("./room.js").JoinOptions} JoinOptions */
/** @typedef {import("./room.js").RoomEvents} RoomEvents */
/** @typedef {import("./call.js").CallOptions} CallOptions */
/** @typedef {import("./call.js").CallEvents} CallEvents */
/** @typedef {import("./channel.js").ChannelEvents} ChannelEvents */
/** @typedef {import("./peer.js").PeerState} PeerState */
/** @typedef {import("./stats.js").PeerStats} PeerStats */
/** @typedef {import("./topology.js").Topology} Topology */
/** @typedef {import("./topology.js").TopologyHost} TopologyHost */
