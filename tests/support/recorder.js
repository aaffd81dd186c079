// Keeps every RTCPeerConnection of a page, so that tests can ask what really arrived; the page does not notice.
(() => {
  const connections = [];
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class RTCPeerConnection extends Native {
    constructor(...configuration) {
      super(...configuration);
      connections.push(this);
    }
  };

  const selected = (stats) => {
    for (const transport of stats.values()) {
      if (transport.type === "transport" && transport.selectedCandidatePairId) {
        return stats.get(transport.selectedCandidatePairId);
      }
    }
    // Firefox has no transport in its stats.
    return [...stats.values()].find((one) => one.type === "candidate-pair" && one.selected);
  };

  const sums = async (connection) => {
    const stats = await connection.getStats();
    const all = [...stats.values()];
    const received = (kind) => all.filter((one) => one.type === "inbound-rtp" && one.kind === kind);
    const pair = selected(stats);
    return {
      state: connection.connectionState,
      signaling: connection.signalingState,
      // One number for each track that comes in.
      frames: received("video").map((one) => one.framesDecoded ?? 0),
      energy: received("audio").map((one) => one.totalAudioEnergy ?? 0),
      bytes: all.filter((one) => one.type === "inbound-rtp").reduce((sum, one) => sum + (one.bytesReceived ?? 0), 0),
      local: pair ? stats.get(pair.localCandidateId)?.candidateType : null,
      remote: pair ? stats.get(pair.remoteCandidateId)?.candidateType : null,
      username: connection.getConfiguration().iceServers?.find((one) => one.username)?.username ?? null,
      ufrag: /a=ice-ufrag:(\S+)/.exec(connection.localDescription?.sdp ?? "")?.[1] ?? null,
    };
  };

  Object.defineProperty(window, "recorded", {
    value: {
      connections,
      live: () => connections.filter((one) => one.signalingState !== "closed"),
      /** What each connection that is not closed has received so far. */
      sums: () => Promise.all(connections.filter((one) => one.signalingState !== "closed").map(sums)),
    },
  });
})();
