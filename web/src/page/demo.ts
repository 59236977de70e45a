/** Ready-made shards of handwritten digits, for a demonstration: what eight very different devices might hold. */
import { Unavailable } from "../core/errors.ts";
import { type Manifest } from "../core/manifest.ts";
import { parse } from "../core/tensors.ts";
import { wordOf } from "../samples/classes.ts";
import { exampleInput, formOf } from "../device/examples.ts";
import type { Sample } from "../device/store.ts";

export const DEMO_SHARDS = 8;
const ANSWER_SECONDS = 30;
const FORM = "uint8 1x8x8";

/** Whether the demo's digits fit the model. */
export function demoFits(manifest: Manifest): boolean {
  return manifest.classes === 10 && formOf(manifest) === FORM;
}

/** A file of this page. Throws Unavailable. */
async function ownFile(path: string): Promise<Uint8Array> {
  try {
    const response = await fetch(path, { credentials: "omit", signal: AbortSignal.timeout(1000 * ANSWER_SECONDS) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new Unavailable(`the file ${path} can't be fetched (${String(error)})`, "try again later");
  }
}

export async function demoShard(number: number, manifest: Manifest): Promise<Sample[]> {
  const { tensors } = parse(await ownFile(`demo/digits-${number}.safetensors`));
  const x = tensors.get("x")!.data as Uint8Array;
  const y = tensors.get("y")!.data as BigInt64Array;
  const width = exampleInput(manifest).shape.slice(1).reduce<number>((product, each) => product * Number(each), 1);
  return Array.from(y, (label, row) => ({
    words: [wordOf(manifest, Number(label))],
    form: formOf(manifest),
    data: x.slice(row * width, (row + 1) * width),
  }));
}
