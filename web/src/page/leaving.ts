/** What the page keeps in this browser beside what its owner put there: begun when a device joins, undone when it goes. */
import { within } from "../core/deadline.ts";
import { DATABASE, type Store } from "../device/store.ts";

const CACHE = "fedrela-page"; // sw.js fills it
const DELETING_SECONDS = 5;

let registering: Promise<unknown> | undefined;

/** Keep the page's files, so that it opens without a network. A browser may have no service workers: then it needs one. */
export function keepPage(): void {
  registering ??= navigator.serviceWorker?.register("sw.js", { scope: "./" }).catch(() => undefined);
}

/**
 * Forget the page's files, whatever keeps them, and the database, which the worker has emptied and closed; false where an
 * empty database is left, since something in this browser still has it open.
 */
export async function forgetPage(store: Store): Promise<boolean> {
  store.close();
  await registering;
  await (await navigator.serviceWorker?.getRegistration("./"))?.unregister();
  await caches.delete(CACHE);
  return deleteDatabase();
}

async function deleteDatabase(): Promise<boolean> {
  const deleting = new Promise<boolean>((resolve) => {
    const asked = indexedDB.deleteDatabase(DATABASE);
    asked.onsuccess = () => resolve(true);
    asked.onerror = () => resolve(false);
  });
  return within(DELETING_SECONDS, deleting, () => new Error("blocked")).catch(() => false);
}
