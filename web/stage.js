/** Stage: the tiles of everyone and of every shared screen, laid out for the room there is. */

import { arrange } from "./layout.js";
import { ScreenTile, Tile } from "./tile.js";

/** Event: "held" when the browser wants a click before it plays sound. */
export class Stage extends EventTarget {
  #tiles = new Map();
  #screens = new Map();
  #speaker = "";

  constructor(root) {
    super();
    this.root = root;
    this.observer = new ResizeObserver(() => this.#arrange());
    this.observer.observe(root);
  }

  /** Draw everyone: what a `Tile` shows of each, with `screenStream` of those who share. Order is the order of tiles. */
  show(everyone) {
    this.everyone = everyone;
    this.#drop(this.#tiles, new Set(everyone.map(({ participant }) => participant.id)));
    this.#drop(this.#screens, new Set(everyone.filter((shown) => shown.screenStream).map(({ participant }) => participant.id)));
    for (const shown of everyone) {
      this.#tileOf(shown).show(shown);
      if (shown.screenStream) this.#screenOf(shown.participant).show(shown.participant, shown.screenStream);
    }
    this.#arrange();
  }

  /** Put the ring of who speaks around a tile, or take it away. */
  speaking(id, speaking) {
    this.#tiles.get(id)?.element.toggleAttribute("data-speaking", speaking);
  }

  /** Send all sound to this speaker. */
  route(speaker) {
    this.#speaker = speaker;
    for (const tile of [...this.#tiles.values(), ...this.#screens.values()]) void tile.route(speaker);
  }

  /** Play what the browser held back; called on a click. */
  hear() {
    for (const tile of [...this.#tiles.values(), ...this.#screens.values()]) tile.sound?.play().catch(() => {});
  }

  /** Empty it. */
  clear() {
    this.#drop(this.#tiles, new Set());
    this.#drop(this.#screens, new Set());
    this.everyone = [];
  }

  #drop(tiles, staying) {
    for (const [id, tile] of tiles) {
      if (staying.has(id)) continue;
      tile.remove();
      tiles.delete(id);
    }
  }

  #tileOf({ participant, own }) {
    const there = this.#tiles.get(participant.id);
    if (there) return there;
    const tile = this.#new(this.#tiles, participant, new Tile(participant, own));
    this.root.append(tile.element);
    return tile;
  }

  #screenOf(participant) {
    const there = this.#screens.get(participant.id);
    if (there) return there;
    const screen = this.#new(this.#screens, participant, new ScreenTile(participant));
    this.root.prepend(screen.element);
    return screen;
  }

  #new(tiles, participant, tile) {
    tile.addEventListener("held", () => this.dispatchEvent(new Event("held")));
    tiles.set(participant.id, tile);
    void tile.route(this.#speaker);
    return tile;
  }

  #arrange() {
    if (!this.everyone?.length) return;
    const { clientWidth: width, clientHeight: height } = this.root;
    const own = this.everyone.findIndex((shown) => shown.own);
    const places = arrange({ width, height, tiles: this.everyone.length, own, screens: this.#screens.size });
    this.everyone.forEach(({ participant }, index) => {
      const { element } = this.#tiles.get(participant.id);
      element.classList.toggle("floating", index === places.floating);
      put(element, places.tiles[index]);
    });
    [...this.#screens.values()].forEach((screen, index) => put(screen.element, places.screens[index]));
  }
}

function put(element, box) {
  for (const [side, pixels] of Object.entries(box)) element.style.setProperty(`--${side}`, `${pixels}px`);
}
