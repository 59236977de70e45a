/**
 * What the page keeps of the tasks that it has worked on: the least recently used goes first, lest whoever publishes tasks
 * fill the browser's storage. See the Python `fedrela.edge.storage.kept`.
 */
import type { Manifest } from "../core/manifest.ts";
import { PROGRAMS, onnxFile } from "../core/manifest.ts";
import type { Assignment } from "../core/wire.ts";
import type { Store } from "./store.ts";
import { taskKey } from "./held.ts";

const MOST_TASKS = 4;
const INDEX = "kept";

interface Kept {
  task: string; // `taskKey`
  manifest: string;
  blobs: string[];
}

/** Count an assignment's task as the most recently used, and forget what no kept task needs. */
export async function keep(store: Store, assignment: Assignment, manifest: Manifest): Promise<void> {
  const files = [...PROGRAMS.map((name) => onnxFile(manifest, name).sha256), manifest.golden.sha256];
  const blobs = [assignment.task_sha256, assignment.manifest_sha256, ...files];
  const newest: Kept = { task: taskKey(assignment), manifest: assignment.manifest_sha256, blobs };
  const known = (await store.getJson<Kept[]>(INDEX)) ?? [];
  if (JSON.stringify(known.at(-1)) === JSON.stringify(newest)) return;
  const tasks = [...known.filter(({ task }) => task !== newest.task), newest].slice(-MOST_TASKS);
  await store.putJson(INDEX, tasks);
  await forgetOthers(store, known, tasks);
}

async function forgetOthers(store: Store, known: Kept[], tasks: Kept[]): Promise<void> {
  const blobs = new Set(tasks.flatMap((one) => one.blobs.map((sha) => `blobs/${sha}`)));
  const manifests = tasks.map((one) => `self-tests/${one.manifest}`);
  const gone = known.filter(({ task }) => !tasks.some((one) => one.task === task));
  await store.delete(
    ...(await store.keys("blobs/")).filter((key) => !blobs.has(key)),
    ...(await store.keys("partial/")),
    ...(await store.keys("self-tests/")).filter((key) => !manifests.some((prefix) => key.startsWith(prefix))),
    ...gone.flatMap(({ task }) => [`overlays/${task}`, `residuals/${task}`]),
  );
}
