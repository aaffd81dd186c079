/** Prints how large the SDK is: one bundle, minified and gzipped. */
import { build } from "esbuild";
import { gzipSync } from "node:zlib";

const { outputFiles } = await build({
  entryPoints: [new URL("src/index.js", import.meta.url).pathname],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  write: false,
});
const bundle = outputFiles[0].contents;
console.log(JSON.stringify({ minifiedBytes: bundle.length, gzippedBytes: gzipSync(bundle, { level: 9 }).length }));
