/**
 * Readers that turn parsed JSON into typed values, refusing a missing key and a wrong type. A whole number is taken where a
 * float is wanted, and nothing else. Members that nobody named are ignored, so that this page works with a coordinator of
 * tomorrow. What a value may be beyond its type says `limits.ts`.
 *
 *     const point = object({ x: real, y: withDefault(real, 0) });
 *     point(parseJson('{"x": 1}'), "");   // { x: 1, y: 0 }
 */
import { InvalidInput } from "./errors.ts";
import { type Json, parseJson } from "./json.ts";

export type Read<T> = (value: Json, path: string) => T;
export type Typed<R> = R extends Read<infer T> ? T : never;
interface Optional<T> {
  read: Read<T>;
  fallback: () => T;
}
type Field = Read<unknown> | Optional<unknown>;
type Value<F> = F extends Read<infer T> ? T : F extends Optional<infer T> ? T : never;

/** Parse a JSON body with a reader. Throws InvalidInput. */
export function read<T>(reader: Read<T>, body: Uint8Array | string): T {
  return reader(parseJson(body), "");
}

export const text: Read<string> = (value, path) => (typeof value === "string" ? value : wrong(value, path, "a text"));

export const bool: Read<boolean> = (value, path) =>
  typeof value === "boolean" ? value : wrong(value, path, "true or false");

// The JSON parser has seen to it that every number fits.
export const whole: Read<number> = (value, path) => (typeof value === "bigint" ? Number(value) : wrong(value, path, "a whole number"));

export const real: Read<number> = (value, path) =>
  typeof value === "bigint" || typeof value === "number" ? Number(value) : wrong(value, path, "a number");

export function choice<const T extends readonly string[]>(...options: T): Read<T[number]> {
  return (value, path) =>
    typeof value === "string" && options.includes(value) ? value : wrong(value, path, `one of ${options.join(", ")}`);
}

export function list<T>(item: Read<T>): Read<T[]> {
  return (value, path) =>
    Array.isArray(value) ? value.map((each, index) => item(each, `${path}[${index}]`)) : wrong(value, path, "a list");
}

export function table<T>(item: Read<T>, key: Read<string> = text): Read<Map<string, T>> {
  return (value, path) => {
    if (!(value instanceof Map)) return wrong(value, path, "a table of named values");
    return new Map([...value].map(([name, each]) => [key(name, path), item(each, join(path, name))]));
  };
}

export function either<A, B>(first: Read<A>, second: Read<B>): Read<A | B> {
  return (value, path) => {
    try {
      return first(value, path);
    } catch {
      return second(value, path);
    }
  };
}

export function nullable<T>(reader: Read<T>): Read<T | null> {
  return (value, path) => (value === null ? null : reader(value, path));
}

export function withDefault<T>(reader: Read<T>, fallback: NoInfer<T>): Optional<T> {
  return { read: reader, fallback: () => fallback };
}

/** A field whose own fields all have defaults. */
export function section<T>(reader: Read<T>): Optional<T> {
  return { read: reader, fallback: () => reader(new Map(), "") };
}

export function object<const F extends Record<string, Field>>(fields: F): Read<{ [K in keyof F]: Value<F[K]> }> {
  return (value, path) => {
    if (!(value instanceof Map)) return wrong(value, path, "a table of named values");
    const entries = Object.entries(fields).map(([key, field]) => {
      const item = value.get(key);
      const reader = typeof field === "function" ? field : field.read;
      if (item !== undefined) return [key, reader(item, join(path, key))];
      if (typeof field === "function") return refuse(`key '${join(path, key)}' is missing`, "add it");
      return [key, field.fallback()];
    });
    return Object.fromEntries(entries) as { [K in keyof F]: Value<F[K]> };
  };
}

/** Throws unless `condition` holds. */
export function require_(condition: boolean, problem: string, remedy: string): void {
  if (!condition) refuse(problem, remedy);
}

export function refuse(problem: string, remedy: string): never {
  throw new InvalidInput(problem, remedy);
}

function join(path: string, key: string): string {
  return path ? `${path}.${key}` : key;
}

function wrong(value: Json, path: string, expected: string): never {
  const kind = value === null ? "null" : value instanceof Map ? "a table" : Array.isArray(value) ? "a list" : typeof value;
  return refuse(`${path || "the document"} is ${kind}`, `make it ${expected}`);
}
