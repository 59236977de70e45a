/** A device's store in memory, for tests without a browser. */
import type { Sample } from "../../../web/src/device/store.ts";

/** The bytes and the samples of a device, as its database gives them back. */
export class MemoryStore {
  readonly bytes = new Map<string, Uint8Array>();
  held: Sample[] = [];

  get = async (key: string): Promise<Uint8Array | undefined> => this.bytes.get(key)?.slice();
  put = async (key: string, body: Uint8Array): Promise<void> => void this.bytes.set(key, body.slice());
  putAll = async (entries: [string, Uint8Array][]): Promise<void> => entries.forEach(([key, body]) => this.bytes.set(key, body.slice()));
  delete = async (...keys: string[]): Promise<void> => keys.forEach((key) => this.bytes.delete(key));
  getJson = async (key: string): Promise<any> => this.bytes.has(key) ? JSON.parse(new TextDecoder().decode(this.bytes.get(key))) : undefined;
  putJson = async (key: string, value: unknown): Promise<void> => this.put(key, new TextEncoder().encode(JSON.stringify(value)));
  samples = async (form: string): Promise<Sample[]> => this.held.filter((sample) => sample.form === form);

  /** Forget what belongs to the assignment alone. */
  endAssignment(): void {
    for (const key of this.bytes.keys()) if (key.startsWith("assignment/")) this.bytes.delete(key);
  }
}
