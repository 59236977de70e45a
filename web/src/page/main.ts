/**
 * Starts the page: checks the browser, starts the worker, and lets nothing fail unseen. Every part that must answer has a
 * time to do so, and whatever nobody catches is said in a sentence.
 */
import { BrowserSilent } from "../core/errors.ts";
import { type Command, type Report, faultOf } from "../device/protocol.ts";
import { Store } from "../device/store.ts";
import { Page } from "./page.ts";
import { alert, say } from "./view.ts";
import { sentence } from "./words.ts";

const WORKER_SECONDS = 30;

function missing(): string {
  if (!isSecureContext) return "This page needs a secure connection. Ask the operator for a link that begins with https://.";
  if (!("WebAssembly" in window) || !navigator.locks || !window.indexedDB || !window.OffscreenCanvas)
    return "This browser is too old to train a model. Update it, or use another one.";
  return "";
}

function failed(error: unknown): void {
  alert(sentence(faultOf(error)));
}

/** The worker, and a page that hears it. Where it stays silent its owner is told; a word that comes late is still heard. */
function listen(worker: Worker, page: Page): void {
  const silent = (): void => failed(new BrowserSilent("the part of this page that trains has not started", "reload this page"));
  const alarm = setTimeout(silent, 1000 * WORKER_SECONDS);
  let heard = false;
  worker.onmessage = ({ data: report }: MessageEvent<Report>) => {
    if (!heard) alert("");
    heard = true;
    clearTimeout(alarm);
    page.heard(report).catch(failed);
  };
  worker.onerror = (event) => (heard ? failed(event.message) : silent());
}

async function main(): Promise<void> {
  const lacking = missing();
  if (lacking) return say(lacking);
  say("Starting…");
  const store = await Store.open(() => location.reload()); // another tab has left, or is of a newer version
  const worker = new Worker(new URL("../device/worker.ts", import.meta.url), { type: "module" });
  const send = (command: Command): void => worker.postMessage(command);
  listen(worker, new Page(store, send, location.hash.slice(1)));
  send({ do: "begin", cores: navigator.hardwareConcurrency });
}

window.addEventListener("error", (event) => failed(event.error ?? event.message));
window.addEventListener("unhandledrejection", (event) => failed(event.reason));
main().catch(failed);
