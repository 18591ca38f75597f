import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";

const OUTPUT = "../tenantapp/web/dist";
const SMALLEST = 512; // bytes that are worth compressing

// Put a compressed copy beside each file, so that the server has nothing to compress.
function compressed() {
  return {
    name: "compressed",
    apply: "build",
    closeBundle() {
      for (const entry of readdirSync(OUTPUT, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        const path = join(entry.parentPath, entry.name);
        const content = readFileSync(path);
        if (content.length < SMALLEST) continue;
        const size = { [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
        writeFileSync(`${path}.br`, brotliCompressSync(content, { params: size }));
        writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }));
      }
    },
  };
}

// Nearly all of the first file is called at once. With this, Chromium compiles it in another thread while it is loaded
// (https://v8.dev/blog/explicit-compile-hints): about a fifth less until a list can be used. It has to come first.
function compiledEarly() {
  return {
    name: "compiled-early",
    apply: "build",
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        for (const chunk of Object.values(bundle)) {
          if (chunk.isEntry) chunk.code = `//# allFunctionsCalledOnLoad\n${chunk.code}`;
        }
      },
    },
  };
}

export default defineConfig({
  plugins: [vue(), compiledEarly(), compressed()],
  define: { __VUE_OPTIONS_API__: "false", __VUE_PROD_DEVTOOLS__: "false", __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false" },
  build: {
    outDir: OUTPUT,
    emptyOutDir: true,
    target: "es2023",
    // The content security policy permits no data: addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // How long plugins took is no warning, and on a busy machine it is printed each time.
    rolldownOptions: {
      checks: { pluginTimings: false },
      // What is loaded at first is one file: parts of it in files of their own would each be a request more.
      output: { codeSplitting: { groups: [{ name: "first", tags: ["$initial"] }] } },
    },
  },
  server: { proxy: { "/api": "http://localhost:6543" } },
  // None of these tests changes what others see, and a process for each file would take most of the time.
  test: { include: ["src/**/*.test.ts"], pool: "threads", isolate: false },
});
