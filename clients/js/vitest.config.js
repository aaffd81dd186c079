/** One file after another: some of the tests end gateways that the others use. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { include: ["tests/**/*.test.js"], fileParallelism: false, testTimeout: 60_000, hookTimeout: 60_000 },
});
