/** Prints the JavaScript functions of the project and how many lines each has; checks/size.py judges them. */
import { readFileSync } from "node:fs";
import ts from "typescript";

/**
 * What a function is called, with the functions and classes around it.
 * @param {ts.Node} node
 */
function nameOf(node) {
  const own = /** @type {any} */ (node).name?.getText() ?? /** @type {any} */ (node.parent).name?.getText?.() ?? "";
  return own || "(anonymous)";
}

/**
 * @param {ts.Node} node
 * @param {ts.SourceFile} file
 * @param {string} within
 * @param {[string, number][]} found
 */
function walk(node, file, within, found) {
  ts.forEachChild(node, (child) => {
    if (ts.isClassLike(child)) return walk(child, file, `${within}${nameOf(child)}.`, found);
    if (!ts.isFunctionLike(child)) return walk(child, file, within, found);
    const name = `${within}${nameOf(child)}`;
    const [first, last] = [child.getStart(file), child.end].map((at) => file.getLineAndCharacterOfPosition(at).line);
    found.push([name, last - first + 1]);
    walk(child, file, `${name}.`, found);
  });
}

const result = Object.fromEntries(
  process.argv.slice(2).map((path) => {
    const file = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true);
    /** @type {[string, number][]} */
    const found = [];
    walk(file, file, "", found);
    return [path, found];
  }),
);
console.log(JSON.stringify(result));
