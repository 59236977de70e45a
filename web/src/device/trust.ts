/**
 * What a device has learned since it enrolled and never unlearns: the coordinator's epoch and the newest rounds. See the
 * Python `fedrela.edge.storage.trust`.
 */
import { IntegrityError } from "../core/errors.ts";
import { hash } from "../core/signing.ts";
import { work } from "../core/statements.ts";
import type { Assignment } from "../core/wire.ts";
import type { Store } from "./store.ts";

const KEY = "trust";
const MOST_TASKS = 256; // whose rounds are remembered; those that came up longest ago are forgotten
const REMEDY = "somebody sends an old answer, or the operator's server was restored from a backup; tell the operator";

interface NewestRound {
  task: string; // its hash
  number: number;
  work: string; // the hash of what was asked for
}

export interface Trust {
  epoch: number; // 0: no assignment yet
  rounds: NewestRound[];
}

export async function loadTrust(store: Store): Promise<Trust> {
  return (await store.getJson<Trust>(KEY)) ?? { epoch: 0, rounds: [] };
}

export async function saveTrust(store: Store, trust: Trust): Promise<void> {
  await store.putJson(KEY, trust);
}

/** What is trusted once a verified assignment is accepted. Throws IntegrityError for a lower epoch or an older round. */
export function admitted(trust: Trust, assignment: Assignment): Trust {
  const { epoch, round: number } = assignment;
  if (epoch < trust.epoch) throw new IntegrityError(`the work is of epoch ${epoch}, and epoch ${trust.epoch} has begun`, REMEDY);
  const known = epoch > trust.epoch ? [] : trust.rounds;
  const task = textHash(assignment.task_id);
  const asked = textHash(work(assignment).join("\n"));
  const newest = known.find((item) => item.task === task);
  if (newest && (number < newest.number || (number === newest.number && asked !== newest.work)))
    throw new IntegrityError(`the work is of round ${number}, and round ${newest.number} has been here already`, REMEDY);
  const others = known.filter((item) => item.task !== task);
  return { epoch, rounds: [...others, { task, number, work: asked }].slice(-MOST_TASKS) };
}

function textHash(text: string): string {
  return hash(new TextEncoder().encode(text));
}
