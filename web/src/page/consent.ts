/** What an owner is told before joining, and at any time after: the exact list of what would leave the device, with sizes. */
import { encode } from "../core/encodings.ts";
import { type Manifest, PROGRAMS, onnxFile, statistics, weightSpecs } from "../core/manifest.ts";
import { derive } from "../core/streams.ts";
import type { Task } from "../core/task.ts";
import { type Tensors, float32, size } from "../core/tensors.ts";
import { checkInRequest, enrollRequest, evaluationReport, failureReport } from "../core/wire.ts";
import { CLIENT } from "../device/version.ts";
import { sizeOf } from "../secure/fixed-point.ts";
import { bodyBytes } from "../secure/masked-body.ts";
import { secureMessage } from "../secure/messages.ts";
import { firstClip } from "../secure/clipping.ts";
import { layoutOf } from "../secure/secure-task.ts";
import { threshold } from "../secure/statements.ts";
import { bytes, list, make } from "./dom.ts";
import { ANSWER_SECONDS, type Offer, obstacle } from "./offer.ts";

const SMALLEST_COHORT = 5; // devices that a round mixes where its task says nothing else
const EVALUATION = "only if you allow it under “When to train”: for how many of the examples that were set aside the model was right, and by how much";
const LONGEST = { loss_sum: 123456.7890123456, correct: 100000, examples: 100000 }; // totals

/** What the browser loads for this page, compressed; the second only where a graphics processor can be tried. */
interface PageSizes {
  compressed_bytes: number;
  gpu_bytes: number;
}

/** Who reads it: `inFleet`, whether the link says by a fleet's key who may be in a group; `joined`, or one who is asked. */
interface Reader {
  inFleet: boolean;
  joined: boolean;
}

/** `offers`: undefined where the server could not be asked. */
export function describe(offers: Offer[] | undefined, page: PageSizes | undefined, { inFleet, joined }: Reader): HTMLElement {
  const box = make("div");
  box.append(
    make("p", {}, joined ? `This device helps the operator of ${location.host}.` : `The operator of ${location.host} asks for this device's help.`),
    make(
      "p",
      {},
      "A model learns from many devices at once. Yours downloads it, trains it a little on examples that you choose, and sends back only how the model's numbers changed. The operator mixes the changes of the devices of a round.",
    ),
  );
  if (!offers?.length) box.append(make("p", {}, withoutTask(offers !== undefined, joined)));
  for (const offer of offers ?? []) box.append(...details(offer, page, inFleet));
  box.append(make("h3", {}, "What never leaves this device"), list(neverLeaves(offers ?? [])));
  return box;
}

function withoutTask(asked: boolean, joined: boolean): string {
  if (!asked) return "What is asked of this device now is not known: the operator's server has not told it.";
  if (!joined) return "There is no task right now. You can join all the same; the page asks again by itself.";
  return "There is no task right now, so nothing of your examples leaves this device. The page only asks for work, and shows here what the next task would send.";
}

function neverLeaves(offers: Offer[]): string[] {
  const allHidden = offers.length > 0 && offers.every(({ task }) => task.privacy.secure === "peers");
  return [
    "your pictures and other examples",
    allHidden
      ? "which classes you have, and how many examples of each"
      : "a list of your classes, or how many examples you have of each (but a change that isn't hidden lets the operator's server work out your classes)",
    "file names, places and times of your pictures",
    "your device's own secret, from which all its random choices come",
  ];
}

function details(offer: Offer, page: PageSizes | undefined, inFleet: boolean): Node[] {
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
    make("h3", {}, "What the operator can see"),
    make("p", {}, visible(task, inFleet)),
    make("h3", {}, "What leaves this device"),
    list([
      ...(task.privacy.secure === "peers" ? hiddenChange(manifest, task) : openChange(manifest, task)),
      `a question for work, with the version of this page and of its runtime: ${bytes(checkInRequest(task.population, CLIENT, "onnx 1.30.0", "x".repeat(32)).length)} each time`,
      `once, a public key made just now, and the link's secret: ${bytes(enrollRequest("x".repeat(43), "x".repeat(64), "x".repeat(32), "x".repeat(128)).length)}`,
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

/** What a task's mode lets the operator's server know of one device's change. */
function visible({ privacy }: Task, inFleet: boolean): string {
  if (privacy.secure === "none") return "Your change arrives at the operator's server by itself, and the operator can work out from it which classes you have.";
  const least = privacy.group_minimum;
  return [
    `Your change is hidden among those of at least ${least} devices before it leaves this one.`,
    `The operator's server learns their sum and no single change, unless ${least - threshold(least) + 1} of these devices or more help it.`,
    ...(inFleet ? [] : ["It could invent such devices, as your link names no fleet whose key vouches for them: then this holds for a server that keeps to the rules."]),
    "It holds for the page as it is: whoever runs the server can send another one.",
  ].join(" ");
}

function openChange(manifest: Manifest, task: Task): string[] {
  return [
    `the change of the model's numbers, each round you take part in: ${bytes(updateBytes(manifest, task))}`,
    "with it, how many examples you have in all (not of which class): a few digits",
    ...(task.local_evaluation ? [`${EVALUATION}, each round: up to ${bytes(evaluationReport(LONGEST).length)}`] : []),
  ];
}

function hiddenChange(manifest: Manifest, task: Task): string[] {
  const layout = layoutOf(task, manifest, firstClip(task.privacy));
  return [
    `the hidden change of the model's numbers, each round you take part in: ${bytes(bodyBytes(sizeOf(layout)))}`,
    ...(task.aggregation.weight_by_examples ? ["hidden in it, how many examples you have in all (not of which class)"] : []),
    ...(task.local_evaluation ? [`hidden in it, ${EVALUATION}`] : []),
    `what the group needs to take the hiding off its sum: up to ${bytes(groupBytes(layout.largestGroup))}`,
  ];
}

/** A device's messages to the largest group, besides its change. */
function groupBytes(members: number): number {
  const [session, key, signature] = ["0".repeat(64), "0".repeat(64), "0".repeat(128)];
  const each = Array.from({ length: members }, (_, at) => ({ index: at + 1, share: key }));
  const messages = [
    { mask_key: key, seal_key: key, signature },
    { session, commitment: key, sealed: each.slice(1).map(({ index }) => ({ index, box: "0".repeat(160) })) },
    { index: members, session, signature },
    { session, own: each, pair: [] },
  ];
  return messages.reduce((sum, message) => sum + secureMessage(message).length, 0);
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
