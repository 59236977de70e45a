/** How a picture is to be turned, from its EXIF block: the first directory's orientation, or 1 where none can be read. */

const [ORIENTATION, SHORT] = [0x0112, 3]; // the tag and the only type that it may have
const ENTRY_BYTES = 12;

/** 1 to 8. The block may begin with "Exif" and two zeros, as in a JPEG. */
export function orientationOf(exif: Uint8Array): number {
  const tiff = latin(exif, 0, 6) === "Exif\0\0" ? exif.subarray(6) : exif;
  const mark = latin(tiff, 0, 4);
  if (mark !== "II*\0" && mark !== "MM\0*") return 1;
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  const little = mark === "II*\0";
  try {
    const directory = view.getUint32(4, little);
    const entries = view.getUint16(directory, little);
    for (let number = 0; number < entries; number++) {
      const at = directory + 2 + ENTRY_BYTES * number;
      const [tag, kind, count] = [view.getUint16(at, little), view.getUint16(at + 2, little), view.getUint32(at + 4, little)];
      const value = view.getUint16(at + 8, little);
      if (tag === ORIENTATION) return kind === SHORT && count === 1 && value >= 1 && value <= 8 ? value : 1;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // it points outside of itself
  }
  return 1;
}

/** Bytes as the characters of their numbers. */
export function latin(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(from, to));
}
