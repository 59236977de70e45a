/**
 * What a device has masked for: once for a round, twice at most from one checkpoint. A coordinator could say that a round was
 * skipped, keep what it was sent, and ask again with a group that differs by one member: the difference of the two sums would
 * be that member's update.
 */
import { GroupRefused } from "../core/errors.ts";

const MOST_FROM_ONE_CHECKPOINT = 2;
const REMEDY = "nothing is sent; the next round is open to this device";

export interface Ledger {
  rounds: Record<string, number>; // by task, the highest round masked for
  checkpoints: Record<string, number>; // by the checkpoint's SHA-256, how often an update from it was masked
}

export const EMPTY: Ledger = { rounds: {}, checkpoints: {} };

/** The ledger with one more upload, to be stored before it is sent. Throws GroupRefused for one too many. */
export function entered(ledger: Ledger, task: string, round: number, checkpointSha: string): Ledger {
  if (round <= (ledger.rounds[task] ?? 0)) throw new GroupRefused(`this device has masked for round ${round} of the task already`, REMEDY);
  const times = (ledger.checkpoints[checkpointSha] ?? 0) + 1;
  if (times > MOST_FROM_ONE_CHECKPOINT) throw new GroupRefused("this device has masked two updates from these weights already", REMEDY);
  return { rounds: { ...ledger.rounds, [task]: round }, checkpoints: { ...ledger.checkpoints, [checkpointSha]: times } };
}
