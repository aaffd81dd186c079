/** Call view: keeps stage, list and banners true to a visit: whatever changes, everything is drawn from what is so now. */

import { byId, setText } from "./dom.js";
import { Arrivals, banner, toast } from "./notices.js";
import { stated } from "./visit.js";

const RANKS = ["poor", "fair", "good"];
const WEAK_MS = 2_500;

/** One visit, drawn until it is taken down. */
export class CallView {
  #stop = new AbortController();
  #due = false;
  #quality = new Map();
  #arrivals = new Arrivals();
  #timer = null;
  #crowdedSeen = false;
  #met = false;

  constructor(visit, { stage, people, meter }) {
    Object.assign(this, { visit, stage, people, meter });
    const { session, room, call, devices } = visit;
    this.#on(room, ["rosterchange", "roomupdated", "resumed"], () => this.draw());
    this.#on(call, ["peerjoined", "peerleft", "peerchange", "track", "trackended"], () => this.draw());
    this.#on(call, ["quality"], ({ peer, stats }) => this.#measured(peer, stats));
    this.#on(room, ["participantjoined"], ({ participant }) => this.#arrivals.joined(participant));
    this.#on(room, ["participantleft"], ({ participant, reason }) => this.#arrivals.left(participant, reason));
    this.#on(room, ["participantupdated"], ({ participant, previous }) => this.#shared(participant, previous));
    this.#on(session, ["statechange"], () => this.#connected());
    this.#on(devices, ["change"], () => this.draw());
    this.#on(meter, ["speaking"], ({ participant, speaking }) => stage.speaking(participant === "own" ? room.self.id : participant, speaking));
    this.#on(window, ["online", "offline"], () => this.#connected());
    this.#on(byId("topology-dismiss"), ["click"], () => (this.#crowdedSeen = byId("banner-topology").hidden = true));
    this.#connected();
    this.#draw();
  }

  /** Draw soon, once for all that changes in the same moment. */
  draw() {
    if (this.#due) return;
    this.#due = true;
    queueMicrotask(() => {
      this.#due = false;
      if (!this.#stop.signal.aborted) this.#draw();
    });
  }

  /** Take it all down. */
  close() {
    this.#stop.abort();
    clearTimeout(this.#timer);
    this.#arrivals.clear();
    this.stage.clear();
    this.people.close();
    this.meter.keep(new Set(["own"]));
    document.body.dataset.session = "none";
    for (const shown of document.querySelectorAll("#banners > *")) shown.hidden = true;
  }

  #on(target, events, listener) {
    for (const event of events) target.addEventListener(event, listener, { signal: this.#stop.signal });
  }

  #draw() {
    const { room, devices } = this.visit;
    if (room.left) return;
    // Show oneself last: the others keep their places while people come and go.
    const everyone = [...room.others.map((participant) => this.#other(participant)), this.#self(room.self)];
    this.stage.show(everyone);
    this.people.show(everyone);
    this.#listen(everyone);
    void devices.fit(everyone.length);
    document.title = `${room.name} · Parley`;
    setText(byId("call-title"), room.name);
    this.#invite(everyone.length === 1);
    byId("banner-sharing").hidden = !devices.screen;
    byId("banner-topology").hidden = room.topology !== "sfu_advised" || this.#crowdedSeen;
  }

  #invite(alone) {
    this.#met ||= !alone;
    setText(byId("invitation-title"), this.#met ? "The others have left" : "You are the first one here");
    byId("invitation").hidden = !alone;
  }

  #other(participant) {
    const peer = this.visit.call.peers.get(participant.id);
    const media = spoken(participant.media);
    return {
      participant,
      own: false,
      media,
      peerState: peer?.state ?? "new",
      quality: this.#quality.get(participant.id) ?? "unknown",
      pictures: peer?.stream ?? null,
      sounds: peer?.stream ?? null,
      screenStream: media.screen === "on" ? (peer?.screen ?? null) : null,
    };
  }

  #self(participant) {
    const { devices, call } = this.visit;
    // Our own quality is that of our best connection.
    const best = Math.max(...[...call.peers.keys()].map((id) => RANKS.indexOf(this.#quality.get(id))), -1);
    const facing = devices.video?.getSettings?.().facingMode;
    return {
      participant: { ...participant, connection: this.visit.session.state === "connected" ? "connected" : "reconnecting" },
      own: true,
      media: spoken(stated(devices)),
      quality: RANKS[best] ?? "unknown",
      pictures: this.#ownPictures(devices.video),
      mirrored: facing !== "environment",
      screenStream: null,
    };
  }

  #ownPictures(track) {
    if (!track) return null;
    if (this.ownStream?.getVideoTracks()[0] !== track) this.ownStream = new MediaStream([track]);
    return this.ownStream;
  }

  #listen(everyone) {
    for (const { own, participant, media, sounds } of everyone) {
      if (!own) this.meter.follow(participant.id, media.audio === "on" ? (sounds?.getAudioTracks()[0] ?? null) : null);
    }
    this.meter.keep(new Set(["own", ...everyone.map(({ participant }) => participant.id)]));
  }

  #measured(peer, stats) {
    if (this.#quality.get(peer.participant.id) === stats.quality) return;
    this.#quality.set(peer.participant.id, stats.quality);
    this.draw();
  }

  #shared(participant, previous) {
    const [now, before] = [spoken(participant.media), spoken(previous.media)];
    if (participant.id === this.visit.room.self.id || now.screen === before.screen) return;
    if (now.screen === "on") toast(`${participant.name} shares the screen`);
    else if (now.screen === "off") toast(`${participant.name} stopped sharing`);
  }

  #connected() {
    const { state } = this.visit.session;
    document.body.dataset.session = state;
    clearTimeout(this.#timer);
    const show = () => {
      const away = this.visit.session.state === "reconnecting" || !navigator.onLine;
      const text = navigator.onLine ? "Reconnecting to the server… The call itself goes on meanwhile." : "You are offline. Parley comes back by itself as soon as the network does.";
      banner("banner-session", away ? text : null);
    };
    // Do not tell of a short gap.
    if (state === "reconnecting" && navigator.onLine) this.#timer = setTimeout(show, WEAK_MS);
    else show();
    this.draw();
  }
}

/** The states in a protocol's `media`, with "off" for what is absent. */
function spoken(media) {
  const state = (kind) => media?.[kind]?.state ?? "off";
  return { audio: state("audio"), video: state("video"), screen: state("screen") };
}
