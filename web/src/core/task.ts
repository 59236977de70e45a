/** Task: everything a round depends on, as the coordinator sends it. See the Python `fedrela.core.task` for every field. */
import {
  features,
  limited,
  matching,
  natural,
  plainName,
  realAbove,
  realBelow,
  realFrom,
  tableOf,
  version,
  wholeFrom,
} from "./limits.ts";
import { type Read, type Typed, bool, choice, object, read, real, require_, section, withDefault } from "./shape.ts";
import { LR_SCHEDULE } from "./wire.ts";

const MILLION = 1_000_000;
const BILLION = 1_000_000_000;
const LONGEST_SECONDS = 2 ** 32;
const HALF_PI = 1.5707963267948966;
const COSINE_TERMS = 10;
const TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]";

/** A share written as 0.8 and a round written as 17 mean different things, so the two are kept apart. */
export type Start = { share: number } | { round: number };

const startAtRound = wholeFrom(1, MILLION);
const startAtShare = limited(real, (share) => share > 0 && share < 1, "use a round >= 1 or a share between 0 and 1");
// A text holds what is larger than any JSON reader keeps.
const seedText = matching("0|[1-9][0-9]{0,99}", "1 to 100 digits without a leading zero");
const startRoundOrShare: Read<Start> = (value, path) =>
  typeof value === "bigint" ? { round: startAtRound(value, path) } : { share: startAtShare(value, path) };
const seed: Read<bigint> = (value, path) => BigInt(typeof value === "string" ? seedText(value, path) : natural(value, path));
const hours = limited(
  matching(`|${TIME}-${TIME}`, 'a time such as "22:00-06:00"'),
  (value) => !value || value.slice(0, 5) !== value.slice(6),
  "leave it empty for any time",
);
const clientVersions = tableOf(version, 20, matching("[a-z][a-z0-9-]{0,31}", "a client's name, or any"));

// The defaults are the protocol's: what a value is where it isn't there. They never change.
const local = object({
  epochs: withDefault(wholeFrom(1, 10_000), 5),
  batch_size: withDefault(wholeFrom(1, MILLION), 8),
  hyperparameters: withDefault(tableOf(real, 100), new Map<string, number>()),
  max_steps: withDefault(wholeFrom(0, BILLION), 0),
  sampling: withDefault(choice("shuffle", "class-balanced"), "shuffle"),
  synthesis: withDefault(choice("none", "mixup", "smote"), "none"),
  lr_schedule: withDefault(choice("constant", "cosine", "step"), "constant"),
});
const relabel = object({
  enabled: withDefault(bool, true),
  start: withDefault(startRoundOrShare, { share: 0.8 }),
  period: withDefault(wholeFrom(0, MILLION), 0),
  threshold_percent: withDefault(realFrom(0, 100), 5),
  passes: withDefault(wholeFrom(1, 1000), 5),
  lr_scale: withDefault(realAbove(0, MILLION), 0.1),
});
const rounds = object({
  mode: withDefault(choice("synchronous", "asynchronous"), "synchronous"),
  goal: withDefault(wholeFrom(1, MILLION), 10),
  minimum: withDefault(wholeFrom(1, MILLION), 1),
  over_selection: withDefault(realFrom(1, 100), 1),
  deadline_seconds: withDefault(realAbove(0, LONGEST_SECONDS), 600),
  compute_lease_seconds: withDefault(realAbove(0, LONGEST_SECONDS), 300),
  upload_lease_seconds: withDefault(realAbove(0, LONGEST_SECONDS), 60),
  retries: withDefault(wholeFrom(0, 1000), 3),
  retry_after_seconds: withDefault(realAbove(0, 86_400), 1),
  concurrency: withDefault(wholeFrom(0, MILLION), 0),
  max_staleness: withDefault(wholeFrom(0, MILLION), 20),
  staleness_exponent: withDefault(realFrom(0, 100), 0.5),
  smallest_cohort: withDefault(wholeFrom(1, MILLION), 1),
});
const aggregation = object({
  rule: withDefault(choice("mean", "median", "trimmed-mean", "multi-krum"), "mean"),
  weight_by_examples: withDefault(bool, true),
  max_examples: withDefault(wholeFrom(1, BILLION), 10_000),
  clip_norm: withDefault(realFrom(0, 1e30), 0),
  trim_fraction: withDefault(realBelow(0, 0.5), 0.2),
  byzantine_fraction: withDefault(realBelow(0, 0.5), 0.2),
  server_optimizer: withDefault(choice("fedavg", "fedavgm", "fedadam", "fedyogi"), "fedavg"),
  server_lr: withDefault(realAbove(0, MILLION), 1),
  server_momentum: withDefault(realBelow(0, 1), 0.9),
  server_beta2: withDefault(realBelow(0, 1), 0.99),
  server_epsilon: withDefault(realAbove(0, MILLION), 1e-3),
  encoding: withDefault(choice("float32", "float16", "int8", "top-k"), "float32"),
  top_k_fraction: withDefault(realAbove(0, 1), 0.1),
});
const eligibility = object({
  min_battery_percent: withDefault(realFrom(0, 100), 0),
  require_unmetered_network: withDefault(bool, false),
  max_cpu_celsius: withDefault(realFrom(0, 1000), 0),
  refuse_when_throttled: withDefault(bool, false),
  max_load_per_core: withDefault(realFrom(0, 1000), 0),
  min_free_disk_bytes: withDefault(natural, 0),
  min_free_memory_bytes: withDefault(natural, 0),
  min_examples: withDefault(wholeFrom(1, BILLION), 1),
  hours: withDefault(hours, ""),
  min_client_versions: withDefault(clientVersions, new Map<string, string>()),
  max_client_versions: withDefault(clientVersions, new Map<string, string>()),
  device_fraction: withDefault(realAbove(0, 1), 1),
  min_separation_seconds: withDefault(realFrom(0, LONGEST_SECONDS), 0),
});
const privacy = object({
  secure: withDefault(choice("none", "peers"), "none"),
  group_target: withDefault(wholeFrom(5, 64), 16),
  group_minimum: withDefault(wholeFrom(5, 64), 14),
  gather_seconds: withDefault(realFrom(0, 86_400), 30),
  phase_seconds: withDefault(realFrom(0, 86_400), 20),
  clip_norm: withDefault(realAbove(0, MILLION), 64),
  clipped_share: withDefault(realBelow(0, 1), 0),
  statistics_clip_norm: withDefault(realAbove(0, MILLION), 1024),
});
const fields = object({
  name: plainName,
  rounds: wholeFrom(1, MILLION),
  population: withDefault(plainName, "default"),
  seed: withDefault(seed, 0n),
  local_evaluation: withDefault(bool, false),
  local: section(local),
  relabel: section(relabel),
  round: section(rounds),
  aggregation: section(aggregation),
  eligibility: section(eligibility),
  privacy: section(privacy),
  requires: withDefault(features, []),
});

