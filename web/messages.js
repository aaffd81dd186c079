/** Messages: what went wrong, said to a person in a sentence, with a way on. */

/** A REST request that was refused: the protocol's `code`, the HTTP status, and what was being asked for. */
export class Refusal extends Error {
  constructor(message, { code, status, asked, retryAfterMs = null }) {
    super(message);
    Object.assign(this, { name: "Refusal", code, status, asked, retryAfterMs });
  }

  /** The refusal in a problem document, or in whatever a proxy on the way answered. */
  static async of(response, asked) {
    const problem = await response.json().catch(() => ({}));
    const code = problem.code ?? (response.status === 404 ? "not_found" : "unavailable");
    return new Refusal(problem.detail ?? response.statusText, { code, status: response.status, asked, retryAfterMs: problem.retryAfterMs });
  }
}

/** Ways on: names of buttons that main.js knows. */
const AGAIN = "again";
const NEW = "new";

const JOINING = {
  unreachable: () => ["The server cannot be reached", "Check your connection, then try again.", [AGAIN]],
  room_full: (error) => ["This room is full", `It holds ${error.details?.maxParticipants ?? "no more"} people. Try again when somebody has left.`, [AGAIN, NEW]],
  room_not_found: () => ["There is no such room", "Check the link, or ask whoever sent it for a new one.", [AGAIN, NEW]],
  room_closed: () => ["This room has been closed", "A closed room does not open again, but a new one takes a moment.", [NEW]],
  room_locked: () => ["This room is locked", "Ask somebody inside to open it.", [AGAIN, NEW]],
  forbidden: () => ["You may not enter this room", "It only lets in people who were invited by name.", [AGAIN, NEW]],
  rate_limited: () => ["Too many tries", "Wait a moment, then try again.", [AGAIN]],
  throttled: () => ["Too many tries", "Wait a moment, then try again.", [AGAIN]],
  unavailable: () => ["The server cannot answer now", "This is usually over soon. Try again in a moment.", [AGAIN]],
  timeout: () => ["The server does not answer", "Check your connection, then try again.", [AGAIN]],
  bad_message: (error) => ["That did not work", `The server did not accept it: ${error.message}.`, [AGAIN, NEW]],
};
const TOKEN_CODES = new Set(["invalid_token", "expired_token", "not_yet_valid", "wrong_audience", "wrong_issuer", "subject_mismatch", "revoked_token", "not_authenticated"]);

/** What to say about an error: `{title, text, ways}`. */
export function explain(error) {
  // The SDK wraps what its token function threw.
  if (error.cause instanceof Refusal) return explain(error.cause);
  const said = (title, text, ways) => ({ title, text, ways });
  if (!navigator.onLine) return said("You are offline", "Parley needs the network. Try again when it is back.", [AGAIN]);
  if (error.asked === "create_refused" && error.code === "forbidden") {
    return said("Guests cannot create rooms here", "Ask somebody who can for a link to their room.", [AGAIN]);
  }
  if (error.asked === "token_refused" && !["rate_limited", "throttled", "unavailable"].includes(error.code)) {
    return said("This server lets nobody in here", "It gives no tokens to this page: guest access may be turned off. Ask whoever runs it.", [AGAIN]);
  }
  if (TOKEN_CODES.has(error.code)) return said("The server did not accept your token", "Try again; if that does not help, ask whoever runs the server.", [AGAIN]);
  if (JOINING[error.code]) return said(...JOINING[error.code](error));
  if (error instanceof TypeError || error.code === "closed") return said("The server cannot be reached", "Check your connection, then try again.", [AGAIN]);
  return said("Something went wrong", "Try again. If it happens again, tell whoever runs the server.", [AGAIN, NEW]);
}

const ENDS = {
  left: ["You left", "Thanks for talking.", [AGAIN, NEW]],
  replaced: ["You are in this room in another tab", "The call went on there.", [AGAIN]],
  room_closed: ["The room was closed", "The call is over for everyone.", [NEW]],
  deleted: ["The room was closed", "The call is over for everyone.", [NEW]],
  max_duration: ["Time is up", "This room was made for a limited time, and that has passed.", [NEW]],
  empty: ["The room was closed", "Nobody had been in it for a long time.", [NEW]],
  timeout: ["You were away for too long", "The connection was lost and did not come back in time.", [AGAIN, NEW]],
  token_expired: ["Your visit ended", "Your permission ran out and could not be renewed.", [AGAIN]],
  kicked: ["You were asked to leave", "A moderator ended your visit.", [NEW]],
  banned: ["You were asked to leave", "A moderator ended your visit.", [NEW]],
};

/** What to say when a visit ended for a reason of the protocol: `{title, text, ways}`. */
export function explainEnd(reason) {
  const [title, text, ways] = ENDS[reason] ?? ["The call ended", "The connection to the server is gone.", [AGAIN, NEW]];
  return { title, text, ways };
}

const REASONS = {
  NotAllowedError: (thing) => `This page may not use your ${thing}: allow it in the browser's address bar.`,
  NotFoundError: (thing) => `No ${thing} was found.`,
  OverconstrainedError: (thing) => `No ${thing} was found.`,
  NotReadableError: (thing) => `Your ${thing} is in use by another program.`,
  AbortError: (thing) => `Your ${thing} could not be started.`,
};

/** One sentence about devices that are missing, or "" when none is. `problems` is `{audio?, video?}` of error names. */
export function explainDevices(problems) {
  const { audio, video } = problems;
  if (audio === "InsecureContext" || video === "InsecureContext") {
    // An address in numbers is somebody's own machine, and whoever reads this may be the one who can turn https on.
    const how = /^[\d.[]/.test(location.hostname) ? " (started with TLS=1)" : "";
    return `Browsers give camera and microphone to https pages only: open https://${location.host}/${location.search}${how} instead, or join to listen and watch.`;
  }
  const sentence = (name, thing) => (REASONS[name] ?? REASONS.AbortError)(thing);
  if (audio && video) {
    const both = audio === video ? sentence(audio, "camera and microphone").replace("camera and microphone is", "camera and microphone are") : `${sentence(audio, "microphone")} ${sentence(video, "camera")}`;
    return `${both.replace("No camera and microphone was", "No camera and no microphone were")} You can still listen and watch.`;
  }
  if (audio) return `${sentence(audio, "microphone")} You can listen, and be seen.`;
  if (video) return `${sentence(video, "camera")} You can be heard.`;
  return "";
}

/** "Sara", "Sara and Tom", "Sara, Tom and 2 others". */
export function listed(names) {
  if (names.length < 3) return names.join(" and ");
  const others = names.length - 2;
  return others === 1 ? `${names[0]}, ${names[1]} and ${names[2]}` : `${names[0]}, ${names[1]} and ${others} others`;
}
