/**
 * Where a browser device keeps bytes and samples: IndexedDB, private to this origin. A `put` is all or nothing.
 *
 *     identity               address, device id and token, pinned key, own key, own secret
 *     settings               the owner's choices; consent
 *     blobs/<sha256>         tasks, manifests, programs: verified again whenever they are read
 *     checkpoint/<sha256>    the global weights of the present round
 *     partial/<sha256>       an unfinished download
 *     overlays/<task>        labels that a re-labeling laid over the data
 *     residuals/<task>       what a top-k encoding has dropped so far
 *     assignment/...         the assignment under way: assignment, snapshot, finished update, its residual; secure: a session's secrets
 *     masked                 which rounds an update was masked for, for ever
 *     self-tests/<...>       golden steps that passed, by program and runtime version
 *     processors/<...>       what trains faster and right: the processor or the graphics processor, see processor.ts
 *     totals, sent           rounds taken part in, bytes sent and received; the last requests: see account.ts
 *
 * Samples are records of their own, so that one picture can be removed without reading the others.
 */
import { type DBSchema, type IDBPDatabase, type IDBPTransaction, openDB } from "idb";
import { within } from "../core/deadline.ts";
import { BrowserSilent, StorageFull } from "../core/errors.ts";

const OPENING_SECONDS = 20;

/** One labeled sample, in the form that a model takes; `form` names that form, see `formOf`. */
export interface Sample {
  id?: number;
  words?: string[]; // what it is, in the words of each task that it was sorted for: see classes.ts
  label?: number; // all that earlier versions of this page kept: its class's place in some task's order
  form: string;
  data: Uint8Array | Float32Array;
  preview?: Blob;
}

interface Schema extends DBSchema {
  bytes: { key: string; value: Uint8Array };
  samples: { key: number; value: Sample; indexes: { form: string } };
}

export const DATABASE = "fedrela";
const VERSION = 2; // 1: the assignment under way was called a turn

function create(db: IDBPDatabase<Schema>): void {
  db.createObjectStore("bytes");
  db.createObjectStore("samples", { keyPath: "id", autoIncrement: true }).createIndex("form", "form");
}

/** An assignment that was begun by an earlier version of this page goes on. */
async function moveAssignment(tx: IDBPTransaction<Schema, ("bytes" | "samples")[], "versionchange">): Promise<void> {
  const bytes = tx.objectStore("bytes");
  for (const key of await bytes.getAllKeys(withPrefix("turn/"))) {
    await bytes.put((await bytes.get(key))!, key.replace("turn/", "assignment/"));
    await bytes.delete(key);
  }
}

/** A value as it is kept: what `getJson` gives back. */
export function jsonBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function withPrefix(prefix: string): IDBKeyRange {
  return IDBKeyRange.bound(prefix, `${prefix}\uffff`);
}

export class Store {
  private constructor(private readonly db: IDBPDatabase<Schema>) {}

  /** `inTheWay`: this store keeps another tab from deleting or changing it, and is closed. Throws BrowserSilent where the browser doesn't open its database. */
  static async open(inTheWay?: () => void): Promise<Store> {
    const opening = openDB<Schema>(DATABASE, VERSION, {
      async upgrade(db, from, _to, tx) {
        if (from < 1) create(db);
        else if (from < 2) await moveAssignment(tx);
      },
      blocking(_present, _wanted, event) {
        if (!inTheWay) return;
        (event.target as IDBDatabase).close();
        inTheWay();
      },
    });
    const late = (): Error => new BrowserSilent("its storage for this page does not open", "close and open the browser");
    return new Store(await within(OPENING_SECONDS, opening, late));
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.db.get("bytes", key);
  }

  /** Keep durably. Throws StorageFull where the browser gives no more room; then nothing was changed. */
  async put(key: string, body: Uint8Array): Promise<void> {
    await this.putAll([[key, body]]);
  }

  /** Keep all of these durably, or none. Throws StorageFull. */
  async putAll(entries: [key: string, body: Uint8Array][]): Promise<void> {
    await this.guarded(async () => {
      const tx = this.db.transaction("bytes", "readwrite", { durability: "strict" });
      await Promise.all([...entries.map(([key, body]) => tx.store.put(body, key)), tx.done]);
    });
  }

  async delete(...keys: string[]): Promise<void> {
    const tx = this.db.transaction("bytes", "readwrite");
    await Promise.all([...keys.map((key) => tx.store.delete(key)), tx.done]);
  }

  async keys(prefix: string): Promise<string[]> {
    return this.db.getAllKeys("bytes", withPrefix(prefix));
  }

  async getJson<T>(key: string): Promise<T | undefined> {
    const body = await this.get(key);
    return body && (JSON.parse(new TextDecoder().decode(body)) as T);
  }

  async putJson(key: string, value: unknown): Promise<void> {
    await this.put(key, jsonBytes(value));
  }

  /** The samples of a form, in the order in which they were added. */
  async samples(form: string): Promise<Sample[]> {
    return this.db.getAllFromIndex("samples", "form", form);
  }

  /** Every sample, of whatever form, in the order in which they were added. */
  async allSamples(): Promise<Sample[]> {
    return this.db.getAll("samples");
  }

  /** Add samples, or replace those that have an id. */
  async putSamples(samples: Sample[]): Promise<void> {
    await this.guarded(async () => {
      const tx = this.db.transaction("samples", "readwrite", { durability: "strict" });
      await Promise.all([...samples.map((sample) => tx.store.put(sample)), tx.done]);
    });
  }

  async removeSamples(samples: Sample[]): Promise<void> {
    const tx = this.db.transaction("samples", "readwrite");
    await Promise.all([...samples.map((sample) => tx.store.delete(sample.id!)), tx.done]);
  }

  /** Forget everything, for good: nothing can be written after it. */
  async forget(): Promise<void> {
    const tx = this.db.transaction(["bytes", "samples"], "readwrite", { durability: "strict" });
    const cleared = [tx.objectStore("bytes").clear(), tx.objectStore("samples").clear(), tx.done];
    this.db.close(); // what is under way is still done, and nothing else begins
    await Promise.all(cleared);
  }

  close(): void {
    this.db.close();
  }

  private async guarded(write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      if (error instanceof DOMException && (error.name === "QuotaExceededError" || error.name === "UnknownError"))
        throw new StorageFull("this browser gives the page no more room", "free some space on this device, then try again");
      throw error;
    }
  }
}
