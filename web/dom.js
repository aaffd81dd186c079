/** DOM: finds, makes and marks elements. No markup is ever parsed from text, so a name cannot be markup. */

const SVG = "http://www.w3.org/2000/svg";

/** The element of index.html with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** A new element with properties (`class`, `text`, `dataset` and any attribute) and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") made.textContent = value;
    else if (name === "dataset") Object.assign(made.dataset, value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** A new picture from the symbols in index.html. */
export function icon(name, ...classes) {
  const svg = document.createElementNS(SVG, "svg");
  svg.classList.add("icon", ...classes);
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(SVG, "use"));
  setIcon(svg, name);
  return svg;
}

/** Show another symbol in the picture of `within` (a picture, or an element that holds one). */
export function setIcon(within, name) {
  const use = within.querySelector("use");
  if (use.getAttribute("href") !== `#icon-${name}`) use.setAttribute("href", `#icon-${name}`);
}

/** Set the attribute, or take it away when `value` is null or false; untouched when it is the same, so observers stay quiet. */
export function mark(target, attribute, value) {
  if (value === null || value === undefined || value === false) target.removeAttribute(attribute);
  else if (target.getAttribute(attribute) !== String(value === true ? "" : value)) target.setAttribute(attribute, value === true ? "" : value);
}

/** Set the text, if it is another. Live regions speak on every write. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}
