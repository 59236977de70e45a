/**
 * The page: asks, shows, and passes the owner's wishes to the worker. Its states are
 *
 *     no link and not enrolled -> "open your link"        link, not enrolled -> consent
 *     enrolled, no examples    -> add examples            enrolled, examples -> training, or paused
 */
import { FedRelaError, Refused } from "../core/errors.ts";
import type { Progress, Totals } from "../device/client.ts";
import type { Conditions, Rule } from "../device/eligibility.ts";
import { type Identity, loadIdentity } from "../device/identity.ts";
import type { Command, Fault, Report } from "../device/protocol.ts";
import { Store } from "../device/store.ts";
import { byId, bytes, make, show } from "./dom.ts";
import { Gallery } from "./gallery.ts";
import { type Offer, describe, fetchOffers, pageSize } from "./offer.ts";
import { WakeLock, watchConditions } from "./sensors.ts";
import { droppedSentence, sentence, waitSentence } from "./words.ts";

const RETRY_OFFER_SECONDS = 10;

interface Settings {
  paused: boolean;
  spareBattery: boolean;
  spareData: boolean;
}

class Page {
  private readonly wakeLock = new WakeLock();
  private settings: Settings = { paused: false, spareBattery: true, spareData: true };
  private conditions: Conditions = {};
  private gallery: Gallery | undefined;
  private running = false;
  private finished = false;

  constructor(
    private readonly store: Store,
    private readonly worker: Worker,
    private link: string,
  ) {}

  /** Begin: the worker has the device's lock. */
  async start(): Promise<void> {
    this.settings = { ...this.settings, ...(await this.store.getJson<Settings>("settings")) };
    this.wire();
    await watchConditions((conditions) => {
      this.conditions = conditions;
      this.sendConditions();
    });
    const identity = await loadIdentity(this.store);
    if (identity) await this.enrolled(identity);
    else if (this.link) await this.welcome();
    else this.say("Open the link, or scan the code, that the operator gave you.");
  }

  heard(report: Report): void {
    if (report.kind === "enrolled") void this.joined();
    else if (report.kind === "progress") this.progress(report.progress);
    else if (report.kind === "fault") this.fault(report.fault, report.during);
    else if (report.kind === "paused") this.stopped();
    else if (report.kind === "left") this.gone(report.toldCoordinator);
    else if (report.kind === "outcome") {
      this.figures(report.totals);
      const { outcome } = report;
      this.finished = outcome.kind === "waiting" && outcome.reason === "finished";
      if (outcome.kind === "waiting") this.doing(waitSentence(outcome), null);
      else if (outcome.kind === "uploaded") {
        this.clearAlert();
        this.doing(`Round ${outcome.round} is done: your change was sent.`, 1);
      } else if (outcome.kind === "dropped") {
        if (outcome.code === "not-eligible") void this.gallery?.render();
        this.alert(droppedSentence(outcome));
      }
      this.wakeLock.want(this.running && outcome.kind !== "waiting");
    }
  }

  private async welcome(): Promise<void> {
    this.say("Looking up what you are asked to do…");
    try {
      const offers = await fetchOffers(this.link);
      byId("offer").replaceChildren(describe(offers, await pageSize()));
      this.say("");
      this.clearAlert();
      show("welcome");
    } catch (error) {
      this.say("");
      if (!(error instanceof FedRelaError)) throw error;
      this.fault(faultOf(error), "enrol");
      if (!(error instanceof Refused)) setTimeout(() => void this.welcome(), 1000 * RETRY_OFFER_SECONDS);
    }
  }

  private async joined(): Promise<void> {
    this.link = "";
    history.replaceState(null, "", location.pathname); // the secret has done its work
    await navigator.storage?.persist?.();
    await this.enrolled((await loadIdentity(this.store))!);
  }

  private async enrolled(identity: Identity): Promise<void> {
    history.replaceState(null, "", location.pathname);
    const totals = await this.store.getJson<Totals>("totals");
    if (totals) this.figures(totals);
    show("training", "data", "choices", "leaving", "details");
    this.button();
    const offers = await this.offers(identity);
    byId("consent-again").replaceChildren(describe(offers, await pageSize()));
    if (offers[0]) {
      this.gallery = new Gallery(this.store, offers[0].manifest, () => this.button(), (error) => this.fault(faultOf(error), "run"));
      await this.gallery.render();
    } else if (!(await this.store.countSamples())) byId("data-note").textContent = "When a task begins, you can add examples here.";
    if (!this.settings.paused && (await this.store.countSamples())) this.run();
    else this.doing(this.gallery?.count ? "Paused." : "Add some examples, then press Start.", null);
    if (!offers[0] && !this.finished) setTimeout(() => void this.retryOffers(identity), 1000 * RETRY_OFFER_SECONDS);
  }

  private async retryOffers(identity: Identity): Promise<void> {
    if (!this.gallery && (await loadIdentity(this.store)) && !this.running) await this.enrolled(identity);
  }

  /** The open tasks; without a network those of the last time. */
  private async offers(identity: Identity): Promise<Offer[]> {
    try {
      return await fetchOffers(identity.device_token);
    } catch (error) {
      if (!(error instanceof FedRelaError)) throw error;
      this.fault(faultOf(error), "run");
      return [];
    }
  }

