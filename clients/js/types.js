/** Writes the package's .d.ts files, without what is internal (TypeScript's `stripInternal` does not do it for JavaScript). */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import ts from "typescript";

const folder = new URL("types/", import.meta.url);
const compiler = new URL("node_modules/typescript/bin/tsc", import.meta.url).pathname;

rmSync(folder, { recursive: true, force: true });
execFileSync(process.execPath, [compiler, "-p", new URL("tsconfig.types.json", import.meta.url).pathname], { stdio: "inherit" });
for (const name of readdirSync(folder)) {
  const file = new URL(name, folder);
  writeFileSync(file, withoutInternals(name, readFileSync(file, "utf8")));
}

function withoutInternals(name, text) {
  const source = ts.createSourceFile(name, text, ts.ScriptTarget.Latest);
  const members = source.statements.filter(ts.isClassDeclaration).flatMap((one) => [...one.members]);
  const internal = members.filter((one) => text.slice(one.getFullStart(), one.getStart(source)).includes("@internal"));
  let kept = text;
  for (const one of internal.reverse()) {
    // Whoever cannot make one must not seem to be able to.
    const instead = ts.isConstructorDeclaration(one) ? "\n    private constructor();" : "";
    kept = kept.slice(0, one.getFullStart()) + instead + kept.slice(one.getEnd());
  }
  return kept;
}
