/**
 * The page's files are kept, so that it opens without a network. Only this page's own files are touched: nothing of the
 * coordinator's API is ever kept or answered here. A new version takes over when the page is opened the next time. The
 * installation alone makes the cache: one that the page deleted, as its owner left, does not come back.
 */
const VERSION = "built in by vite.config.ts"; // changes with any file, so that a browser sees a new version
const CACHE = "fedrela-page";
const PATIENCE_SECONDS = 8; // for the network, where the file is kept

self.addEventListener("install", (event) => event.waitUntil(refresh()));

self.addEventListener("activate", (event) => event.waitUntil(Promise.all([self.clients.claim(), forgetOld()])));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(self.registration.scope)) return;
  const hashed = request.url.startsWith(`${self.registration.scope}assets/`);
  event.respondWith(hashed ? kept(request) : fresh(request));
});

/** The addresses of the present version's files: those that every browser needs, and those that few ask for. */
async function wanted() {
  const { files, on_demand } = await (await fetch("files.json", { cache: "no-store" })).json();
  const addresses = (names) => names.map((name) => new URL(name, self.registration.scope).href);
  return { always: addresses(["./", "files.json", ...files]), onDemand: addresses(on_demand) };
}

/** Every file of the present version is kept; one that few ask for, from when it is asked for. */
async function refresh() {
  const cache = await caches.open(CACHE);
  const have = new Set((await cache.keys()).map((request) => request.url));
  const missing = (await wanted()).always.filter((url) => !have.has(url) || !url.includes("/assets/"));
  await Promise.all(missing.map((url) => cache.add(url)));
}

/** Files of earlier versions go, once no page of them is open. */
async function forgetOld() {
  const cache = await present();
  if (!cache) return;
  const { always, onDemand } = await wanted();
  const named = new Set([...always, ...onDemand]);
  const old = (await cache.keys()).filter((request) => !named.has(request.url));
  await Promise.all(old.map((request) => cache.delete(request)));
}

/** The cache; undefined where it was deleted. */
async function present() {
  return (await caches.has(CACHE)) ? caches.open(CACHE) : undefined;
}

/** A file whose name changes with its content. */
async function kept(request) {
  const cache = await present();
  const found = await cache?.match(request.url);
  if (found) return found;
  const response = await fetch(request);
  if (response.ok) await cache?.put(request.url, response.clone());
  return response;
}

/** The network's answer; without one, or where it takes too long, the kept one. */
async function fresh(request) {
  const cache = await present();
  const old = await cache?.match(request.url.split(/[?#]/)[0]);
  try {
    const response = await fetch(request, old ? { signal: AbortSignal.timeout(1000 * PATIENCE_SECONDS) } : {});
    if (response.ok) await cache?.put(request.url, response.clone());
    return response;
  } catch {
    return old ?? Response.error();
  }
}
