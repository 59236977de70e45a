/** The open tasks of a population, and the exact list of what would leave the device, with sizes. */
import { type Manifest, PROGRAMS, onnxFile, parseManifest, statistics, weightSpecs } from "../core/manifest.ts";
import { type Typed, list as listOf, object, read, text, whole } from "../core/shape.ts";
import { type Task, parseTask } from "../core/task.ts";
import { encode } from "../core/encodings.ts";
import { checkSeal, seal } from "../core/seals.ts";
import { fingerprint, hash } from "../core/signing.ts";
import { derive } from "../core/streams.ts";
import { type Tensors, float32, size } from "../core/tensors.ts";
import { IntegrityError, Refused, Unavailable } from "../core/errors.ts";
import { checkInRequest, enrollRequest, evaluationReport, failureReport, parseProblem, unknownFeature } from "../core/wire.ts";
import type { Link } from "../core/links.ts";
import type { Identity } from "../device/identity.ts";
import { credentialHeaders } from "../device/transport.ts";
import { unfit } from "../device/examples.ts";
import { CLIENT } from "../device/version.ts";
import { bytes, list, make } from "./dom.ts";

const openTask = object({ name: text, status: text, task: text, manifest: text, checkpoint_bytes: whole, seal });
const openTasks = object({ population: text, tasks: listOf(openTask) });

const ANSWER_SECONDS = 30;
const SMALLEST_COHORT = 5; // devices that a round mixes where its task says nothing else

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

/** What the browser loads for this page, compressed; the second only where a graphics processor can be tried. */
interface PageSizes {
  compressed_bytes: number;
  gpu_bytes: number;
}

export function describe(offers: Offer[], page: PageSizes | undefined): HTMLElement {
  const box = make("div");
  box.append(
    make(
      "p",
      {},
      "A model learns from many devices at once. Yours downloads it, trains it a little on examples that you choose, and sends back only how the model's numbers changed. The operator mixes the changes of all devices.",
    ),
  );
  if (!offers.length) box.append(make("p", {}, "There is no task right now. You can join all the same; the page asks again by itself."));
  for (const offer of offers) box.append(...details(offer, page));
  box.append(make("h3", {}, "What never leaves this device"), list(NEVER));
  return box;
}

const NEVER = [
  "your pictures and other examples",
  "which classes you have, and how many examples of each",
  "file names, places and times of your pictures",
  "your device's own secret, from which all its random choices come",
];

// Of the longest totals that there are.
const EVALUATION = `only if you allow it under “When to train”: for how many of the examples that were set aside the model was right, and by how much, each round: up to ${bytes(
  evaluationReport({ loss_sum: 123456.7890123456, correct: 100000, examples: 100000 }).length,
)}`;

/** Why this page can't take part in a task, as half a sentence; empty where it can. */
export function obstacle({ task, manifest, publisher }: Offer): string {
  if (!publisher) return "its program is not signed by a publisher that your link names";
  const feature = unknownFeature(task, manifest);
  return feature === undefined ? unfit(manifest) : `it needs “${feature}”, which this page can't do`;
}

function details(offer: Offer, page: PageSizes | undefined): Node[] {
  const { manifest, task, checkpointBytes } = offer;
  const reason = obstacle(offer);
  if (reason)
    return [make("h3", {}, `Task “${offer.name}”`), make("p", {}, `This page can't take part in it: ${reason}. Another kind of device can.`)];
  const programs = PROGRAMS.reduce((sum, name) => sum + onnxFile(manifest, name).size_bytes, manifest.golden.size_bytes);
  return [
    make("h3", {}, `Task “${offer.name}”`),
    make("p", {}, `${task.rounds} rounds. It tells apart ${classesText(manifest)}.`),
    make("p", {}, `Its program is signed by the publisher ${offer.publisher}.`),
    ...smallCohort(task.round.smallest_cohort),
    make("h3", {}, "What comes to this device"),
    list([
      page ? `this page with its runtime, once: ${bytes(page.compressed_bytes)}` : "this page with its runtime, once",
      ...(page && "gpu" in navigator ? [`to try this device's graphics processor, if it has one, once: ${bytes(page.gpu_bytes)}`] : []),
      `the task's program, once: ${bytes(programs)}`,
      `the model's numbers, each round: ${bytes(checkpointBytes)}`,
    ]),
    make("h3", {}, "What leaves this device"),
    list([
      `the change of the model's numbers, each round you take part in: ${bytes(updateBytes(manifest, task))}`,
      "with it, how many examples you have in all (not of which class): a few digits",
      `a question for work, with the version of this page and of its runtime: ${bytes(checkInRequest(task.population, CLIENT, "onnx 1.30.0", "x".repeat(32)).length)} each time`,
      `once, a public key made just now, and the link's secret: ${bytes(enrollRequest("x".repeat(43), "x".repeat(64), "x".repeat(32), "x".repeat(128)).length)}`,
      ...(task.local_evaluation ? [EVALUATION] : []),
      `if a round fails, one of six fixed words that say why: up to ${bytes(failureReport("self-test-failed").length)}`,
      "as with every website, your network address is seen by the server",
    ]),
  ];
}

/** What an owner should know of a task that mixes the changes of few devices. */
function smallCohort(devices: number): Node[] {
  if (devices >= SMALLEST_COHORT) return [];
  const few = devices === 1 ? "a single device" : `only ${devices} devices`;
  return [
    make(
      "p",
      {},
      `A round of this task may have the changes of ${few} (usual: ${SMALLEST_COHORT} or more). Whoever sees the models may then tell what this device sent.`,
    ),
  ];
}

function classesText(manifest: Manifest): string {
  return manifest.class_names.length ? manifest.class_names.join(", ") : `${manifest.classes} classes`;
}

/** The very size: an update of zeros, encoded as the task asks. */
function updateBytes(manifest: Manifest, task: Task): number {
  const { encoding, top_k_fraction: fraction } = task.aggregation;
  const zeros: Tensors = new Map(
    weightSpecs(manifest).map((spec) => [spec.name, float32(spec.shape, new Float32Array(size(spec.shape)))]),
  );
  return encode(zeros, encoding, 100, derive(new Uint8Array()), fraction, statistics(manifest)).body.length;
}

/** As the page was built; undefined where that can't be told. */
export async function pageSizes(): Promise<PageSizes | undefined> {
  try {
    const response = await fetch("files.json", { credentials: "omit", signal: AbortSignal.timeout(1000 * ANSWER_SECONDS) });
    return response.ok ? ((await response.json()) as PageSizes) : undefined;
  } catch {
    return undefined;
  }
}
