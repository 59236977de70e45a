/** A picture's file as pixels: PNG by this page, to the bit; other formats by the browser, after this page has taken away what they differ in. */
import { bareJpeg, bareWebp, isJpeg, isWebp } from "./containers.ts";
import { type Pixels, empty, overWhite } from "./pixels.ts";
import { decodePng, isPng } from "./png.ts";
import { checkSize, damaged } from "./refusals.ts";

const STRIP_PIXELS = 2_000_000; // a canvas of a whole photo is more than some phones allow

/** RGB over white as stored in the file, and its orientation 1 to 8. Throws InvalidInput, which names the file. */
export async function decode(file: Blob, name: string): Promise<{ pixels: Pixels; orientation: number }> {
  const body = new Uint8Array(await file.arrayBuffer());
  if (isPng(body)) return decodePng(body, name);
  if (!isJpeg(body) && !isWebp(body)) return { pixels: await byBrowser(new Blob([body]), name, "from-image"), orientation: 1 };
  const { parts, type, orientation } = isJpeg(body) ? bareJpeg(body, name) : bareWebp(body, name);
  return { pixels: await byBrowser(new Blob(parts, { type }), name, "none"), orientation };
}

async function byBrowser(file: Blob, name: string, imageOrientation: ImageOrientation): Promise<Pixels> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation, colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw damaged(name, "it is no picture that this browser can read");
  }
  try {
    checkSize(bitmap.width, bitmap.height, name);
    return read(bitmap);
  } finally {
    bitmap.close();
  }
}

/** A canvas keeps colors multiplied by opacity, rounded to nearest: laid over white that is what `overWhite` makes of them. */
function read(bitmap: ImageBitmap): Pixels {
  const { width, height } = bitmap;
  const pixels = empty(width, height, 3);
  const rows = Math.max(1, Math.floor(STRIP_PIXELS / width));
  const context = new OffscreenCanvas(width, Math.min(rows, height)).getContext("2d", { willReadFrequently: true })!;
  context.globalCompositeOperation = "copy";
  for (let top = 0; top < height; top += rows) {
    const high = Math.min(rows, height - top);
    context.drawImage(bitmap, 0, top, width, high, 0, 0, width, high);
    overWhite(context.getImageData(0, 0, width, high).data, pixels.data, top * width);
  }
  return pixels;
}
