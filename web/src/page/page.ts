/**
 * The page's states and the owner's wishes. It asks, shows, and passes wishes to the worker.
 *
 *     no link and not enrolled -> "open your link"        link, not enrolled -> consent
 *     enrolled, no examples    -> add examples            enrolled, examples -> training, or paused
 */
import { FedRelaError, InvalidInput, Refused } from "../core/errors.ts";
import { parseFragment } from "../core/links.ts";
import type { Outcome, Totals } from "../device/client.ts";
import { type Identity, loadIdentity } from "../device/identity.ts";
import { type Command, type Fault, type Report, faultOf } from "../device/protocol.ts";
import type { Store } from "../device/store.ts";
import type { Progress } from "../device/work.ts";
import { Choices } from "./choices.ts";
import { describe, pageSizes } from "./consent.ts";
import { byId, show } from "./dom.ts";
import { Gallery } from "./gallery.ts";
import { type Offer, fetchOffers, obstacle } from "./offer.ts";
import { WakeLock, watchConditions } from "./sensors.ts";
import { alert, doing, figures, say, trainButton } from "./view.ts";
import { droppedSentence, processorSentence, progressSentence, sentence, waitSentence } from "./words.ts";

const RETRY_OFFER_SECONDS = 10;

export class Page {
  private readonly wakeLock = new WakeLock();
  private readonly choices: Choices;
  private gallery: Gallery | undefined;
  private running = false;
  private finished = false;

  constructor(
    private readonly store: Store,
    private readonly send: (command: Command) => void,
    private link: string,
  ) {
    this.choices = new Choices(store, send);
  }

  /** Begin: the worker has the device's lock. */
  async start(): Promise<void> {
    say("");
    await this.choices.load();
    this.wire();
    await watchConditions((conditions) => this.choices.see(conditions));
    const identity = await loadIdentity(this.store);
    if (identity) await this.enrolled(identity);
    else if (this.link) await this.welcome();
    else say("Open the link, or scan the code, that the operator gave you.");
  }

  async heard(report: Report): Promise<void> {
    if (report.kind === "ready") await this.start();
    else if (report.kind === "locked") say("This page is open in another tab, which does the work. Close one of the two.");
    else if (report.kind === "enrolled") await this.joined();
    else if (report.kind === "progress") this.progress(report.progress);
    else if (report.kind === "fault") this.fault(report.fault, report.during);
    else if (report.kind === "paused") this.stopped();
    else if (report.kind === "processor") byId("processor").textContent = processorSentence(report.choice, report.threads);
    else if (report.kind === "left") this.gone(report.toldCoordinator);
    else await this.ended(report.outcome, report.totals);
  }

  /** Something failed: say it, and offer what can be tried again. */
  fault(fault: Fault, during: Command["do"]): void {
    byId<HTMLButtonElement>("join").disabled = false;
    if (during === "run" && fault.kind !== "Unavailable") this.running = false;
    this.button();
    say("");
    alert(sentence(fault));
    doing(this.running ? "Waiting for the connection…" : "Stopped.");
  }

  private async welcome(): Promise<void> {
    say("Looking up what you are asked to do…");
    try {
      const link = parseFragment(this.link);
      const offers = await fetchOffers(link);
      byId("offer").replaceChildren(describe(offers, await pageSizes(), Boolean(link.fleet)));
      const possible = !offers.length || offers.some((offer) => !obstacle(offer));
      for (const answer of ["join", "decline"]) byId(answer).hidden = !possible;
      say(possible ? "" : "This page can't take part here, so there is nothing to join. Nothing was sent from this device.");
      alert("");
      show("welcome");
    } catch (error) {
      if (!(error instanceof FedRelaError)) throw error;
      this.fault(faultOf(error), "enroll");
      if (!(error instanceof Refused || error instanceof InvalidInput)) setTimeout(() => void this.welcome(), 1000 * RETRY_OFFER_SECONDS);
    }
  }

  private async joined(): Promise<void> {
    say("");
    this.link = "";
    void navigator.storage?.persist?.(); // a browser may ask its owner, who need not answer
    await this.enrolled((await loadIdentity(this.store))!);
  }

