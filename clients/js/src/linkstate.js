/** The life of a link as a table: a state and an event give the next state and what is done. Pure. */

import { CloseCodes } from "./messages.js";

/**
 * What a link is doing. From `connected` to `resuming` a connection has the session: the present one.
 *
 * - `idle`: nothing has begun
 * - `waiting`: until the time of the next attempt
 * - `dialling`: the link asks for a token
 * - `entering`: the next connection is opened and authenticated
 * - `connected`: a connection has the session, and nothing else is under way
 * - `moving_waiting`, `moving_dialling`, `moving_entering`: the same attempt while that connection still works
 * - `resuming`: the next connection has said which session it resumes. What the present one says from here on is held,
 *   since it comes again on the next one
 * - `handed_over`: the gateway has closed the present connection because the next one has the session; its `auth_ok` is
 *   on the way
 * - `closed`: the end
 * @typedef {"idle" | "waiting" | "dialling" | "entering" | "connected" | "moving_waiting" | "moving_dialling"
 *   | "moving_entering" | "resuming" | "handed_over" | "closed"} LinkState
 */

/**
 * What happens to a link.
 *
 * - `dial`: the program wants a connection; `timer`: the time of the next attempt has come; `wake`: the page runs again, so
 *   the present connection may be dead; `online`: the network is back; `close`: the program ends it
 * - `token`: there is one; `no_token`: there is none now; `token_refused`: there will never be one
 * - `opened`: the next connection is open; `entered`: it has the session, by `auth_ok`
 * - `refused`: the next connection has ended before that; `stale`: since its token has ended, and there can be another;
 *   `refused_for_good`: do not come back
 * - `go_away`: the gateway asks us to move
 * - `lost`: the present connection has ended; `restarted`: since its gateway shuts down (1012); `replaced`: since another
 *   connection has the session (4504); `lost_for_good`: do not come back
 * @typedef {"dial" | "timer" | "wake" | "online" | "close" | "token" | "no_token" | "token_refused" | "opened" | "entered"
 *   | "refused" | "stale" | "refused_for_good" | "go_away" | "lost" | "restarted" | "replaced" | "lost_for_good"} LinkEvent
 */

/**
 * What is done about it, in this order.
 *
 * - `get_token`; `open`: the next connection, at the URL whose turn it is; `authenticate`: say who we are on it
 * - `enter`: the next connection is the present one; the one before is closed; the owner is told
 * - `retry`: set the timer by back-off, and take the next URL; `move_later`: set it as the gateway asks, likewise
 * - `probe`: see whether the other end of the present connection is still there
 * - `release`: hear what was held; `discard`: forget it, it comes again
 * - `drop_next`: close the connection that was coming in; `spoil_token`: the token is no longer good
 * - `lost`: tell the owner that there is no connection; `report`: tell it what went wrong, if something was said
 * - `close`: close whatever is open; `end`: the same, and tell the owner that it will not come back
 * @typedef {"get_token" | "open" | "authenticate" | "enter" | "retry" | "move_later" | "probe" | "release" | "discard"
 *   | "drop_next" | "spoil_token" | "lost" | "report" | "close" | "end"} LinkAction
 */

/** @typedef {readonly [to: LinkState, ...actions: LinkAction[]]} Transition */

/** A present connection ends for good, whatever else is under way. @type {Partial<Record<LinkEvent, Transition>>} */
const ENDS = {
  lost_for_good: ["closed", "end"],
  replaced: ["closed", "end"],
  close: ["closed", "close"],
};

