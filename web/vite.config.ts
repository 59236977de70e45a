/** Builds the phone page into the coordinator's package: hashed names, no inline code, Brotli beside every large file. */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { type Plugin, defineConfig } from "vite";

const COMPRESSED = /\.(html|js|mjs|css|wasm|svg|json|webmanifest)$/;

/** The service worker must know every file of the page, to work again after being offline. */
function finish(): Plugin {
  let folder = "";
  return {
    name: "fedrela-finish",
    apply: "build",
    configResolved(config) {
      folder = config.build.outDir;
    },
    closeBundle() {
      const files = readdirSync(folder, { recursive: true, encoding: "utf-8" })
        .filter((name) => statSync(path.join(folder, name)).isFile() && !name.endsWith(".br"))
        .map((name) => name.replaceAll("\\", "/"));
      const stamp = createHash("sha256");
      for (const name of files.sort()) stamp.update(name).update(readFileSync(path.join(folder, name)));
      const worker = path.join(folder, "sw.js");
      writeFileSync(worker, readFileSync(worker, "utf-8").replace("built in by vite.config.ts", stamp.digest("hex").slice(0, 16)));
      let compressed = 0;
      for (const name of files) {
        const body = readFileSync(path.join(folder, name));
        const small = COMPRESSED.test(name) && body.length >= 1024 ? compress(body) : body;
        if (small !== body) writeFileSync(path.join(folder, `${name}.br`), small);
        if (!name.startsWith("demo/")) compressed += small.length;
      }
      const kept = files.filter((name) => name !== "sw.js" && !name.startsWith("demo/")).sort();
      writeFileSync(path.join(folder, "files.json"), JSON.stringify({ files: kept, compressed_bytes: compressed }));
    },
  };
}

function compress(body: Buffer): Buffer {
  const params = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_SIZE_HINT]: body.length };
  return brotliCompressSync(body, { params });
}

export default defineConfig({
  base: "./",
  build: {
    outDir: path.resolve(import.meta.dirname, "../coordinator/static/join"),
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
  },
  worker: { format: "es" },
  // The plain WebAssembly build: smaller than the one that also holds WebGL and WebGPU.
  resolve: {
    alias: [{ find: /^onnxruntime-web$/, replacement: "onnxruntime-web/wasm" }],
    conditions: ["onnxruntime-web-use-extern-wasm", "module", "browser", "production"],
  },
  plugins: [finish()],
});
