/** What this device has sent since it joined, as far as the page keeps it. */
import { lastRequests, totalsOf } from "../device/account.ts";
import type { Store } from "../device/store.ts";
import { byId, bytes, list, make } from "./dom.ts";

export async function showSent(store: Store): Promise<void> {
  const [{ rounds, sentBytes }, requests] = [await totalsOf(store), await lastRequests(store)];
  const lines = requests
    .reverse()
    .map(({ at, method, path, bytes: size }) => `${new Date(at).toLocaleString()}: ${method} ${path}, ${bytes(size)}`);
  byId("sent").replaceChildren(
    make("h3", {}, "What was sent from this device"),
    make("p", {}, `${bytes(sentBytes)} in all, in ${rounds === 1 ? "one round" : `${rounds} rounds`} and the requests around them. Besides, the page asks for its own files and for the list of tasks.`),
    ...(lines.length ? [make("p", {}, "The last requests, also those that got no answer, the newest first:"), list(lines)] : []),
  );
}
