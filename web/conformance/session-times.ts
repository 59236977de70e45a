/**
 * How long a member's steps take in this engine, for `python -m benchmarks.page_session`: a session as JSON on the standard
 * input; on the standard output the best processor time of each part, in milliseconds, and the hash of the masked words.
 */
import { readFileSync } from "node:fs";
import { agree, mask, offer, reveal, share } from "../src/secure/member.ts";

const { terms, secrets, key, roster, inbox, survivors, agreements, size, repeats } = JSON.parse(readFileSync(0, "utf-8"));
const vector = Int32Array.from({ length: size }, (_, at) => Math.imul(at, 0x9e3779b1));
const best: Record<string, number> = {};
let wordsSha = "";

function timed<T>(part: string, work: () => T): T {
  const start = process.cpuUsage();
  const result = work();
  const { user, system } = process.cpuUsage(start);
  best[part] = Math.min(best[part] ?? Infinity, (user + system) / 1000);
  return result;
}

for (let repeat = 0; repeat < repeats; repeat++) {
  const shared = timed("meeting", () => share(offer(terms, { ...secrets }, key), roster)).member;
  const masked = timed("masking", () => mask(shared, inbox, vector, key)).member;
  timed("closing", () => reveal(agree(masked, survivors, key).member, agreements));
  wordsSha = masked.wordsSha!;
}
process.stdout.write(JSON.stringify({ ...best, words_sha256: wordsSha }));
