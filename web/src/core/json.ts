/**
 * JSON as every client of the protocol reads it: RFC 8259, and what two readers could take differently is refused. UTF-8
 * without a byte-order mark; no key twice, no half of a surrogate pair, no NaN, nothing after the value; arrays and objects
 * at most 64 deep; a number of at most 64 characters, whole numbers within +-(2^53 - 1) (RFC 7493), others finite. At
 * most 4,000,000 bytes with 150,000 opening brackets, opening braces and commas. All that holds for members that nobody
 * looks at, too.
 *
 * A number written as a whole number is a bigint, any other a number, so that `1` and `1.0` stay apart. Objects are
 * Maps: a key such as "__proto__" is a key like any other.
 */
import { InvalidInput } from "./errors.ts";

export type Json = null | boolean | string | bigint | number | Json[] | Map<string, Json>;

export const MOST_BYTES = 4_000_000;
const MOST_MARKS = 150_000; // of "[", "{" and ",", those in texts too: no fewer than there are values
const MOST_DEPTH = 64;
const MOST_NUMBER_CHARACTERS = 64;
const SAFE_WHOLE = BigInt(Number.MAX_SAFE_INTEGER);
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
// A run of characters that stand for themselves, or one escape.
const TEXT = /[^"\\\u0000-\u001f]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const HALF = /\p{Surrogate}/u;
const SPACE = /[ \t\n\r]*/y;

/** Parse UTF-8 bytes or text; `unsigned`: of a document without negative numbers, -0 among them. Throws InvalidInput. */
export function parseJson(body: Uint8Array | string, unsigned = false): Json {
  if (body.length > MOST_BYTES) throw new InvalidInput("the JSON is too long", `send at most ${MOST_BYTES} bytes`);
  const text = typeof body === "string" ? body : decodeUtf8(body);
  if (marks(text) > MOST_MARKS) throw new InvalidInput("the JSON holds too many values", `send at most ${MOST_MARKS}`);
  const reader = new Reader(text, unsigned);
  const value = reader.value(0);
  reader.end();
  return value;
}

function marks(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit === 0x2c || unit === 0x5b || unit === 0x7b) count += 1;
  }
  return count;
}

/** Throws InvalidInput unless the bytes are well-formed UTF-8. A byte-order mark stays, and is refused by the parser. */
function decodeUtf8(body: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    throw new InvalidInput("the body is not UTF-8", "send one UTF-8 JSON object");
  }
}

class Reader {
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly unsigned: boolean,
  ) {}

  /** A value that lies in `depth` arrays and objects. */
  value(depth: number): Json {
    this.match(SPACE);
    const first = this.text[this.at];
    let value: Json;
    if (first === "{") value = this.object(depth);
    else if (first === "[") value = this.array(depth);
    else if (first === '"') value = this.string();
    else if (first === "t") value = this.word("true", true);
    else if (first === "f") value = this.word("false", false);
    else if (first === "n") value = this.word("null", null);
    else value = this.number();
    this.match(SPACE);
    return value;
  }

  end(): void {
    if (this.at !== this.text.length) throw this.fault("something follows the value");
  }

  private object(depth: number): Map<string, Json> {
    const map = new Map<string, Json>();
    this.items(depth, "{", "}", () => {
      this.match(SPACE);
      const key = this.string();
      if (map.has(key)) throw new InvalidInput("a JSON object holds the same key twice", "send each key once");
      this.match(SPACE);
      this.expect(":");
      map.set(key, this.value(depth + 1));
    });
    return map;
  }

  private array(depth: number): Json[] {
    const list: Json[] = [];
    this.items(depth, "[", "]", () => list.push(this.value(depth + 1)));
    return list;
  }

  private items(depth: number, open: string, close: string, item: () => void): void {
    if (depth >= MOST_DEPTH) throw this.fault("it is too deep");
    this.expect(open);
    this.match(SPACE);
    if (this.text[this.at] === close) {
      this.at += 1;
      return;
    }
    for (;;) {
      item();
      if (this.text[this.at] === close) break;
      this.expect(",");
    }
    this.expect(close);
  }

  private string(): string {
    const start = this.at;
    this.expect('"');
    while (this.text[this.at] !== '"') if (!this.match(TEXT)) throw this.fault("a text is malformed");
    this.expect('"');
    const text = JSON.parse(this.text.slice(start, this.at)) as string;
    if (HALF.test(text)) throw this.fault("half a character");
    return text;
  }

  private number(): bigint | number {
    const start = this.at;
    const match = this.match(NUMBER);
    if (!match) throw this.fault("a value is malformed");
    const written = this.text.slice(start, this.at);
    if (this.unsigned && written.startsWith("-")) throw this.fault("a number is negative");
    if (written.length > MOST_NUMBER_CHARACTERS) throw this.fault("a number is too long");
    if (match[1] === undefined && match[2] === undefined) return this.safe(BigInt(written));
    const number = Number(written);
    return Number.isFinite(number) ? number : this.unsafe();
  }

  private safe(number: bigint): bigint {
    return number >= -SAFE_WHOLE && number <= SAFE_WHOLE ? number : this.unsafe();
  }

  private unsafe(): never {
    throw new InvalidInput("the JSON holds a number that is too large", "send whole numbers within 2^53, and finite ones");
  }

  private word<T extends Json>(written: string, value: T): T {
    if (!this.text.startsWith(written, this.at)) throw this.fault("a value is malformed");
    this.at += written.length;
    return value;
  }

  private expect(character: string): void {
    if (this.text[this.at] !== character) throw this.fault(`${character} is missing`);
    this.at += 1;
  }

  private match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    if (match) this.at = pattern.lastIndex;
    return match;
  }

  private fault(what: string): InvalidInput {
    return new InvalidInput(`the body is not JSON (${what} at ${this.at})`, "send one UTF-8 JSON object");
  }
}
