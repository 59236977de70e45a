/** Task: everything a round depends on, as the coordinator sends it. See the Python `fedrela.core.task` for every field. */
import { type Typed, bigWhole, bool, choice, either, object, read, real, require_, section, table, text, whole, withDefault } from "./shape.ts";

/** A share written as 0.8 and a round written as 17 mean different things, so the two are kept apart. */
export type Start = { share: number } | { round: number };

const start = either(
  (value, path): Start => ({ round: whole(value, path) }),
  (value, path): Start => ({ share: real(value, path) }),
);

const local = object({
  epochs: withDefault(whole, 5),
  batch_size: withDefault(whole, 8),
  hyperparameters: withDefault(table(real), new Map<string, number>()),
  max_steps: withDefault(whole, 0),
  sampling: withDefault(choice("shuffle", "class-balanced"), "shuffle"),
  synthesis: withDefault(choice("none", "mixup", "smote"), "none"),
  // A browser trains on its samples as they are; a task that asks for more is refused here, before anything changes.
});
const relabel = object({
  enabled: withDefault(bool, true),
  start: withDefault(start, { share: 0.8 }),
  period: withDefault(whole, 0),
  threshold_percent: withDefault(real, 5),
  passes: withDefault(whole, 5),
  lr_scale: withDefault(real, 0.1),
});
const rounds = object({
  mode: withDefault(choice("synchronous", "asynchronous"), "synchronous"),
  goal: withDefault(whole, 10),
  minimum: withDefault(whole, 1),
  over_selection: withDefault(real, 1),
  deadline_seconds: withDefault(real, 600),
  compute_lease_seconds: withDefault(real, 300),
  upload_lease_seconds: withDefault(real, 60),
  retries: withDefault(whole, 3),
  retry_after_seconds: withDefault(real, 1),
  concurrency: withDefault(whole, 0),
  max_staleness: withDefault(whole, 20),
  staleness_exponent: withDefault(real, 0.5),
});
const aggregation = object({
  rule: withDefault(choice("mean", "median", "trimmed-mean", "multi-krum"), "mean"),
  weight_by_examples: withDefault(bool, true),
  max_examples: withDefault(whole, 10_000),
  clip_norm: withDefault(real, 0),
  trim_fraction: withDefault(real, 0.2),
  byzantine_fraction: withDefault(real, 0.2),
  server_optimizer: withDefault(choice("fedavg", "fedavgm", "fedadam", "fedyogi"), "fedavg"),
  server_lr: withDefault(real, 1),
  server_momentum: withDefault(real, 0.9),
  server_beta2: withDefault(real, 0.99),
  server_epsilon: withDefault(real, 1e-3),
  encoding: withDefault(choice("float32", "float16", "int8", "top-k"), "float32"),
  top_k_fraction: withDefault(real, 0.1),
});
const eligibility = object({
  require_mains_or_battery_percent: withDefault(real, 0),
  require_unmetered_network: withDefault(bool, false),
  max_cpu_celsius: withDefault(real, 0),
  refuse_when_throttled: withDefault(bool, false),
  max_load_per_core: withDefault(real, 0),
  min_free_disk_bytes: withDefault(whole, 0),
  min_free_memory_bytes: withDefault(whole, 0),
  min_examples: withDefault(whole, 1),
  hours: withDefault(text, ""),
  min_client_version: withDefault(text, ""),
  max_client_version: withDefault(text, ""),
  device_fraction: withDefault(real, 1),
  min_separation_seconds: withDefault(real, 0),
});
const fields = object({
  name: text,
  rounds: whole,
  population: withDefault(text, "default"),
  seed: withDefault(bigWhole, 0n),
  local_evaluation: withDefault(bool, false),
  local: section(local),
  relabel: section(relabel),
  round: section(rounds),
  aggregation: section(aggregation),
  eligibility: section(eligibility),
});

export type Task = Typed<typeof fields>;
export type Encoding = Task["aggregation"]["encoding"];

/** Read a task. Throws InvalidInput naming the key at fault. */
export function parseTask(body: Uint8Array | string): Task {
  const task = read(fields, body);
  checkNames(task);
  checkTraining(task);
  checkRounds(task);
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
  return generation(task, round) ? task.relabel.lr_scale : 1;
}

