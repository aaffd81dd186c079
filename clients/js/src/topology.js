/** What a call asks of its topology, and what it gives to it: so that the mesh can be another one. Types only. */

/** @typedef {import("./messages.js").Participant} Participant */
/** @typedef {import("./messages.js").SignalPush} SignalPush */
/** @typedef {import("./peer.js").Peer} Peer */

/**
 * How the participants of a call are connected: the mesh (`Mesh`) connects each with each.
 * @typedef {object} Topology
 * @property {ReadonlyMap<string, Peer>} peers by participant id
 * @property {() => void} begin with everyone who is in the room
 * @property {(participant: Participant) => void} joined
 * @property {(participant: Participant, reason: string) => void} left
 * @property {(participant: Participant) => void} updated
 * @property {(signal: SignalPush) => void} take
 * @property {() => void} signalsLost some may be
 * @property {() => void} reset our stay in the room is another one: nothing goes on. `begin` follows
 * @property {() => void} iceServersChanged
 * @property {(slot: import("./localmedia.js").Slot) => void} trackChanged our own track of this slot is another one, or none
 * @property {(reason: string) => void} close
 */

/**
 * What a topology tells its call.
 * @typedef {object} MeshListener
 * @property {(peer: Peer) => void} came
 * @property {(peer: Peer, reason: string) => void} went
 * @property {(peer: Peer) => void} opened its RTCPeerConnection is a new one
 * @property {(peer: Peer) => void} updated
 * @property {(peer: Peer | null, error: unknown) => void} failed
 */

/**
 * What a call remembers for its topology, longer than it lasts itself.
 * @typedef {object} CallHistory
 * @property {Map<string, number>} generations which connection with each participant was the last
 * @property {(participantId: string) => SignalPush[]} earlySignals that came before there was a peer; each is given once
 */

/**
 * What a topology has of its call.
 * @typedef {Omit<import("./peer.js").Host, "opened" | "polite"> & MeshListener & CallHistory
 *   & {room: import("./room.js").Room, configuration: () => RTCConfiguration}} TopologyHost
 */

export {};