/** What is not in the table changes nothing. @type {Readonly<Record<LinkState, Partial<Record<LinkEvent, Transition>>>>} */
export const TRANSITIONS = Object.freeze({
  idle: {
    dial: ["dialling", "get_token"],
    close: ["closed", "close"],
  },
  waiting: {
    timer: ["dialling", "get_token"],
    wake: ["dialling", "get_token"],
    online: ["dialling", "get_token"],
    close: ["closed", "close"],
  },
  dialling: {
    token: ["entering", "open"],
    no_token: ["waiting", "report", "retry"],
    token_refused: ["closed", "end"],
    close: ["closed", "close"],
  },
  entering: {
    opened: ["entering", "authenticate"],
    entered: ["connected", "enter"],
    refused: ["waiting", "report", "retry"],
    stale: ["waiting", "spoil_token", "report", "retry"],
    refused_for_good: ["closed", "end"],
    online: ["dialling", "drop_next", "get_token"],
    close: ["closed", "close"],
  },
  connected: {
    ...ENDS,
    go_away: ["moving_waiting", "move_later"],
    lost: ["waiting", "lost", "retry"],
    restarted: ["waiting", "lost", "retry"],
    wake: ["connected", "probe"],
    online: ["connected", "probe"],
  },
  moving_waiting: {
    ...ENDS,
    timer: ["moving_dialling", "get_token"],
    go_away: ["moving_waiting", "move_later"],
    lost: ["waiting", "lost", "retry"],
    restarted: ["waiting", "lost", "retry"],
    wake: ["moving_waiting", "probe"],
    online: ["moving_waiting", "probe"],
  },
  moving_dialling: {
    ...ENDS,
    token: ["moving_entering", "open"],
    no_token: ["moving_waiting", "report", "retry"],
    token_refused: ["moving_waiting", "report", "retry"], // the present connection may be good for long
    lost: ["dialling", "lost"],
    restarted: ["dialling", "lost"],
    wake: ["moving_dialling", "probe"],
    online: ["moving_dialling", "probe"],
  },
  moving_entering: {
    ...ENDS,
    opened: ["resuming", "authenticate"],
    refused: ["moving_waiting", "report", "retry"],
    stale: ["moving_waiting", "spoil_token", "report", "retry"],
    refused_for_good: ["closed", "end"],
    lost: ["entering", "lost"],
    restarted: ["entering", "lost"],
    wake: ["moving_entering", "probe"],
    online: ["moving_entering", "probe"],
  },
  resuming: {
    ...ENDS,
    entered: ["connected", "discard", "enter"],
    refused: ["moving_waiting", "release", "report", "retry"],
    stale: ["moving_waiting", "release", "spoil_token", "report", "retry"],
    refused_for_good: ["closed", "release", "end"],
    // A gateway lets go of a session as soon as another connection has it, so this can come before that one's `auth_ok`.
    restarted: ["handed_over", "discard"],
    replaced: ["handed_over", "discard"],
    lost: ["entering", "discard", "lost"],
    wake: ["resuming", "probe"],
    online: ["resuming", "probe"],
  },
  handed_over: {
    entered: ["connected", "enter"],
    refused: ["waiting", "lost", "report", "retry"],
    stale: ["waiting", "lost", "spoil_token", "report", "retry"],
    refused_for_good: ["closed", "lost", "end"],
    online: ["dialling", "lost", "drop_next", "get_token"],
    close: ["closed", "close"],
  },
  closed: {},
});

/**
 * What an event does to a link.
 * @param {LinkState} state
 * @param {LinkEvent} event
 * @returns {{to: LinkState, actions: LinkAction[]}}
 */
export function step(state, event) {
  const [to, ...actions] = TRANSITIONS[state][event] ?? [state];
  return { to, actions };
}

const NO_WAY_BACK = [1003, 1007, 1009];

/**
 * Whether a close code says not to come back.
 * @param {number} code
 */
export function final(code) {
  return (code >= 4500 && code <= 4999) || NO_WAY_BACK.includes(code);
}

/**
 * What it means that the present connection was closed with this code.
 * @param {number} code
 * @returns {LinkEvent}
 */
export function lossOf(code) {
  if (code === CloseCodes.REPLACED) return "replaced";
  if (code === CloseCodes.SERVICE_RESTART) return "restarted";
  return final(code) ? "lost_for_good" : "lost";
}

/**
 * What it means that the next connection was closed with this code.
 * @param {number} code
 * @param {string | undefined} error the code of the `auth_error` or `error` before it
 * @param {boolean} renewable whether its token was an old one, and another can be had
 * @returns {LinkEvent}
 */
export function refusalOf(code, error, renewable) {
  if (error === "expired_token" && renewable) return "stale";
  return final(code) && error !== "throttled" ? "refused_for_good" : "refused";
}
