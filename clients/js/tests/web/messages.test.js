/** What the page says about what went wrong (web/messages.js). */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { explain, explainDevices, explainEnd, listed, Refusal } from "../../../../web/messages.js";
import { CloseCodes, ErrorCodes, ParleyError } from "../../src/index.js";

beforeEach(() => {
  vi.stubGlobal("navigator", { onLine: true });
  vi.stubGlobal("location", { hostname: "calls.example", host: "calls.example", search: "" });
});
afterEach(() => vi.unstubAllGlobals());

const refused = (code, asked) => new Refusal("no", { code, status: 403, asked });

describe("an error", () => {
  test("of each code that can end a way in has a sentence, and a way on", () => {
    const unknown = explain(new Error("?"));
    const met = ["room_full", "room_not_found", "room_closed", "room_locked", "forbidden", "rate_limited", "throttled", "unavailable", "bad_message", "not_authenticated", "invalid_token", "expired_token", "not_yet_valid", "wrong_audience", "wrong_issuer", "subject_mismatch", "revoked_token"];
    expect(met.filter((code) => !Object.values(ErrorCodes).includes(code))).toEqual([]);
    for (const code of [...met, "timeout", "unreachable", "closed"]) {
      const { title, text, ways } = explain(new ParleyError(code, "because"));
      expect([code, title]).not.toEqual([code, unknown.title]);
      expect([code, /\.$/.test(text), title.length > 5]).toEqual([code, true, true]);
      expect(ways.length).toBeGreaterThan(0);
      expect(ways.every((way) => ["again", "new"].includes(way))).toBe(true);
    }
  });

  test("says how many a room holds, if the server did", () => {
    expect(explain(new ParleyError("room_full", "full", { details: { maxParticipants: 6 } })).text).toContain("holds 6 people");
    expect(explain(new ParleyError("room_full", "full")).text).toContain("holds no more people");
  });

  test("of a closed room offers no other try at it, since its id is never used again", () => {
    expect(explain(new ParleyError("room_closed", "closed")).ways).toEqual(["new"]);
  });

  test("repeats what the server did not like", () => {
    expect(explain(new ParleyError("bad_message", "name: too long")).text).toBe("The server did not accept it: name: too long.");
  });
});

describe("the cause of an error", () => {
  test("is the network when one is offline, whatever else was said", () => {
    vi.stubGlobal("navigator", { onLine: false });
    for (const error of [new ParleyError("room_full", "full"), new TypeError("failed to fetch")]) expect(explain(error).title).toBe("You are offline");
  });

  test("is for a guest what was asked for: a room of one's own, or to be let in at all", () => {
    expect(explain(refused("forbidden", "create_refused")).title).toBe("Guests cannot create rooms here");
    expect(explain(refused("forbidden", "token_refused")).title).toBe("This server lets nobody in here");
    expect(explain(refused("not_found", "token_refused")).title).toBe("This server lets nobody in here");
    expect(explain(refused("forbidden", "anything else")).title).toBe("You may not enter this room");
    for (const code of ["rate_limited", "unavailable"]) expect(explain(refused(code, "token_refused"))).toEqual(explain(new ParleyError(code, "no")));
  });

  test("is explained, where the SDK wraps it", () => {
    const inner = refused("forbidden", "create_refused");
    expect(explain(new ParleyError("unavailable", "there is no token", { cause: inner }))).toEqual(explain(inner));
  });

  test("is not shown where nobody thought of it", () => {
    const { title, text, ways } = explain(new Error("SECRET at line 3"));
    expect(`${title} ${text}`).not.toContain("SECRET");
    expect(ways).toEqual(["again", "new"]);
    expect(explain(new TypeError("NetworkError")).title).toBe("The server cannot be reached");
  });
});

describe("a refusal", () => {
  test("is what the problem document says", async () => {
    const problem = { code: "room_full", detail: "the room is full", retryAfterMs: 500 };
    const refusal = await Refusal.of(new Response(JSON.stringify(problem), { status: 409 }), "create_refused");
    expect(refusal).toMatchObject({ message: "the room is full", code: "room_full", status: 409, asked: "create_refused", retryAfterMs: 500 });
  });

  test("of a proxy that knows no problem documents has a code as well", async () => {
    const of = (status) => Refusal.of(new Response("<html>", { status, statusText: "Nope" }), "token_refused");
    expect(await of(404)).toMatchObject({ code: "not_found", message: "Nope" });
    expect(await of(502)).toMatchObject({ code: "unavailable", status: 502 });
  });
});

describe("the end of a visit", () => {
  test("is said for each reason of the protocol", () => {
    const other = explainEnd("?");
    for (const reason of ["left", "timeout", "replaced", "room_closed", "token_expired", "kicked", "banned", "deleted", "max_duration", "empty"]) {
      expect([reason, explainEnd(reason).title]).not.toEqual([reason, other.title]);
    }
    expect(Object.keys(CloseCodes).every((name) => explainEnd(name.toLowerCase()).title.length > 5)).toBe(true);
  });

  test("offers to come back only where that can go well", () => {
    expect(["left", "replaced", "timeout", "token_expired", "?"].every((reason) => explainEnd(reason).ways.includes("again"))).toBe(true);
    expect(["room_closed", "deleted", "max_duration", "empty", "kicked", "banned"].some((reason) => explainEnd(reason).ways.includes("again"))).toBe(false);
  });
});

describe("devices that are missing", () => {
  test("nothing is said when none is", () => expect(explainDevices({})).toBe(""));

  test("one is said with its reason, and with what is possible without it", () => {
    expect(explainDevices({ audio: "NotFoundError" })).toBe("No microphone was found. You can listen, and be seen.");
    expect(explainDevices({ video: "NotReadableError" })).toBe("Your camera is in use by another program. You can be heard.");
    expect(explainDevices({ video: "SomethingNewError" })).toBe("Your camera could not be started. You can be heard.");
  });

  test("both, of one reason, are one sentence; of two, two", () => {
    expect(explainDevices({ audio: "NotAllowedError", video: "NotAllowedError" })).toBe("This page may not use your camera and microphone: allow it in the browser's address bar. You can still listen and watch.");
    expect(explainDevices({ audio: "NotFoundError", video: "NotFoundError" })).toBe("No camera and no microphone were found. You can still listen and watch.");
    expect(explainDevices({ audio: "NotReadableError", video: "NotReadableError" })).toBe("Your camera and microphone are in use by another program. You can still listen and watch.");
    expect(explainDevices({ audio: "NotFoundError", video: "NotAllowedError" })).toBe("No microphone was found. This page may not use your camera: allow it in the browser's address bar. You can still listen and watch.");
  });

  test("on a page without https the way to it is said; by numbers, also how to turn it on", () => {
    const problems = { audio: "InsecureContext", video: "InsecureContext" };
    expect(explainDevices(problems)).toContain("open https://calls.example/ instead");
    vi.stubGlobal("location", { hostname: "192.168.1.5", host: "192.168.1.5:8080", search: "?room=daily" });
    expect(explainDevices(problems)).toContain("open https://192.168.1.5:8080/?room=daily (started with TLS=1) instead");
  });
});

test("names are listed as one would say them", () => {
  expect([[], ["Sara"], ["Sara", "Tom"], ["Sara", "Tom", "Ada"], ["Sara", "Tom", "Ada", "Eve"]].map(listed)).toEqual([
    "", "Sara", "Sara and Tom", "Sara, Tom and Ada", "Sara, Tom and 2 others",
  ]);
});
