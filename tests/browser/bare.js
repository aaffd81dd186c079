// A page without a face: the SDK's objects, in the hands of tests. It sees to nothing by itself.
import { connect, Mesh } from "/clients/js/index.js";

const bare = { heard: [], messages: [], kinds: {} };
globalThis.bare = bare;

/** A topology: everyone is connected with whoever came first, and with nobody else. */
class Star extends Mesh {
  joined(participant) {
    const [first] = bare.room.participants.values();
    if (participant === first || bare.room.self === first) super.joined(participant);
  }

  left(participant, reason) {
    super.left(participant, reason);
    this.begin();
  }
}

/** Connect and join; `tracks` are the kinds of a fake camera and microphone to send. */
bare.enter = async ({ urls, token, room, name, tracks = ["audio", "video"], rtcConfiguration, star = false }) => {
  bare.session = await connect(urls, { token, deviceId: `bare-${name}` });
  bare.session.addEventListener("statechange", ({ state }) => bare.heard.push(`session ${state}`));
  bare.room = await bare.session.join(room, { name });
  bare.room.addEventListener("resumed", ({ recovered }) => bare.heard.push(`resumed ${recovered}`));
  bare.room.addEventListener("iceservers", ({ expiresAt }) => bare.heard.push(`ice servers until ${expiresAt}`));
  bare.room.addEventListener("left", ({ reason }) => bare.heard.push(`left ${reason}`));
  bare.call = bare.room.call({ rtcConfiguration, ...(star && { topology: (host) => new Star(host) }) });
  bare.call.addEventListener("error", ({ error }) => bare.heard.push(`error ${error}`));
  bare.call.addEventListener("track", ({ kind, track }) => (bare.kinds[track.id] = [...new Set([...(bare.kinds[track.id] ?? []), kind])]));
  // What nobody plays is not decoded.
  bare.call.addEventListener("track", ({ stream }) => bare.play(stream));
  if (tracks.length > 0) {
    const wanted = { audio: tracks.includes("audio"), video: tracks.includes("video") && { width: 320, height: 240 } };
    const stream = await navigator.mediaDevices.getUserMedia(wanted);
    for (const track of stream.getTracks()) await bare.call.setTrack(track.kind, track);
  }
  return bare.room.self.id;
};

const playing = new Map();
bare.play = (stream) => {
  if (playing.has(stream)) return;
  playing.set(stream, Object.assign(document.createElement("video"), { autoplay: true, srcObject: stream }));
};

/** A track of a small moving picture that is no camera. */
bare.drawn = () => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
  const brush = canvas.getContext("2d");
  const [track] = canvas.captureStream(5).getTracks();
  const timer = setInterval(() => {
    if (track.readyState === "ended") return clearInterval(timer);
    brush.fillStyle = `hsl(${performance.now() % 360} 80% 50%)`;
    brush.fillRect(0, 0, 64, 48);
  }, 100);
  return track;
};

/** A data channel whose messages are kept. */
bare.talk = (label) => {
  bare.channel = bare.call.createDataChannel(label);
  bare.channel.addEventListener("message", ({ participant, data }) => bare.messages.push([participant.id, data]));
};

/** How each peer is: participant id to state and the kinds of its live tracks. */
bare.peers = () =>
  Object.fromEntries(
    [...bare.call.peers].map(([id, peer]) => [
      id,
      {
        state: peer.state,
        signaling: peer.connection.signalingState,
        kinds: peer.stream.getTracks().filter((one) => one.readyState === "live").map((one) => one.kind).sort(),
        screen: peer.screen?.getTracks().length ?? 0,
      },
    ]),
  );
