/**
 * The worker: holds the device's lock, and runs assignment after assignment until it is paused. It alone talks to the coordinator
 * and to the runtime; the page only shows what it reports.
 */
import moduleUrl from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url";
import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import { FedRelaError, Refused, StorageFull, Unavailable } from "../core/errors.ts";
import { parseFragment } from "../core/links.ts";
import { account, totalsOf } from "./account.ts";
import { Api } from "./api.ts";
import { Client } from "./client.ts";
import type { Conditions } from "./eligibility.ts";
import { configure, threads } from "../engine/engine.ts";
import { enroll, loadIdentity } from "./identity.ts";
import { type Command, type Report, faultOf } from "./protocol.ts";
import { Store } from "./store.ts";
import { Transport } from "./transport.ts";
import type { Owner } from "./work.ts";

const LOCK = "fedrela-device";
const MOST_THREADS = 4;
const RETRY_SECONDS = 5;
const LONGEST_TIMER_MS = 2 ** 31 - 1; // a longer one would go off at once
// Trying again by itself would only fail again, and take a place that another device could use.
const NEEDS_THE_OWNER = ["integrity-failed", "self-test-failed", "not-eligible", "choice", "training-failed", "group-refused"];
const scope = self as unknown as DedicatedWorkerGlobalScope;
const base = new URL("../", new URL(".", import.meta.url)).href.replace(/\/join\/$/, "").replace(/\/$/, "");

let running = false;
let active = false; // a loop is under way
let client: Client | undefined;
let conditions: Conditions = {};
let owner: Owner = {
  rule: { min_battery_percent: 0, require_unmetered_network: false, min_free_disk_bytes: 0, hours: "" },
  holdoutFraction: 0,
  onlyHidden: false,
  allowEvaluation: false,
};
let wake: () => void = () => {};
let opened: (store: Store) => void = () => {};
const store = new Promise<Store>((resolve) => (opened = resolve));

const tell = (report: Report): void => scope.postMessage(report);

scope.onmessage = ({ data: command }: MessageEvent<Command>) => {
  handle(command).catch((error: unknown) => tell({ kind: "fault", fault: faultOf(error), during: command.do }));
};

async function handle(command: Command): Promise<void> {
  if (command.do === "begin") return begin(command.cores);
  if (command.do === "enroll") return join(await store, command.link);
  if (command.do === "run") return run(await store);
  if (command.do === "leave") return leave(await store);
  if (command.do === "save") return client?.saveSoon();
  if (command.do === "pause") return pause();
  ({ conditions, owner } = command);
}

/** Hold the device's lock for as long as the worker lives; where another tab has it, wait until that is closed. */
async function begin(cores: number): Promise<void> {
  const absolute = (url: string): string => new URL(url, import.meta.url).href;
  configure({ mjs: absolute(moduleUrl), wasm: absolute(wasmUrl) }, Math.min(MOST_THREADS, Math.max(1, Math.floor(cores / 2))));
  await navigator.locks.request(LOCK, { ifAvailable: true }, (lock) => lock && ready());
  tell({ kind: "locked" });
  await navigator.locks.request(LOCK, ready);
}

/** The lock is ours; it goes back when the tab is closed. */
async function ready(): Promise<void> {
  opened(await Store.open());
  tell({ kind: "ready" });
  await new Promise(() => {});
}

async function join(store: Store, link: string): Promise<void> {
  const transport = new Transport(base);
  try {
    await enroll(new Api(transport), store, parseFragment(link));
  } finally {
    await account(store, transport);
  }
  tell({ kind: "enrolled" });
}

async function run(store: Store): Promise<void> {
  running = true;
  if (active) return wake();
  active = true;
  try {
    const identity = await loadIdentity(store);
    if (!identity) return;
    const api = new Api(new Transport(base, undefined, () => !running));
    client = new Client(api, store, identity, {
      stopped: () => !running,
      conditions: () => ({ ...conditions, minuteOfDay: new Date().getHours() * 60 + new Date().getMinutes() }),
      owner: () => owner,
      tell: (progress) => tell({ kind: "progress", progress }),
      chosen: (choice) => tell({ kind: "processor", choice, threads: threads() }),
    });
    const device = client; // leaving forgets it while an assignment is under way
    while (running) await pauseFor(await oneRound(device, store));
    await device.close();
    tell({ kind: "paused" });
  } finally {
    active = false;
  }
}

/** One assignment; the seconds to wait before the next. */
async function oneRound(device: Client, store: Store): Promise<number> {
  try {
    const outcome = await device.runOnce();
    tell({ kind: "outcome", outcome, totals: await totalsOf(store) });
    if (outcome.kind === "dropped") {
      if (NEEDS_THE_OWNER.includes(outcome.code)) running = false;
      return RETRY_SECONDS;
    }
    return outcome.kind === "waiting" ? Math.max(outcome.seconds, 0.05) : 0;
  } catch (error) {
    if (error instanceof Refused || error instanceof StorageFull || !(error instanceof Unavailable)) running = false;
    tell({ kind: "fault", fault: faultOf(error), during: "run" });
    return RETRY_SECONDS;
  }
}

function pause(): void {
  running = false;
  if (!active) tell({ kind: "paused" });
  wake();
}

/** Stop, tell the coordinator, forget everything. Without a network only the second is left out. */
async function leave(store: Store): Promise<void> {
  pause();
  const identity = await loadIdentity(store);
  let toldCoordinator = false;
  if (identity) {
    const api = new Api(new Transport(base, identity, () => true));
    try {
      await api.leave();
      toldCoordinator = true;
    } catch (error) {
      toldCoordinator = error instanceof Refused; // it has forgotten us already
      if (!(error instanceof FedRelaError)) throw error;
    }
  }
  client = undefined;
  await store.forget();
  tell({ kind: "left", toldCoordinator });
}

async function pauseFor(seconds: number): Promise<void> {
  if (!running || !seconds) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, Math.min(1000 * seconds, LONGEST_TIMER_MS));
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}
