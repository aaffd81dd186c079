/** The rules that both SDKs share: tests/vectors, which pytest runs against the Python SDK. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { renewed } from "../src/icecredentials.js";
import { final, lossOf, step } from "../src/linkstate.js";
import { generationOf, judge } from "../src/negotiation.js";
import { mergePatch } from "../src/patch.js";
import { Roster } from "../src/roster.js";

const vectors = (name) => JSON.parse(readFileSync(new URL(`../../../tests/vectors/${name}.json`, import.meta.url), "utf8"));
const ours = ({ only = ["js"] }) => only.includes("js");

describe("the life of a link", () => {
  const { states, events, transitions, codes, sequences } = vectors("link");

  test.each(transitions.filter(ours))("$from, $event: $to", ({ from, event, to, actions }) => {
    expect(step(from, event)).toEqual({ to, actions });
  });

  test("what is not among the transitions changes nothing", () => {
    const known = new Set(transitions.map(({ from, event }) => `${from} ${event}`));
    const others = states.flatMap((from) => events.filter((event) => !known.has(`${from} ${event}`)).map((event) => [from, event]));
    expect(others.length).toBe(states.length * events.length - transitions.length);
    for (const [from, event] of others) expect([from, event, step(from, event)]).toEqual([from, event, { to: from, actions: [] }]);
  });

  test.each(codes)("closed with $code: $lost", ({ code, final: ends, lost }) => {
    expect([final(code), lossOf(code)]).toEqual([ends, lost]);
  });

  test.each(sequences.filter(ours))("$name", ({ from, steps }) => {
    let state = from;
    for (const { event, to, actions } of steps) {
      expect([event, step(state, event)]).toEqual([event, { to, actions }]);
      state = to;
    }
  });
});

describe("the fold of a room", () => {
  test.each(vectors("fold").cases)("$name", ({ steps }) => {
    let roster = null;
    for (const { push, gap, roster: expected } of steps) {
      let missing = false;
      if (push.type !== "room_users") missing = roster.apply(push) === null;
      else if (roster) roster.replace(push);
      else roster = new Roster(push);
      const { revision, selfId: self, info: room, participants } = roster;
      expect([push.type, missing, { revision, self, room, participants: [...participants.values()] }]).toEqual([push.type, gap, expected]);
      expect([...participants.keys()]).toEqual(expected.participants.map(({ id }) => id));
    }
  });
});

describe("negotiation", () => {
  const { signals, labels, credentials } = vectors("negotiation");
  const standing = { generation: 1, polite: false, makingOffer: false, settingAnswer: false, pending: null };

  test.each(signals.filter(ours))("$name", ({ standing: given, signal, verdict }) => {
    const signalingState = given.pending ? "have-local-offer" : "stable";
    expect(judge(signal, { ...standing, signalingState, ...given })).toBe(verdict.js ?? verdict);
  });

  test.each(labels)("the label $label is of generation $generation", ({ label, generation }) => {
    expect(generationOf(label)).toBe(generation);
  });

  test.each(credentials)("TURN credentials: $name", ({ known, told, now, restart, then }) => {
    expect(renewed(known, told, Date.parse(now))).toEqual({ restart, ends: then });
  });
});

describe("a merge patch", () => {
  test.each(vectors("merge_patch").cases)("$name", ({ target, patch, result }) => {
    const [before, change] = [structuredClone(target), structuredClone(patch)];
    expect(mergePatch(target, patch)).toEqual(result);
    expect([target, patch]).toEqual([before, change]);
  });
});
