/**
 * A PNG as RGB over white, bit by bit: a canvas would change transparent pixels and follow color profiles. As Pillow reads it:
 * the checksums up to the first pixels count, what follows them may be missing.
 */
import { latin, orientationOf } from "./exif.ts";
import { type Palette, type Samples, unpack } from "./png-pixels.ts";
import type { Pixels } from "./pixels.ts";
import { checkParts, checkSize, damaged, tooDeep } from "./refusals.ts";

const SIGNATURE = "\x89PNG\r\n\x1a\n";
const DEPTHS = new Map([[0, [1, 2, 4, 8, 16]], [2, [8, 16]], [3, [1, 2, 4, 8]], [4, [8, 16]], [6, [8, 16]]]); // by color type
const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
  return byte;
});

export function isPng(body: Uint8Array): boolean {
  return latin(body, 0, SIGNATURE.length) === SIGNATURE;
}

/** Pixels as they are stored, and the orientation 1 to 8. Throws InvalidInput. */
export async function decodePng(body: Uint8Array, name: string): Promise<{ pixels: Pixels; orientation: number }> {
  const chunks = chunksOf(body, name);
  const headers = chunks.filter(({ type }) => type === "IHDR");
  const header = headers[0]?.data;
  if (headers.length !== 1 || header?.length !== 13) throw damaged(name, "it has no header, or two");
  const samples = samplesOf(header, name);
  const parts = chunks.filter(({ type }) => type === "IDAT").map(({ data }) => data);
  const palette = paletteOf(chunks, samples);
  if (samples.colorType === 3 && !palette.colors.length) throw damaged(name, "it has no palette");
  const exif = chunks.find(({ type }) => type === "eXIf");
  try {
    return { pixels: await unpack(samples, palette, parts), orientation: exif ? orientationOf(exif.data) : 1 };
  } catch (error) {
    throw damaged(name, String(error));
  }
}

interface Chunk {
  type: string;
  data: Uint8Array<ArrayBuffer>;
}

/** All chunks up to the end. Throws InvalidInput where one before the first pixels is damaged, or the pixels are cut short. */
function chunksOf(body: Uint8Array, name: string): Chunk[] {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const chunks: Chunk[] = [];
  let pixels = false; // have come
  for (let at = SIGNATURE.length; at + 8 <= body.length; ) {
    checkParts(chunks.length + 1, name);
    const end = at + 8 + view.getUint32(at);
    const type = latin(body, at + 4, at + 8);
    if (type === "IEND") break;
    if (pixels && (type === "PLTE" || type === "tRNS")) throw damaged(name, "its colors come after its pixels");
    pixels ||= type === "IDAT";
    if (end > body.length && (!pixels || type === "IDAT")) throw damaged(name, "it is cut short");
    if (end > body.length) break;
    if (!pixels && (end + 4 > body.length || view.getUint32(end) !== crc(body.subarray(at + 4, end)))) throw damaged(name, "a checksum is wrong");
    chunks.push({ type, data: new Uint8Array(body.subarray(at + 8, end)) });
    at = end + 4;
  }
  if (!pixels) throw damaged(name, "it has no pixels");
  return chunks;
}

function crc(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = CRC[(sum ^ byte) & 0xff]! ^ (sum >>> 8);
  return ~sum >>> 0;
}

function samplesOf(header: Uint8Array, name: string): Samples {
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth, colorType, , filter, interlaced] = header.subarray(8);
  if (!width || !height || !DEPTHS.get(colorType!)?.includes(depth!) || filter) throw damaged(name, "its header is wrong");
  checkSize(width, height, name);
  if (depth === 16) throw tooDeep(name);
  return { width, height, depth: depth!, colorType: colorType!, interlaced: interlaced !== 0 };
}

/** The colors of a palette, or the one color that a chunk of its own makes transparent. */
function paletteOf(chunks: Chunk[], { colorType }: Samples): Palette {
  const colors = chunks.find(({ type }) => type === "PLTE")?.data ?? new Uint8Array();
  const transparency = chunks.find(({ type }) => type === "tRNS")?.data ?? new Uint8Array();
  if (colorType === 3) return { colors, opacities: transparency, transparent: [] };
  const values = colorType === 0 ? 1 : colorType === 2 ? 3 : 0;
  const view = new DataView(transparency.buffer);
  const transparent = transparency.length >= 2 * values ? Array.from({ length: values }, (_, at) => view.getUint16(2 * at)) : [];
  return { colors, opacities: new Uint8Array(), transparent };
}
