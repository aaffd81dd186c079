/** The real gateways that pytest started (tests/clients/test_js.py), and sessions with them. */
import WebSocket from "ws";
import { connect } from "../../src/index.js";

export const urls = (process.env.PARLEY_URLS ?? "").split(",").filter(Boolean);
export const pids = (process.env.PARLEY_PIDS ?? "").split(",").filter(Boolean).map(Number);
const open = new Set();
let count = 0;

/** A room's id that nobody else uses. */
export function freshRoom() {
  return `js-${process.pid}-${Date.now()}-${++count}`;
}

/** An agent-link token, from the gateway in development mode. */
export async function tokenFor(agentId, more = {}) {
  const answer = await fetch(`${urls[0]}/api/dev/token`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ agentId, ...more }),
  });
  if (!answer.ok) throw new Error(`no token: ${answer.status} ${await answer.text()}`);
  return (await answer.json()).token;
}

/** A session, closed after the test. */
export async function session(agentId, { url = urls[0], ...options } = {}) {
  const made = await connect(url, { token: () => tokenFor(agentId), WebSocket, ...options });
  open.add(made);
  return made;
}

/** Close what a test has opened. */
export async function closeAll() {
  await Promise.all([...open].map((one) => one.close()));
  open.clear();
}

/** The next event of this name for which `fits`. */
export function next(target, name, fits = () => true) {
  return new Promise((resolve) => {
    const listener = (event) => {
      if (!fits(event)) return;
      target.removeEventListener(name, listener);
      resolve(event);
    };
    target.addEventListener(name, listener);
  });
}

/** Wait until it is so. */
export async function until(holds, what = String(holds)) {
  const end = Date.now() + 30_000;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`did not come about: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** All events of these names, as they come. */
export function listen(target, ...names) {
  const heard = [];
  for (const name of names) target.addEventListener(name, (event) => heard.push(event));
  return heard;
}