function checkNames(task: Task): void {
  for (const key of ["name", "population"] as const)
    require_(
      /^[A-Za-z0-9._-]{1,100}$/.test(task[key]) && /[A-Za-z0-9]/.test(task[key]),
      `${key} is '${task[key].slice(0, 120)}'`,
      "use 1 to 100 letters, digits, '-', '_' and '.'",
    );
  require_(task.rounds >= 1, `rounds is ${task.rounds}`, "run at least 1 round");
  require_(task.seed >= 0n, `seed is ${task.seed}`, "use 0 or more");
}

function checkTraining(task: Task): void {
  const { local, relabel } = task;
  atLeast(task, "local", { epochs: 1, batch_size: 1, max_steps: 0 });
  require_(
    local.synthesis !== "smote" || local.sampling === "class-balanced",
    'local.synthesis "smote" fills up minorities, and local.sampling "shuffle" leaves them small',
    'set local.sampling = "class-balanced"',
  );
  atLeast(task, "relabel", { period: 0, passes: 1, threshold_percent: 0 });
  require_(relabel.threshold_percent <= 100, "relabel.threshold_percent is above 100", "choose a number from 0 to 100");
  require_(relabel.lr_scale > 0, `relabel.lr_scale is ${relabel.lr_scale}`, "use a positive factor");
  const { start } = relabel;
  const possible = "round" in start ? start.round >= 1 : start.share > 0 && start.share < 1;
  require_(possible, "relabel.start is out of range", "use a round >= 1 or a share between 0 and 1");
  require_(
    !relabel.enabled || startRound(task) <= task.rounds,
    `relabel.start lies after the last round ${task.rounds}`,
    "start earlier, run more rounds, or set relabel.enabled = false",
  );
}

function checkRounds(task: Task): void {
  const { round, aggregation, eligibility } = task;
  atLeast(task, "round", { goal: 1, minimum: 1, over_selection: 1, retries: 0, concurrency: 0, max_staleness: 0, staleness_exponent: 0 });
  for (const key of ["deadline_seconds", "compute_lease_seconds", "upload_lease_seconds", "retry_after_seconds"] as const)
    require_(round[key] > 0, `round.${key} is ${round[key]}`, "use a positive time");
  require_(round.minimum <= round.goal, "round.minimum is above round.goal", "choose 1 <= minimum <= goal");
  atLeast(task, "aggregation", { max_examples: 1, clip_norm: 0, trim_fraction: 0, byzantine_fraction: 0, server_momentum: 0, server_beta2: 0 });
  for (const [key, limit] of [["trim_fraction", 0.5], ["byzantine_fraction", 0.5], ["server_momentum", 1], ["server_beta2", 1]] as const)
    require_(aggregation[key] < limit, `aggregation.${key} is ${aggregation[key]}`, `use a number below ${limit}`);
  for (const key of ["server_lr", "server_epsilon", "top_k_fraction"] as const)
    require_(aggregation[key] > 0, `aggregation.${key} is ${aggregation[key]}`, "use a positive number");
  require_(aggregation.top_k_fraction <= 1, "aggregation.top_k_fraction is above 1", "use (0, 1]");
  require_(
    round.mode === "synchronous" || aggregation.rule === "mean",
    `aggregation.rule '${aggregation.rule}' needs a whole cohort at once`,
    'use round.mode = "synchronous" or aggregation.rule = "mean"',
  );
  atLeast(task, "eligibility", { min_examples: 1, min_separation_seconds: 0 });
  const fraction = eligibility.device_fraction;
  require_(fraction > 0 && fraction <= 1, `eligibility.device_fraction is ${fraction}`, "use (0, 1]");
}

function atLeast<S extends "local" | "relabel" | "round" | "aggregation" | "eligibility">(
  task: Task,
  name: S,
  limits: Partial<Record<keyof Task[S], number>>,
): void {
  for (const [key, limit] of Object.entries(limits) as [string, number][]) {
    const value = (task[name] as Record<string, unknown>)[key] as number;
    require_(value >= limit, `${name}.${key} is ${value}`, `use ${limit} or more`);
  }
}
