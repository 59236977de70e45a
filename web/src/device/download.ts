/** Downloads that go on where they stopped, named and checked by their SHA-256. */
import { IntegrityError } from "../core/errors.ts";
import { hash } from "../core/signing.ts";
import type { Store } from "./store.ts";
import { Collected, type Transport, TryAgain } from "./transport.ts";

const CHUNK_BYTES = 262_144;
const DAMAGED = 3; // a blob that is wrong this often is wrong at its source

/** The blob. Throws IntegrityError if it never matches its name or is longer than announced, and Unavailable. */
export async function download(transport: Transport, sha: string, limitBytes: number, partial: Store): Promise<Uint8Array> {
  const key = `partial/${sha}`;
  let wrong = 0;
  const body = await transport.again(async () => {
    const got = await ranged(transport, sha, key, limitBytes, partial);
    if (hash(got) === sha) return got;
    await partial.delete(key);
    wrong += 1;
    if (wrong < DAMAGED) throw new TryAgain("a download was damaged");
    throw new IntegrityError(`the file ${sha.slice(0, 12)} does not match its hash`, "nothing was loaded; tell the operator that a stored file is damaged");
  });
  await partial.delete(key);
  return body;
}

/** One request for what is missing, put behind what is there. */
async function ranged(transport: Transport, sha: string, key: string, limitBytes: number, partial: Store): Promise<Uint8Array> {
  const have = (await partial.get(key)) ?? new Uint8Array();
  const headers: Record<string, string> = have.length ? { Range: `bytes=${have.length}-` } : {};
  const response = await transport.request({ method: "GET", path: `/v1/blobs/${sha}`, headers });
  if (response.status === 416) {
    await partial.delete(key);
    throw new TryAgain("the coordinator has less of the file than this device");
  }
  await transport.raiseForStatus(response);
  const goingOn = response.status === 206 && (response.headers.get("Content-Range") ?? "").startsWith(`bytes ${have.length}-`);
  if (response.status === 206 && !goingOn) {
    await partial.delete(key);
    throw new TryAgain("the coordinator sent another range than asked for");
  }
  const collected = new Collected(goingOn ? have : new Uint8Array());
  try {
    let saved = collected.length;
    for await (const chunk of transport.chunks(response)) {
      collected.add(chunk);
      if (collected.length > limitBytes)
        throw new IntegrityError(`the file ${sha.slice(0, 12)} is longer than announced`, "nothing was loaded; tell the operator");
      if (collected.length - saved < 8 * CHUNK_BYTES) continue;
      saved = collected.length;
      await partial.put(key, collected.whole());
    }
  } catch (error) {
    if (error instanceof TryAgain) await partial.put(key, collected.whole());
    else await partial.delete(key);
    throw error;
  }
  return collected.whole();
}
