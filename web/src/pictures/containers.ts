/**
 * JPEG and WebP files without what browsers treat differently: color profiles, EXIF, XMP. What they say is read here; their
 * pixels are left to the browser.
 */
import { latin, orientationOf } from "./exif.ts";
import { checkParts, checkSize, damaged, forPrint } from "./refusals.ts";

export interface Bare {
  parts: Uint8Array<ArrayBuffer>[]; // the file to decode, in pieces
  type: string;
  orientation: number;
}

const [FRAME, SCAN, END] = [0xc0, 0xda, 0xd9]; // markers of JPEG
const NO_FRAMES = [0xc4, 0xc8, 0xcc]; // their neighbors that begin no frame
const APPLICATION = 0xe0;
const MOST_EXIF_PARTS = 20; // the standard knows one
const COLOR_FORMS = [APPLICATION, APPLICATION + 14]; // JFIF and Adobe: they tell whether it is YCbCr

export function isJpeg(body: Uint8Array): boolean {
  return body[0] === 0xff && body[1] === 0xd8 && body[2] === 0xff;
}

/** A JPEG with the segments alone that its pixels need. Throws InvalidInput. */
export function bareJpeg(body: Uint8Array, name: string): Bare {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const parts = [new Uint8Array(body.subarray(0, 2))];
  let [orientation, framed, segments, exifs] = [0, false, 0, 0];
  let at = 2;
  for (; at + 4 <= body.length && body[at + 1] !== SCAN; ) {
    const marker = body[at + 1]!;
    checkParts(++segments, name);
    if (body[at] !== 0xff) throw damaged(name, "between its segments is something else");
    if (marker === 0xff) at += 1; // fills up
    else {
      const end = at + 2 + view.getUint16(at + 2);
      const segment = body.subarray(at, end);
      const exif = latin(segment, 4, 10) === "Exif\0\0";
      if (exif && ++exifs > MOST_EXIF_PARTS) throw damaged(name, `it has more than ${MOST_EXIF_PARTS} EXIF blocks`);
      if (exif && marker === APPLICATION + 1 && !orientation) orientation = orientationOf(segment.subarray(4));
      if (marker >= FRAME && marker < FRAME + 16 && !NO_FRAMES.includes(marker)) {
        checkFrame(segment, name);
        framed = true;
      }
      const described = (marker > APPLICATION && marker < APPLICATION + 16) || marker === 0xfe;
      if (!described || COLOR_FORMS.includes(marker)) parts.push(new Uint8Array(segment));
      at = end;
    }
  }
  const scans = body.subarray(at);
  if (!framed || !hasEnd(scans)) throw damaged(name, "it is cut short");
  return { parts: [...parts, new Uint8Array(scans)], type: "image/jpeg", orientation: orientation || 1 };
}

function checkFrame(segment: Uint8Array, name: string): void {
  if (segment.length < 10) throw damaged(name, "it is cut short");
  const view = new DataView(segment.buffer, segment.byteOffset, segment.byteLength);
  const [bits, components] = [segment[4], segment[9]];
  checkSize(view.getUint16(7), view.getUint16(5), name);
  if (bits !== 8 || ![1, 3, 4].includes(components!)) throw damaged(name, `it has ${components} components of ${bits} bits`);
  if (components === 4) throw forPrint(name);
}

function hasEnd(scans: Uint8Array): boolean {
  for (let at = scans.lastIndexOf(END); at > 0; at = scans.lastIndexOf(END, at - 1)) if (scans[at - 1] === 0xff) return true;
  return false;
}

const CHUNKS_OF_WEBP = ["ICCP", "EXIF", "XMP "]; // that don't make pixels
const [PROFILE, EXIF, XMP] = [0x20, 0x08, 0x04]; // flags of VP8X

export function isWebp(body: Uint8Array): boolean {
  return latin(body, 0, 4) === "RIFF" && latin(body, 8, 12) === "WEBP";
}

/** A WebP with the chunks alone that its pixels need. Throws InvalidInput. */
export function bareWebp(body: Uint8Array, name: string): Bare {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const end = 8 + view.getUint32(4, true);
  if (end > body.length) throw damaged(name, "it is cut short");
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let orientation = 1;
  for (let at = 12; at + 8 <= end; ) {
    const type = latin(body, at, at + 4);
    const size = view.getUint32(at + 4, true);
    const chunk = new Uint8Array(body.subarray(at, at + 8 + size + (size & 1)));
    if (type === "EXIF") orientation = orientationOf(chunk.subarray(8, 8 + size));
    if (type === "VP8X") chunk[8]! &= ~(PROFILE | EXIF | XMP);
    checkSize(...sizeOfWebp(type, chunk), name);
    if (!CHUNKS_OF_WEBP.includes(type)) parts.push(chunk);
    at += chunk.length;
  }
  const head = new Uint8Array(body.subarray(0, 12));
  new DataView(head.buffer).setUint32(4, 4 + parts.reduce((sum, { length }) => sum + length, 0), true);
  return { parts: [head, ...parts], type: "image/webp", orientation };
}

/** Width and height that a chunk tells; 0 where it tells none. */
function sizeOfWebp(type: string, chunk: Uint8Array): [number, number] {
  const byte = (at: number): number => chunk[8 + at] ?? 0;
  const two = (at: number): number => byte(at) | (byte(at + 1) << 8);
  if (type === "VP8X") return [1 + (two(4) | (byte(6) << 16)), 1 + (two(7) | (byte(9) << 16))];
  if (type === "VP8 ") return [two(6) & 0x3fff, two(8) & 0x3fff];
  if (type === "VP8L") return [1 + (two(1) & 0x3fff), 1 + ((two(2) >> 6) | ((byte(4) & 0xf) << 10))];
  return [0, 0];
}
