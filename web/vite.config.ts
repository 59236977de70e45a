/** Builds the phone page into the coordinator's package: hashed names, no inline code, Brotli beside every large file. */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { type Plugin, defineConfig } from "vite";

// Fetched only where a graphics processor can be tried.
const ON_DEMAND = /^assets\/(gpu-worker|ort-wasm-simd-threaded\.jspi)/;
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
      const sizes = { compressed_bytes: 0, gpu_bytes: 0 };
      for (const name of files) {
        const body = readFileSync(path.join(folder, name));
        const small = COMPRESSED.test(name) && body.length >= 1024 ? compress(body) : body;
        if (small !== body) writeFileSync(path.join(folder, `${name}.br`), small);
        // A runtime is there compressed alone: every coordinator and device installs it, and a page of https gets Brotli.
        if (name.endsWith(".wasm")) rmSync(path.join(folder, name));
        if (!name.startsWith("demo/")) sizes[ON_DEMAND.test(name) ? "gpu_bytes" : "compressed_bytes"] += small.length;
      }
      const kept = files.filter((name) => name !== "sw.js" && !name.startsWith("demo/")).sort();
      const [on_demand, always] = [kept.filter((name) => ON_DEMAND.test(name)), kept.filter((name) => !ON_DEMAND.test(name))];
      writeFileSync(path.join(folder, "files.json"), JSON.stringify({ files: always, on_demand, ...sizes }));
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
    outDir: path.resolve(import.meta.dirname, "../coordinator/pages/static/join"),
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
