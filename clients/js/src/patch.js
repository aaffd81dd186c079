/** JSON Merge Patch (RFC 7396), by which `update` changes what one says of oneself. Pure. */

/**
 * Objects merge by key, `null` removes a key, anything else replaces. Neither argument is changed.
 * @param {Record<string, any>} target
 * @param {Record<string, any>} patch
 * @returns {Record<string, any>}
 */
export function mergePatch(target, patch) {
  /** @type {Record<string, any>} */
  const merged = { ...target };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else if (isObject(value)) merged[key] = mergePatch(isObject(merged[key]) ? merged[key] : {}, value);
    else if (value !== undefined) merged[key] = value;
  }
  return merged;
}

/** @param {unknown} value */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