  private wire(): void {
    byId("join").onclick = () => {
      byId<HTMLButtonElement>("join").disabled = true;
      this.send({ do: "enrol", token: this.link });
    };
    byId("pause").onclick = () => (this.running ? this.pause() : this.run());
    byId("leave").onclick = () => {
      if (confirm("Delete all your examples and keys from this browser, and leave?")) this.send({ do: "leave" });
    };
    const boxes = { "spare-battery": "spareBattery", "spare-data": "spareData" } as const;
    for (const [id, key] of Object.entries(boxes) as [string, "spareBattery" | "spareData"][]) {
      const box = byId<HTMLInputElement>(id);
      box.checked = this.settings[key];
      box.onchange = () => {
        this.settings[key] = box.checked;
        this.keepSettings();
        this.sendConditions();
      };
    }
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") this.send({ do: "save" });
    });
  }

  private run(): void {
    this.running = true;
    this.settings.paused = false;
    this.keepSettings();
    this.clearAlert();
    this.send({ do: "run" });
    this.button();
    this.doing("Asking for work…", null);
  }

  private pause(): void {
    this.settings.paused = true;
    this.keepSettings();
    this.send({ do: "pause" });
    this.doing("Pausing after this step…", null);
  }

  private stopped(): void {
    this.running = false;
    this.wakeLock.want(false);
    this.button();
    if (this.settings.paused) this.doing("Paused. What is done so far is kept.", null);
  }

  private gone(toldCoordinator: boolean): void {
    this.running = false;
    show();
    this.clearAlert();
    this.say(
      toldCoordinator
        ? "Everything was deleted from this browser, and the coordinator has forgotten this device. Thank you."
        : "Everything was deleted from this browser. The coordinator could not be told; it will notice that this device is gone.",
    );
  }

  private progress(progress: Progress): void {
    if (progress.kind === "held") return this.doing(progress.why.join(" "), null);
    const words = {
      "checking-in": "Asking for work…",
      preparing: `Getting ready for round ${progress.round}…`,
      relabeling: `Round ${progress.round}: looking for examples that are more like a rarer class…`,
      uploading: `Round ${progress.round}: sending the change…`,
    };
    if (progress.kind !== "step") {
      this.wakeLock.want(progress.kind !== "checking-in");
      return this.doing(words[progress.kind], null);
    }
    const { round, rounds, step, steps } = progress;
    this.doing(`Training, round ${round} of ${rounds}: step ${step} of ${steps}`, step / steps);
  }

  private doing(text: string, share: number | null): void {
    byId("doing").textContent = text;
    const bar = byId<HTMLProgressElement>("progress");
    bar.hidden = share === null;
    bar.value = share ?? 0;
  }

  private figures(totals: Totals): void {
    const rows = { "Rounds taken part in": String(totals.rounds), Sent: bytes(totals.sentBytes), Received: bytes(totals.receivedBytes) };
    byId("figures").replaceChildren(...Object.entries(rows).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  }

  private fault(fault: Fault, during: Command["do"]): void {
    byId<HTMLButtonElement>("join").disabled = false;
    if (during === "run" && fault.kind !== "Unavailable") this.running = false;
    this.button();
    this.alert(sentence(fault));
    this.doing(this.running ? "Waiting for the connection…" : "Stopped.", null);
  }

  private button(): void {
    const button = byId<HTMLButtonElement>("pause");
    button.textContent = this.running ? "Pause" : this.settings.paused ? "Continue" : "Start";
    button.disabled = !this.running && this.gallery !== undefined && !this.gallery.count;
  }

  private say(text: string): void {
    byId("status").textContent = text;
  }

  private alert(text: string): void {
    byId("alert").hidden = false;
    byId("alert").textContent = text;
  }

  private clearAlert(): void {
    byId("alert").hidden = true;
    byId("alert").textContent = "";
  }

  private keepSettings(): void {
    void this.store.putJson("settings", this.settings).catch((error: unknown) => {
      if (error instanceof FedRelaError) this.fault(faultOf(error), "conditions");
    });
  }

  private sendConditions(): void {
    const owner: Rule = {
      require_mains_or_battery_percent: this.settings.spareBattery ? 30 : 0,
      require_unmetered_network: this.settings.spareData,
      min_free_disk_bytes: 0,
      hours: "",
    };
    this.send({ do: "conditions", conditions: this.conditions, owner });
  }

  private send(command: Command): void {
    this.worker.postMessage(command);
  }
}

function faultOf(error: FedRelaError): Fault {
  return { kind: error.name, code: error instanceof Refused ? error.code : "", problem: error.problem, remedy: error.remedy };
}

function missing(): string {
  if (!isSecureContext) return "This page needs a secure connection. Ask the operator for a link that begins with https://.";
  if (!("WebAssembly" in window) || !navigator.locks || !window.indexedDB || !window.OffscreenCanvas)
    return "This browser is too old to train a model. Update it, or use another one.";
  return "";
}

async function main(): Promise<void> {
  const lacking = missing();
  if (lacking) {
    byId("status").textContent = lacking;
    return;
  }
  const worker = new Worker(new URL("../device/worker.ts", import.meta.url), { type: "module" });
  const store = await Store.open();
  const page = new Page(store, worker, location.hash.slice(1));
  worker.onmessage = ({ data: report }: MessageEvent<Report>) => {
    if (report.kind === "ready") void page.start();
    else if (report.kind === "locked") byId("status").textContent = "This page is open in another tab, which does the work. You can close this one.";
    else page.heard(report);
  };
  await navigator.serviceWorker?.register("sw.js", { scope: "./" }).catch(() => undefined);
}

void main();
