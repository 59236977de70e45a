/** The open tasks of a population, and whether this page can take part in them. */
import { type Manifest, parseManifest } from "../core/manifest.ts";
import { type Typed, list, object, read, text, whole } from "../core/shape.ts";
import { type Task, parseTask } from "../core/task.ts";
import { checkSeal, seal } from "../core/seals.ts";
import { fingerprint, hash } from "../core/signing.ts";
import { IntegrityError, Refused, Unavailable } from "../core/errors.ts";
import { parseProblem, unknownFeature } from "../core/wire.ts";
import type { Link } from "../core/links.ts";
import type { Identity } from "../device/identity.ts";
import { credentialHeaders } from "../device/transport.ts";
import { unfit } from "../device/examples.ts";

const openTask = object({ name: text, status: text, task: text, manifest: text, checkpoint_bytes: whole, seal });
const openTasks = object({ population: text, tasks: list(openTask) });

export const ANSWER_SECONDS = 30;

export interface Offer {
  name: string;
  task: Task;
  manifest: Manifest;
  checkpointBytes: number;
  publisher: string; // the fingerprint of who vouches for the programs; empty where the signature is none of the link's
}

/** Ask with the token of a link, or as a device; who named no publishers joined when coordinators vouched for programs. Throws Refused (an expired link) or Unavailable. */
export async function fetchOffers(who: Link | Identity): Promise<Offer[]> {
  let response: Response;
  let body: Uint8Array;
  try {
    response = await fetch("../v1/tasks", {
      headers: "token" in who ? { Authorization: `Bearer ${who.token}` } : credentialHeaders(who, "GET", "/v1/tasks"),
      signal: AbortSignal.timeout(1000 * ANSWER_SECONDS),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
    body = new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new Unavailable(`the coordinator can't be reached (${String(error)})`, "try again later");
  }
  if (!response.ok) {
    if (response.status >= 500 || response.status === 429) throw new Unavailable("the coordinator is busy", "try again later");
    const problem = parseProblem(body);
    throw new Refused(problem.detail, problem.remedy, problem.code, response.status);
  }
  return read(openTasks, body).tasks.map((item: Typed<typeof openTask>) => ({
    name: item.name,
    task: parseTask(item.task),
    manifest: parseManifest(item.manifest),
    checkpointBytes: item.checkpoint_bytes,
    publisher: publisherOf(item, who.publishers ?? []),
  }));
}

/** Who vouches for a task's programs, if a device would take them. */
function publisherOf({ seal, manifest }: Typed<typeof openTask>, publishers: readonly string[]): string {
  const publisher = fingerprint(seal.public_key);
  try {
    checkSeal(seal, hash(new TextEncoder().encode(manifest)), publishers.length ? publishers : [publisher]);
  } catch (error) {
    if (error instanceof IntegrityError) return "";
    throw error;
  }
  return publisher;
}

/** Why this page can't take part in a task, as half a sentence; empty where it can. */
export function obstacle({ task, manifest, publisher }: Offer): string {
  if (!publisher) return "its program is not signed by a publisher that your link names";
  const feature = unknownFeature(task, manifest);
  return feature === undefined ? unfit(manifest) : `it needs “${feature}”, which this page can't do`;
}
