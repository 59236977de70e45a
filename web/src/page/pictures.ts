/** Pictures from the gallery or the camera as samples of a model: decoded, cropped and scaled here, in this browser. */
import { InvalidInput } from "../core/errors.ts";
import type { Manifest } from "../core/manifest.ts";
import { exampleInput, formOf } from "../device/examples.ts";
import type { Sample } from "../device/store.ts";

interface Layout {
  height: number;
  width: number;
  channels: number;
}

/** The layout of a model's pictures, (channels, height, width); undefined where the model takes something else. */
export function pictureLayout(manifest: Manifest): Layout | undefined {
  const input = exampleInput(manifest);
  const shape = input.shape.slice(1).map(Number);
  const [channels, height, width] = shape;
  if (input.dtype !== "uint8" || shape.length !== 3 || !(channels === 1 || channels === 3)) return undefined;
  return { channels, height: height!, width: width! };
}

/** One picture as a sample. Throws InvalidInput for a file that this browser can't read as a picture. */
export async function fromFile(file: File, label: number, manifest: Manifest): Promise<Sample> {
  const layout = pictureLayout(manifest);
  if (!layout) throw new InvalidInput("this model does not take pictures", "use another kind of device");
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new InvalidInput("a file is no picture that this browser can read", "choose JPEG, PNG or WebP pictures");
  }
  const { width, height } = layout;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.imageSmoothingQuality = "high";
  const side = Math.min(bitmap.width / width, bitmap.height / height);
  const [cutWidth, cutHeight] = [side * width, side * height]; // the middle, in the model's proportions
  context.drawImage(bitmap, (bitmap.width - cutWidth) / 2, (bitmap.height - cutHeight) / 2, cutWidth, cutHeight, 0, 0, width, height);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  return { label, form: formOf(manifest), data: planes(data, layout), preview: await canvas.convertToBlob() };
}

/** A small picture of a sample that came without one. */
export async function previewOf(sample: Sample, manifest: Manifest): Promise<Blob | undefined> {
  const layout = pictureLayout(manifest);
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

/** RGBA rows to (channels, height, width); gray by ITU-R 601, as Pillow's "L". */
function planes(rgba: Uint8ClampedArray, { channels, width, height }: Layout): Uint8Array {
  const area = width * height;
  const out = new Uint8Array(channels * area);
  for (let at = 0; at < area; at++) {
    const [red, green, blue] = [rgba[4 * at]!, rgba[4 * at + 1]!, rgba[4 * at + 2]!];
    if (channels === 1) out[at] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
    else {
      out[at] = red;
      out[area + at] = green;
      out[2 * area + at] = blue;
    }
  }
  return out;
}
