/**
 * What a field of a message, a task or a manifest may hold, written where the field is declared. The limits belong to the
 * protocol: every client refuses exactly what lies outside of them. See the Python `fedrela.core.protocol.limits`.
 *
 *     epochs: withDefault(wholeFrom(1, 10_000), 5),
 *     top_k_fraction: withDefault(realAbove(0, 1), 0.1),
 */
import { type Read, list, real, refuse, table, text, whole } from "./shape.ts";

/** A whole number from `least` to `most`. */
export function wholeFrom(least: number, most: number): Read<number> {
  return limited(whole, (value) => value >= least && value <= most, `use a whole number from ${least} to ${most}`);
}

/** A number from `least` to `most`. */
export function realFrom(least: number, most: number): Read<number> {
  return limited(real, (value) => value >= least && value <= most, `use a number from ${least} to ${most}`);
}

/** A number above `least`, to `most`. */
export function realAbove(least: number, most: number): Read<number> {
  return limited(real, (value) => value > least && value <= most, `use a number above ${least}, to ${most}`);
}

/** A number from `least` to below `most`. */
export function realBelow(least: number, most: number): Read<number> {
  return limited(real, (value) => value >= least && value < most, `use a number from ${least} to below ${most}`);
}

/** One number and no other. */
export function exactly<const N extends number>(number: N, remedy: string): Read<N> {
  return limited(whole, (value) => value === number, remedy) as Read<N>;
}

/** A text that matches an expression as a whole. The expression means the same in every language. */
export function matching(pattern: string, what: string): Read<string> {
  const whole = new RegExp(`^(?:${pattern})$`, "u");
  return limited(text, (value) => whole.test(value), `use ${what}`);
}

/** A text of so many Unicode characters. */
export function characters(least: number, most: number, reader: Read<string> = text): Read<string> {
  return limited(reader, (value) => within(least, [...value].length, most), `use ${least} to ${most} characters`);
}

/** A list of so many items. */
export function listOf<T>(item: Read<T>, least: number, most: number): Read<T[]> {
  return limited(list(item), (value) => within(least, value.length, most), `let it be ${least} to ${most} long`);
}

/** A table of at most so many entries. */
export function tableOf<T>(item: Read<T>, most: number, key: Read<string> = text): Read<Map<string, T>> {
  return limited(table(item, key), (value) => value.size <= most, `let it be at most ${most} long`);
}

/** A value that a reader takes and that holds besides. */
export function limited<T>(reader: Read<T>, holds: (value: T) => boolean, remedy: string): Read<T> {
  return (value, path) => {
    const checked = reader(value, path);
    return holds(checked) ? checked : refuse(`${path || "the document"} is ${shown(checked)}`, remedy);
  };
}

function within(least: number, number: number, most: number): boolean {
  return least <= number && number <= most;
}

function shown(value: unknown): string {
  return value !== null && typeof value === "object" ? "out of bounds" : `'${String(value).slice(0, 100)}'`;
}

// Spelled without look-arounds and classes such as \w, so that every language's expressions read them alike.
export const VERSION_PATTERN =
  "[0-9]{1,9}(\\.[0-9]{1,9}){0,5}([+-][A-Za-z0-9.+-]{1,40}|\\.[A-Za-z][A-Za-z0-9.+-]{0,40}|[A-Za-z][A-Za-z0-9.+-]{0,40})?";

export const MOST_MILLIONTHS = 1e12; // of a norm of a million
export const natural = wholeFrom(0, Number.MAX_SAFE_INTEGER);
export const positive = wholeFrom(1, Number.MAX_SAFE_INTEGER);
export const sha256 = matching("[0-9a-f]{64}", "64 lower-case hexadecimal digits");
export const publicKey = matching("[0-9a-f]{64}", "an Ed25519 key of 64 lower-case hexadecimal digits");
export const signature = matching("[0-9a-f]{128}", "an Ed25519 signature of 128 lower-case hexadecimal digits");
export const token = matching("[!-~]{1,512}", "1 to 512 printable characters without spaces");
export const id = matching("[A-Za-z0-9_-]{1,128}", "1 to 128 letters, digits, '-' and '_'");
export const plainName = characters(1, 100, matching("[._-]*[A-Za-z0-9][A-Za-z0-9._-]*", "letters, digits, '-', '_' and '.'"));
export const version = matching(VERSION_PATTERN, "dotted numbers such as 1.2.3");
export const versionOrNone = matching(`|${VERSION_PATTERN}`, "dotted numbers such as 1.2.3, or nothing");
const feature = matching("[a-z0-9-]{1,64}", "a word of small letters, digits and '-'");
export const features = listOf(feature, 0, 64);
