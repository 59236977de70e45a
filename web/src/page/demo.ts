/** Ready-made shards of handwritten digits, for a demonstration: what eight very different devices might hold. */
import { type Manifest } from "../core/manifest.ts";
import { parse } from "../core/tensors.ts";
import { exampleInput, formOf } from "../device/examples.ts";
import type { Sample } from "../device/store.ts";

export const DEMO_SHARDS = 8;
const FORM = "uint8 1x8x8";

/** Whether the demo's digits fit the model. */
export function demoFits(manifest: Manifest): boolean {
  return manifest.classes === 10 && formOf(manifest) === FORM;
}

export async function demoShard(number: number, manifest: Manifest): Promise<Sample[]> {
  const response = await fetch(`demo/digits-${number}.safetensors`, { credentials: "omit" });
  const { tensors } = parse(new Uint8Array(await response.arrayBuffer()));
  const x = tensors.get("x")!.data as Uint8Array;
  const y = tensors.get("y")!.data as BigInt64Array;
  const width = exampleInput(manifest).shape.slice(1).reduce<number>((product, each) => product * Number(each), 1);
  return Array.from(y, (label, row) => ({
    label: Number(label),
    form: formOf(manifest),
    data: x.slice(row * width, (row + 1) * width),
  }));
}
