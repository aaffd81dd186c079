/** Where the page's tiles go (web/layout.js). */
import { describe, expect, test } from "vitest";
import { arrange, grid } from "../../../../web/layout.js";

const STAGES = [[1920, 1080], [1280, 720], [1024, 768], [800, 600], [600, 600], [390, 700], [360, 560], [844, 390]].map(([width, height]) => ({ width, height }));
const PEOPLE = [1, 2, 3, 4, 5, 6, 7, 9, 12, 16, 25];
const areaOf = ({ width, height }) => ({ x: 0, y: 0, w: width, h: height });
const ratio = ({ w, h }) => w / h;
const apart = (a, b) => a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
const pairs = (boxes) => boxes.flatMap((a, n) => boxes.slice(n + 1).map((b) => [a, b]));
const inside = ({ x, y, w, h }, area) => x >= area.x && y >= area.y && x + w <= area.x + area.w + 1 && y + h <= area.y + area.h + 1;
const middle = (boxes) => (Math.min(...boxes.map(({ x }) => x)) + Math.max(...boxes.map(({ x, w }) => x + w))) / 2;
const rowsOf = (boxes) => [...new Set(boxes.map(({ y }) => y))].map((y) => boxes.filter((one) => one.y === y));

describe("a grid", () => {
  test.each(STAGES)("on $width × $height has equal tiles, side by side, all of them on it", (stage) => {
    for (const count of PEOPLE) {
      const boxes = grid(count, areaOf(stage), 8);
      expect(boxes.length).toBe(count);
      expect(new Set(boxes.map(({ w, h }) => `${w} ${h}`)).size).toBe(1);
      expect(boxes.every((one) => one.w > 0 && one.h > 0 && inside(one, areaOf(stage)))).toBe(true);
      expect(pairs(boxes).every(([a, b]) => apart(a, b))).toBe(true);
    }
  });

  test.each(STAGES)("on $width × $height has tiles that are neither narrow nor flat", (stage) => {
    // Whole pixels: the shape may be off by one of them.
    for (const count of PEOPLE) {
      const [one] = grid(count, areaOf(stage), 8);
      expect(one.w / (one.h + 1)).toBeLessThanOrEqual(16 / 9);
      expect((one.w + 1) / one.h).toBeGreaterThanOrEqual(4 / 5);
    }
  });

  test("is filled row by row, and each row stands in the middle", () => {
    const rows = rowsOf(grid(5, { x: 100, y: 0, w: 1200, h: 700 }, 10));
    expect(rows.map((row) => row.length)).toEqual([3, 2]);
    for (const row of rows) expect(Math.abs(middle(row) - 700)).toBeLessThanOrEqual(1);
    for (const row of rows) expect(row.map(({ x }) => x)).toEqual(row.map(({ x }) => x).toSorted((a, b) => a - b));
  });

  test("takes the number of columns that shows the most: a desk side by side, a phone held upright one above the other", () => {
    expect(rowsOf(grid(2, { x: 0, y: 0, w: 1280, h: 600 }, 8)).map((row) => row.length)).toEqual([2]);
    expect(rowsOf(grid(2, { x: 0, y: 0, w: 390, h: 700 }, 8)).map((row) => row.length)).toEqual([1, 1]);
    expect(rowsOf(grid(4, { x: 0, y: 0, w: 1280, h: 720 }, 8)).map((row) => row.length)).toEqual([2, 2]);
  });

  test("keeps the gap between its tiles", () => {
    const [left, right] = grid(2, { x: 0, y: 0, w: 1280, h: 600 }, 24);
    expect(right.x - left.x - left.w).toBe(24);
  });

  test("of more than there is room for does not grow out of its area", () => {
    for (const one of grid(25, { x: 0, y: 0, w: 600, h: 258 }, 12)) expect(inside(one, { x: 0, y: 0, w: 600, h: 258 })).toBe(true);
    expect(grid(40, { x: 0, y: 0, w: 20, h: 20 }, 12).every(({ w, h }) => w === 0 && h === 0)).toBe(true);
  });

  test("of nobody is empty", () => expect(grid(0, { x: 0, y: 0, w: 100, h: 100 }, 8)).toEqual([]));
});

describe("a stage", () => {
  test("one person alone has nearly all of it, whatever its shape", () => {
    for (const stage of STAGES) {
      const { tiles, screens, floating } = arrange({ ...stage, tiles: 1, own: 0, screens: 0 });
      expect([tiles.length, screens, floating]).toEqual([1, [], -1]);
      expect((tiles[0].w * tiles[0].h) / (stage.width * stage.height)).toBeGreaterThan(0.9);
    }
  });

  test.each([0, 1])("of two people the other has it, and oneself (%i) floats in its lower right corner", (own) => {
    for (const stage of STAGES) {
      const { tiles, floating } = arrange({ ...stage, tiles: 2, own, screens: 0 });
      const [mine, theirs] = [tiles[own], tiles[1 - own]];
      expect(floating).toBe(own);
      expect(inside(mine, theirs)).toBe(true);
      expect(mine.w * mine.h).toBeLessThan(0.15 * theirs.w * theirs.h);
      const [right, below] = [theirs.x + theirs.w - mine.x - mine.w, theirs.y + theirs.h - mine.y - mine.h];
      expect(right).toBe(below);
      expect(right).toBeGreaterThan(0);
      expect(ratio(mine) > 1).toBe(stage.height <= stage.width);
    }
  });

  test("two others, of whom neither is oneself, are a grid", () => {
    const { tiles, floating } = arrange({ width: 1280, height: 720, tiles: 2, own: -1, screens: 0 });
    expect([floating, apart(...tiles)]).toEqual([-1, true]);
  });
});

describe("a stage with a screen", () => {
  test.each(STAGES)("on $width × $height a shared screen and everyone have a place, and nothing covers anything", (stage) => {
    for (const count of PEOPLE) {
      for (const shared of [1, 2]) {
        const { tiles, screens, floating } = arrange({ ...stage, tiles: count, own: 0, screens: shared });
        expect([tiles.length, screens.length, floating]).toEqual([count, shared, -1]);
        expect([...tiles, ...screens].every((one) => inside(one, areaOf(stage)))).toBe(true);
        expect(pairs([...tiles, ...screens]).every(([a, b]) => apart(a, b))).toBe(true);
      }
    }
  });

  test("the strip is beside the screen on a desk, and below it on a phone held upright", () => {
    const desk = arrange({ width: 1280, height: 720, tiles: 3, own: 0, screens: 1 });
    expect(Math.min(...desk.tiles.map(({ x }) => x))).toBeGreaterThanOrEqual(desk.screens[0].x + desk.screens[0].w);
    expect(desk.screens[0].w).toBeGreaterThan(0.75 * 1280);
    const phone = arrange({ width: 390, height: 700, tiles: 3, own: 0, screens: 1 });
    expect(Math.min(...phone.tiles.map(({ y }) => y))).toBeGreaterThanOrEqual(phone.screens[0].y + phone.screens[0].h);
    expect(phone.screens[0].w).toBe(390);
  });
});
