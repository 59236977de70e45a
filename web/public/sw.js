/**
 * The page's files are kept, so that it opens without a network. Only this page's own files are touched: nothing of the
 * coordinator's API is ever kept or answered here. A new version takes over when the page is opened the next time.
 */
const CACHE = "fedrela-page";

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(refresh());
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(self.registration.scope)) return;
  const hashed = request.url.startsWith(`${self.registration.scope}assets/`);
  event.respondWith(hashed ? kept(request) : fresh(request));
});

/** Every file of the present version is fetched; those of earlier ones go. */
async function refresh() {
  const cache = await caches.open(CACHE);
  const { files } = await (await fetch("files.json", { cache: "no-store" })).json();
  const wanted = ["./", ...files].map((name) => new URL(name, self.registration.scope).href);
  const have = new Set((await cache.keys()).map((request) => request.url));
  await Promise.all(wanted.filter((url) => !have.has(url) || !url.includes("/assets/")).map((url) => cache.add(url)));
  await Promise.all([...have].filter((url) => !wanted.includes(url)).map((url) => cache.delete(url)));
}

/** A file whose name changes with its content. */
async function kept(request) {
  const cache = await caches.open(CACHE);
  const found = await cache.match(request.url);
  if (found) return found;
  const response = await fetch(request);
  if (response.ok) await cache.put(request.url, response.clone());
  return response;
}

/** The network's answer, or without a network the kept one. */
async function fresh(request) {
  try {
    const response = await fetch(request);
    if (response.ok) await (await caches.open(CACHE)).put(request.url, response.clone());
    return response;
  } catch {
    const found = await (await caches.open(CACHE)).match(request.url.split(/[?#]/)[0]);
    return found ?? Response.error();
  }
}
