// What can be read off a page about whether people can use it: overflow, contrast, structure. Returns sentences of faults.
() => {
  const faults = [];
  const shown = (one) => one.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const said = (one) => `<${one.tagName.toLowerCase()}${one.id ? ` id=${one.id}` : ""}> ${one.textContent.trim().slice(0, 40)}`;

  if (document.documentElement.scrollWidth > innerWidth) faults.push(`the page is ${document.documentElement.scrollWidth} px wide`);
  if (!document.documentElement.lang) faults.push("the page does not say its language");
  const mains = [...document.querySelectorAll("main")].filter(shown);
  if (mains.length !== 1) faults.push(`${mains.length} main landmarks are shown`);
  const titles = [...document.querySelectorAll("h1")].filter(shown);
  if (titles.length !== 1) faults.push(`${titles.length} h1 are shown`);
  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  for (const id of new Set(ids.filter((one, n) => ids.indexOf(one) !== n))) faults.push(`the id ${id} is there twice`);
  for (const one of document.querySelectorAll("[aria-labelledby], [aria-describedby], [aria-controls]")) {
    for (const attribute of ["aria-labelledby", "aria-describedby", "aria-controls"]) {
      for (const id of (one.getAttribute(attribute) ?? "").split(/\s+/).filter(Boolean)) {
        if (!document.getElementById(id)) faults.push(`${said(one)} names ${id}, which is not there`);
      }
    }
  }

  // WCAG 2.2, 2.5.8: at least 24 by 24 px; and nothing that can be pressed is out of the window to the side.
  for (const one of [...document.querySelectorAll("button, input:not([type=checkbox]), select")].filter(shown)) {
    const { width, height, left, right } = one.getBoundingClientRect();
    if (width < 24 || height < 24) faults.push(`${said(one)} is only ${width} by ${height} px`);
    if (left < 0 || right > innerWidth + 0.5) faults.push(`${said(one)} reaches from ${left} to ${right}`);
  }

  // WCAG 2.2, 1.4.3: contrast of text against the nearest background that is opaque; above pictures nothing is known.
  const brush = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = color;
    brush.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((one, n) => one * a + below[n] * (1 - a));
  const luminance = (color) => {
    const [r, g, b] = color.map((one) => (one / 255 <= 0.04045 ? one / 255 / 12.92 : ((one / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (one) => {
    const layers = [];
    for (let at = one; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage !== "none") return null;
      const color = rgba(style.backgroundColor);
      layers.push(color);
      if (color[3] === 1) break;
      if (getComputedStyle(at).position === "absolute" && color[3] < 0.5) return null;
    }
    if (layers.at(-1)[3] !== 1) layers.push([255, 255, 255, 1]);
    return layers.reverse().reduce((below, color) => over(color, below), [255, 255, 255]);
  };
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    if (!own || !shown(one) || one.closest("svg, select, [disabled]")) continue;
    const style = getComputedStyle(one);
    const below = ground(one);
    if (!below) continue;
    const [light, dark] = [luminance(over(rgba(style.color), below)), luminance(below)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) faults.push(`${said(one)}: contrast ${ratio.toFixed(2)}`);
  }
  return faults;
}
