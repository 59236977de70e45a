/**
 * The worker: holds the device's lock, and runs turn after turn until it is paused. It alone talks to the coordinator
 * and to the runtime; the page only shows what it reports.
 */
import moduleUrl from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url";
import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import { FedRelaError, Refused, StorageFull, Unavailable } from "../core/errors.ts";
import { Api } from "./api.ts";
import { Client } from "./client.ts";
import { type Conditions, type Rule } from "./eligibility.ts";
import { configure } from "./engine.ts";
import { enrol, loadIdentity } from "./identity.ts";
import type { Command, Fault, Report } from "./protocol.ts";
import { Store } from "./store.ts";

const RETRY_SECONDS = 5;
// Trying again by itself would only fail again, and take a place that another device could use.
const NEEDS_THE_OWNER = ["integrity-failed", "self-test-failed", "not-eligible", "training-failed"];
const scope = self as unknown as DedicatedWorkerGlobalScope;
const base = new URL("../", new URL(".", import.meta.url)).href.replace(/\/join\/$/, "").replace(/\/$/, "");

let running = false;
let active = false; // a loop is under way
let client: Client | undefined;
let conditions: Conditions = {};
let owner: Rule = { require_mains_or_battery_percent: 0, require_unmetered_network: false, min_free_disk_bytes: 0, hours: "" };
let wake: () => void = () => {};

const tell = (report: Report): void => scope.postMessage(report);

void navigator.locks.request("fedrela-device", { ifAvailable: true }, async (lock) => {
  if (!lock) {
    tell({ kind: "locked" });
    return;
  }
  const absolute = (url: string): string => new URL(url, import.meta.url).href;
  configure({ mjs: absolute(moduleUrl), wasm: absolute(wasmUrl) }, Math.min(4, Math.max(1, Math.floor(navigator.hardwareConcurrency / 2))));
  const store = await Store.open();
  scope.onmessage = (event: MessageEvent<Command>) => void handle(store, event.data);
  tell({ kind: "ready" });
  await new Promise(() => {}); // the lock is held for as long as the worker lives
});

async function handle(store: Store, command: Command): Promise<void> {
  try {
    if (command.do === "enrol") await join(store, command.token);
    else if (command.do === "run") await run(store);
    else if (command.do === "leave") await leave(store);
    else if (command.do === "save") client?.saveSoon();
    else if (command.do === "pause") pause();
    else ({ conditions, owner } = command);
  } catch (error) {
    tell({ kind: "fault", fault: faultOf(error), during: command.do });
  }
}

async function join(store: Store, token: string): Promise<void> {
  await enrol(new Api(base), store, token);
  tell({ kind: "enrolled" });
}

async function run(store: Store): Promise<void> {
  running = true;
  if (active) return wake();
  active = true;
  try {
    const identity = await loadIdentity(store);
    if (!identity) return;
    const api = new Api(base, "", () => !running);
    client = new Client(api, store, identity, {
      stopped: () => !running,
      conditions: () => ({ ...conditions, minuteOfDay: new Date().getHours() * 60 + new Date().getMinutes() }),
      owner: () => owner,
      tell: (progress) => tell({ kind: "progress", progress }),
    });
    while (running) await pauseFor(await turn(client));
    tell({ kind: "paused" });
  } finally {
    active = false;
  }
}

/** One turn; the seconds to wait before the next. */
async function turn(device: Client): Promise<number> {
  try {
    const outcome = await device.runOnce();
    tell({ kind: "outcome", outcome, totals: await device.totals() });
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
    const api = new Api(base, identity.device_token, () => true);
    try {
      await api.leave();
      toldCoordinator = true;
    } catch (error) {
      toldCoordinator = error instanceof Refused; // it has forgotten us already
      if (!(error instanceof FedRelaError)) throw error;
    }
  }
  client = undefined;
  await store.clear();
  tell({ kind: "left", toldCoordinator });
}

async function pauseFor(seconds: number): Promise<void> {
  if (!running || !seconds) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

function faultOf(error: unknown): Fault {
  if (error instanceof FedRelaError) {
    const code = error instanceof Refused ? error.code : "";
    return { kind: error.name, code, problem: error.problem, remedy: error.remedy };
  }
  return { kind: "Error", code: "", problem: String(error), remedy: "reload the page" };
}