export type Task = Typed<typeof fields>;
export type Encoding = Task["aggregation"]["encoding"];

/** Read a task. Throws InvalidInput naming the key at fault. */
export function parseTask(body: Uint8Array | string): Task {
  const task = read(fields, body);
  checkCombinations(task);
  return task;
}

/** The first round (from 1) that trains on re-labels. */
export function startRound(task: Task): number {
  const { start } = task.relabel;
  return "round" in start ? start.round : Math.floor(start.share * task.rounds) + 1;
}

/** Which re-labeling a round trains on: 0 before the start, 1 from it on, one more after each period. */
export function generation(task: Task, round: number): number {
  const since = round - startRound(task);
  if (!task.relabel.enabled || since < 0) return 0;
  return 1 + (task.relabel.period ? Math.floor(since / task.relabel.period) : 0);
}

/** What the learning rate is multiplied by in a round. */
export function lrFactor(task: Task, round: number): number {
  const scheduled = scheduleFactor(task, round);
  return generation(task, round) ? scheduled * task.relabel.lr_scale : scheduled;
}

/** The schedule alone: to the bit what the Python `fedrela.core.lr_schedule` gives. */
function scheduleFactor({ local, rounds }: Task, round: number): number {
  if (local.lr_schedule === "step") return 5 * round > 4 * rounds ? 0.1 : 1;
  if (local.lr_schedule === "constant") return 1;
  const half = cosine(((round - 1) / rounds) * HALF_PI);
  return half * half; // ** promises no last bit either
}

/** The cosine of an angle from 0 to a quarter turn: its Taylor series in one order, as no engine promises Math.cos to the bit. */
function cosine(angle: number): number {
  const square = angle * angle;
  let nested = 1;
  for (let term = COSINE_TERMS; term > 0; term--) nested = 1 - (square / ((2 * term - 1) * (2 * term))) * nested;
  return nested;
}

/** What no field shows by itself. */
function checkCombinations(task: Task): void {
  const { local, relabel, round, aggregation, privacy } = task;
  require_(
    local.lr_schedule === "constant" || task.requires.includes(LR_SCHEDULE),
    `local.lr_schedule is '${local.lr_schedule}', which older clients would overlook`,
    `add "${LR_SCHEDULE}" to requires`,
  );
  require_(
    local.synthesis !== "smote" || local.sampling === "class-balanced",
    'local.synthesis "smote" fills up minorities, and local.sampling "shuffle" leaves them small',
    'set local.sampling = "class-balanced"',
  );
  require_(
    !relabel.enabled || startRound(task) <= task.rounds,
    `relabel.start lies after the last round ${task.rounds}`,
    "start earlier, run more rounds, or set relabel.enabled = false",
  );
  require_(round.minimum <= round.goal, "round.minimum is above round.goal", "choose 1 <= minimum <= goal");
  require_(round.smallest_cohort <= round.goal, "round.smallest_cohort is above round.goal", "choose 1 <= smallest_cohort <= goal");
  require_(privacy.group_minimum <= privacy.group_target, "privacy.group_minimum is above group_target", "choose minimum <= target");
  require_(
    round.mode === "synchronous" || aggregation.rule === "mean",
    `aggregation.rule '${aggregation.rule}' needs a whole cohort at once`,
    'use round.mode = "synchronous" or aggregation.rule = "mean"',
  );
}
