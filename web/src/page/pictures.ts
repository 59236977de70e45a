/** Pictures from the gallery or the camera as samples of a model: decoded, turned and scaled here, in this browser. */
import { InvalidInput } from "../core/errors.ts";
import type { Manifest } from "../core/manifest.ts";
import { wordOf } from "../samples/classes.ts";
import { formOf } from "../device/examples.ts";
import type { Sample } from "../device/store.ts";
import { decode } from "../pictures/decoding.ts";
import { type Layout, tensor } from "../pictures/tensor.ts";

/** The layout of a model's pictures, (channels, height, width); undefined where the model takes something else. */
export function pictureLayout(manifest: Manifest): Layout | undefined {
  return layoutOf(formOf(manifest));
}

/** The same of a sample's form, see `formOf`. */
function layoutOf(form: string): Layout | undefined {
  const [, channels, height, width] = (/^uint8 ([13])x(\d+)x(\d+)$/.exec(form) ?? []).map(Number);
  return channels === 1 || channels === 3 ? { channels, height: height!, width: width! } : undefined;
}

/** One picture as a sample: the bytes that any other client makes of it. Throws InvalidInput, which names the file. */
export async function fromFile(file: File, label: number, manifest: Manifest): Promise<Sample> {
  const layout = pictureLayout(manifest);
  if (!layout) throw new InvalidInput("this model does not take pictures", "use another kind of device");
  const { pixels, orientation } = await decode(file, file.name);
  const data = tensor(pixels, orientation, file.name, layout, manifest.preprocessing);
  const sample = { words: [wordOf(manifest, label)], form: formOf(manifest), data };
  return { ...sample, preview: await previewOf(sample) };
}

/** The samples that could be made of some files, and why the other files were refused, each by its name. */
export interface Loaded {
  samples: Sample[];
  refused: InvalidInput[];
}

/** Several pictures of one class. One after the other: decoded photos are large. */
export async function fromFiles(files: Iterable<File>, label: number, manifest: Manifest): Promise<Loaded> {
  const loaded: Loaded = { samples: [], refused: [] };
  for (const file of files) {
    try {
      loaded.samples.push(await fromFile(file, label, manifest));
    } catch (error) {
      if (!(error instanceof InvalidInput)) throw error;
      loaded.refused.push(error);
    }
  }
  return loaded;
}

/** A small picture of a sample that came without one. */
export async function previewOf(sample: Sample): Promise<Blob | undefined> {
  const layout = layoutOf(sample.form);
  if (!layout || !(sample.data instanceof Uint8Array)) return undefined;
  const { width, height, channels } = layout;
  const pixels = new ImageData(width, height);
  for (let at = 0; at < width * height; at++) {
    for (let channel = 0; channel < 3; channel++)
      pixels.data[4 * at + channel] = sample.data[(channels === 3 ? channel : 0) * width * height + at]!;
    pixels.data[4 * at + 3] = 255;
  }
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d")!.putImageData(pixels, 0, 0);
  return canvas.convertToBlob();
}