  private async enrolled(identity: Identity): Promise<void> {
    history.replaceState(null, "", location.pathname); // the secret has done its work
    const totals = await this.store.getJson<Totals>("totals");
    if (totals) figures(totals);
    show("training", "data", "choices", "leaving", "details");
    this.button();
    const offers = await this.offers(identity);
    byId("consent-again").replaceChildren(describe(offers, await pageSizes(), Boolean(identity.fleet)));
    byId("share-totals-choice").hidden = !offers.some((offer) => offer.task.local_evaluation);
    const possible = offers.find((offer) => !obstacle(offer));
    if (possible) {
      this.gallery = new Gallery(this.store, possible.manifest, () => this.button(), (error) => this.fault(faultOf(error), "run"));
      await this.gallery.render();
    } else if (!(await this.store.countSamples())) byId("data-note").textContent = "When a task begins, you can add examples here.";
    if (!this.choices.paused && (this.gallery?.count ?? (await this.store.countSamples()))) await this.run();
    else doing(this.gallery?.count ? "Paused." : "Add some examples, then press Start.");
    if (!possible && !this.finished) setTimeout(() => void this.retryOffers(identity), 1000 * RETRY_OFFER_SECONDS);
  }

  private async retryOffers(identity: Identity): Promise<void> {
    if (!this.gallery && (await loadIdentity(this.store)) && !this.running) await this.enrolled(identity);
  }

  /** The open tasks; without a network none. */
  private async offers(identity: Identity): Promise<Offer[]> {
    try {
      return await fetchOffers(identity);
    } catch (error) {
      if (!(error instanceof FedRelaError)) throw error;
      this.fault(faultOf(error), "run");
      return [];
    }
  }

  private wire(): void {
    byId("join").onclick = () => {
      byId<HTMLButtonElement>("join").disabled = true;
      say("Joining…");
      this.send({ do: "enroll", link: this.link });
    };
    byId("decline").onclick = () => {
      this.link = "";
      history.replaceState(null, "", location.pathname); // with its secret
      show();
      say("You have not joined, and this page keeps nothing of it. If you change your mind, open the link again.");
    };
    byId("pause").onclick = () => void (this.running ? this.pause() : this.run());
    byId("leave").onclick = () => {
      if (confirm("Delete all your examples and keys from this browser, and leave?")) this.send({ do: "leave" });
    };
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") this.send({ do: "save" });
    });
  }

  private async run(): Promise<void> {
    this.running = true;
    alert("");
    say("");
    this.send({ do: "run" });
    this.button();
    doing("Asking for work…");
    await this.choices.pause(false);
    this.button();
  }

  private async pause(): Promise<void> {
    this.send({ do: "pause" });
    doing("Pausing after this step…");
    await this.choices.pause(true);
  }

  private stopped(): void {
    this.running = false;
    this.wakeLock.want(false);
    this.button();
    if (this.choices.paused) doing("Paused. What is done so far is kept.");
  }

  private async ended(outcome: Outcome, totals: Totals): Promise<void> {
    figures(totals);
    this.finished = outcome.kind === "waiting" && outcome.reason === "finished";
    this.button();
    this.wakeLock.want(this.running && outcome.kind !== "waiting");
    if (outcome.kind === "waiting") doing(waitSentence(outcome));
    else if (outcome.kind === "uploaded") {
      alert("");
      doing(`Round ${outcome.round} is done: your change was sent.`, 1);
    } else if (outcome.kind === "summed") {
      alert("");
      doing(`Round ${outcome.round} is done: your change is in the sum of its group.`, 1);
    } else if (outcome.kind === "dropped") {
      alert(droppedSentence(outcome));
      if (outcome.code === "not-eligible") await this.gallery?.render();
    }
  }

  private progress(progress: Progress): void {
    if (progress.kind !== "held") this.wakeLock.want(progress.kind !== "checking-in");
    doing(progressSentence(progress), progress.kind === "step" ? progress.step / progress.steps : null);
  }

  private gone(toldCoordinator: boolean): void {
    this.running = false;
    this.gallery = undefined;
    show();
    alert("");
    say(
      toldCoordinator
        ? "Everything was deleted from this browser, and the operator's server has forgotten this device. Thank you."
        : "Everything was deleted from this browser. The operator's server could not be told; it will notice that this device is gone.",
    );
  }

  private button(): void {
    const text = this.running ? "Pause" : this.choices.paused ? "Continue" : "Start";
    trainButton(text, !this.running && this.gallery !== undefined && !this.gallery.count, this.running && this.finished);
  }
}
