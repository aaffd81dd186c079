/** Layout: where tiles go on a stage of some size. Pure: sizes in, boxes out. */

const WIDEST = 16 / 9;
const NARROWEST = 4 / 5;

/**
 * The largest equal tiles for `count` in an area, in rows whose last one is centred.
 *
 * Tiles may be between `narrowest` and `widest` (width by height), so a phone held upright is filled as well as a desk.
 * Returns boxes `{x, y, w, h}` in whole pixels.
 */
export function grid(count, area, gap, { narrowest = NARROWEST, widest = WIDEST } = {}) {
  let best = { score: -1, columns: 1, w: 0, h: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    let w = (area.w - gap * (columns - 1)) / columns;
    let h = (area.h - gap * (rows - 1)) / rows;
    if (w <= 0 || h <= 0) continue; // nothing but gaps
    if (w / h > widest) w = h * widest;
    if (w / h < narrowest) h = w / narrowest;
    // Score the picture, not the tile: cameras are wider than high, and a narrow tile cuts their sides off.
    const score = Math.min(w, h * 1.6) * Math.min(h, w);
    if (score > best.score) best = { score, columns, w: Math.floor(w), h: Math.floor(h) };
  }
  return rowsOf(count, best, area, gap);
}

function rowsOf(count, { columns, w, h }, area, gap) {
  const rows = Math.ceil(count / columns);
  const top = area.y + Math.max(0, (area.h - rows * h - (rows - 1) * gap) / 2);
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / columns);
    const inRow = Math.min(columns, count - row * columns);
    const left = area.x + (area.w - inRow * w - (inRow - 1) * gap) / 2;
    return { x: Math.round(left + (index - row * columns) * (w + gap)), y: Math.round(top + row * (h + gap)), w, h };
  });
}

/**
 * Where everyone goes. `tiles` is how many people are shown, `own` the place of one's own tile among them (-1: none),
 * `screens` how many screens are shared.
 *
 * Two people: the other one has the stage, oneself floats in a corner. A shared screen has the stage, people a strip.
 * Returns `{tiles: Box[], screens: Box[], floating: number}`; `floating` is the index of the floating tile or -1.
 */
export function arrange({ width, height, tiles, own, screens }) {
  const area = { x: 0, y: 0, w: width, h: height };
  const gap = Math.min(width, height) < 480 ? 6 : 12;
  if (screens > 0) return beside(area, gap, tiles, screens);
  if (tiles === 2 && own >= 0) return { ...pair(area, own), screens: [] };
  const roomy = tiles === 1 ? { narrowest: 0.5, widest: 2.2 } : undefined;
  return { tiles: grid(tiles, area, gap, roomy), screens: [], floating: -1 };
}

function pair(area, own) {
  const [whole] = grid(1, area, 0, { narrowest: 0.4, widest: 2.2 });
  const upright = area.h > area.w;
  const w = Math.round(Math.min(upright ? area.w * 0.28 : area.w * 0.2, 240));
  const h = Math.round(upright ? w * 1.34 : w * 0.64);
  const inset = Math.min(area.w, area.h) < 480 ? 8 : 16;
  const small = { x: whole.x + whole.w - w - inset, y: whole.y + whole.h - h - inset, w, h };
  const boxes = [whole, whole];
  boxes[own] = small;
  return { tiles: boxes, floating: own };
}

function beside(area, gap, tiles, screens) {
  const options = { narrowest: 1, widest: WIDEST };
  if (area.w > area.h * 1.15) {
    const strip = Math.round(Math.min(260, Math.max(130, area.w * 0.2)));
    const main = { ...area, w: area.w - strip - gap };
    return { screens: grid(screens, main, gap, { narrowest: 0.5, widest: 3 }), tiles: grid(tiles, { ...area, x: main.w + gap, w: strip }, gap, options), floating: -1 };
  }
  const high = Math.round(Math.min(area.h * 0.55, (area.w * 10 * screens) / 16));
  const below = { ...area, y: high + gap, h: area.h - high - gap };
  return { screens: grid(screens, { ...area, h: high }, gap, { narrowest: 0.5, widest: 3 }), tiles: grid(tiles, below, gap, { ...options, narrowest: 0.75 }), floating: -1 };
}
